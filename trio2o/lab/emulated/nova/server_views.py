# SPDX-License-Identifier: Apache-2.0
"""Nova's views of a server at each microversion."""

import hashlib
from typing import TYPE_CHECKING, Any

from trio2o.lab.emulated import wire
from trio2o.lab.emulated.clock import zulu
from trio2o.lab.emulated.nova import networking

if TYPE_CHECKING:
    from trio2o.lab.emulated.nova import Nova

Server = dict[str, Any]

STATUSES = {
    'active': 'ACTIVE',
    'building': 'BUILD',
    'stopped': 'SHUTOFF',
    'resized': 'VERIFY_RESIZE',
    'paused': 'PAUSED',
    'suspended': 'SUSPENDED',
    'rescued': 'RESCUE',
    'error': 'ERROR',
    'deleted': 'DELETED',
    'soft-delete': 'SOFT_DELETED',
    'shelved': 'SHELVED',
    'shelved_offloaded': 'SHELVED_OFFLOADED',
}
TASK_STATUSES = {
    ('active', 'rebooting'): 'REBOOT',
    ('active', 'rebooting_hard'): 'HARD_REBOOT',
    ('active', 'updating_password'): 'PASSWORD',
    ('active', 'rebuilding'): 'REBUILD',
    ('stopped', 'rebuilding'): 'REBUILD',
    ('error', 'rebuilding'): 'REBUILD',
    ('active', 'migrating'): 'MIGRATING',
    ('paused', 'migrating'): 'MIGRATING',
    ('active', 'resize_prep'): 'RESIZE',
    ('stopped', 'resize_prep'): 'RESIZE',
    ('resized', 'resize_reverting'): 'REVERT_RESIZE',
}
ALL_STATUSES = {*STATUSES.values(), *TASK_STATUSES.values()}
_WITH_PROGRESS = {'ACTIVE', 'BUILD', 'REBUILD', 'RESIZE', 'VERIFY_RESIZE', 'MIGRATING'}


def status(server: Server) -> str:
    """Return the status that users see, from VM state and task state."""
    if server['deleted']:
        return 'DELETED'
    return TASK_STATUSES.get((server['vm_state'], server['task_state'])) or STATUSES.get(server['vm_state'], 'UNKNOWN')


def links(request: wire.Request, kind: str, identifier: str) -> list[dict[str, str]]:
    """Make the links self and bookmark; they contain the project only if the path of the request does."""
    return [
        {'rel': 'self', 'href': f'{request.prefix}/{kind}/{identifier}'},
        {'rel': 'bookmark', 'href': bookmark(request, kind, identifier)},
    ]


def bookmark(request: wire.Request, kind: str, identifier: str) -> str:
    """Make a link without the version."""
    project = f'/{request.project_in_path}' if request.project_in_path else ''
    return f'{request.base}{project}/{kind}/{identifier}'


def brief(request: wire.Request, server: Server) -> dict[str, Any]:
    """Show a server as in ``GET /servers``."""
    return {'id': server['id'], 'name': server['name'], 'links': links(request, 'servers', server['id'])}


def host_id(server: Server) -> str:
    """Return Nova's hash of project and host; empty while the server is on no host."""
    if not server['host']:
        return ''
    return hashlib.sha224((server['project_id'] + server['host']).encode()).hexdigest()


def addresses(server: Server, extended: bool = True) -> dict[str, list[dict[str, Any]]]:
    """Return the addresses by network; empty while the server is building."""
    found: dict[str, list[dict[str, Any]]] = {}
    if server['vm_state'] == 'building':
        return found
    for kind in ('fixed', 'floating'):  # in each network, the fixed ones of all ports are first
        for port in server['interfaces']:
            fixed = [row['ip_address'] for row in port['fixed_ips']]
            for address in fixed if kind == 'fixed' else port.get('floating_ips', ()):
                entry = {'version': networking.version_of(address), 'addr': address}
                if extended:
                    entry |= {'OS-EXT-IPS:type': kind, 'OS-EXT-IPS-MAC:mac_addr': port['mac_addr']}
                found.setdefault(port['network'], []).append(entry)
    return found


def _image(request: wire.Request, server: Server) -> Any:
    if not server['image_ref']:
        return ''
    image: dict[str, Any] = {
        'id': server['image_ref'],
        'links': [{'rel': 'bookmark', 'href': bookmark(request, 'images', server['image_ref'])}],
    }
    if request.minor >= 98:
        image['properties'] = dict(server['image_properties'])
    return image


def _flavor(request: wire.Request, server: Server) -> dict[str, Any]:
    flavor = server['flavor']
    if request.minor < 47:
        return {'id': flavor['id'], 'links': [{'rel': 'bookmark', 'href': bookmark(request, 'flavors', flavor['id'])}]}
    return {
        'vcpus': flavor['vcpus'],
        'ram': flavor['ram'],
        'disk': flavor['disk'],
        'ephemeral': flavor['ephemeral'],
        'swap': flavor['swap'],
        'original_name': flavor['name'],
        'extra_specs': flavor['extra_specs'],
    }


def _admin_attributes(request: wire.Request, server: Server) -> dict[str, Any]:
    prefix = 'OS-EXT-SRV-ATTR:'
    found = {
        prefix + 'host': server['host'],
        prefix + 'instance_name': server['instance_name'],
        prefix + 'hypervisor_hostname': server['node'],
    }
    if request.minor >= 3:
        for name in (
            'hostname',
            'kernel_id',
            'launch_index',
            'ramdisk_id',
            'reservation_id',
            'root_device_name',
            'user_data',
        ):
            found[prefix + name] = server[name]
    return found


def full(
    nova: 'Nova',
    request: wire.Request,
    server: Server,
    *,
    in_list: bool = False,
    complete: bool = True,
    groups: list[str] | None = None,
) -> dict[str, Any]:
    """Show a server as in ``GET /servers/{id}`` and ``/servers/detail``.

    :param complete: False for the answer of an update before 2.75
    :param groups: ids of the server groups, shown from 2.71 but never in lists
    """
    minor, is_admin = request.minor, request.user.is_admin
    shown = status(server)
    view: dict[str, Any] = {
        'accessIPv4': server['access_ip_v4'],
        'accessIPv6': server['access_ip_v6'],
        'addresses': addresses(server, complete),
        'created': zulu(server['created_at']),
        'flavor': _flavor(request, server),
        'hostId': host_id(server),
        'id': server['id'],
        'image': _image(request, server),
        'links': links(request, 'servers', server['id']),
        'metadata': server['metadata'],
        'name': server['name'],
        'status': shown,
        'tenant_id': server['project_id'],
        'user_id': server['user_id'],
        'updated': zulu(server['updated_at']),
        'OS-DCF:diskConfig': server['disk_config'],
    }
    if server['fault'] and shown in ('ERROR', 'DELETED'):
        view['fault'] = {
            key: value
            for key, value in server['fault'].items()
            if key != 'details' or is_admin or server['fault']['code'] != 500
        }
    if shown in _WITH_PROGRESS:
        view['progress'] = server['progress']
    if complete:
        view |= {
            'OS-EXT-AZ:availability_zone': server['availability_zone'] or '',
            'config_drive': server['config_drive'],
            'key_name': server['key_name'],
            'OS-SRV-USG:launched_at': _bare(server['launched_at']),
            'OS-SRV-USG:terminated_at': _bare(server['terminated_at']),
        }
        security_groups = networking.security_groups(nova, request, server)
        if security_groups:
            view['security_groups'] = [{'name': row['name'] or row['id']} for row in security_groups]
        if is_admin:
            view |= _admin_attributes(request, server)
        view |= {
            'OS-EXT-STS:task_state': server['task_state'],
            'OS-EXT-STS:vm_state': server['vm_state'],
            'OS-EXT-STS:power_state': server['power_state'],
            'os-extended-volumes:volumes_attached': _volumes(request, server),
        }
    if minor >= 9:
        view['locked'] = bool(server['locked_by'])
    if minor >= 16 and complete and is_admin:
        view['host_status'] = 'UP' if server['host'] else ''
    if minor >= 19:
        view['description'] = server['description']
    if minor >= 26:
        view['tags'] = sorted(server['tags'])
    if minor >= 63:
        view['trusted_image_certificates'] = server['trusted_certs']
    if minor >= 71 and not in_list:
        view['server_groups'] = groups or []
    if minor >= 73:
        view['locked_reason'] = server['locked_reason']
    if minor >= 90 and not (is_admin and complete):
        view['OS-EXT-SRV-ATTR:hostname'] = server['hostname']
    if minor >= 96 and complete:
        view['pinned_availability_zone'] = server['pinned_availability_zone']
    if minor >= 100:
        view['scheduler_hints'] = server['scheduler_hints']
    return view


def _bare(when: Any) -> str | None:
    return when.strftime('%Y-%m-%dT%H:%M:%S.%f') if when else None


def _volumes(request: wire.Request, server: Server) -> list[dict[str, Any]]:
    if request.minor < 3:
        return [{'id': volume['volume_id']} for volume in server['volumes']]
    return [
        {'id': volume['volume_id'], 'delete_on_termination': volume['delete_on_termination']}
        for volume in server['volumes']
    ]
