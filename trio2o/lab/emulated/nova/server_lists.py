# SPDX-License-Identifier: Apache-2.0
"""Filters, order and pages of Nova's server lists."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from trio2o.lab.emulated import paging, wire
from trio2o.lab.emulated.clock import parse_time
from trio2o.lab.emulated.collation import sorted_by
from trio2o.lab.emulated.nova import server_views
from trio2o.lab.emulated.wire import Refusal

if TYPE_CHECKING:
    from trio2o.lab.emulated.nova import Nova

Server = dict[str, Any]
PAGING = {'sort_key', 'sort_dir', 'limit', 'marker', 'page_size'}
_COLUMNS = {
    'uuid': 'id',
    'display_name': 'name',
    'display_description': 'description',
    'auto_disk_config': 'disk_config',
    'locked': 'locked_by',
}
_SORTABLE = [
    'access_ip_v4',
    'access_ip_v6',
    'auto_disk_config',
    'availability_zone',
    'config_drive',
    'created_at',
    'display_description',
    'display_name',
    'host',
    'hostname',
    'image_ref',
    'instance_type_id',
    'kernel_id',
    'key_name',
    'launch_index',
    'launched_at',
    'locked_by',
    'node',
    'power_state',
    'progress',
    'project_id',
    'ramdisk_id',
    'root_device_name',
    'task_state',
    'terminated_at',
    'updated_at',
    'user_id',
    'uuid',
    'vm_state',
]
_IGNORED = [
    'architecture',
    'cell_name',
    'cleaned',
    'default_ephemeral_device',
    'default_swap_device',
    'deleted',
    'deleted_at',
    'disable_terminate',
    'ephemeral_gb',
    'ephemeral_key_uuid',
    'id',
    'key_data',
    'launched_on',
    'locked',
    'memory_mb',
    'os_type',
    'reservation_id',
    'root_gb',
    'shutdown_terminate',
    'user_data',
    'vcpus',
    'vm_mode',
]
_MEMBER_FILTERS = [
    (0, ('reservation_id', 'name', 'status', 'image', 'flavor', 'ip', 'changes-since', 'all_tenants')),
    (5, ('ip6',)),
    (26, ('tags', 'tags-any', 'not-tags', 'not-tags-any')),
    (66, ('changes-before',)),
    (73, ('locked',)),
    (
        83,
        (
            'availability_zone',
            'config_drive',
            'key_name',
            'created_at',
            'launched_at',
            'terminated_at',
            'power_state',
            'task_state',
            'vm_state',
            'progress',
            'user_id',
        ),
    ),
    (90, ('hostname',)),
]
_ALL_FILTERS = {
    'user_id',
    'project_id',
    'tenant_id',
    'launch_index',
    'image_ref',
    'image',
    'kernel_id',
    'ramdisk_id',
    'hostname',
    'key_name',
    'power_state',
    'vm_state',
    'task_state',
    'host',
    'node',
    'flavor',
    'reservation_id',
    'launched_at',
    'terminated_at',
    'availability_zone',
    'name',
    'display_name',
    'description',
    'display_description',
    'locked_by',
    'uuid',
    'root_device_name',
    'config_drive',
    'access_ip_v4',
    'access_ip_v6',
    'auto_disk_config',
    'progress',
    'all_tenants',
    'soft_deleted',
    'deleted',
    'status',
    'changes-since',
    'ip',
    'ip6',
    'created_at',
    'tags',
    'tags-any',
    'not-tags',
    'not-tags-any',
    'changes-before',
    'locked',
}
_EXACT = {'user_id', 'image_ref', 'vm_state', 'task_state', 'host', 'uuid', 'id', 'project_id'}
TRUE = {'1', 't', 'true', 'on', 'y', 'yes'}
FALSE = {'0', 'f', 'false', 'off', 'n', 'no'}


def value_of(server: Server, key: str) -> Any:
    """Return the value of a sort or filter key."""
    if key == 'instance_type_id':
        return server['flavor']['id']
    return server.get(_COLUMNS.get(key, key))


def answer(
    nova: 'Nova', request: wire.Request, path: str, view: Callable[[wire.Request, Server], dict[str, Any]]
) -> wire.Response:
    """Answer with a page of servers in Nova's order, and the next link."""
    chosen = list(nova.servers.values())
    for keep in _tests(request, _filters(request)):
        chosen = [server for server in chosen if keep(server)]
    limit = paging.number(request, 'limit', nova.settings.max_limit, nova.settings.max_limit)
    keys, dirs = _order(request)
    sort_value = sorted_by(value_of, nova.settings.ignores_case)
    page = paging.after(chosen, _marker(nova, request), keys, dirs, sort_value)[:limit]
    body: dict[str, Any] = {'servers': [view(request, server) for server in page]}
    if limit and len(page) == limit:
        body['servers_links'] = paging.next_link(request, path, page[-1]['id'])
    return wire.reply(body)


def _marker(nova: 'Nova', request: wire.Request) -> Server | None:
    wanted = request.last('marker')
    if wanted is None:
        return None
    found = nova.servers.get(wanted)
    if found is None or not (request.user.is_admin or found['project_id'] == request.user.project_id):
        raise Refusal(400, f'marker [{wanted}] not found')
    return found


def _order(request: wire.Request) -> tuple[list[str], list[str]]:
    minor = request.minor
    valid = set(_SORTABLE)
    if minor >= 73:
        valid.add('locked')
    ignored = set(_IGNORED) - ({'locked'} if minor >= 73 else set())
    if minor < 75:
        valid |= ignored
    for key in request.every('sort_key'):
        if key.strip() not in valid:
            raise Refusal(
                400,
                f'Invalid input for query parameters sort_key. Value: {key}. {key!r} is not one of {sorted(valid)}',
            )
        if key in ('host', 'node') and not request.user.is_admin:
            raise Refusal(403, f'Only administrators can sort servers by {key}')
    keys, dirs = paging.sorting(request, 'created_at', 'desc')
    kept = [(key, way) for key, way in zip(keys, dirs, strict=True) if key not in ignored]
    if not any(key == 'uuid' for key, _ in kept):
        kept.append(('uuid', 'asc'))
    return [key for key, _ in kept], [way for _, way in kept]


def _filters(request: wire.Request) -> dict[str, str]:
    """Return the filters that apply to this caller at this microversion."""
    given = {key: value for key, value in request.params if key not in PAGING}
    if request.minor >= 75:
        unknown = sorted(set(given) - _ALL_FILTERS)
        if unknown:
            raise Refusal(
                400,
                f'{", ".join(map(repr, unknown))} '
                f'{"does" if len(unknown) == 1 else "do"} not match any of the '
                "regexes: '^_'",
            )
    if request.user.is_admin:
        return given
    allowed = {name for since, names in _MEMBER_FILTERS if request.minor >= since for name in names}
    return {key: value for key, value in given.items() if key in allowed}


def all_tenants(filters: dict[str, str]) -> bool:
    """Whether the filter ``all_tenants`` is true; an empty value is true, any other text that is no boolean a 400."""
    if 'all_tenants' not in filters:
        return False
    text = filters['all_tenants'].strip().lower()
    if text and text not in TRUE | FALSE:
        raise Refusal(
            400,
            f"Invalid input received: Unrecognized value '{text}', acceptable "
            "values are: '0', '1', 'f', 'false', 'n', 'no', 'off', 'on', 't', "
            "'true', 'y', 'yes'",
        )
    return text not in FALSE


def _tests(request: wire.Request, filters: dict[str, str]) -> list[Callable[[Server], bool]]:
    tests = [_whose(request, filters), _alive(request, filters)]
    since = _time(filters, 'changes-since')
    before = _time(filters, 'changes-before') if request.minor >= 66 else None
    if since and before and before < since:
        raise Refusal(400, 'The value of changes-since must be less than or equal to changes-before.')
    if since:
        tests.append(lambda server: server['updated_at'] >= since)
    if before:
        tests.append(lambda server: server['updated_at'] <= before)
    if request.has('status'):
        tests.append(_status(request))
    for key, text in filters.items():
        test = _column(key, text)
        if test is not None:
            tests.append(test)
    return tests


def _whose(request: wire.Request, filters: dict[str, str]) -> Callable[[Server], bool]:
    if all_tenants(filters):
        if not request.user.is_admin:
            kind = 'detail' if request.path.endswith('detail') else 'index'
            raise Refusal(403, f"Policy doesn't allow os_compute_api:servers:{kind}:get_all_tenants to be performed.")
        project = filters.get('tenant_id') or filters.get('project_id')
        return lambda server: project is None or server['project_id'] == project
    mine = request.user.project_id
    return lambda server: server['project_id'] == mine


def _alive(request: wire.Request, filters: dict[str, str]) -> Callable[[Server], bool]:
    wanted = [status.upper() for status in request.every('status')]
    if wanted == ['DELETED']:
        if not request.user.is_admin:
            raise Refusal(403, 'Only administrators may list deleted instances')
        return lambda server: server['deleted']
    if 'deleted' in filters:
        deleted = filters['deleted'].strip().lower() in TRUE
        return lambda server: server['deleted'] == deleted
    if 'changes-since' in filters or 'changes-before' in filters:
        return lambda server: True
    return lambda server: not server['deleted']


def _time(filters: dict[str, str], name: str) -> Any:
    if name not in filters:
        return None
    try:
        return parse_time(filters[name])
    except ValueError:
        raise Refusal(
            400,
            f'Invalid input for query parameters {name}. Value: {filters[name]}. '
            f"{filters[name]!r} is not a 'date-time'",
        ) from None


def _status(request: wire.Request) -> Callable[[Server], bool]:
    wanted = {text.upper() for text in request.every('status')}
    if not wanted & server_views.ALL_STATUSES and request.minor >= 38:
        raise Refusal(400, 'Invalid status value')
    return lambda server: server_views.status(server) in wanted


def _column(key: str, text: str) -> Callable[[Server], bool] | None:
    if key in ('image', 'flavor'):
        reference = text.rpartition('/')[2]
        if key == 'image':
            return lambda server: server['image_ref'] == reference
        return lambda server: server['flavor']['id'] == reference
    if key in ('ip', 'ip6'):
        return lambda server: any(
            re.search(text, fixed['ip_address']) for port in server['interfaces'] for fixed in port['fixed_ips']
        )
    if key in ('tags', 'tags-any', 'not-tags', 'not-tags-any'):
        return _tags(key, set(text.split(',')))
    if key == 'locked':
        locked = text.lower() in TRUE
        return lambda server: bool(server['locked_by']) == locked
    if key in _EXACT and key not in ('project_id',):
        return lambda server: str(value_of(server, key)) == text
    if key in _ALL_FILTERS - {
        'status',
        'deleted',
        'soft_deleted',
        'all_tenants',
        'tenant_id',
        'project_id',
        'changes-since',
        'changes-before',
    }:
        try:
            pattern = re.compile(text)
        except re.error:
            raise Refusal(
                400, f"Invalid input for query parameters {key}. Value: {text}. {text!r} is not a 'regex'"
            ) from None
        return lambda server: bool(pattern.search(str(value_of(server, key) or '')))
    return None


def _tags(key: str, wanted: set[str]) -> Callable[[Server], bool]:
    return {
        'tags': lambda server: wanted <= server['tags'],
        'tags-any': lambda server: bool(wanted & server['tags']),
        'not-tags': lambda server: not wanted <= server['tags'],
        'not-tags-any': lambda server: not wanted & server['tags'],
    }[key]
