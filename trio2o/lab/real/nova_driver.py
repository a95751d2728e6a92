# SPDX-License-Identifier: Apache-2.0
"""Nova's fake driver, changed to survive restarts and to keep the bytes of root disks.

The original loses its instances and generates a new node UUID at each start, so nova-compute refuses
to start a second time; and the images of its snapshots stay queued for ever.
"""

from __future__ import annotations

import io
import json
import pathlib
import threading
from typing import Any

import nova.conf
from nova.compute import power_state, task_states
from nova.image import glance
from nova.virt import fake, node
from oslo_utils.fixture import uuidsentinel

from trio2o.lab.disks import Disk, Folder

CONF = nova.conf.CONF
CONSOLE_LINES = 100
QCOW2_MAGIC = b'QFI\xfb'


class StoredInstances(dict[str, Any]):
    """The driver's instances, written to a file whenever one is added or removed."""

    def __init__(self, path: pathlib.Path) -> None:
        super().__init__()
        self._path = path
        self._lock = threading.Lock()
        if path.exists():
            for uuid, record in json.loads(path.read_text()).items():
                super().__setitem__(uuid, fake.FakeInstance(record['name'], record['state'], uuid))

    def __setitem__(self, uuid: str, instance: Any) -> None:
        super().__setitem__(uuid, instance)
        self.write()

    def __delitem__(self, uuid: str) -> None:
        super().__delitem__(uuid)
        self.write()

    def write(self) -> None:
        """Replace the file atomically, so that a killed process leaves a complete one."""
        with self._lock:
            records = {uuid: {'name': one.name, 'state': one.state} for uuid, one in list(self.items())}
            partial = self._path.with_suffix('.new')
            partial.write_text(json.dumps(records))
            partial.replace(self._path)


class LabDriver(fake.FakeDriver):
    """A fake hypervisor that keeps its instances, their root disks and its UUID over a restart.

    The folder ``disks`` has a file for each root disk that is not in Cinder, with the UUID of its instance as name.
    """

    # A pod has one compute host, so a resize stays on it.
    capabilities = {**fake.FakeDriver.capabilities, 'supports_migrate_to_same_host': True}

    def __init__(self, virtapi: Any, read_only: bool = False) -> None:
        setattr(uuidsentinel, f'node_{CONF.host}', node.get_local_node_uuid())
        super().__init__(virtapi, read_only)
        self.instances = StoredInstances(pathlib.Path(CONF.state_path) / 'hypervisor.json')
        self.disks = Folder(pathlib.Path(CONF.state_path) / 'disks')
        self._images: dict[str, bytes] = {}

    # -- root disks --

    def spawn(
        self, context: Any, instance: Any, *args: Any, block_device_info: dict[str, Any] | None = None, **kwargs: Any
    ) -> None:
        """Make the root disk of the image, unless it is a volume, or the instance has it from before a resize."""
        devices = (block_device_info or {}).get('block_device_mapping') or []
        if instance.uuid not in self.disks and all(device['boot_index'] != 0 for device in devices):
            self.disks[instance.uuid] = self._image(context, instance.image_ref)
        super().spawn(context, instance, *args, block_device_info=block_device_info, **kwargs)

    def _image(self, context: Any, image_id: str) -> bytes:
        """Download an image the first time that it is used, as hypervisors do."""
        if image_id not in self._images:
            self._images[image_id] = b''.join(glance.API().download(context, image_id))
        return self._images[image_id]

    def destroy(
        self,
        context: Any,
        instance: Any,
        network_info: Any,
        block_device_info: Any = None,
        destroy_disks: bool = True,
        **kwargs: Any,
    ) -> None:
        super().destroy(context, instance, network_info, block_device_info, destroy_disks, **kwargs)
        if destroy_disks:
            self.disks.pop(instance.uuid, None)

    def migrate_disk_and_power_off(self, context: Any, instance: Any, *args: Any, **kwargs: Any) -> Any:
        """Keep a copy of the root disk for a revert, as libvirt's driver does."""
        if instance.uuid in self.disks:
            self.disks[_old(instance)] = self.disks[instance.uuid]
        return super().migrate_disk_and_power_off(context, instance, *args, **kwargs)

    def finish_revert_migration(self, context: Any, instance: Any, *args: Any, **kwargs: Any) -> None:
        if _old(instance) in self.disks:
            self.disks[instance.uuid] = self.disks.pop(_old(instance))
        super().finish_revert_migration(context, instance, *args, **kwargs)

    def confirm_migration(self, context: Any, migration: Any, instance: Any, network_info: Any) -> None:
        super().confirm_migration(context, migration, instance, network_info)
        self.disks.pop(_old(instance), None)

    def detach_interface(self, context: Any, instance: Any, vif: Any) -> None:
        """Detach an interface. One from before a restart is not known, which the original driver refuses."""
        self._interfaces.pop(vif['id'], None)

    # -- power --

    def power_off(self, instance: Any, timeout: int = 0, retry_interval: int = 0) -> None:
        super().power_off(instance, timeout, retry_interval)
        self.instances.write()

    def power_on(self, context: Any, instance: Any, *args: Any, **kwargs: Any) -> None:
        if instance.uuid not in self.instances:
            # A crash came after the write to the database and before the write to the file.
            self.instances[instance.uuid] = fake.FakeInstance(instance.name, power_state.SHUTDOWN, instance.uuid)
        super().power_on(context, instance, *args, **kwargs)
        self.instances.write()

    def get_console_output(self, context: Any, instance: Any) -> str:
        """Return enough lines, so that a client can request fewer."""
        return '\n'.join(f'FAKE CONSOLE OUTPUT {line}' for line in range(1, CONSOLE_LINES + 1))

    def snapshot(self, context: Any, instance: Any, image_id: str, update_task_state: Any) -> None:
        """Upload the root disk, with the task states and image properties of a real driver."""
        update_task_state(task_state=task_states.IMAGE_PENDING_UPLOAD)
        update_task_state(task_state=task_states.IMAGE_UPLOADING, expected_state=task_states.IMAGE_PENDING_UPLOAD)
        images = glance.API()
        record = images.get(context, image_id)
        data = Disk(self.disks, instance.uuid).read()
        properties = {**record.get('properties', {}), 'image_state': 'available'}
        images.update(
            context,
            image_id,
            {
                'name': record['name'],
                # Glance checks the format.
                'disk_format': 'qcow2' if data.startswith(QCOW2_MAGIC) else 'raw',
                'container_format': 'bare',
                'is_public': False,
                'status': 'active',
                'properties': properties,
            },
            io.BytesIO(data),
        )


def _old(instance: Any) -> str:
    return f'{instance.uuid}_resize'
