# SPDX-License-Identifier: Apache-2.0
"""Cinder's fake volume and backup drivers, made to speak to Glance and to need no block device."""

from __future__ import annotations

import io
import struct
from typing import Any

from cinder.tests import fake_driver
from cinder.tests.unit.backup import fake_service

VOLUME_BYTES = b'\0' * 4096
#: The head of an empty qcow2 disk: magic, version, no backing file, clusters of 64 KiB, 1 GiB, where its tables are.
QCOW2_BYTES = struct.pack('>4sIQIIQIIQQIIQ', b'QFI\xfb', 2, 0, 0, 16, 1 << 30, 0, 2, 3 << 16, 1 << 16, 1, 0, 0).ljust(
    4 << 16, b'\0'
)


class LabVolumeDriver(fake_driver.FakeLoggingVolumeDriver):
    """A fake backend whose volumes come from images and go to images at once."""

    def clone_image(
        self, context: Any, volume: Any, image_location: Any, image_meta: Any, image_service: Any
    ) -> tuple[dict[str, Any], bool]:
        """Say that the image was cloned: there is nothing to copy."""
        return {}, True

    def copy_volume_to_image(self, context: Any, volume: Any, image_service: Any, image_meta: Any) -> None:
        """Upload a few bytes of the format the image claims, since Glance looks."""
        disk_format = image_meta.get('disk_format')
        content = QCOW2_BYTES if disk_format == 'qcow2' else VOLUME_BYTES
        formats = {'disk_format': 'qcow2' if disk_format == 'qcow2' else 'raw', 'container_format': 'bare'}
        image_service.update(context, image_meta['id'], formats, io.BytesIO(content))

    def extend_volume(self, volume: Any, new_size: int) -> None:
        """Say that it is larger: what Cinder 28 has for the fake would look for LVM."""

    def retype(self, context: Any, volume: Any, new_type: Any, diff: Any, host: Any) -> bool:
        """Accept any type without moving anything."""
        return True


class LabBackupDriver(fake_service.FakeBackupService):
    """A backup service that keeps nothing."""

    def check_for_setup_error(self) -> None:
        """Nothing to check."""
