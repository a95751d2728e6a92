# SPDX-License-Identifier: Apache-2.0
"""Cinder's QoS specs and their associations with volume types."""

from typing import TYPE_CHECKING, Any

from trio2o.lab.emulated import wire
from trio2o.lab.emulated.cinder import volumes
from trio2o.lab.emulated.collation import collection, is_same
from trio2o.lab.emulated.wire import Refusal, Route

if TYPE_CHECKING:
    from trio2o.lab.emulated.cinder import Cinder


def _view(request: wire.Request, spec: dict[str, Any]) -> dict[str, Any]:
    return {key: spec[key] for key in ('id', 'name', 'consumer', 'specs')}


def _find(cinder: 'Cinder', request: wire.Request) -> dict[str, Any]:
    wanted = request.args['qos_id']
    if wanted not in cinder.qos_specs:
        raise Refusal(404, f'No such QoS spec {wanted}.')
    return cinder.qos_specs[wanted]


def _answer(request: wire.Request, spec: dict[str, Any]) -> wire.Response:
    return wire.reply({'qos_specs': _view(request, spec), 'links': volumes.links(request, 'qos-specs', spec['id'])})


def list_qos(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """GET /qos-specs, from a marker on."""
    cinder.admin_only(request, 'volume_extension:qos_specs_manage:get_all')
    ids, marker = list(cinder.qos_specs), request.last('marker')
    if marker in ids:
        ids = ids[ids.index(marker) + 1 :]
    return wire.reply({'qos_specs': [_view(request, cinder.qos_specs[each]) for each in ids]})


def show_qos(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """GET /qos-specs/{id}."""
    cinder.admin_only(request, 'volume_extension:qos_specs_manage:get')
    return _answer(request, _find(cinder, request))


def create_qos(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """POST /qos-specs."""
    cinder.admin_only(request, 'volume_extension:qos_specs_manage:create')
    given = dict(cinder.body(request, 'qos_specs'))
    name, consumer = given.pop('name', ''), given.pop('consumer', 'back-end')
    if any(is_same(row['name'], name, cinder.settings.ignores_case) for row in cinder.qos_specs.values()):
        raise Refusal(409, f'QoS specs {name} already exists.')
    specs = collection(cinder.settings.ignores_case)
    specs.update(given)
    spec = {'id': cinder.new_id(), 'name': name, 'consumer': consumer, 'specs': specs}
    cinder.qos_specs[spec['id']] = spec
    return _answer(request, spec)


def update_qos(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """PUT /qos-specs/{id}."""
    cinder.admin_only(request, 'volume_extension:qos_specs_manage:update')
    given = dict(cinder.body(request, 'qos_specs'))
    spec = _find(cinder, request)
    spec['consumer'] = given.pop('consumer', spec['consumer'])
    spec['specs'].update(given)
    return wire.reply(wire.loads(request.body))


def drop_keys(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """PUT /qos-specs/{id}/delete_keys: 202."""
    cinder.admin_only(request, 'volume_extension:qos_specs_manage:delete')
    spec, body = _find(cinder, request), cinder.body_of(request, '') or {}
    for key in body.get('keys') or []:
        if key not in spec['specs']:
            raise Refusal(404, f'QoS spec {spec["id"]} has no spec with key {key}.')
        del spec['specs'][key]
    return wire.bare(202)


def delete_qos(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """DELETE /qos-specs/{id}: 202, 400 while types use it."""
    cinder.admin_only(request, 'volume_extension:qos_specs_manage:delete')
    spec = _find(cinder, request)
    users = [kind for kind in cinder.types.values() if kind['qos_specs_id'] == spec['id']]
    if users and str(request.last('force', 'false')).lower() != 'true':
        raise Refusal(400, 'Failed to delete qos_specs: QoS Specs is still associated with entities.')
    for kind in users:
        kind['qos_specs_id'] = None
    del cinder.qos_specs[spec['id']]
    return wire.bare(202)


def bind_qos(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """GET /qos-specs/{id}/associate, disassociate and disassociate_all, which write although they are GETs. 202."""
    cinder.admin_only(request, 'volume_extension:qos_specs_manage:update')
    spec, verb = _find(cinder, request), request.path.rpartition('/')[2]
    if verb == 'disassociate_all':
        for kind in cinder.types.values():
            if kind['qos_specs_id'] == spec['id']:
                kind['qos_specs_id'] = None
        return wire.bare(202)
    kind = cinder.types.get(request.last('vol_type_id') or '')
    if kind is None:
        raise Refusal(
            404 if request.has('vol_type_id') else 400,
            'Volume Type id must not be None.'
            if not request.has('vol_type_id')
            else f'Volume type {request.last("vol_type_id")} could not be found.',
        )
    kind['qos_specs_id'] = spec['id'] if verb == 'associate' else None
    return wire.bare(202)


def list_qos_users(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """GET /qos-specs/{id}/associations."""
    cinder.admin_only(request, 'volume_extension:qos_specs_manage:get_all_associations')
    spec = _find(cinder, request)
    return wire.reply(
        {
            'qos_associations': [
                {'association_type': 'volume_type', 'id': kind['id'], 'name': kind['name']}
                for kind in cinder.types.values()
                if kind['qos_specs_id'] == spec['id']
            ]
        }
    )


ROUTES = [
    Route('GET', '/qos-specs', list_qos),
    Route('POST', '/qos-specs', create_qos),
    Route('GET', '/qos-specs/{qos_id}', show_qos),
    Route('PUT', '/qos-specs/{qos_id}', update_qos),
    Route('DELETE', '/qos-specs/{qos_id}', delete_qos),
    Route('PUT', '/qos-specs/{qos_id}/delete_keys', drop_keys),
    Route('GET', '/qos-specs/{qos_id}/associations', list_qos_users),
    Route('GET', '/qos-specs/{qos_id}/associate', bind_qos),
    Route('GET', '/qos-specs/{qos_id}/disassociate', bind_qos),
    Route('GET', '/qos-specs/{qos_id}/disassociate_all', bind_qos),
]
