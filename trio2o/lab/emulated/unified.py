# SPDX-License-Identifier: Apache-2.0
"""Keystone's unified limits and project tree: the calls that services make."""

from typing import TYPE_CHECKING, Any

from trio2o.lab.emulated import wire

if TYPE_CHECKING:
    from trio2o.lab.emulated.keystone import Keystone


def parents(keystone: 'Keystone', project_id: str) -> dict[str, Any] | None:
    """Return ``parents_as_ids`` of a project: nested, with the domain as the last one."""
    above = keystone.parents.get(project_id)
    return {'default': None} if above is None else {above: parents(keystone, above)}


def subtree(keystone: 'Keystone', project_id: str) -> dict[str, Any] | None:
    """Return ``subtree_as_ids`` of a project."""
    below = [child for child, above in keystone.parents.items() if above == project_id]
    return {child: subtree(keystone, child) for child in below} or None


def show_model(keystone: 'Keystone', request: wire.Request) -> wire.Response:
    """GET /v3/limits/model."""
    keystone.caller(request)
    return wire.reply({'model': {'name': keystone.limit_model, 'description': ''}})


def list_limits(keystone: 'Keystone', request: wire.Request) -> wire.Response:
    """GET /v3/limits, of a project, service and region."""
    return _list(keystone, request, 'limits', keystone.limits)


def list_registered_limits(keystone: 'Keystone', request: wire.Request) -> wire.Response:
    """GET /v3/registered_limits, of a service and region."""
    return _list(keystone, request, 'registered_limits', keystone.registered_limits)


def _list(keystone: 'Keystone', request: wire.Request, name: str, rows: list[dict[str, Any]]) -> wire.Response:
    keystone.caller(request)
    for key in ('project_id', 'service_id', 'region_id', 'resource_name'):
        value = request.last(key)
        if value is not None:
            rows = [row for row in rows if row.get(key) == value]
    return wire.reply({name: rows, 'links': {'self': f'{request.base}/v3/{name}', 'next': None, 'previous': None}})


ROUTES = [
    wire.Route('GET', '/v3/limits/model', show_model),
    wire.Route('GET', '/v3/limits', list_limits),
    wire.Route('GET', '/v3/registered_limits', list_registered_limits),
]
