# SPDX-License-Identifier: Apache-2.0
"""Nova's server groups."""

from typing import TYPE_CHECKING, Any

from trio2o.lab.emulated import paging, wire
from trio2o.lab.emulated.wire import Refusal, Route

if TYPE_CHECKING:
    from trio2o.lab.emulated.nova import Nova


def _view(nova: 'Nova', request: wire.Request, group: dict[str, Any]) -> dict[str, Any]:
    view: dict[str, Any] = {'id': group['id'], 'name': group['name']}
    if request.minor >= 64:
        view |= {'policy': group['policy'], 'rules': group['rules']}
    else:
        view |= {'policies': [group['policy']], 'metadata': {}}
    view['members'] = [
        member for member in group['members'] if member in nova.servers and not nova.servers[member]['deleted']
    ]
    if request.minor >= 13:
        view |= {'project_id': group['project_id'], 'user_id': group['user_id']}
    return view


def _find(nova: 'Nova', request: wire.Request) -> dict[str, Any]:
    wanted = request.args['group_id']
    group = nova.groups.get(wanted)
    if group is None or not (request.user.is_admin or group['project_id'] == request.user.project_id):
        raise Refusal(404, f'Instance group {wanted} could not be found.')
    return group


def list_groups(nova: 'Nova', request: wire.Request) -> wire.Response:
    """GET /os-server-groups, with limit and offset."""
    everybody = request.has('all_projects') and request.user.is_admin
    rows = [group for group in nova.groups.values() if everybody or group['project_id'] == request.user.project_id]
    start = paging.number(request, 'offset', 0)
    limit = paging.number(request, 'limit', 0, nova.settings.max_limit) or nova.settings.max_limit
    return wire.reply({'server_groups': [_view(nova, request, group) for group in rows[start : start + limit]]})


def create_group(nova: 'Nova', request: wire.Request) -> wire.Response:
    """POST /os-server-groups: 200."""
    body = nova.body(request, 'server_group')
    key = 'policy' if request.minor >= 64 else 'policies'
    for name in ('name', key):
        if name not in body:
            raise Refusal(
                400, f"Invalid input for field/attribute server_group. Value: {body}. '{name}' is a required property"
            )
    policy = body['policy'] if request.minor >= 64 else body['policies'][0]
    if policy != 'anti-affinity' and body.get('rules'):
        raise Refusal(400, 'Only anti-affinity policy supports rules.')
    group = {
        'id': nova.new_id(),
        'name': body['name'],
        'policy': policy,
        'rules': body.get('rules', {}),
        'members': [],
        'project_id': request.user.project_id,
        'user_id': request.user.user_id,
    }
    nova.groups[group['id']] = group
    return wire.reply({'server_group': _view(nova, request, group)})


def show_group(nova: 'Nova', request: wire.Request) -> wire.Response:
    """GET /os-server-groups/{id}."""
    return wire.reply({'server_group': _view(nova, request, _find(nova, request))})


def delete_group(nova: 'Nova', request: wire.Request) -> wire.Response:
    """DELETE /os-server-groups/{id}."""
    del nova.groups[_find(nova, request)['id']]
    return wire.empty()


ROUTES = [
    Route('GET', '/os-server-groups', list_groups),
    Route('POST', '/os-server-groups', create_group),
    Route('GET', '/os-server-groups/{group_id}', show_group),
    Route('DELETE', '/os-server-groups/{group_id}', delete_group),
]
