# SPDX-License-Identifier: Apache-2.0
"""Cinder's fake volume and backup drivers, changed to use Glance and to need no block device."""

from __future__ import annotations

import io
import struct
from typing import Any

from cinder.tests import fake_driver
from cinder.tests.unit.backup import fake_service

VOLUME_BYTES = b'\0' * 4096
#: The header of an empty qcow2 disk: magic, version, no backing file, clusters of 64 KiB, 1 GiB, table offsets.
QCOW2_BYTES = struct.pack('>4sIQIIQIIQQIIQ', b'QFI\xfb', 2, 0, 0, 16, 1 << 30, 0, 2, 3 << 16, 1 << 16, 1, 0, 0).ljust(
    4 << 16, b'\0'
)


class LabVolumeDriver(fake_driver.FakeLoggingVolumeDriver):
    """A fake backend that creates volumes from images, and images from volumes, without copying data."""

    def clone_image(
        self, context: Any, volume: Any, image_location: Any, image_meta: Any, image_service: Any
    ) -> tuple[dict[str, Any], bool]:
        """Report that the image was cloned, so that Cinder copies nothing."""
        return {}, True

    def copy_volume_to_image(self, context: Any, volume: Any, image_service: Any, image_meta: Any) -> None:
        """Upload a few bytes in the format of the image, since Glance inspects them."""
        disk_format = image_meta.get('disk_format')
        content = QCOW2_BYTES if disk_format == 'qcow2' else VOLUME_BYTES
        formats = {'disk_format': 'qcow2' if disk_format == 'qcow2' else 'raw', 'container_format': 'bare'}
        image_service.update(context, image_meta['id'], formats, io.BytesIO(content))

    def extend_volume(self, volume: Any, new_size: int) -> None:
        """Accept the new size; the method that the fake driver inherits in Cinder 28 would use LVM."""

    def retype(self, context: Any, volume: Any, new_type: Any, diff: Any, host: Any) -> bool:
        """Accept any type without moving anything."""
        return True


class LabBackupDriver(fake_service.FakeBackupService):
    """A backup service that stores nothing."""

    def check_for_setup_error(self) -> None:
        """Do nothing: there is nothing to check."""
