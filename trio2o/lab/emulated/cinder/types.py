# SPDX-License-Identifier: Apache-2.0
"""Cinder's volume types with extra specs, access and encryption. As in Cinder, the pod chooses the ids."""

from typing import TYPE_CHECKING, Any

from trio2o.lab.emulated import paging, wire
from trio2o.lab.emulated.cinder import lists
from trio2o.lab.emulated.collation import collection, is_same
from trio2o.lab.emulated.wire import Refusal, Route

if TYPE_CHECKING:
    from trio2o.lab.emulated.cinder import Cinder

Type = dict[str, Any]
_VISIBLE_SPECS = ('RESKEY:availability_zones', 'multiattach', 'replication_enabled')


def add(cinder: 'Cinder', name: str, **given: Any) -> Type:
    """Add a volume type with an id that the pod chooses."""
    kind = {
        'id': cinder.new_id(),
        'name': name,
        'is_public': True,
        'description': None,
        'extra_specs': {},
        'qos_specs_id': None,
        'projects': set(),
        'encryption': None,
        'created_at': cinder.stamp(),
        **given,
    }
    specs = collection(cinder.settings.ignores_case)
    specs.update(kind['extra_specs'])
    kind['extra_specs'] = specs
    cinder.types[kind['id']] = kind
    return kind


def named(cinder: 'Cinder', wanted: Any) -> Type | None:
    """Return the type with an id or a name."""
    ignores_case = cinder.settings.ignores_case
    return next(
        (
            kind
            for kind in cinder.types.values()
            if any(is_same(kind[key], wanted, ignores_case) for key in ('id', 'name'))
        ),
        None,
    )


def _view(request: wire.Request, kind: Type, extended: bool = True, qos: bool = True) -> dict[str, Any]:
    view = {key: kind[key] for key in ('id', 'name', 'is_public', 'description')}
    view['extra_specs'] = (
        kind['extra_specs']
        if request.user.is_admin
        else {key: value for key, value in kind['extra_specs'].items() if key in _VISIBLE_SPECS}
    )
    if request.user.is_admin and qos:
        view['qos_specs_id'] = kind['qos_specs_id']
    if extended:
        view['os-volume-type-access:is_public'] = kind['is_public']
    return view


def find(cinder: 'Cinder', request: wire.Request) -> Type:
    """Return the type in the path.

    :raises Refusal: there is none, or the caller may not see it
    """
    wanted = request.args['type_id']
    kind = cinder.types.get(wanted)
    if kind is None or not (kind['is_public'] or request.user.is_admin or request.user.project_id in kind['projects']):
        raise Refusal(404, f'Volume type {wanted} could not be found.')
    return kind


def list_types(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """GET /types: admins may list private ones."""
    public = (request.last('is_public') or 'true').lower()
    admin, project = request.user.is_admin, request.user.project_id
    if admin and public == 'none':
        chosen = list(cinder.types.values())
    elif admin and public in ('0', 'f', 'false', 'off', 'n', 'no'):
        chosen = [kind for kind in cinder.types.values() if not kind['is_public']]
    else:
        chosen = [
            kind for kind in cinder.types.values() if kind['is_public'] or (not admin and project in kind['projects'])
        ]
    limit = lists.limit_of(cinder, request)
    page = _page(cinder, request, chosen)[:limit]
    body: dict[str, Any] = {'volume_types': [_view(request, kind) for kind in page]}
    more = lists.links_of(cinder, request, page, 'types')
    if more:
        body['volume_type_links'] = more
    return wire.reply(body)


def _page(cinder: 'Cinder', request: wire.Request, chosen: list[Type]) -> list[Type]:
    keys, dirs = lists.order_of(request)
    wanted = request.first('marker')
    if wanted is not None and wanted not in cinder.types:
        raise Refusal(404, f'Volume type {wanted} could not be found.')
    marker = cinder.types.get(wanted) if wanted else None
    rows = paging.after(chosen, marker, keys, dirs, lists.value_of)
    return rows[int(request.first('offset') or 0) :]


def show_type(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """GET /types/{id}, or /types/default."""
    if request.args['type_id'] == 'default':
        kind = next((row for row in cinder.types.values() if row['name'] == '__DEFAULT__'), None)
        if kind is None:
            raise Refusal(404, 'Default volume type can not be found.')
        return wire.reply({'volume_type': _view(request, kind, extended=False)})
    return wire.reply({'volume_type': _view(request, find(cinder, request))})


def create_type(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """POST /types: 200."""
    cinder.admin_only(request, 'volume_extension:type_create')
    body = cinder.body(request, 'volume_type')
    if not body.get('name'):
        raise Refusal(400, "'name' is a required property")
    if 'id' in body:
        raise Refusal(400, "Additional properties are not allowed ('id' was unexpected)")
    if any(is_same(kind['name'], body['name'], cinder.settings.ignores_case) for kind in cinder.types.values()):
        raise Refusal(409, f'Volume Type {body["name"]} already exists.')
    kind = add(
        cinder,
        body['name'],
        description=body.get('description'),
        extra_specs=dict(body.get('extra_specs') or {}),
        is_public=body.get('os-volume-type-access:is_public', True),
    )
    return wire.reply({'volume_type': _view(request, kind, qos=False)})


def update_type(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """PUT /types/{id}."""
    cinder.admin_only(request, 'volume_extension:type_update')
    body = cinder.body(request, 'volume_type')
    kind = find(cinder, request)
    if not any(body.get(key) is not None for key in ('name', 'description', 'is_public')):
        raise Refusal(400, 'Specify volume type name, description, is_public or a combination thereof.')
    others = [row for row in cinder.types.values() if row is not kind]
    if any(is_same(row['name'], body.get('name'), cinder.settings.ignores_case) for row in others):
        raise Refusal(409, f'Volume Type {body["name"]} already exists.')
    for key in ('name', 'description', 'is_public'):
        if body.get(key) is not None:
            kind[key] = body[key]
    return wire.reply({'volume_type': _view(request, kind, extended=False, qos=False)})


def delete_type(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """DELETE /types/{id}: 202, 400 while volumes use it."""
    cinder.admin_only(request, 'volume_extension:type_delete')
    kind = find(cinder, request)
    if any(volume['type_id'] == kind['id'] for volume in cinder.volumes.values()):
        raise Refusal(400, 'Target volume type is still in use.')
    del cinder.types[kind['id']]
    return wire.bare(202)


def list_specs(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """GET /types/{id}/extra_specs."""
    kind = find(cinder, request)
    shown = (
        kind['extra_specs']
        if request.user.is_admin
        else {key: value for key, value in kind['extra_specs'].items() if key in _VISIBLE_SPECS}
    )
    return wire.reply({'extra_specs': shown})


def create_specs(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """POST /types/{id}/extra_specs: add extra specs."""
    cinder.admin_only(request, 'volume_extension:types_extra_specs:create')
    given = cinder.body(request, 'extra_specs')
    find(cinder, request)['extra_specs'].update(given)
    return wire.reply({'extra_specs': given})


def _spec(cinder: 'Cinder', request: wire.Request) -> tuple[Type, str]:
    kind, key = find(cinder, request), request.args['key']
    if key not in kind['extra_specs']:
        raise Refusal(404, f'Volume Type {kind["id"]} has no extra specs with key {key}.')
    return kind, key


def show_spec(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """GET /types/{id}/extra_specs/{key}."""
    kind, key = _spec(cinder, request)
    return wire.reply({key: kind['extra_specs'][key]})


def update_spec(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """PUT /types/{id}/extra_specs/{key}."""
    cinder.admin_only(request, 'volume_extension:types_extra_specs:update')
    key, body = request.args['key'], cinder.body_of(request, '') or {}
    if key not in body:
        raise Refusal(400, 'Request body and URI mismatch')
    find(cinder, request)['extra_specs'][key] = body[key]
    return wire.reply({key: body[key]})


def delete_spec(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """DELETE /types/{id}/extra_specs/{key}: 202."""
    cinder.admin_only(request, 'volume_extension:types_extra_specs:delete')
    kind, key = _spec(cinder, request)
    del kind['extra_specs'][key]
    return wire.empty(202)


def list_access(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """GET /types/{id}/os-volume-type-access."""
    cinder.admin_only(request, 'volume_extension:volume_type_access:get_all_for_type')
    kind = find(cinder, request)
    if kind['is_public']:
        raise Refusal(404, 'Access list not available for public volume types.')
    return wire.reply(
        {
            'volume_type_access': [
                {'volume_type_id': kind['id'], 'project_id': project} for project in sorted(kind['projects'])
            ]
        }
    )


def act(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """POST /types/{id}/action: addProjectAccess and removeProjectAccess, 202."""
    body = cinder.body_of(request, 'application/vnd.openstack.volume+json')
    if not isinstance(body, dict) or len(body) != 1:
        raise Refusal(400, 'Malformed request body')
    name, given = next(iter(body.items()))
    if name not in ('addProjectAccess', 'removeProjectAccess'):
        raise Refusal(
            400, f'There is no such action: {name}. Verify the request body and Content-Type header and try again.'
        )
    cinder.admin_only(request, f'volume_extension:volume_type_access:{name}')
    kind, project = find(cinder, request), given['project']
    if kind['is_public']:
        raise Refusal(400, 'Invalid volume type: Type access modification is not applicable to public volume type.')
    if name == 'addProjectAccess':
        if project in kind['projects']:
            raise Refusal(409, f'Volume type access for {kind["id"]} / {project} combination already exists.')
        kind['projects'].add(project)
    elif project not in kind['projects']:
        raise Refusal(404, f'Volume type access not found for {kind["id"]} / {project} combination.')
    if name == 'removeProjectAccess':
        kind['projects'].discard(project)
    return wire.bare(202)


def show_encryption(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """GET /types/{id}/encryption: an empty object if there is none."""
    cinder.admin_only(request, 'volume_extension:volume_type_encryption:get')
    return wire.reply(find(cinder, request)['encryption'] or {})


def write_encryption(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """POST /types/{id}/encryption creates, PUT /types/{id}/encryption/{key} changes."""
    cinder.admin_only(request, 'volume_extension:volume_type_encryption:create')
    given, kind = cinder.body(request, 'encryption'), find(cinder, request)
    if request.method == 'POST':
        if kind['encryption']:
            raise Refusal(400, f'Volume type encryption for type {kind["id"]} already exists.')
        kind['encryption'] = {
            'volume_type_id': kind['id'],
            'encryption_id': cinder.new_id(),
            'cipher': None,
            'key_size': None,
            'control_location': 'front-end',
            'deleted': False,
            'deleted_at': None,
            'created_at': cinder.stamp().isoformat(),
            'updated_at': None,
        }
    elif not kind['encryption']:
        raise Refusal(404, f'Volume type encryption for type {kind["id"]} does not exist.')
    kind['encryption'].update(given)
    return wire.reply(
        {
            'encryption': {**given, 'volume_type_id': kind['id'], 'encryption_id': kind['encryption']['encryption_id']}
            if request.method == 'POST'
            else given
        }
    )


def delete_encryption(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """DELETE /types/{id}/encryption/{key}: 202."""
    cinder.admin_only(request, 'volume_extension:volume_type_encryption:delete')
    find(cinder, request)['encryption'] = None
    return wire.bare(202)


_SPECS = '/types/{type_id}/extra_specs'
_CRYPT = '/types/{type_id}/encryption'
ROUTES = [
    Route('GET', '/types', list_types),
    Route('POST', '/types', create_type),
    Route('GET', '/types/{type_id}', show_type),
    Route('PUT', '/types/{type_id}', update_type),
    Route('DELETE', '/types/{type_id}', delete_type),
    Route('POST', '/types/{type_id}/action', act),
    Route('GET', '/types/{type_id}/os-volume-type-access', list_access),
    Route('GET', _SPECS, list_specs),
    Route('POST', _SPECS, create_specs),
    Route('GET', _SPECS + '/{key}', show_spec),
    Route('PUT', _SPECS + '/{key}', update_spec),
    Route('DELETE', _SPECS + '/{key}', delete_spec),
    Route('GET', _CRYPT, show_encryption),
    Route('POST', _CRYPT, write_encryption),
    Route('PUT', _CRYPT + '/{key}', write_encryption),
    Route('DELETE', _CRYPT + '/{key}', delete_encryption),
]
