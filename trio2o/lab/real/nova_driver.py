# SPDX-License-Identifier: Apache-2.0
"""Nova's fake driver, changed to survive restarts and to upload snapshots.

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

CONF = nova.conf.CONF
CONSOLE_LINES = 100
SNAPSHOT_BYTES = b'\0' * 4096


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
    """A fake hypervisor that keeps its instances and its UUID over a restart."""

    # A pod has one compute host, so a resize stays on it.
    capabilities = {**fake.FakeDriver.capabilities, 'supports_migrate_to_same_host': True}

    def __init__(self, virtapi: Any, read_only: bool = False) -> None:
        setattr(uuidsentinel, f'node_{CONF.host}', node.get_local_node_uuid())
        super().__init__(virtapi, read_only)
        self.instances = StoredInstances(pathlib.Path(CONF.state_path) / 'hypervisor.json')

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
        """Upload a few bytes, with the task states and image properties of a real driver."""
        update_task_state(task_state=task_states.IMAGE_PENDING_UPLOAD)
        update_task_state(task_state=task_states.IMAGE_UPLOADING, expected_state=task_states.IMAGE_PENDING_UPLOAD)
        images = glance.API()
        record = images.get(context, image_id)
        properties = {**record.get('properties', {}), 'image_state': 'available'}
        images.update(
            context,
            image_id,
            {
                'name': record['name'],
                'disk_format': 'raw',
                'container_format': 'bare',
                'is_public': False,
                'status': 'active',
                'properties': properties,
            },
            io.BytesIO(SNAPSHOT_BYTES),
        )
