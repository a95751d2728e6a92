# SPDX-License-Identifier: Apache-2.0
"""Cinder's attachments API, which Nova calls to attach volumes."""

from typing import TYPE_CHECKING, Any

from trio2o.lab.emulated import paging, wire
from trio2o.lab.emulated.cinder import lists, records, volume_actions, volumes
from trio2o.lab.emulated.clock import micro
from trio2o.lab.emulated.wire import Refusal, Route

if TYPE_CHECKING:
    from trio2o.lab.emulated.cinder import Cinder


def _brief(row: dict[str, Any]) -> dict[str, Any]:
    return {key: row[key] for key in ('id', 'status', 'instance', 'volume_id')}


def _full(row: dict[str, Any]) -> dict[str, Any]:
    return {
        **_brief(row),
        'attached_at': micro(row['attached_at']) or '',
        'detached_at': micro(row['detached_at']) or '',
        'attach_mode': row['attach_mode'],
        'connection_info': row['connection_info'],
    }


def _find(cinder: 'Cinder', request: wire.Request) -> dict[str, Any]:
    wanted = request.args['attachment_id']
    row = cinder.attachments.get(wanted)
    if row is None or not lists.may_see(request, row):
        raise Refusal(404, f'Volume attachment could not be found with filter: attachment_id = {wanted}.')
    return row


def _list(cinder: 'Cinder', request: wire.Request, view: Any) -> wire.Response:
    filters = lists.filters_of(request, ['volume_id', 'status', 'instance_id', 'attach_status'])
    if 'instance_id' in filters:
        filters['instance'] = filters.pop('instance_id')
    chosen = lists.choose(request, list(cinder.attachments.values()), filters)
    keys, dirs = lists.order_of(request)
    wanted = request.first('marker')
    if wanted is not None and wanted not in cinder.attachments:
        raise Refusal(404, f'Volume attachment could not be found with filter: attachment_id = {wanted}.')
    rows = paging.after(chosen, cinder.attachments.get(wanted) if wanted else None, keys, dirs, lists.value_of)
    start = int(request.first('offset') or 0)
    return wire.reply({'attachments': [view(row) for row in rows[start : start + lists.limit_of(cinder, request)]]})


def list_attachments(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """GET /attachments, from 3.27: without a next link, as in Cinder."""
    return _list(cinder, request, _brief)


def list_details(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """GET /attachments/detail."""
    return _list(cinder, request, _full)


def show_attachment(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """GET /attachments/{id}."""
    return wire.reply({'attachment': _full(_find(cinder, request))})


def create_attachment(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """POST /attachments: reserve the volume; with a connector, also connect it."""
    body = cinder.body(request, 'attachment')
    if 'volume_uuid' not in body:
        raise Refusal(400, "'volume_uuid' is a required property")
    volume = volumes.find(cinder, request, body['volume_uuid'])
    if volume['status'] not in ('available', 'downloading') and not volume['multiattach']:
        raise Refusal(
            400,
            f'Invalid volume: Volume {volume["id"]} status must be available or '
            f'downloading to reserve, but the current status is '
            f'{volume["status"]}.',
        )
    attachment_id = records.attach(
        cinder, volume, body.get('instance_uuid'), None, 'reserved', body.get('mode') or 'null'
    )
    row = cinder.attachments[attachment_id]
    if body.get('connector'):
        _connect(row, body['connector'])
    return wire.reply({'attachment': _full(row)})


def _connect(row: dict[str, Any], connector: dict[str, Any]) -> None:
    row.update(
        status='attaching',
        device=connector.get('mountpoint'),
        attach_mode=connector.get('mode') or 'rw',
        connection_info={'driver_volume_type': 'fake', 'attachment_id': row['id'], 'access_mode': 'rw'},
    )


def update_attachment(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """PUT /attachments/{id} with the connector."""
    body, row = cinder.body(request, 'attachment'), _find(cinder, request)
    _connect(row, body.get('connector') or {})
    return wire.reply({'attachment': _full(row)})


def complete_attachment(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """POST /attachments/{id}/action os-complete, from 3.44: 204."""
    body = cinder.body_of(request, '') or {}
    if 'os-complete' not in body:
        raise Refusal(400, f'There is no such action: {next(iter(body), "")}')
    row = _find(cinder, request)
    row.update(status='attached', attached_at=cinder.stamp())
    records.touch(cinder, cinder.volumes[row['volume_id']], status='in-use')
    return wire.empty()


def delete_attachment(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """DELETE /attachments/{id}: 409 for users while a server has the volume."""
    row = _find(cinder, request)
    if row['instance'] and row['status'] == 'attached' and not volume_actions.is_service_call(cinder, request):
        raise Refusal(409, f'Detach volume from instance {row["instance"]} using the Compute API')
    cinder.detach_volume(row['volume_id'], row['id'], False)
    return wire.reply({'attachments': [_brief(other) for other in records.attachments_of(cinder, row['volume_id'])]})


ROUTES = [
    Route('GET', '/attachments', list_attachments, since=27),
    Route('POST', '/attachments', create_attachment, since=27),
    Route('GET', '/attachments/detail', list_details, since=27),
    Route('GET', '/attachments/{attachment_id}', show_attachment, since=27),
    Route('PUT', '/attachments/{attachment_id}', update_attachment, since=27),
    Route('DELETE', '/attachments/{attachment_id}', delete_attachment, since=27),
    Route('POST', '/attachments/{attachment_id}/action', complete_attachment, since=44),
]
