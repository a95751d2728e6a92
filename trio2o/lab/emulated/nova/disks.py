# SPDX-License-Identifier: Apache-2.0
"""The disks of servers, and the images that Nova makes of them.

A server whose boot volume is in Cinder has no local root disk. Its record has the bytes of the local disks under the
keys of ``LOCAL``.
"""

from typing import TYPE_CHECKING, Any

from trio2o.lab.disks import Disk
from trio2o.lab.emulated import wire

if TYPE_CHECKING:
    from trio2o.lab.emulated.nova import Nova

#: Local disk -> key of the server's record.
LOCAL = {'root': 'disk', 'ephemeral': 'ephemeral_disk', 'config drive': 'config_disk'}


def boot_volume(server: dict[str, Any]) -> str | None:
    """Return the id of the volume that is the root disk; None if the root disk is local."""
    return next((row['volume_id'] for row in server['volumes'] if row.get('boot_index') == 0), None)


def find(nova: 'Nova', server: dict[str, Any], name: str = 'root') -> Disk:
    """Return a disk of a server. The root disk of a server that is shelved is its image.

    :param name: ``root``, ``ephemeral`` or ``config drive``
    :raises KeyError: the server has no such disk
    """
    volume_id = boot_volume(server)
    if name == 'root' and volume_id is not None and nova.cinder is not None:
        return Disk(nova.cinder.volumes[volume_id])
    if name == 'root' and server.get('shelved_image') and nova.glance is not None:
        return nova.glance.disk(server['shelved_image'])
    if (name == 'ephemeral' and not server['flavor']['ephemeral']) or (
        name == 'config drive' and not server['config_drive']
    ):
        raise KeyError(f'server {server["id"]} has no {name}')
    return Disk(server, LOCAL[name])


def write_config_drive(server: dict[str, Any], files: list[dict[str, str]]) -> None:
    """Write the config drive, if the server has one, as it is when the server boots for the first time."""
    if server['config_drive']:
        meta = {'uuid': server['id'], 'meta': server['metadata']}
        meta |= {name: server[name] for name in ('name', 'hostname', 'launch_index', 'key_name')}
        content = {'meta_data.json': meta, 'user_data': server['user_data'], 'content': files}
        Disk(server, LOCAL['config drive']).replace(wire.dumps(content))


def lose(server: dict[str, Any]) -> None:
    """Delete the local disks, as if the server left its host."""
    for key in LOCAL.values():
        server.pop(key, None)


def make_image(nova: 'Nova', server: dict[str, Any], name: str, project_id: str, **properties: Any) -> dict[str, Any]:
    """Upload the root disk; of a server with a boot volume, snapshot all volumes and make an image without bytes."""
    assert nova.glance is not None
    if boot_volume(server) is None:
        common = {'image_type': 'snapshot', 'instance_uuid': server['id'], 'base_image_ref': server['image_ref']}
        data = find(nova, server).read()
        return nova.glance.add_image(name, project_id, data=data, **{**common, **properties})
    assert nova.cinder is not None
    mapping = []
    for row in server['volumes']:
        snapshot = nova.cinder.add_snapshot(row['volume_id'], name=f'snapshot for {name}')
        mapping.append(
            {
                'source_type': 'snapshot',
                'destination_type': 'volume',
                'snapshot_id': snapshot['id'],
                'volume_size': snapshot['size'],
                'boot_index': row.get('boot_index'),
                'device_name': row['device'],
                'delete_on_termination': row['delete_on_termination'],
                'device_type': 'disk',
                'disk_bus': 'virtio',
            }
        )
    return nova.glance.add_image(
        name,
        project_id,
        data=b'',
        base_image_ref='',
        root_device_name=server['root_device_name'],
        bdm_v2='True',
        block_device_mapping=wire.dumps(mapping).decode(),
        **properties,
    )
