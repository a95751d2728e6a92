# SPDX-License-Identifier: Apache-2.0
"""Cinder's group types with their specs, and the default volume types of projects."""

from typing import TYPE_CHECKING, Any

from trio2o.lab.emulated import wire
from trio2o.lab.emulated.cinder import lists, types
from trio2o.lab.emulated.collation import collection, is_same
from trio2o.lab.emulated.wire import Refusal, Route

if TYPE_CHECKING:
    from trio2o.lab.emulated.cinder import Cinder

MISSING = 'Group type {} could not be found.'
DEFAULT = 'default_cgsnapshot_type'


def add(cinder: 'Cinder', name: str, **given: Any) -> dict[str, Any]:
    """Add a group type with an id that the pod chooses."""
    kind = {
        'id': cinder.new_id(),
        'name': name,
        'description': None,
        'is_public': True,
        'group_specs': {},
        'created_at': cinder.stamp(),
        **given,
    }
    specs = collection(cinder.settings.ignores_case)
    specs.update(kind['group_specs'])
    kind['group_specs'] = specs
    cinder.group_types[kind['id']] = kind
    return kind


def _view(request: wire.Request, kind: dict[str, Any]) -> dict[str, Any]:
    names = ['id', 'name', 'description', 'is_public'] + (['group_specs'] if request.user.is_admin else [])
    return {name: kind[name] for name in names}


def _find(cinder: 'Cinder', request: wire.Request) -> dict[str, Any]:
    wanted = request.args['type_id']
    if wanted not in cinder.group_types:
        raise Refusal(404, MISSING.format(wanted))
    return cinder.group_types[wanted]


def list_types(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """GET /group_types: admins may list private ones."""
    public = (request.last('is_public') or 'true').lower()
    chosen = [
        kind
        for kind in cinder.group_types.values()
        if (request.user.is_admin and public == 'none') or kind['is_public']
    ]
    page = lists.page_of(cinder, request, chosen, cinder.group_types, MISSING)
    body: dict[str, Any] = {'group_types': [_view(request, kind) for kind in page]}
    more = lists.links_of(cinder, request, page, 'group_types')
    if more:
        body['group_type_links'] = more
    return wire.reply(body)


def show_type(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """GET /group_types/{id}."""
    return wire.reply({'group_type': _view(request, _find(cinder, request))})


def create_type(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """POST /group_types: 202."""
    cinder.admin_only(request, 'group:group_types:create')
    body = cinder.body(request, 'group_type')
    ignores_case = cinder.settings.ignores_case
    if any(is_same(kind['name'], body['name'], ignores_case) for kind in cinder.group_types.values()):
        raise Refusal(409, f'Group Type {body["name"]} already exists.')
    kind = add(
        cinder,
        body['name'],
        description=body.get('description'),
        is_public=body.get('is_public', True),
        group_specs=dict(body.get('group_specs') or {}),
    )
    return wire.reply({'group_type': _view(request, kind)}, 202)


def update_type(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """PUT /group_types/{id}."""
    cinder.admin_only(request, 'group:group_types:update')
    body, kind = cinder.body(request, 'group_type'), _find(cinder, request)
    kind.update({name: body[name] for name in ('name', 'description', 'is_public') if body.get(name) is not None})
    return wire.reply({'group_type': _view(request, kind)})


def delete_type(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """DELETE /group_types/{id}: 202, 400 while groups use it."""
    cinder.admin_only(request, 'group:group_types:delete')
    kind = _find(cinder, request)
    if any(group['group_type'] == kind['id'] for group in cinder.groups.values()):
        raise Refusal(
            400,
            f'Target group type is still in use. Group Type {kind["id"]} deletion is not allowed with '
            'groups present with the type.',
        )
    del cinder.group_types[kind['id']]
    return wire.bare(202)


def list_specs(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """GET /group_types/{id}/group_specs."""
    return wire.reply({'group_specs': _find(cinder, request)['group_specs']})


def create_specs(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """POST /group_types/{id}/group_specs: add specs. 202."""
    cinder.admin_only(request, 'group:group_types_specs:create')
    given = cinder.body(request, 'group_specs')
    _find(cinder, request)['group_specs'].update(given)
    return wire.reply({'group_specs': given}, 202)


def _spec(cinder: 'Cinder', request: wire.Request) -> tuple[dict[str, Any], str]:
    kind, key = _find(cinder, request), request.args['key']
    if key not in kind['group_specs']:
        raise Refusal(404, f'Group Type {kind["id"]} has no specs with key {key}.')
    return kind, key


def show_spec(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """GET /group_types/{id}/group_specs/{key}."""
    kind, key = _spec(cinder, request)
    return wire.reply({key: kind['group_specs'][key]})


def update_spec(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """PUT /group_types/{id}/group_specs/{key}."""
    cinder.admin_only(request, 'group:group_types_specs:update')
    key, body = request.args['key'], cinder.body_of(request, '') or {}
    if key not in body:
        raise Refusal(400, 'Request body and URI mismatch')
    _find(cinder, request)['group_specs'][key] = body[key]
    return wire.reply({key: body[key]})


def delete_spec(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """DELETE /group_types/{id}/group_specs/{key}: 202."""
    cinder.admin_only(request, 'group:group_types_specs:delete')
    kind, key = _spec(cinder, request)
    del kind['group_specs'][key]
    return wire.bare(202)


def _default(cinder: 'Cinder', project_id: str) -> dict[str, str]:
    if project_id not in cinder.default_types:
        raise Refusal(404, f'Default type for project {project_id} not found.')
    return {'project_id': project_id, 'volume_type_id': cinder.default_types[project_id]}


def list_defaults(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """GET /default-types, from 3.62."""
    if not request.user.is_admin:
        raise Refusal(403, 'You are not authorized to perform this operation.')
    return wire.reply({'default_types': [_default(cinder, each) for each in cinder.default_types]})


def show_default(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """GET /default-types/{project}."""
    cinder.admin_only(request, 'volume_extension:default_get')
    return wire.reply({'default_type': _default(cinder, request.args['project_id'])})


def set_default(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """PUT /default-types/{project}: a type by name or id."""
    cinder.admin_only(request, 'volume_extension:default_set_or_update')
    wanted = cinder.body(request, 'default_type').get('volume_type')
    kind = types.named(cinder, wanted)
    if kind is None:
        raise Refusal(400, f'Volume type {wanted} could not be found.')
    cinder.default_types[request.args['project_id']] = kind['id']
    return wire.reply({'default_type': _default(cinder, request.args['project_id'])})


def unset_default(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """DELETE /default-types/{project}: 204."""
    cinder.admin_only(request, 'volume_extension:default_unset')
    cinder.default_types.pop(request.args['project_id'], None)
    return wire.empty()


_SPECS = '/group_types/{type_id}/group_specs'
ROUTES = [
    Route('GET', '/group_types', list_types, since=11),
    Route('POST', '/group_types', create_type, since=11),
    Route('GET', '/group_types/{type_id}', show_type, since=11),
    Route('PUT', '/group_types/{type_id}', update_type, since=11),
    Route('DELETE', '/group_types/{type_id}', delete_type, since=11),
    Route('GET', _SPECS, list_specs, since=11),
    Route('POST', _SPECS, create_specs, since=11),
    Route('GET', _SPECS + '/{key}', show_spec, since=11),
    Route('PUT', _SPECS + '/{key}', update_spec, since=11),
    Route('DELETE', _SPECS + '/{key}', delete_spec, since=11),
    Route('GET', '/default-types', list_defaults, since=62),
    Route('GET', '/default-types/{project_id}', show_default, since=62),
    Route('PUT', '/default-types/{project_id}', set_default, since=62),
    Route('DELETE', '/default-types/{project_id}', unset_default, since=62),
]
