# SPDX-License-Identifier: Apache-2.0
"""os-instance-actions; their ids are the pod's own request ids."""

from typing import TYPE_CHECKING, Any

from trio2o.lab.emulated import paging, wire
from trio2o.lab.emulated.clock import micro
from trio2o.lab.emulated.nova import server_views
from trio2o.lab.emulated.wire import Refusal, Route

if TYPE_CHECKING:
    from trio2o.lab.emulated.nova import Nova

_KEYS = ('action', 'instance_uuid', 'request_id', 'user_id', 'project_id')


def _server(nova: 'Nova', request: wire.Request) -> dict[str, Any]:
    """Return the server in the path; from 2.21 also a deleted one."""
    found = nova.servers.get(request.args['server_id'])
    if (
        request.minor >= 21
        and found is not None
        and found['deleted']
        and (request.user.is_admin or found['project_id'] == request.user.project_id)
    ):
        return found
    return nova.server(request)


def _view(request: wire.Request, action: dict[str, Any]) -> dict[str, Any]:
    view = {key: action[key] for key in _KEYS}
    view |= {'start_time': micro(action['start_time']), 'message': action['message']}
    if request.minor >= 58:
        view['updated_at'] = micro(action['updated_at'])
    return view


def list_actions(nova: 'Nova', request: wire.Request) -> wire.Response:
    """GET, the newest first; from 2.58 in pages, with request ids as markers."""
    server = _server(nova, request)
    rows = list(reversed(server['actions']))
    body: dict[str, Any] = {}
    if request.minor >= 58:
        limit = paging.number(request, 'limit', nova.settings.max_limit, nova.settings.max_limit)
        marker = request.last('marker')
        if marker is not None:
            at = next((index for index, row in enumerate(rows) if row['request_id'] == marker), None)
            if at is None:
                raise Refusal(400, f'Marker {marker} could not be found.')
            rows = rows[at + 1 :]
        rows = rows[:limit]
        if limit and len(rows) == limit:
            body['links'] = paging.next_link(
                request, f'servers/{server["id"]}/os-instance-actions', rows[-1]['request_id']
            )
    body['instanceActions'] = [_view(request, action) for action in rows]
    return wire.reply(body)


def show_action(nova: 'Nova', request: wire.Request) -> wire.Response:
    """GET /{request_id}, with its event from 2.51 or for admins."""
    server = _server(nova, request)
    wanted = request.args['request_id']
    action = next((row for row in server['actions'] if row['request_id'] == wanted), None)
    if action is None:
        raise Refusal(404, f'Action {wanted} not found')
    view = _view(request, action)
    if request.minor >= 51 or request.user.is_admin:
        event = {
            'event': f'compute_{action["action"]}',
            'start_time': micro(action['start_time']),
            'finish_time': micro(action['updated_at']),
            'result': 'Success',
        }
        if request.user.is_admin:
            event['traceback'] = None
            if request.minor >= 62:
                event['host'] = server['host']
            if request.minor >= 84:
                event['details'] = None
        if request.minor >= 62:
            event['hostId'] = server_views.host_id(server)
        view['events'] = [event]
    return wire.reply({'instanceAction': view})


ROUTES = [
    Route('GET', '/servers/{server_id}/os-instance-actions', list_actions),
    Route('GET', '/servers/{server_id}/os-instance-actions/{request_id}', show_action),
]
