# SPDX-License-Identifier: Apache-2.0
"""Cinder's groups of volumes and group snapshots."""

from typing import TYPE_CHECKING, Any

from trio2o.lab.disks import Disk
from trio2o.lab.emulated import paging, wire
from trio2o.lab.emulated.cinder import group_types, lists, records, types, volumes
from trio2o.lab.emulated.clock import micro
from trio2o.lab.emulated.wire import Refusal, Route

if TYPE_CHECKING:
    from trio2o.lab.emulated.cinder import Cinder

MISSING = 'Group {} could not be found.'
NO_SNAPSHOT = 'GroupSnapshot {} could not be found.'
_FILTERS = ['name', 'status', 'availability_zone', 'group_type_id']
_SNAPSHOT_FILTERS = ['name', 'status', 'group_id']


def add(cinder: 'Cinder', project_id: str, user_id: str, **given: Any) -> dict[str, Any]:
    """Add a group."""
    now = given.get('created_at') or cinder.stamp()
    row = {
        'id': cinder.new_id(),
        'project_id': project_id,
        'user_id': user_id,
        'status': 'available',
        'name': None,
        'description': None,
        'availability_zone': cinder.settings.zones[0],
        'created_at': now,
        'updated_at': now,
        'group_type': None,
        'volume_types': [],
        'group_snapshot_id': None,
        'source_group_id': None,
        **given,
    }
    cinder.groups[row['id']] = row
    return row


def _members(cinder: 'Cinder', group: dict[str, Any]) -> list[dict[str, Any]]:
    return [volume for volume in cinder.volumes.values() if volume['group_id'] == group['id']]


def _view(cinder: 'Cinder', request: wire.Request, row: dict[str, Any]) -> dict[str, Any]:
    names = ('id', 'status', 'availability_zone', 'name', 'description', 'group_type', 'volume_types')
    view: dict[str, Any] = {name: row[name] for name in names} | {'created_at': micro(row['created_at'])}
    if request.minor >= 14:
        view |= {'group_snapshot_id': row['group_snapshot_id'], 'source_group_id': row['source_group_id']}
    if request.minor >= 25 and str(request.last('list_volume', 'false')).lower() == 'true':
        view['volumes'] = [volume['id'] for volume in _members(cinder, row)]
    if request.minor >= 38:
        view['replication_status'] = 'disabled'
    if request.minor >= 58 and request.user.is_admin:
        view['project_id'] = row['project_id']
    return view


def _snapshot_view(request: wire.Request, row: dict[str, Any]) -> dict[str, Any]:
    names = ('id', 'group_id', 'group_type_id', 'status', 'name', 'description')
    view: dict[str, Any] = {name: row[name] for name in names} | {'created_at': micro(row['created_at'])}
    if request.minor >= 58 and request.user.is_admin:
        view['project_id'] = row['project_id']
    return view


def _find(cinder: 'Cinder', request: wire.Request) -> dict[str, Any]:
    wanted = request.args['group_id']
    row = cinder.groups.get(wanted)
    if row is None or not lists.may_see(request, row):
        raise Refusal(404, MISSING.format(wanted))
    return row


def _find_snapshot(cinder: 'Cinder', request: wire.Request, wanted: str | None = None) -> dict[str, Any]:
    wanted = wanted or request.args['snapshot_id']
    row = cinder.group_snapshots.get(wanted)
    if row is None or not lists.may_see(request, row):
        raise Refusal(404, NO_SNAPSHOT.format(wanted))
    return row


def _list(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    filters = lists.filters_of(request, [*_FILTERS, 'list_volume'])
    filters.pop('list_volume', None)
    if 'group_type_id' in filters:
        filters['group_type'] = filters.pop('group_type_id')
    chosen = lists.choose(request, list(cinder.groups.values()), filters)
    page = lists.page_of(cinder, request, chosen, cinder.groups, MISSING)
    is_detailed = request.path.endswith('/detail')
    rows = [_view(cinder, request, row) if is_detailed else {'id': row['id'], 'name': row['name']} for row in page]
    body: dict[str, Any] = {'groups': rows}
    more = lists.links_of(cinder, request, page, 'groups')
    if more:
        body['group_links'] = more
    return wire.reply(body)


def list_groups(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """GET /groups and /groups/detail."""
    return _list(cinder, request)


def show_group(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """GET /groups/{id}."""
    return wire.reply({'group': _view(cinder, request, _find(cinder, request))})


def create_group(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """POST /groups: 202."""
    body = cinder.body(request, 'group')
    wanted = body.get('group_type')
    kind = next((each for each in cinder.group_types.values() if wanted in (each['id'], each['name'])), None)
    if kind is None:
        raise Refusal(404, group_types.MISSING.format(wanted))
    type_ids = []
    for name in body.get('volume_types') or []:
        found = types.named(cinder, name)
        if found is None:
            raise Refusal(400, f'Invalid volume type: {name}')
        type_ids.append(found['id'])
    zone = body.get('availability_zone')
    if zone == '':
        raise Refusal(400, "The 'availability_zone' can not be None.")
    if zone is None:
        zone = cinder.settings.zones[0]
    if zone not in cinder.settings.zones:
        raise Refusal(400, f"Invalid input received: Availability zone '{zone}' is invalid.")
    row = add(
        cinder,
        request.user.project_id,
        request.user.user_id,
        name=body.get('name'),
        description=body.get('description'),
        availability_zone=zone,
        group_type=kind['id'],
        volume_types=type_ids,
        status='creating',
    )
    cinder.later(cinder.settings.build_seconds, lambda: records.touch(cinder, row, status='available'))
    return wire.reply({'group': {'id': row['id'], 'name': row['name']}}, 202)


def copy_group(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """POST /groups/action create-from-src, from 3.14: with copies of all volumes. 202."""
    body = cinder.body_of(request, '') or {}
    if 'create-from-src' not in body:
        raise Refusal(
            400,
            f'There is no such action: {next(iter(body), "")}. Verify the request body and '
            'Content-Type header and try again.',
        )
    given = body['create-from-src']
    if given.get('group_snapshot_id'):
        source_id = _find_snapshot(cinder, request, given['group_snapshot_id'])['group_id']
    else:
        source_id = given.get('source_group_id')
    source = cinder.groups.get(source_id)
    if source is None or not lists.may_see(request, source):
        raise Refusal(404, MISSING.format(source_id))
    row = add(
        cinder,
        request.user.project_id,
        request.user.user_id,
        name=given.get('name'),
        description=given.get('description'),
        group_type=source['group_type'],
        volume_types=source['volume_types'],
        group_snapshot_id=given.get('group_snapshot_id'),
        source_group_id=given.get('source_group_id'),
    )
    snapshots = {
        each['volume_id']: each
        for each in cinder.snapshots.values()
        if given.get('group_snapshot_id') and each['group_snapshot_id'] == given['group_snapshot_id']
    }
    for volume in _members(cinder, source):
        records.new_volume(
            cinder,
            row['project_id'],
            row['user_id'],
            volume['size'],
            group_id=row['id'],
            name=volume['name'],
            type_id=volume['type_id'],
            disk=Disk(snapshots.get(volume['id'], volume)).read(),
        )
    return wire.reply({'group': {'id': row['id'], 'name': row['name']}}, 202)


def update_group(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """PUT /groups/{id}: names and members. 202."""
    body, row = cinder.body(request, 'group'), _find(cinder, request)
    for name, group_id in (('add_volumes', row['id']), ('remove_volumes', None)):
        for volume_id in filter(None, (body.get(name) or '').split(',')):
            if volume_id not in cinder.volumes:
                raise Refusal(
                    400,
                    f'Invalid volume: Cannot add volume {volume_id} to group {row["id"]} because '
                    'volume cannot be found.',
                )
            cinder.volumes[volume_id]['group_id'] = group_id
    records.touch(cinder, row, **{name: body[name] for name in ('name', 'description') if body.get(name)})
    return wire.bare(202)


def act(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """POST /groups/{id}/action: delete and reset_status. 202."""
    body = cinder.body_of(request, '')
    name, given = next(iter(body.items())) if isinstance(body, dict) and len(body) == 1 else ('', None)
    if name not in ('delete', 'reset_status'):
        raise Refusal(
            400, f'There is no such action: {name}. Verify the request body and Content-Type header and try again.'
        )
    row = _find(cinder, request)
    if name == 'reset_status':
        cinder.admin_only(request, 'group:reset_status')
        records.touch(cinder, row, status=given['status'])
        return wire.bare(202)
    members = _members(cinder, row)
    if members and not given.get('delete-volumes'):
        raise Refusal(400, f'Invalid Group: Group {row["id"]} is not empty. Use delete-volumes to force.')
    for volume in members:
        volumes.erase(cinder, volume)
    del cinder.groups[row['id']]
    return wire.bare(202)


def list_snapshots(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """GET /group_snapshots and /group_snapshots/detail, with pages from 3.29."""
    rows = list(cinder.group_snapshots.values())
    if request.minor >= 29:
        chosen = lists.choose(request, rows, lists.filters_of(request, _SNAPSHOT_FILTERS))
        page = lists.page_of(cinder, request, chosen, cinder.group_snapshots, NO_SNAPSHOT)
    else:
        page = paging.in_order(lists.choose(request, rows, {}), ['created_at', 'id'], ['desc', 'desc'])
    is_detailed = request.path.endswith('/detail')
    views = [_snapshot_view(request, row) if is_detailed else {'id': row['id'], 'name': row['name']} for row in page]
    body: dict[str, Any] = {'group_snapshots': views}
    more = lists.links_of(cinder, request, page, 'group_snapshots')
    if more:
        body['group_snapshot_links'] = more
    return wire.reply(body)


def show_snapshot(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """GET /group_snapshots/{id}."""
    return wire.reply({'group_snapshot': _snapshot_view(request, _find_snapshot(cinder, request))})


def create_snapshot(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """POST /group_snapshots: with a snapshot of each volume. 202."""
    body = cinder.body(request, 'group_snapshot')
    group = cinder.groups.get(body.get('group_id', ''))
    if group is None or not lists.may_see(request, group):
        raise Refusal(404, MISSING.format(body.get('group_id')))
    row = {
        'id': cinder.new_id(),
        'name': body.get('name'),
        'description': body.get('description'),
        'group_id': group['id'],
        'group_type_id': group['group_type'],
        'status': 'available',
        'created_at': cinder.stamp(),
        'updated_at': cinder.stamp(),
        'project_id': request.user.project_id,
        'user_id': request.user.user_id,
    }
    cinder.group_snapshots[row['id']] = row
    for volume in _members(cinder, group):
        records.new_snapshot(cinder, volume, group_snapshot_id=row['id'])
    view = {name: row[name] for name in ('id', 'name', 'group_type_id')}
    return wire.reply({'group_snapshot': view}, 202)


def delete_snapshot(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """DELETE /group_snapshots/{id}: with its snapshots. 202."""
    row = _find_snapshot(cinder, request)
    del cinder.group_snapshots[row['id']]
    for snapshot in [each for each in cinder.snapshots.values() if each['group_snapshot_id'] == row['id']]:
        del cinder.snapshots[snapshot['id']]
    return wire.bare(202)


ROUTES = [
    Route('GET', '/groups', list_groups, since=13),
    Route('POST', '/groups', create_group, since=13),
    Route('GET', '/groups/detail', list_groups, since=13),
    Route('POST', '/groups/action', copy_group, since=14),
    Route('GET', '/groups/{group_id}', show_group, since=13),
    Route('PUT', '/groups/{group_id}', update_group, since=13),
    Route('POST', '/groups/{group_id}/action', act, since=13),
    Route('GET', '/group_snapshots', list_snapshots, since=14),
    Route('POST', '/group_snapshots', create_snapshot, since=14),
    Route('GET', '/group_snapshots/detail', list_snapshots, since=14),
    Route('GET', '/group_snapshots/{snapshot_id}', show_snapshot, since=14),
    Route('DELETE', '/group_snapshots/{snapshot_id}', delete_snapshot, since=14),
]
