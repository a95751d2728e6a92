# SPDX-License-Identifier: Apache-2.0
"""Cinder's snapshots."""

from typing import TYPE_CHECKING, Any

from trio2o.lab.disks import Disk
from trio2o.lab.emulated import wire
from trio2o.lab.emulated.cinder import lists, quotas, records, volumes
from trio2o.lab.emulated.clock import micro
from trio2o.lab.emulated.wire import Refusal, Route

if TYPE_CHECKING:
    from trio2o.lab.emulated.cinder import Cinder

Snapshot = dict[str, Any]
MISSING = 'Snapshot {} could not be found.'
_FILTERS = ['name', 'status', 'volume_id', 'metadata', 'availability_zone']


def _view(request: wire.Request, snapshot: Snapshot, extended: bool) -> dict[str, Any]:
    view = {name: snapshot[name] for name in ('id', 'name', 'description', 'volume_id', 'status', 'size', 'metadata')}
    view |= {'created_at': micro(snapshot['created_at']), 'updated_at': micro(snapshot['updated_at'])}
    if extended:
        if request.minor >= 14:
            view['group_snapshot_id'] = snapshot['group_snapshot_id']
        if request.minor >= 41:
            view['user_id'] = snapshot['user_id']
        if request.minor >= 65:
            view['consumes_quota'] = True
    return view


def _extended(snapshot: Snapshot) -> dict[str, Any]:
    prefix = 'os-extended-snapshot-attributes:'
    return {prefix + 'progress': snapshot['progress'], prefix + 'project_id': snapshot['project_id']}


def find(cinder: 'Cinder', request: wire.Request) -> Snapshot:
    """Return the snapshot in the path.

    :raises Refusal: there is none, or the caller may not see it
    """
    wanted = request.args['snapshot_id']
    snapshot = cinder.snapshots.get(wanted)
    if snapshot is None or not lists.may_see(request, snapshot):
        raise Refusal(404, MISSING.format(wanted))
    return snapshot


def _list(cinder: 'Cinder', request: wire.Request, path: str, detail: bool) -> wire.Response:
    filters = lists.filters_of(request, _FILTERS)
    chosen = lists.choose(request, list(cinder.snapshots.values()), filters)
    page = lists.page_of(cinder, request, chosen, cinder.snapshots, MISSING)
    body: dict[str, Any] = {
        'snapshots': [{**_view(request, row, detail), **(_extended(row) if detail else {})} for row in page]
    }
    count = len(chosen) if lists.counted(request) else None
    more = lists.links_of(cinder, request, page, path, count)
    if more:
        body['snapshots_links'] = more
    if count is not None:
        body['count'] = count
    return wire.reply(body)


def list_snapshots(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """GET /snapshots: with all fields except the extended attributes, as in Cinder."""
    return _list(cinder, request, 'snapshots', False)


def list_details(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """GET /snapshots/detail."""
    return _list(cinder, request, 'snapshots/detail', True)


def show_snapshot(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """GET /snapshots/{id}."""
    snapshot = find(cinder, request)
    return wire.reply({'snapshot': {**_view(request, snapshot, True), **_extended(snapshot)}})


def create_snapshot(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """POST /snapshots: 202."""
    body = cinder.body(request, 'snapshot')
    if 'volume_id' not in body:
        raise Refusal(400, "'volume_id' is a required property")
    volume = volumes.find(cinder, request, body['volume_id'])
    force = str(body.get('force', False)).lower() == 'true' or request.minor >= 66
    if volume['status'] != 'available' and not (force and volume['status'] == 'in-use'):
        raise Refusal(
            400,
            f'Invalid volume: Volume {volume["id"]} status must be available, but '
            f'current status is: {volume["status"]}.',
        )
    quotas.check(cinder, request, snapshots=1, gigabytes=volume['size'])
    snapshot = records.new_snapshot(
        cinder,
        volume,
        name=body.get('name', body.get('display_name')),
        status='creating',
        description=body.get('description', body.get('display_description')),
        updated_at=None,
        metadata=dict(body.get('metadata') or {}),
        # Cinder counts it for the project of the caller, even if the volume is another project's.
        project_id=request.user.project_id,
        user_id=request.user.user_id,
        progress='0%',
    )
    view = _view(request, snapshot, True)
    cinder.later(
        cinder.settings.build_seconds, lambda: records.touch(cinder, snapshot, status='available', progress='100%')
    )
    return wire.reply({'snapshot': view}, 202)


def update_snapshot(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """PUT /snapshots/{id}."""
    body = cinder.body(request, 'snapshot')
    snapshot = find(cinder, request)
    records.touch(
        cinder,
        snapshot,
        **{
            name.removeprefix('display_'): body[name]
            for name in ('name', 'description', 'display_name', 'display_description')
            if name in body
        },
    )
    return wire.reply({'snapshot': _view(request, snapshot, True)})


def delete_snapshot(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """DELETE /snapshots/{id}: 202."""
    snapshot = find(cinder, request)
    records.touch(cinder, snapshot, status='deleting')
    cinder.later(cinder.settings.delete_seconds, lambda: cinder.snapshots.pop(snapshot['id'], None))
    return wire.bare(202)


def act(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """POST /snapshots/{id}/action."""
    body = cinder.body_of(request, 'application/vnd.openstack.volume+json')
    if not isinstance(body, dict) or len(body) != 1:
        raise Refusal(400, 'Malformed request body')
    name, given = next(iter(body.items()))
    if name not in ('os-reset_status', 'os-force_delete', 'os-update_snapshot_status', 'os-unmanage'):
        raise Refusal(
            400, f'There is no such action: {name}. Verify the request body and Content-Type header and try again.'
        )
    snapshot = find(cinder, request)
    if name == 'os-unmanage':
        cinder.admin_only(request, 'snapshot_extension:snapshot_unmanage')
        cinder.storage.unmanaged[f'snapshot-{snapshot["id"]}'] = Disk(snapshot).read()
        del cinder.snapshots[snapshot['id']]
        return wire.bare(202)
    cinder.admin_only(request, 'volume_extension:snapshot_admin_actions:' + name[3:])
    if name == 'os-force_delete':
        del cinder.snapshots[snapshot['id']]
    else:
        records.touch(cinder, snapshot, status=given['status'])
    return wire.empty(202)


ROUTES = [
    Route('GET', '/snapshots', list_snapshots),
    Route('POST', '/snapshots', create_snapshot),
    Route('GET', '/snapshots/detail', list_details),
    Route('GET', '/snapshots/{snapshot_id}', show_snapshot),
    Route('PUT', '/snapshots/{snapshot_id}', update_snapshot),
    Route('DELETE', '/snapshots/{snapshot_id}', delete_snapshot),
    Route('POST', '/snapshots/{snapshot_id}/action', act),
]
