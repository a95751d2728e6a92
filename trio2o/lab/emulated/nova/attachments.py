# SPDX-License-Identifier: Apache-2.0
"""os-volume_attachments, with the volumes of the same pod's Cinder."""

from typing import TYPE_CHECKING, Any

from trio2o.lab.emulated import paging, wire
from trio2o.lab.emulated.nova import records
from trio2o.lab.emulated.wire import Refusal, Route

if TYPE_CHECKING:
    from trio2o.lab.emulated.nova import Nova


def _view(request: wire.Request, server: dict[str, Any], volume: dict[str, Any]) -> dict[str, Any]:
    minor = request.minor
    view: dict[str, Any] = {'volumeId': volume['volume_id'], 'serverId': server['id'], 'device': volume['device']}
    if minor < 89:
        view['id'] = volume['volume_id']
    if minor >= 70:
        view['tag'] = volume['tag']
    if minor >= 79:
        view['delete_on_termination'] = volume['delete_on_termination']
    if minor >= 89:
        view |= {'attachment_id': volume['attachment_id'], 'bdm_uuid': volume['bdm_uuid']}
    return view


def _find(nova: 'Nova', request: wire.Request) -> tuple[dict[str, Any], dict[str, Any]]:
    server, wanted = nova.server(request), request.args['volume_id']
    for volume in server['volumes']:
        if volume['volume_id'] == wanted:
            return server, volume
    raise Refusal(404, f'Instance {server["id"]} is not attached to volume {wanted}')


def list_attachments(nova: 'Nova', request: wire.Request) -> wire.Response:
    """GET, with limit and offset."""
    server = nova.server(request)
    start = paging.number(request, 'offset', 0)
    limit = paging.number(request, 'limit', 0, nova.settings.max_limit) or nova.settings.max_limit
    return wire.reply(
        {'volumeAttachments': [_view(request, server, volume) for volume in server['volumes'][start : start + limit]]}
    )


def show_attachment(nova: 'Nova', request: wire.Request) -> wire.Response:
    """GET /{volume_id}."""
    server, volume = _find(nova, request)
    return wire.reply({'volumeAttachment': _view(request, server, volume)})


def create_attachment(nova: 'Nova', request: wire.Request) -> wire.Response:
    """POST: 200 with a body up to 2.100, then 202 without."""
    given = nova.body(request, 'volumeAttachment')
    if 'volumeId' not in given:
        raise Refusal(
            400,
            f"Invalid input for field/attribute volumeAttachment. Value: {given}. 'volumeId' is a required property",
        )
    server = nova.server(request)
    if server['vm_state'] not in (
        'active',
        'paused',
        'stopped',
        'suspended',
        'resized',
        'soft-delete',
        'shelved',
        'shelved_offloaded',
        'rescued',
    ):
        raise Refusal(
            409, f"Cannot 'attach_volume' instance {server['id']} while it is in vm_state {server['vm_state']}"
        )
    volume_id = given['volumeId']
    if nova.cinder is None or not nova.cinder.has_volume(volume_id, request.user):
        raise Refusal(404, f'Volume {volume_id} could not be found.')
    state = nova.cinder.volumes[volume_id]
    if state['status'] != 'available' and not state['multiattach']:
        raise Refusal(
            400,
            f'Invalid volume: Invalid input received: Invalid volume: Volume '
            f'{volume_id} status must be available or downloading to reserve, '
            f'but the current status is {state["status"]}. (HTTP 400)',
        )
    if not nova.settings.cross_az_attach and state['availability_zone'] != server['availability_zone']:
        raise Refusal(
            400,
            f'Invalid volume: Instance {server["id"]} and volume {volume_id} are '
            'not in the same availability_zone. Instance is in '
            f'{server["availability_zone"]}. Volume is in '
            f'{state["availability_zone"]}',
        )
    device = given.get('device') or '/dev/vd' + 'bcdefghijklmn'[len(server['volumes']) % 13]
    volume = {
        'volume_id': volume_id,
        'device': device,
        'bdm_uuid': nova.new_id(),
        'tag': given.get('tag') if request.minor >= 49 else None,
        'delete_on_termination': bool(given.get('delete_on_termination', False)),
        'attachment_id': nova.cinder.attach_volume(volume_id, server['id'], device),
    }
    server['volumes'].append(volume)
    records.note(nova, server, 'attach_volume', request.request_id, request.user.user_id, request.user.project_id)
    if request.minor >= 101:
        return wire.bare(202)
    view: dict[str, Any] = {'id': volume_id, 'serverId': server['id'], 'volumeId': volume_id, 'device': device}
    if request.minor >= 70:
        view['tag'] = volume['tag']
    if request.minor >= 79:
        view['delete_on_termination'] = volume['delete_on_termination']
    return wire.reply({'volumeAttachment': view})


def update_attachment(nova: 'Nova', request: wire.Request) -> wire.Response:
    """PUT: changes delete_on_termination from 2.85. Only Cinder may swap a volume, so that is a 409."""
    given = nova.body(request, 'volumeAttachment')
    server, volume = _find(nova, request)
    if given.get('volumeId', volume['volume_id']) != volume['volume_id'] or request.minor < 85:
        raise Refusal(409, f'volume {volume["volume_id"]} is not migrating; this API should only be called by Cinder')
    volume['delete_on_termination'] = bool(given.get('delete_on_termination', volume['delete_on_termination']))
    return wire.empty(202)


def delete_attachment(nova: 'Nova', request: wire.Request) -> wire.Response:
    """DELETE: 202."""
    server, volume = _find(nova, request)
    server['volumes'].remove(volume)
    if nova.cinder is not None:
        nova.cinder.detach_volume(volume['volume_id'], volume['attachment_id'], False)
    records.note(nova, server, 'detach_volume', request.request_id, request.user.user_id, request.user.project_id)
    return wire.empty(202)


_PATH = '/servers/{server_id}/os-volume_attachments'
ROUTES = [
    Route('GET', _PATH, list_attachments),
    Route('POST', _PATH, create_attachment),
    Route('GET', _PATH + '/{volume_id}', show_attachment),
    Route('PUT', _PATH + '/{volume_id}', update_attachment),
    Route('DELETE', _PATH + '/{volume_id}', delete_attachment),
]
