# SPDX-License-Identifier: Apache-2.0
"""Nova's servers: create, list, show, update, delete."""

import re
import secrets
import string
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from trio2o.lab.emulated import wire
from trio2o.lab.emulated.clock import zulu
from trio2o.lab.emulated.nova import disks, networking, quotas, records, server_lists, server_views
from trio2o.lab.emulated.wire import Refusal, Route

if TYPE_CHECKING:
    from trio2o.lab.emulated.nova import Nova

_UUID = re.compile('[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}', re.IGNORECASE)

_CREATE_KEYS = {
    'name',
    'imageRef',
    'flavorRef',
    'adminPass',
    'metadata',
    'networks',
    'OS-DCF:diskConfig',
    'accessIPv4',
    'accessIPv6',
    'personality',
    'availability_zone',
    'block_device_mapping',
    'block_device_mapping_v2',
    'config_drive',
    'key_name',
    'min_count',
    'max_count',
    'return_reservation_id',
    'security_groups',
    'user_data',
    'description',
    'tags',
    'trusted_image_certificates',
    'host',
    'hypervisor_hostname',
    'hostname',
}


def create_server(nova: 'Nova', request: wire.Request) -> wire.Response:
    """POST /servers: 202, with one answer for any number of servers."""
    body = nova.body(request, 'server')
    _check(request, body)
    least = int(body.get('min_count', 1))
    most = int(body.get('max_count', least))
    if least > most:
        raise Refusal(400, 'min_count must be <= max_count')
    outer = wire.loads(request.body)
    hints = outer.get('os:scheduler_hints') or outer.get('OS-SCH-HNT:scheduler_hints') or {}
    zone, host = _zone_and_host(nova, request, body)
    flavor = _flavor(nova, request, body['flavorRef'])
    _check_references(nova, request, body, hints)
    quotas.check_metadata(nova, request, body.get('metadata') or {})
    quotas.check_files(nova, request, body.get('personality') or [])
    quotas.check_servers(nova, request, flavor, least, most)
    networks = networking.requested(nova, request, body, most)
    volumes = _block_devices(nova, request, body)
    given = _columns(nova, request, body)
    reservation = 'r-' + secrets.token_hex(4)
    made = []
    for index in range(most):
        name = body['name'].strip()
        record = records.new(
            nova,
            name if most == 1 else f'{name}-{index + 1}',
            request.user.project_id,
            request.user.user_id,
            flavor,
            **given,
            reservation_id=reservation,
            launch_index=index,
            scheduler_hints=hints,
            pinned_availability_zone=zone,
            availability_zone='',
            host=None,
            node=None,
            vm_state='building',
            task_state='scheduling',
            power_state=0,
            launched_at=None,
        )
        record['interfaces'] = _interfaces(nova, body) if networks is None else []
        record['metadata'] = dict(body.get('metadata') or {})
        for device in volumes:
            _attach_at_boot(nova, record, device)
        disks.write_config_drive(record, body.get('personality') or [])
        records.note(nova, record, 'create', request.request_id, request.user.user_id, request.user.project_id)
        if 'group' in hints:
            nova.groups[hints['group']]['members'].append(record['id'])
        nova.later(
            nova.settings.build_seconds,
            lambda record=record: _built(nova, record, zone or nova.settings.zones[0], host, networks or []),
        )
        made.append(record)
    if body.get('return_reservation_id'):
        return wire.reply({'reservation_id': reservation}, 202)
    links = server_views.links(request, 'servers', made[0]['id'])
    answer = {
        'id': made[0]['id'],
        'links': links,
        'OS-DCF:diskConfig': made[0]['disk_config'],
        'security_groups': body.get('security_groups', [{'name': 'default'}]),
        'adminPass': body.get('adminPass') or secrets.token_urlsafe(9),
    }
    return wire.reply({'server': answer}, 202, [('Location', links[0]['href'])])


def _built(nova: 'Nova', record: dict[str, Any], zone: str, host: str | None, networks: list[dict[str, Any]]) -> None:
    if record['deleted'] or record['vm_state'] != 'building':
        return
    hosts = [name for name in nova.hosts if host in (None, name) and (host or name not in nova.disabled)]
    chosen = next((name for name in hosts if nova.has_room(name, record['flavor'])), None)
    if chosen is None:  # as in Nova, this is found only after the request has been accepted
        message = 'No valid host was found. ' + ('There are not enough hosts available.' if hosts else '')
        _fail(nova, record, message)
        return
    record.update(host=chosen, node=chosen, availability_zone=zone)
    try:
        if networks:
            networking.allocate(nova, record, networks, record['security_groups'])
    except networking.AllocationFailed:
        networking.deallocate(nova, record, [row['port_id'] for row in networks if row['port_id']])
        record.update(host=None, node=None)
        _fail(
            nova,
            record,
            'Exceeded maximum number of retries. Exhausted all hosts available for retrying build failures for '
            f'instance {record["id"]}.',
        )
        return
    records.touch(nova, record, vm_state='active', task_state=None, power_state=1, launched_at=nova.stamp())


def _fail(nova: 'Nova', record: dict[str, Any], message: str) -> None:
    records.touch(
        nova,
        record,
        vm_state='error',
        task_state=None,
        fault={'code': 500, 'created': zulu(nova.stamp()), 'details': '', 'message': message},
    )


def _check(request: wire.Request, body: dict[str, Any]) -> None:
    required = ['name', 'flavorRef'] + (['networks'] if request.minor >= 37 else [])
    for key in required:
        if key not in body:
            raise Refusal(
                400, f"Invalid input for field/attribute server. Value: {body}. '{key}' is a required property"
            )
    unknown = sorted(set(body) - _CREATE_KEYS)
    if unknown:
        raise Refusal(
            400,
            'Invalid input for field/attribute server. Value: '
            f'{body}. Additional properties are not allowed '
            f"('{unknown[0]}' was unexpected)",
        )
    check_name(body['name'])
    for key in ('min_count', 'max_count'):
        if key in body and (not str(body[key]).isdigit() or int(body[key]) < 1):
            raise Refusal(
                400,
                f'Invalid input for field/attribute {key}. Value: {body[key]}. '
                f'{body[key]} is less than the minimum of 1',
            )


def check_name(name: Any, field: str = 'name') -> None:
    """Refuse a name that Nova's schema refuses."""
    prefix = f'Invalid input for field/attribute {field}. Value: {name}. '
    if not isinstance(name, str):
        raise Refusal(400, prefix + f"{name!r} is not of type 'string'")
    if not name:
        raise Refusal(400, prefix + "'' should be non-empty")
    if len(name) > 255:
        raise Refusal(400, prefix + f'{name!r} is too long')


def _zone_and_host(nova: 'Nova', request: wire.Request, body: dict[str, Any]) -> tuple[str | None, str | None]:
    """Return the requested zone and the forced host of ``zone:host:node``."""
    text = body.get('availability_zone')
    if not text:
        return None, _requested_host(nova, body)
    zone, _, rest = text.partition(':')
    if rest:
        nova.admin_only(request, 'os_compute_api:servers:create:forced_host')
    if zone and zone not in nova.settings.zones:
        raise Refusal(400, 'The requested availability zone is not available')
    return zone or None, rest.partition(':')[0] or _requested_host(nova, body)


def _requested_host(nova: 'Nova', body: dict[str, Any]) -> str | None:
    host = body.get('host')
    if host and host not in nova.hosts:
        raise Refusal(400, f'Compute host {host} could not be found.')
    return host


def _flavor(nova: 'Nova', request: wire.Request, reference: Any) -> dict[str, Any]:
    wanted = urlsplit(str(reference)).path.split('/')[-1]
    flavor = nova.flavors.get(wanted)
    if flavor is None or not (
        flavor['is_public'] or request.user.is_admin or request.user.project_id in flavor['projects']
    ):
        raise Refusal(400, f'Flavor {wanted} could not be found.')
    return flavor


def _check_references(nova: 'Nova', request: wire.Request, body: dict[str, Any], hints: dict[str, Any]) -> None:
    image = body.get('imageRef')
    if image and nova.glance is not None and image not in nova.glance.images:
        raise Refusal(400, 'Can not find requested image')
    if image and nova.glance is not None and nova.glance.images[image]['status'] != 'active':
        raise Refusal(400, f'Image {image} is not active.')
    key = body.get('key_name')
    if key and (request.user.user_id, key) not in nova.keypairs:
        raise Refusal(400, 'Invalid key_name provided.')
    group = hints.get('group')
    if 'group' in hints and not (isinstance(group, str) and _UUID.fullmatch(group)):
        raise Refusal(400, f"Invalid input for field/attribute group. Value: {group}. {group!r} is not a 'uuid'")
    if group is not None and group not in nova.groups:
        raise Refusal(400, f'Instance group {group} could not be found.')


def _block_devices(nova: 'Nova', request: wire.Request, body: dict[str, Any]) -> list[dict[str, Any]]:
    devices = body.get('block_device_mapping_v2') or body.get('block_device_mapping') or []
    if not body.get('imageRef') and not devices:
        raise Refusal(400, 'Missing imageRef attribute')
    devices = [*_devices_of_image(nova, body.get('imageRef')), *devices]
    chosen = []
    for device in devices:
        source = device.get('source_type') or ('snapshot' if device.get('snapshot_id') else 'volume')
        target = device.get('destination_type', 'volume' if source != 'image' else 'local')
        if target != 'volume' or nova.cinder is None:
            continue
        identifier = device.get('uuid') or device.get(f'{source}_id')
        snapshot = nova.cinder.snapshots.get(identifier) if source == 'snapshot' else None
        if source == 'volume' and not nova.cinder.has_volume(identifier, request.user):
            raise Refusal(400, f'Block Device Mapping is Invalid: failed to get volume {identifier}.')
        if source == 'snapshot' and snapshot is None:
            raise Refusal(400, f'Block Device Mapping is Invalid: failed to get snapshot {identifier}.')
        chosen.append(
            {
                'source': source,
                'id': identifier,
                'size': device.get('volume_size') or (snapshot and snapshot['size']),
                'delete': bool(device.get('delete_on_termination', False)),
                'boot_index': 0 if str(device.get('boot_index')) == '0' else None,
            }
        )
    if not body.get('imageRef') and chosen and all(device['boot_index'] is None for device in chosen):
        chosen[0]['boot_index'] = 0  # in the older format, the first device is the root disk
    return sorted(chosen, key=lambda device: device['boot_index'] is None)


def _devices_of_image(nova: 'Nova', image_id: str | None) -> list[dict[str, Any]]:
    """Return the block devices that an image defines, as one of a server with a boot volume does."""
    image = nova.glance.images.get(image_id or '', {}) if nova.glance is not None else {}
    mapping = image.get('block_device_mapping') or []
    return wire.loads(mapping.encode()) if isinstance(mapping, str) else mapping


def _attach_at_boot(nova: 'Nova', record: dict[str, Any], device: dict[str, Any]) -> None:
    assert nova.cinder is not None
    volume_id = device['id']
    if device['source'] != 'volume':
        snapshot = device['id'] if device['source'] == 'snapshot' else None
        volume_id = nova.cinder.add_volume(
            record['project_id'],
            record['user_id'],
            int(device['size'] or 1),
            snapshot_id=snapshot,
            bootable=True,
            **nova.cinder.bytes_of(device['source'], device['id']),
        )['id']
    name = '/dev/vd' + string.ascii_lowercase[len(record['volumes'])]
    attachment_id = nova.cinder.attach_volume(volume_id, record['id'], name)
    record['volumes'].append(
        {
            'volume_id': volume_id,
            'device': name,
            'tag': None,
            'attachment_id': attachment_id,
            'bdm_uuid': nova.new_id(),
            'delete_on_termination': device['delete'],
            'boot_index': device['boot_index'],
        }
    )
    if device['boot_index'] == 0:
        record['image_ref'] = ''  # as Nova shows it, whatever image defined the volumes


def _columns(nova: 'Nova', request: wire.Request, body: dict[str, Any]) -> dict[str, Any]:
    minor = request.minor
    given = {
        'description': body.get('description') if minor >= 19 else body['name'].strip(),
        'image_ref': body.get('imageRef') or '',
        'key_name': body.get('key_name'),
        'user_data': body.get('user_data'),
        'access_ip_v4': body.get('accessIPv4') or '',
        'access_ip_v6': body.get('accessIPv6') or '',
        'disk_config': body.get('OS-DCF:diskConfig', 'MANUAL'),
        'config_drive': 'True' if body.get('config_drive') in (True, 'True', 'true') else '',
        'tags': set(body.get('tags') or ()) if minor >= 52 else set(),
        'trusted_certs': body.get('trusted_image_certificates'),
    }
    if body.get('hostname') and minor >= 90:
        given['hostname'] = body['hostname']
    if body.get('security_groups'):
        given['security_groups'] = [group['name'] for group in body['security_groups']]
    return given


def _interfaces(nova: 'Nova', body: dict[str, Any]) -> list[dict[str, Any]]:
    networks = body.get('networks', 'auto')
    if networks == 'none':
        return []
    if networks == 'auto' or not networks:
        return [records.interface(nova)]
    return [records.interface(nova, row.get('uuid'), row.get('port'), row.get('fixed_ip')) for row in networks]


def list_servers(nova: 'Nova', request: wire.Request) -> wire.Response:
    """GET /servers."""
    return server_lists.answer(nova, request, 'servers', server_views.brief)


def list_details(nova: 'Nova', request: wire.Request) -> wire.Response:
    """GET /servers/detail."""
    return server_lists.answer(
        nova, request, 'servers/detail', lambda request, server: server_views.full(nova, request, server, in_list=True)
    )


def groups_of(nova: 'Nova', server: dict[str, Any]) -> list[str]:
    """Return the ids of the server groups of a server."""
    return [group['id'] for group in nova.groups.values() if server['id'] in group['members']]


def show_server(nova: 'Nova', request: wire.Request) -> wire.Response:
    """GET /servers/{id}."""
    server = nova.server(request)
    return wire.reply({'server': server_views.full(nova, request, server, groups=groups_of(nova, server))})


def update_server(nova: 'Nova', request: wire.Request) -> wire.Response:
    """PUT /servers/{id}."""
    body = nova.body(request, 'server')
    server = nova.server(request)
    columns = {
        'name': 'name',
        'accessIPv4': 'access_ip_v4',
        'accessIPv6': 'access_ip_v6',
        'OS-DCF:diskConfig': 'disk_config',
    }
    if request.minor >= 19:
        columns['description'] = 'description'
    if request.minor >= 90:
        columns['hostname'] = 'hostname'
    if request.minor >= 104:
        columns['pinned_availability_zone'] = 'pinned_availability_zone'
    unknown = sorted(set(body) - set(columns))
    if unknown or not body:
        raise Refusal(
            400,
            f'Invalid input for field/attribute server. Value: {body}. '
            + (
                f"Additional properties are not allowed ('{unknown[0]}' was unexpected)"
                if unknown
                else '{} should be non-empty'
            ),
        )
    if 'name' in body:
        check_name(body['name'])
    records.touch(nova, server, **{columns[key]: value for key, value in body.items()})
    view = server_views.full(nova, request, server, complete=request.minor >= 75, groups=groups_of(nova, server))
    return wire.reply({'server': view})


def delete_server(nova: 'Nova', request: wire.Request) -> wire.Response:
    """DELETE /servers/{id}: 204; the server is deleted after ``delete_seconds``."""
    server = nova.server(request)
    if server['locked_by'] and not request.user.is_admin:
        raise Refusal(409, f'Instance {server["id"]} is locked')
    records.touch(nova, server, task_state='deleting')
    records.note(nova, server, 'delete', request.request_id, request.user.user_id, request.user.project_id)
    nova.later(nova.settings.delete_seconds, lambda: records.erase(nova, server))
    return wire.empty()


ROUTES = [
    Route('GET', '/servers', list_servers),
    Route('POST', '/servers', create_server),
    Route('GET', '/servers/detail', list_details),
    Route('GET', '/servers/{server_id}', show_server),
    Route('PUT', '/servers/{server_id}', update_server),
    Route('DELETE', '/servers/{server_id}', delete_server),
    Route('POST', '/os-volumes_boot', create_server, until=103),
    Route('GET', '/os-volumes_boot', list_servers, until=103),
    Route('GET', '/os-volumes_boot/detail', list_details, until=103),
    Route('GET', '/os-volumes_boot/{server_id}', show_server, until=103),
    Route('DELETE', '/os-volumes_boot/{server_id}', delete_server, until=103),
]
