# SPDX-License-Identifier: Apache-2.0
"""Cinder's backups. Restores, exports and imports are done at once."""

import base64
from typing import TYPE_CHECKING, Any

from trio2o.lab.disks import Disk
from trio2o.lab.emulated import wire
from trio2o.lab.emulated.cinder import lists, quotas, records, volumes
from trio2o.lab.emulated.clock import micro
from trio2o.lab.emulated.wire import Refusal, Route

if TYPE_CHECKING:
    from trio2o.lab.emulated.cinder import Cinder

MISSING = 'Backup {} could not be found.'
_FILTERS = ['name', 'status', 'volume_id']
_SERVICE = 'cinder.backup.drivers.fake'


def add(cinder: 'Cinder', volume: dict[str, Any], **given: Any) -> dict[str, Any]:
    """Add a backup with the bytes of a volume, or of the snapshot that ``given`` names."""
    source = cinder.snapshots.get(given.get('snapshot_id') or '', volume)
    backup = _record(cinder, volume, **given)
    cinder.storage.backups[backup['id']] = Disk(source).read()
    return backup


def _record(cinder: 'Cinder', volume: dict[str, Any], **given: Any) -> dict[str, Any]:
    now = given.get('created_at') or cinder.stamp()
    backup = {
        'id': cinder.new_id(),
        'name': None,
        'description': None,
        'status': 'available',
        'size': volume['size'],
        'object_count': 0,
        'availability_zone': cinder.settings.zones[0],
        'container': None,
        'created_at': now,
        'updated_at': now,
        'fail_reason': None,
        'volume_id': volume['id'],
        'snapshot_id': None,
        'parent_id': None,
        'data_timestamp': now,
        'metadata': {},
        'project_id': volume['project_id'],
        'user_id': volume['user_id'],
    }
    backup |= given
    cinder.backups[backup['id']] = backup
    return backup


def _brief(request: wire.Request, row: dict[str, Any]) -> dict[str, Any]:
    return {'id': row['id'], 'name': row['name'], 'links': volumes.links(request, 'backups', row['id'])}


def _full(cinder: 'Cinder', request: wire.Request, row: dict[str, Any]) -> dict[str, Any]:
    names = (
        'status',
        'size',
        'object_count',
        'availability_zone',
        'container',
        'description',
        'fail_reason',
        'volume_id',
        'snapshot_id',
    )
    view = {**_brief(request, row), **{name: row[name] for name in names}}
    view |= {name: micro(row[name]) for name in ('created_at', 'updated_at', 'data_timestamp')}
    view['is_incremental'] = row['parent_id'] is not None
    view['has_dependent_backups'] = any(other['parent_id'] == row['id'] for other in cinder.backups.values())
    if request.minor >= 43:
        view['metadata'] = row['metadata']
    if request.minor >= 18 and request.user.is_admin:
        view['os-backup-project-attr:project_id'] = row['project_id']
    if request.minor >= 56 and request.user.is_admin:
        view['user_id'] = row['user_id']
    return view


def _find(cinder: 'Cinder', request: wire.Request) -> dict[str, Any]:
    wanted = request.args['backup_id']
    row = cinder.backups.get(wanted)
    if row is None or not lists.may_see(request, row):
        raise Refusal(404, MISSING.format(wanted))
    return row


def _list(cinder: 'Cinder', request: wire.Request, path: str) -> wire.Response:
    chosen = lists.choose(request, list(cinder.backups.values()), lists.filters_of(request, _FILTERS))
    page = lists.page_of(cinder, request, chosen, cinder.backups, MISSING)
    rows = [_full(cinder, request, row) if path.endswith('detail') else _brief(request, row) for row in page]
    body: dict[str, Any] = {'backups': rows}
    count = len(chosen) if lists.counted(request) else None
    more = lists.links_of(cinder, request, page, path, count)
    if more:
        body['backups_links'] = more
    if count is not None:
        body['count'] = count
    return wire.reply(body)


def list_backups(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """GET /backups: names and links."""
    return _list(cinder, request, 'backups')


def list_details(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """GET /backups/detail."""
    return _list(cinder, request, 'backups/detail')


def show_backup(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """GET /backups/{id}."""
    return wire.reply({'backup': _full(cinder, request, _find(cinder, request))})


def create_backup(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """POST /backups: 202."""
    body = cinder.body(request, 'backup')
    if 'volume_id' not in body:
        raise Refusal(400, "'volume_id' is a required property")
    volume = cinder.volumes.get(body['volume_id'])
    if volume is None or not lists.may_see(request, volume):
        raise Refusal(404, volumes.MISSING.format(body['volume_id']))
    if volume['status'] not in ('available', 'in-use'):
        raise Refusal(
            400,
            f'Invalid volume: Volume to be backed up must be available or in-use, but the current '
            f'status is "{volume["status"]}".',
        )
    parent = next((row for row in reversed(cinder.backups.values()) if row['volume_id'] == volume['id']), None)
    if body.get('incremental') and parent is None:
        raise Refusal(400, 'Invalid backup: No backups available to do an incremental backup.')
    quotas.check(cinder, request, backups=1, backup_gigabytes=volume['size'])
    row = add(
        cinder,
        volume,
        name=body.get('name'),
        description=body.get('description'),
        status='creating',
        container=body.get('container'),
        snapshot_id=body.get('snapshot_id'),
        metadata=dict(body.get('metadata') or {}),
        user_id=request.user.user_id,
        parent_id=parent['id'] if body.get('incremental') and parent else None,
    )
    cinder.later(cinder.settings.build_seconds, lambda: records.touch(cinder, row, status='available'))
    return wire.reply({'backup': _brief(request, row)}, 202)


def update_backup(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """PUT /backups/{id}, from 3.9."""
    body, row = cinder.body(request, 'backup'), _find(cinder, request)
    records.touch(cinder, row, **{name: body[name] for name in ('name', 'description', 'metadata') if name in body})
    return wire.reply({'backup': _brief(request, row)})


def delete_backup(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """DELETE /backups/{id}: 202."""
    row = _find(cinder, request)
    if any(other['parent_id'] == row['id'] for other in cinder.backups.values()):
        raise Refusal(400, 'Invalid backup: Incremental backups exist for this backup.')
    records.touch(cinder, row, status='deleting')
    cinder.later(cinder.settings.delete_seconds, lambda: _erase(cinder, row))
    return wire.empty(202)


def _erase(cinder: 'Cinder', row: dict[str, Any]) -> None:
    """Delete a backup and its objects, even if other records of this or another pod describe the same ones."""
    cinder.backups.pop(row['id'], None)
    cinder.storage.backups.pop(row['id'], None)


def is_complete(cinder: 'Cinder', row: dict[str, Any]) -> bool:
    """Return whether a backup and those that it is an increment of have records here and objects in the store."""
    parent = cinder.backups.get(row['parent_id'] or '')
    return row['id'] in cinder.storage.backups and (
        row['parent_id'] is None or (parent is not None and is_complete(cinder, parent))
    )


def restore_backup(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """POST /backups/{id}/restore: into a volume, or into a new one. 202.

    Without all objects, the volume becomes ``error_restoring``.
    """
    body, row = cinder.body(request, 'restore'), _find(cinder, request)
    wanted = body.get('volume_id')
    if wanted:
        volume = cinder.volumes.get(wanted)
        if volume is None or not lists.may_see(request, volume):
            raise Refusal(404, volumes.MISSING.format(wanted))
    else:
        quotas.check(cinder, request, volumes=1, gigabytes=row['size'])
        name = body.get('name') or f'restore_backup_{row["id"]}'
        volume = records.new_volume(cinder, request.user.project_id, request.user.user_id, row['size'], name=name)
    if is_complete(cinder, row):
        Disk(volume).replace(cinder.storage.backups[row['id']])
    else:
        records.touch(cinder, volume, status='error_restoring')
    return wire.reply(
        {'restore': {'backup_id': row['id'], 'volume_id': volume['id'], 'volume_name': volume['name']}}, 202
    )


def export_record(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """GET /backups/{id}/export_record: for admins."""
    cinder.admin_only(request, 'backup:export-import')
    row = _find(cinder, request)
    kept = {name: row[name] for name in ('id', 'volume_id', 'project_id', 'user_id', 'size', 'status', 'parent_id')}
    record = base64.b64encode(wire.dumps({**kept, 'display_name': row['name']})).decode()
    return wire.reply({'backup-record': {'backup_service': _SERVICE, 'backup_url': record}})


def import_record(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """POST /backups/import_record: 201, under the id in the record; its objects must be in this pod's store."""
    cinder.admin_only(request, 'backup:backup-import')
    body = cinder.body(request, 'backup-record')
    try:
        record = wire.loads(base64.b64decode(body['backup_url']))
        backup_id, size = record['id'], record['size']
    except (ValueError, KeyError, TypeError):
        raise Refusal(400, "Invalid input received: Can't parse backup record.") from None
    if backup_id in cinder.backups:
        raise Refusal(400, 'Invalid backup: Backup already exists in database.')
    source = {
        'id': record['volume_id'],
        'size': size,
        'project_id': request.user.project_id,
        'user_id': request.user.user_id,
    }
    row = _record(cinder, source, id=backup_id, name=record.get('display_name'), parent_id=record.get('parent_id'))
    return wire.reply({'backup': _brief(request, row)}, 201)


def act(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """POST /backups/{id}/action: for admins, 202."""
    body = cinder.body_of(request, 'application/vnd.openstack.volume+json')
    name, given = next(iter(body.items())) if isinstance(body, dict) and len(body) == 1 else ('', None)
    if name not in ('os-reset_status', 'os-force_delete'):
        raise Refusal(
            400, f'There is no such action: {name}. Verify the request body and Content-Type header and try again.'
        )
    row = _find(cinder, request)
    cinder.admin_only(request, 'volume_extension:backup_admin_actions:' + name[3:])
    if name == 'os-force_delete':
        _erase(cinder, row)
    else:
        records.touch(cinder, row, status=given['status'])
    return wire.empty(202)


ROUTES = [
    Route('GET', '/backups', list_backups),
    Route('POST', '/backups', create_backup),
    Route('GET', '/backups/detail', list_details),
    Route('POST', '/backups/import_record', import_record),
    Route('GET', '/backups/{backup_id}', show_backup),
    Route('PUT', '/backups/{backup_id}', update_backup, since=9),
    Route('DELETE', '/backups/{backup_id}', delete_backup),
    Route('POST', '/backups/{backup_id}/restore', restore_backup),
    Route('GET', '/backups/{backup_id}/export_record', export_record),
    Route('POST', '/backups/{backup_id}/action', act),
]
