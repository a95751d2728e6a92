# SPDX-License-Identifier: Apache-2.0
"""Records of servers: dicts, mostly with the names of Nova's columns."""

import secrets
import uuid
from typing import TYPE_CHECKING, Any

from trio2o.lab.emulated.nova import disks, networking

if TYPE_CHECKING:
    from trio2o.lab.emulated.nova import Nova

NETWORK = '7f3e0d5a-0000-4000-8000-000000000001'


def interface(
    nova: 'Nova', net_id: str | None = None, port_id: str | None = None, address: str | None = None
) -> dict[str, Any]:
    """Make an interface; without ``net_id`` it is in the only network."""
    one, two, three = secrets.token_bytes(3)
    return {
        'port_id': port_id or nova.new_id(),
        'net_id': net_id or NETWORK,
        'network': 'private',
        'mac_addr': f'fa:16:3e:{one:02x}:{two:02x}:{three:02x}',
        'port_state': 'ACTIVE',
        'fixed_ips': [{'subnet_id': NETWORK[:-1] + '2', 'ip_address': address or f'10.{one}.{two}.{three}'}],
    }


def new(
    nova: 'Nova', name: str, project_id: str, user_id: str, flavor: dict[str, Any], **given: Any
) -> dict[str, Any]:
    """Add a server that is ACTIVE on the pod's first host, unless ``given`` has other values.

    Its root disk is a copy of the image. The keys of its disks, see ``nova.disks``, exist once there are bytes.
    """
    now = given.get('created_at') or nova.stamp()
    record = {
        'id': str(uuid.uuid4()),
        'name': name,
        'project_id': project_id,
        'user_id': user_id,
        'created_at': now,
        'updated_at': now,
        'launched_at': now,
        'terminated_at': None,
        'deleted': False,
        'vm_state': 'active',
        'task_state': None,
        'power_state': 1,
        'flavor': {key: flavor[key] for key in ('id', 'name', 'ram', 'disk', 'vcpus', 'ephemeral', 'swap')}
        | {'extra_specs': dict(flavor['extra_specs'])},
        'image_ref': '',
        'image_properties': {},
        'metadata': {},
        'tags': set(),
        'availability_zone': nova.settings.zones[0],
        'pinned_availability_zone': None,
        'host': nova.hosts[0],
        'node': nova.hosts[0],
        'key_name': None,
        'config_drive': '',
        'locked_by': None,
        'locked_reason': None,
        'description': None,
        'hostname': name.lower(),
        'reservation_id': 'r-' + secrets.token_hex(4),
        'launch_index': 0,
        'user_data': None,
        'kernel_id': '',
        'ramdisk_id': '',
        'root_device_name': '/dev/vda',
        'instance_name': '',
        'access_ip_v4': '',
        'access_ip_v6': '',
        'disk_config': 'MANUAL',
        'progress': 0,
        'security_groups': ['default'],
        'interfaces': [interface(nova)],
        'volumes': [],
        'trusted_certs': None,
        'scheduler_hints': {},
        'fault': None,
        'actions': [],
        'old_flavor': None,
    }
    record |= given
    if nova.glance is not None and record['image_ref'] in nova.glance.contents:
        record['disk'] = nova.glance.contents[record['image_ref']]
    record['instance_name'] = record['instance_name'] or f'instance-{len(nova.servers) + 1:08x}'
    nova.servers[record['id']] = record
    return record


def touch(nova: 'Nova', server: dict[str, Any], **changes: Any) -> None:
    """Change a server and its ``updated_at``. Its ports follow it."""
    server.update(changes)
    server['updated_at'] = nova.stamp()
    if not {'host', 'power_state', 'vm_state'}.isdisjoint(changes):
        networking.plug(nova, server)


def note(nova: 'Nova', server: dict[str, Any], action: str, request_id: str, user_id: str, project_id: str) -> None:
    """Record an instance action."""
    server['actions'].append(
        {
            'action': action,
            'instance_uuid': server['id'],
            'request_id': request_id,
            'user_id': user_id,
            'project_id': project_id,
            'start_time': nova.stamp(),
            'updated_at': nova.stamp(),
            'message': None,
        }
    )


def erase(nova: 'Nova', server: dict[str, Any]) -> None:
    """Mark a server as deleted. The record stays, for markers and for ``changes-since``."""
    now = nova.stamp()
    server.update(deleted=True, vm_state='deleted', task_state=None, terminated_at=now, updated_at=now, power_state=0)
    for volume in server['volumes']:
        if nova.cinder is not None:
            nova.cinder.detach_volume(volume['volume_id'], volume['attachment_id'], volume['delete_on_termination'])
    server['volumes'] = []
    networking.deallocate(nova, server)
    disks.lose(server)
    if nova.glance is not None:
        nova.glance.erase(server.pop('shelved_image', None) or '')
