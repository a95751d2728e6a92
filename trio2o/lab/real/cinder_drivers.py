# SPDX-License-Identifier: Apache-2.0
"""Cinder's fake volume driver, changed to keep the bytes of volumes and snapshots and to need no block device."""

from __future__ import annotations

import io
import pathlib
import struct
from typing import Any

from cinder.tests import fake_driver
from oslo_config import cfg

from trio2o.lab.disks import Disk, Folder

#: The header of an empty qcow2 disk: magic, version, no backing file, clusters of 64 KiB, 1 GiB, table offsets.
QCOW2_BYTES = struct.pack('>4sIQIIQIIQQIIQ', b'QFI\xfb', 2, 0, 0, 16, 1 << 30, 0, 2, 3 << 16, 1 << 16, 1, 0, 0).ljust(
    4 << 16, b'\0'
)


def folder() -> Folder:
    """Return the files of this pod's volumes and snapshots, which have the names that Cinder gives to LVM."""
    return Folder(pathlib.Path(cfg.CONF.state_path) / 'disks')


def device_path(device: Any) -> str:
    """Return the file of a volume or a snapshot, for the backup service to read or write."""
    files = folder()
    Disk(files, device.name).read()  # creates the file of a volume that an earlier lab left without one
    return files.path(device.name)


class LabVolumeDriver(fake_driver.FakeLoggingVolumeDriver):
    """A fake backend with a small file for each volume and snapshot."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.disks = folder()

    def _copy(self, source: str, target: str) -> None:
        self.disks[target] = Disk(self.disks, source).read()

    def create_volume(self, volume: Any) -> Any:
        update = super().create_volume(volume)
        Disk(self.disks, volume.name).read()
        return update

    def delete_volume(self, volume: Any) -> None:
        self.disks.pop(volume.name, None)

    def create_snapshot(self, snapshot: Any) -> None:
        self._copy(snapshot.volume.name, snapshot.name)

    def delete_snapshot(self, snapshot: Any) -> None:
        self.disks.pop(snapshot.name, None)

    def create_cloned_volume(self, volume: Any, src_vref: Any) -> None:
        self._copy(src_vref.name, volume.name)

    def create_volume_from_snapshot(self, volume: Any, snapshot: Any) -> None:
        self._copy(snapshot.name, volume.name)

    def revert_to_snapshot(self, context: Any, volume: Any, snapshot: Any) -> None:
        self._copy(snapshot.name, volume.name)

    def clone_image(
        self, context: Any, volume: Any, image_location: Any, image_meta: Any, image_service: Any
    ) -> tuple[dict[str, Any], bool]:
        """Copy the image, and report that it was cloned, so that Cinder attaches no device."""
        self.copy_image_to_volume(context, volume, image_service, image_meta['id'])
        return {}, True

    def copy_image_to_volume(
        self, context: Any, volume: Any, image_service: Any, image_id: str, *args: Any, **kwargs: Any
    ) -> None:
        """Copy the image; the bytes of a qcow2 image that ``copy_volume_to_image`` made are those of the volume."""
        content = io.BytesIO()
        image_service.download(context, image_id, content)
        self.disks[volume.name] = content.getvalue().removeprefix(QCOW2_BYTES)

    def copy_volume_to_image(self, context: Any, volume: Any, image_service: Any, image_meta: Any) -> None:
        """Upload the volume in the format of the image, since Glance inspects it."""
        is_qcow2 = image_meta.get('disk_format') == 'qcow2'
        content = (QCOW2_BYTES if is_qcow2 else b'') + Disk(self.disks, volume.name).read()
        formats = {'disk_format': 'qcow2' if is_qcow2 else 'raw', 'container_format': 'bare'}
        image_service.update(context, image_meta['id'], formats, io.BytesIO(content))

    def extend_volume(self, volume: Any, new_size: int) -> None:
        """Accept the new size; the method that the fake driver inherits in Cinder 28 would use LVM."""

    def retype(self, context: Any, volume: Any, new_type: Any, diff: Any, host: Any) -> bool:
        """Accept any type without moving anything."""
        return True
