# SPDX-License-Identifier: Apache-2.0
"""Cinder's transfers of volumes between projects, under the old and the new path."""

import secrets
from typing import TYPE_CHECKING, Any

from trio2o.lab.emulated import paging, wire
from trio2o.lab.emulated.cinder import lists, quotas, records, volumes
from trio2o.lab.emulated.clock import micro
from trio2o.lab.emulated.wire import Refusal, Route

if TYPE_CHECKING:
    from trio2o.lab.emulated.cinder import Cinder

MISSING = 'Transfer {} could not be found.'
_OLD = 'os-volume-transfer'
_FILTERS = ['name', 'volume_id']


def add(cinder: 'Cinder', volume: dict[str, Any], **given: Any) -> dict[str, Any]:
    """Add a transfer of a volume."""
    row = {
        'id': cinder.new_id(),
        'volume_id': volume['id'],
        'name': None,
        'created_at': cinder.stamp(),
        'project_id': volume['project_id'],
        'auth_key': secrets.token_hex(8),
        'no_snapshots': False,
        **given,
    }
    cinder.transfers[row['id']] = row
    records.touch(cinder, volume, status='awaiting-transfer')
    return row


def _brief(request: wire.Request, row: dict[str, Any]) -> dict[str, Any]:
    return {
        'id': row['id'],
        'volume_id': row['volume_id'],
        'name': row['name'],
        'links': volumes.links(request, _OLD, row['id']),
    }


def _full(request: wire.Request, row: dict[str, Any]) -> dict[str, Any]:
    view = {**_brief(request, row), 'created_at': micro(row['created_at'])}
    if request.minor >= 55:
        view['no_snapshots'] = row['no_snapshots']
    if request.minor >= 57:
        view |= {'source_project_id': row['project_id'], 'destination_project_id': None, 'accepted': False}
    return view


def _find(cinder: 'Cinder', request: wire.Request) -> dict[str, Any]:
    wanted = request.args['transfer_id']
    row = cinder.transfers.get(wanted)
    if row is None or not lists.may_see(request, row):
        raise Refusal(404, MISSING.format(wanted))
    return row


def _list(cinder: 'Cinder', request: wire.Request, is_detailed: bool) -> wire.Response:
    view = _full if is_detailed else _brief
    rows = list(cinder.transfers.values())
    if f'/{_OLD}' in request.path or request.minor < 59:
        if any(request.has(name) for name in ('limit', 'offset', 'marker', 'sort')):
            rows = []  # Cinder takes them for filters by columns that a transfer does not have
        chosen = lists.choose(request, rows, {key: value for key, value in request.params if key == 'all_tenants'})
        page = paging.in_order(chosen, ['created_at', 'id'], ['asc', 'asc'])
    else:
        chosen = lists.choose(
            request, rows, {key: value for key, value in request.params if key in ('all_tenants', *_FILTERS)}
        )
        page = lists.page_of(cinder, request, chosen, cinder.transfers, MISSING)
    body: dict[str, Any] = {'transfers': [view(request, row) for row in page]}
    more = lists.links_of(cinder, request, page, _OLD)
    if more:
        body['transfers_links'] = more
    return wire.reply(body)


def list_transfers(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """GET /volume-transfers: oldest first, newest first from 3.59."""
    return _list(cinder, request, False)


def list_details(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """GET /volume-transfers/detail."""
    return _list(cinder, request, True)


def show_transfer(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """GET /volume-transfers/{id}."""
    return wire.reply({'transfer': _full(request, _find(cinder, request))})


def create_transfer(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """POST /volume-transfers: 202; only this answer contains the key."""
    body = cinder.body(request, 'transfer')
    if 'volume_id' not in body:
        raise Refusal(400, "'volume_id' is a required property")
    volume = cinder.volumes.get(body['volume_id'])
    if volume is None or not lists.may_see(request, volume):
        raise Refusal(404, volumes.MISSING.format(body['volume_id']))
    if volume['status'] != 'available':
        raise Refusal(400, 'Invalid volume: status must be available')
    row = add(
        cinder, volume, name=body.get('name'), no_snapshots=str(body.get('no_snapshots', False)).lower() == 'true'
    )
    return wire.reply({'transfer': {**_full(request, row), 'auth_key': row['auth_key']}}, 202)


def accept_transfer(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """POST /volume-transfers/{id}/accept: any user with the key may accept. 202."""
    body = cinder.body(request, 'accept')
    row = cinder.transfers.get(request.args['transfer_id'])
    if row is None:
        raise Refusal(404, MISSING.format(request.args['transfer_id']))
    if body.get('auth_key') != row['auth_key']:
        raise Refusal(400, f'Invalid auth key: Attempt to transfer {row["id"]} with invalid auth key.')
    volume = cinder.volumes[row['volume_id']]
    quotas.check(cinder, request, volumes=1, gigabytes=volume['size'])
    del cinder.transfers[row['id']]
    owner = {'project_id': request.user.project_id, 'user_id': request.user.user_id}
    records.touch(cinder, volume, status='available', **owner)
    for snapshot in cinder.snapshots.values():
        if snapshot['volume_id'] == volume['id'] and not row['no_snapshots']:
            snapshot.update(owner)
    return wire.reply({'transfer': _brief(request, row)}, 202)


def delete_transfer(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """DELETE /volume-transfers/{id}: 202."""
    row = _find(cinder, request)
    del cinder.transfers[row['id']]
    records.touch(cinder, cinder.volumes[row['volume_id']], status='available')
    return wire.bare(202)


ROUTES = [
    route
    for path in ('/volume-transfers', f'/{_OLD}')
    for route in (
        Route('GET', path, list_transfers),
        Route('POST', path, create_transfer),
        Route('GET', f'{path}/detail', list_details),
        Route('GET', path + '/{transfer_id}', show_transfer),
        Route('DELETE', path + '/{transfer_id}', delete_transfer),
        Route('POST', path + '/{transfer_id}/accept', accept_transfer),
    )
]
