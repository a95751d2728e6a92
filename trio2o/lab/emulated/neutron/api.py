# SPDX-License-Identifier: Apache-2.0
"""The Networking API v2.0: who may do what, filters, and the routes."""

from typing import TYPE_CHECKING, Any

from trio2o.lab.emulated import paging, wire
from trio2o.lab.emulated.neutron import kinds
from trio2o.lab.emulated.neutron.kinds import FIXED_IP_FILTERS, Kind, NeutronError, Row

if TYPE_CHECKING:
    from trio2o.lab.emulated.neutron import Neutron

_NOT_FILTERS = {'fields', 'limit', 'marker', 'sort_key', 'sort_dir', 'page_reverse'}


def _is_privileged(request: wire.Request) -> bool:
    return request.user.is_admin or 'service' in request.user.roles


def _is_mine(request: wire.Request, row: Row) -> bool:
    return _is_privileged(request) or row['project_id'] == request.user.project_id


def _owns_network(neutron: 'Neutron', request: wire.Request, row: Row) -> bool:
    network = neutron.networks.get(row.get('network_id') or '')
    return network is not None and _is_mine(request, network)


def _is_visible(neutron: 'Neutron', request: wire.Request, kind: Kind, row: Row) -> bool:
    if _is_mine(request, row):
        return True
    if kind is kinds.NETWORK:
        return bool(row['shared'] or row['router:external'])
    if kind is kinds.SUBNET:
        return bool(neutron.networks[row['network_id']]['shared']) or _owns_network(neutron, request, row)
    return kind is kinds.PORT and _owns_network(neutron, request, row)


def _find(neutron: 'Neutron', request: wire.Request, kind: Kind) -> Row:
    """Return the resource in the path. :raises NeutronError: 404: there is none that the caller may see"""
    row = neutron.find(kind, request.args['id'])
    if not _is_visible(neutron, request, kind, row):
        raise kind.not_found(row['id'])
    return row


def _denied(rule: str, attribute: str = '') -> NeutronError:
    text = f'rule:{rule}' if not attribute else f'(rule:{rule} and rule:{rule}:{attribute})'
    return NeutronError(403, 'PolicyNotAuthorized', f'{text} is disallowed by policy')


def _check_rights(
    neutron: 'Neutron', request: wire.Request, kind: Kind, verb: str, row: Row, given: Row | None = None
) -> None:
    """Refuse what the default policies forbid to callers without the role admin or service."""
    rule = f'{verb}_{kind.name}'
    if _is_privileged(request):
        return
    if 'member' not in request.user.roles or not (
        _is_mine(request, row) or (kind in (kinds.SUBNET, kinds.PORT) and _owns_network(neutron, request, row))
    ):
        raise _denied(rule)
    for name in given or ():
        if name in kind.restricted or (kind is kinds.NETWORK and name in ('shared', 'router:external')):
            raise _denied(rule, name)
        if kind is kinds.FLOATING_IP and name == 'floating_ip_address':
            raise _denied(rule, name)
    if kind is kinds.PORT and not _owns_network(neutron, request, row):
        chosen = [each for each in (given or {}).get('fixed_ips') or () if each.get('ip_address')]
        if chosen or (given or {}).get('mac_address'):
            raise _denied(rule, 'fixed_ips' if chosen else 'mac_address')


def _view(request: wire.Request, kind: Kind, row: Row) -> Row:
    """Show a resource without what its reader may not see and did not ask for."""
    fields = set(request.every('fields')) if request.method == 'GET' else set()
    hidden = frozenset() if _is_privileged(request) else kind.restricted
    return {name: value for name, value in row.items() if name not in hidden and (not fields or name in fields)}


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _matches(row: Row, name: str, wanted: list[str]) -> bool:
    value = row[name]
    if name == 'fixed_ips':
        pairs = [text.partition('=')[::2] for text in wanted]
        return all(
            any(FIXED_IP_FILTERS[key](fixed, text) for fixed in value)
            for key, text in pairs
            if key in FIXED_IP_FILTERS
        )
    if name == 'tags':
        return set(wanted[-1].split(',')) <= set(value)
    if isinstance(value, list):
        return bool(set(wanted) & set(value))
    if isinstance(value, bool):
        wanted = [{'1': 'true', '0': 'false'}.get(text, text.lower()) for text in wanted]
    return _text(value or '' if value is None else value) in wanted


def _given(neutron: 'Neutron', request: wire.Request, kind: Kind, verb: str) -> Row:
    body = neutron.body_of(request, '')
    if not isinstance(body, dict):
        raise kinds.bad('Body contains invalid data' if body is not None else 'Resource body required')
    if not isinstance(body.get(kind.name), dict):
        raise kinds.bad(f"Unable to find '{kind.name}' in request body")
    given: Row = body[kind.name]
    known = kind.settable | kind.fixed
    row: Row = next(iter(neutron.rows(kind).values()), {})
    for name in sorted(set(given) - (known if verb == 'create' else kind.settable)):
        if name not in known | set(row):
            raise kinds.bad(f"Unrecognized attribute(s) '{name}'")
        text = f"Attribute '{name}' not allowed in POST"
        raise kinds.bad(text if verb == 'create' else f'Cannot update read-only attribute {name}')
    for name, value in given.items():
        wanted, text = kinds.TYPES.get(name, (object, ''))
        if not isinstance(value, wanted) and value is not None:
            raise kinds.bad(f"Invalid input for {name}. Reason: '{value}' is not a valid {text}.")
    if not all(isinstance(each, dict) for each in given.get('fixed_ips') or ()):
        raise kinds.bad('Invalid input for fixed_ips. Reason: Invalid data format for fixed IP.')
    return given


def list_rows(neutron: 'Neutron', request: wire.Request, kind: Kind) -> wire.Response:
    """GET: filters, of which several values of one name are alternatives, sort keys, limit and marker, fields."""
    if kind is kinds.SECURITY_GROUP:
        neutron.groups_of(request.user.project_id)
    rows = [row for row in neutron.rows(kind).values() if _is_visible(neutron, request, kind, row)]
    filters: dict[str, list[str]] = {}
    for name, value in request.params:
        if name not in _NOT_FILTERS:
            filters.setdefault(name, []).append(value)
    unknown = [name for name in filters if rows and name not in rows[0]]
    if unknown:
        raise kinds.invalid(f'{unknown} is invalid attribute for filtering')
    for name, wanted in filters.items():
        rows = [row for row in rows if _matches(row, name, wanted)]
    sort_keys = request.every('sort_key')
    if sort_keys:
        dirs = [*request.every('sort_dir'), *['asc'] * len(sort_keys)][: len(sort_keys)]
        rows = paging.in_order(rows, sort_keys, dirs)
    marker = request.last('marker')
    if marker:
        ids = [row['id'] for row in rows]
        if marker not in ids:
            raise kind.not_found(marker)
        rows = rows[ids.index(marker) + 1 :]
    limit = paging.number(request, 'limit', 0)
    return wire.reply({kind.plural: [_view(request, kind, row) for row in (rows[:limit] if limit else rows)]})


def show_row(neutron: 'Neutron', request: wire.Request, kind: Kind) -> wire.Response:
    """GET /{id}."""
    return wire.reply({kind.name: _view(request, kind, _find(neutron, request, kind))})


def create_row(neutron: 'Neutron', request: wire.Request, kind: Kind) -> wire.Response:
    """POST: 201. Only one at a time; Neutron creates many from a list."""
    given = _given(neutron, request, kind, 'create')
    for name in kind.required:
        if name not in given:
            raise kinds.bad(f"Failed to parse request. Required attribute '{name}' not specified")
    project_id = given.get('project_id') or given.get('tenant_id') or request.user.project_id
    if project_id != request.user.project_id and not _is_privileged(request):
        raise kinds.bad(
            "Specifying 'project_id' or 'tenant_id' other than the authenticated project in request requires admin "
            'privileges'
        )
    if kind in (kinds.SUBNET, kinds.PORT):
        network = neutron.networks.get(given['network_id'])
        if network is None or not _is_visible(neutron, request, kinds.NETWORK, network):
            raise kinds.NETWORK.not_found(given['network_id'])
        if kind is kinds.PORT and network['router:external'] and not _is_mine(request, network):
            raise _denied('create_port')
        if kind is kinds.SUBNET and not _is_mine(request, network):
            raise _denied('create_subnet')
    _check_rights(neutron, request, kind, 'create', {**given, 'project_id': project_id}, given)
    row = neutron.create(kind, project_id, given)
    return wire.reply({kind.name: _view(request, kind, row)}, 201)


def update_row(neutron: 'Neutron', request: wire.Request, kind: Kind) -> wire.Response:
    """PUT /{id}: 200."""
    given = _given(neutron, request, kind, 'update')
    row = _find(neutron, request, kind)
    _check_rights(neutron, request, kind, 'update', row, given)
    if kind is kinds.SECURITY_GROUP and row['name'] == 'default' and given.get('name', 'default') != 'default':
        raise NeutronError(409, 'SecurityGroupCannotUpdateDefault', 'Updating default security group not allowed.')
    return wire.reply({kind.name: _view(request, kind, neutron.update(kind, row, given))})


def delete_row(neutron: 'Neutron', request: wire.Request, kind: Kind) -> wire.Response:
    """DELETE /{id}: 204; 409 while it is in use. A port is deleted even if a server has it."""
    row = _find(neutron, request, kind)
    _check_rights(neutron, request, kind, 'delete', row)
    if kind is kinds.SECURITY_GROUP and row['name'] == 'default' and not request.user.is_admin:
        text = 'Insufficient rights for removing default security group.'
        raise NeutronError(409, 'SecurityGroupCannotRemoveDefault', text)
    neutron.delete(kind, row)
    return wire.bare(204)


def list_tags(neutron: 'Neutron', request: wire.Request, kind: Kind) -> wire.Response:
    """GET /{id}/tags."""
    return wire.reply({'tags': _find(neutron, request, kind)['tags']})


def replace_tags(neutron: 'Neutron', request: wire.Request, kind: Kind) -> wire.Response:
    """PUT /{id}/tags: 200. DELETE: 204, without tags."""
    row = _find(neutron, request, kind)
    _check_rights(neutron, request, kind, 'update', row)
    if request.method == 'DELETE':
        row['tags'] = []
        return wire.bare(204)
    body = neutron.body_of(request, '')
    if not isinstance(body, dict) or not isinstance(body.get('tags'), list):
        raise kinds.bad('Invalid tags body')
    row['tags'] = sorted(set(body['tags']))
    return wire.reply({'tags': row['tags']})


def change_tag(neutron: 'Neutron', request: wire.Request, kind: Kind) -> wire.Response:
    """PUT /{id}/tags/{tag}: 201. DELETE: 204, or 404."""
    row, tag = _find(neutron, request, kind), request.args['tag']
    _check_rights(neutron, request, kind, 'update', row)
    if request.method == 'PUT':
        row['tags'] = sorted({*row['tags'], tag})
        return wire.bare(201)
    if tag not in row['tags']:
        raise NeutronError(404, 'TagNotFound', f'Tag {tag} could not be found.')
    row['tags'].remove(tag)
    return wire.bare(204)


def _routes(kind: Kind) -> list[wire.Route]:
    path = f'/v2.0/{kind.path}'
    rows = (
        ('GET', path, list_rows),
        ('POST', path, create_row),
        ('GET', path + '/{id}', show_row),
        ('PUT', path + '/{id}', update_row),
        ('DELETE', path + '/{id}', delete_row),
        ('GET', path + '/{id}/tags', list_tags),
        ('PUT', path + '/{id}/tags', replace_tags),
        ('DELETE', path + '/{id}/tags', replace_tags),
        ('PUT', path + '/{id}/tags/{tag}', change_tag),
        ('DELETE', path + '/{id}/tags/{tag}', change_tag),
    )
    return [
        wire.Route(method, each, lambda neutron, request, run=run: run(neutron, request, kind))
        for method, each, run in rows
    ]


ROUTES = [route for kind in kinds.KINDS for route in _routes(kind)]
