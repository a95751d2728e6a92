# SPDX-License-Identifier: Apache-2.0
"""Nova's flavors, their extra specs and their access lists."""

from typing import TYPE_CHECKING, Any

from trio2o.lab.emulated import paging, wire
from trio2o.lab.emulated.collation import collection, is_same
from trio2o.lab.emulated.nova import server_views
from trio2o.lab.emulated.wire import Refusal, Route

if TYPE_CHECKING:
    from trio2o.lab.emulated.nova import Nova

Flavor = dict[str, Any]


def add(
    nova: 'Nova', name: str, ram: int, disk: int, vcpus: int, flavor_id: str | None = None, **given: Any
) -> Flavor:
    """Add a flavor."""
    flavor = {
        'id': flavor_id or nova.new_id(),
        'name': name,
        'ram': ram,
        'disk': disk,
        'vcpus': vcpus,
        'ephemeral': 0,
        'swap': 0,
        'rxtx_factor': 1.0,
        'is_public': True,
        'disabled': False,
        'description': None,
        'extra_specs': {},
        'projects': set(),
    }
    flavor |= given
    specs = collection(nova.settings.ignores_case)
    specs.update(flavor['extra_specs'])
    flavor['extra_specs'] = specs
    nova.flavors[flavor['id']] = flavor
    return flavor


def _full(request: wire.Request, flavor: Flavor) -> dict[str, Any]:
    minor = request.minor
    view = {
        'id': flavor['id'],
        'name': flavor['name'],
        'ram': flavor['ram'],
        'disk': flavor['disk'],
        'swap': flavor['swap'] or (0 if minor >= 75 else ''),
        'OS-FLV-EXT-DATA:ephemeral': flavor['ephemeral'],
        'vcpus': flavor['vcpus'],
        'os-flavor-access:is_public': flavor['is_public'],
        'links': server_views.links(request, 'flavors', flavor['id']),
    }
    if minor < 102:
        view |= {'OS-FLV-DISABLED:disabled': flavor['disabled'], 'rxtx_factor': flavor['rxtx_factor']}
    if minor >= 55:
        view['description'] = flavor['description']
    if minor >= 61:
        view['extra_specs'] = flavor['extra_specs']
    return view


def _brief(request: wire.Request, flavor: Flavor) -> dict[str, Any]:
    view = {'id': flavor['id'], 'name': flavor['name'], 'links': server_views.links(request, 'flavors', flavor['id'])}
    if request.minor >= 55:
        view['description'] = flavor['description']
    return view


def _find(nova: 'Nova', request: wire.Request) -> Flavor:
    wanted = request.args['flavor_id']
    flavor = nova.flavors.get(wanted)
    if flavor is None or not (
        flavor['is_public'] or request.user.is_admin or request.user.project_id in flavor['projects']
    ):
        raise Refusal(404, f'Flavor {wanted} could not be found.')
    return flavor


def _page(nova: 'Nova', request: wire.Request) -> list[Flavor]:
    admin, project = request.user.is_admin, request.user.project_id
    public = (request.last('is_public') or 'true').lower()
    if admin and public == 'none':
        chosen = list(nova.flavors.values())
    elif admin and public in ('0', 'f', 'false', 'off', 'n', 'no'):
        chosen = [flavor for flavor in nova.flavors.values() if not flavor['is_public']]
    else:
        chosen = [
            flavor
            for flavor in nova.flavors.values()
            if flavor['is_public'] or (not admin and project in flavor['projects'])
        ]
    for name, key in (('minRam', 'ram'), ('minDisk', 'disk')):
        text = request.last(name)
        if text is not None:
            if not text.isdigit():
                raise Refusal(400, f'Invalid {name} filter [{text}]')
            chosen = [flavor for flavor in chosen if flavor[key] >= int(text)]
    limit = paging.number(request, 'limit', nova.settings.max_limit, nova.settings.max_limit)
    columns = {'flavorid': 'id', 'memory_mb': 'ram', 'root_gb': 'disk', 'ephemeral_gb': 'ephemeral'}
    key = request.last('sort_key') or 'flavorid'
    way = request.last('sort_dir') or 'asc'
    marker = request.last('marker')
    if marker is not None and marker not in nova.flavors:
        raise Refusal(400, f'marker [{marker}] not found')
    keys = [columns.get(key, key), 'id']
    return paging.after(chosen, nova.flavors.get(marker) if marker else None, keys, [way, 'asc'])[:limit]


def _list(nova: 'Nova', request: wire.Request, path: str, view: Any) -> wire.Response:
    page = _page(nova, request)
    body: dict[str, Any] = {'flavors': [view(request, flavor) for flavor in page]}
    limit = paging.number(request, 'limit', nova.settings.max_limit, nova.settings.max_limit)
    if limit and len(page) == limit:
        body['flavors_links'] = paging.next_link(request, path, page[-1]['id'])
    return wire.reply(body)


def list_flavors(nova: 'Nova', request: wire.Request) -> wire.Response:
    """GET /flavors."""
    return _list(nova, request, 'flavors', _brief)


def list_details(nova: 'Nova', request: wire.Request) -> wire.Response:
    """GET /flavors/detail."""
    return _list(nova, request, 'flavors/detail', _full)


def show_flavor(nova: 'Nova', request: wire.Request) -> wire.Response:
    """GET /flavors/{id}."""
    return wire.reply({'flavor': _full(request, _find(nova, request))})


def create_flavor(nova: 'Nova', request: wire.Request) -> wire.Response:
    """POST /flavors: 200."""
    nova.admin_only(request, 'os_compute_api:os-flavor-manage:create')
    body = nova.body(request, 'flavor')
    for key in ('name', 'ram', 'vcpus', 'disk'):
        if key not in body:
            raise Refusal(
                400, f"Invalid input for field/attribute flavor. Value: {body}. '{key}' is a required property"
            )
    wanted = body.get('id') if body.get('id') not in (None, 'auto') else nova.new_id()
    if any(is_same(flavor['name'], body['name'], nova.settings.ignores_case) for flavor in nova.flavors.values()):
        raise Refusal(409, f'Flavor with name {body["name"]} already exists.')
    if str(wanted) in nova.flavors:
        raise Refusal(409, f'Flavor with ID {wanted} already exists.')
    flavor = add(
        nova,
        body['name'],
        int(body['ram']),
        int(body['disk']),
        int(body['vcpus']),
        flavor_id=str(wanted),
        ephemeral=int(body.get('OS-FLV-EXT-DATA:ephemeral', 0)),
        swap=int(body.get('swap') or 0),
        rxtx_factor=float(body.get('rxtx_factor', 1.0)),
        is_public=body.get('os-flavor-access:is_public', True),
        description=body.get('description'),
    )
    return wire.reply({'flavor': _full(request, flavor)})


def update_flavor(nova: 'Nova', request: wire.Request) -> wire.Response:
    """PUT /flavors/{id}, from 2.55: change the description."""
    nova.admin_only(request, 'os_compute_api:os-flavor-manage:update')
    body = nova.body(request, 'flavor')
    flavor = _find(nova, request)
    flavor['description'] = body.get('description')
    return wire.reply({'flavor': _full(request, flavor)})


def delete_flavor(nova: 'Nova', request: wire.Request) -> wire.Response:
    """DELETE /flavors/{id}: 202."""
    nova.admin_only(request, 'os_compute_api:os-flavor-manage:delete')
    del nova.flavors[_find(nova, request)['id']]
    return wire.empty(202)


def list_specs(nova: 'Nova', request: wire.Request) -> wire.Response:
    """GET /flavors/{id}/os-extra_specs."""
    return wire.reply({'extra_specs': _find(nova, request)['extra_specs']})


def create_specs(nova: 'Nova', request: wire.Request) -> wire.Response:
    """POST /flavors/{id}/os-extra_specs: add extra specs."""
    nova.admin_only(request, 'os_compute_api:os-flavor-extra-specs:create')
    body = nova.body(request, 'extra_specs')
    _find(nova, request)['extra_specs'].update(body)
    return wire.reply({'extra_specs': body})


def _spec(nova: 'Nova', request: wire.Request) -> tuple[Flavor, str]:
    flavor, key = _find(nova, request), request.args['key']
    if key not in flavor['extra_specs']:
        raise Refusal(404, f'Flavor {flavor["id"]} has no extra specs with key {key}.')
    return flavor, key


def show_spec(nova: 'Nova', request: wire.Request) -> wire.Response:
    """GET /flavors/{id}/os-extra_specs/{key}."""
    flavor, key = _spec(nova, request)
    return wire.reply({key: flavor['extra_specs'][key]})


def update_spec(nova: 'Nova', request: wire.Request) -> wire.Response:
    """PUT /flavors/{id}/os-extra_specs/{key}."""
    nova.admin_only(request, 'os_compute_api:os-flavor-extra-specs:update')
    key = request.args['key']
    body = wire.loads(request.body or b'{}')
    if key not in body:
        raise Refusal(400, 'Request body and URI mismatch')
    _find(nova, request)['extra_specs'][key] = body[key]
    return wire.reply({key: body[key]})


def delete_spec(nova: 'Nova', request: wire.Request) -> wire.Response:
    """DELETE /flavors/{id}/os-extra_specs/{key}: 200 without a body."""
    nova.admin_only(request, 'os_compute_api:os-flavor-extra-specs:delete')
    flavor, key = _spec(nova, request)
    del flavor['extra_specs'][key]
    return wire.empty(200)


def _access(flavor: Flavor) -> wire.Response:
    return wire.reply(
        {
            'flavor_access': [
                {'flavor_id': flavor['id'], 'tenant_id': project} for project in sorted(flavor['projects'])
            ]
        }
    )


def list_access(nova: 'Nova', request: wire.Request) -> wire.Response:
    """GET /flavors/{id}/os-flavor-access."""
    nova.admin_only(request, 'os_compute_api:os-flavor-access')
    flavor = _find(nova, request)
    if flavor['is_public']:
        raise Refusal(404, 'Access list not available for public flavors.')
    return _access(flavor)


def change_access(nova: 'Nova', request: wire.Request) -> wire.Response:
    """POST /flavors/{id}/action: addTenantAccess and removeTenantAccess."""
    body = wire.loads(request.body or b'{}')
    if len(body) != 1:
        raise Refusal(400, 'Malformed request body')
    action, given = next(iter(body.items()))
    if action not in ('addTenantAccess', 'removeTenantAccess'):
        raise Refusal(400, f'There is no such action: {action}')
    rule = 'add_tenant_access' if action == 'addTenantAccess' else 'remove_tenant_access'
    nova.admin_only(request, f'os_compute_api:os-flavor-access:{rule}')
    flavor, project = _find(nova, request), given['tenant']
    if action == 'addTenantAccess':
        if flavor['is_public']:
            raise Refusal(409, 'Can not add access to a public flavor.')
        if project in flavor['projects']:
            raise Refusal(
                409, f'Flavor access already exists for flavor {flavor["id"]} and project {project} combination.'
            )
        flavor['projects'].add(project)
    elif project not in flavor['projects']:
        raise Refusal(404, f'Flavor access not found for {flavor["id"]} / {project} combination.')
    else:
        flavor['projects'].discard(project)
    return _access(flavor)


ROUTES = [
    Route('GET', '/flavors', list_flavors),
    Route('POST', '/flavors', create_flavor),
    Route('GET', '/flavors/detail', list_details),
    Route('GET', '/flavors/{flavor_id}', show_flavor),
    Route('PUT', '/flavors/{flavor_id}', update_flavor, since=55),
    Route('DELETE', '/flavors/{flavor_id}', delete_flavor),
    Route('POST', '/flavors/{flavor_id}/action', change_access),
    Route('GET', '/flavors/{flavor_id}/os-flavor-access', list_access),
    Route('GET', '/flavors/{flavor_id}/os-extra_specs', list_specs),
    Route('POST', '/flavors/{flavor_id}/os-extra_specs', create_specs),
    Route('GET', '/flavors/{flavor_id}/os-extra_specs/{key}', show_spec),
    Route('PUT', '/flavors/{flavor_id}/os-extra_specs/{key}', update_spec),
    Route('DELETE', '/flavors/{flavor_id}/os-extra_specs/{key}', delete_spec),
]
