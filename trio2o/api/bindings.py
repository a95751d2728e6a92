# SPDX-License-Identifier: Apache-2.0
"""/bindings: which pods a project is bound to, by the scheduler or by hand.

A binding that is deleted ends, and is kept: ``history=true`` shows those too.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from trio2o import exception
from trio2o.api import pages
from trio2o.api.schemas import bindings as schemas
from trio2o.db import bindings as db_bindings
from trio2o.db import errors
from trio2o.db import pods as db_pods
from trio2o.db.records import Binding
from trio2o.web.call import Answer, Call


def view(binding: Binding) -> dict[str, Any]:
    return asdict(binding)


def list_bindings(call: Call) -> Answer:
    """GET /bindings: 200, 400."""
    query = schemas.LIST.read(call)
    filters = pages.filters_of(query, 'history', 'is_pinned')
    if 'is_pinned' in query:
        filters['is_pinned'] = pages.is_true(query, 'is_pinned')
    if not pages.is_true(query, 'history'):
        filters['ended_at'] = None
    limit = pages.limit_of(query)
    try:
        found = db_bindings.list_(
            call.runtime.db,
            filters=filters,
            limit=limit,
            marker=query.get('marker'),
            sort=pages.sort_of(query, (('created_at', 'asc'),)),
        )
    except ValueError as error:
        raise exception.BadRequest(f"Invalid input for field 'marker': {error}") from error
    last = found[-1].id if found else ''
    return pages.answer(call, 'pod_bindings', [view(binding) for binding in found], limit, last)


def show_binding(call: Call) -> Answer:
    """GET /bindings/{binding_id}: 200, 404."""
    query = schemas.SHOW.read(call)
    binding = db_bindings.get(call.runtime.db, call.id)
    if binding is None or not (binding.is_current or pages.is_true(query, 'history')):
        raise _not_found(call.id)
    return Answer.of({'pod_binding': view(binding)})


def create_binding(call: Call) -> Answer:
    """POST /bindings: 200, 400, 409, 422."""
    wanted = schemas.CREATE.read(call)
    pod = db_pods.get(call.runtime.db, wanted['pod_id'])
    if pod is None:
        raise _refused('pod_id', f'there is no pod {wanted["pod_id"]}')
    if pod.is_top:
        raise _refused('pod_id', 'the top region cannot be bound to')
    az_name = wanted.get('az_name') or pod.az_name
    if az_name != pod.az_name:
        raise _refused('az_name', f"pod {pod.pod_name} is in zone '{pod.az_name}'")
    try:
        binding = db_bindings.create(call.runtime.db, **{**wanted, 'az_name': az_name})
    except errors.Duplicate as error:
        raise exception.Conflict(f'Project {wanted["tenant_id"]} is bound to pod {pod.pod_id} already.') from error
    except errors.NotFound as error:
        raise _refused('pod_id', f'there is no pod {pod.pod_id}') from error
    return Answer.of({'pod_binding': view(binding)})


def delete_binding(call: Call) -> Answer:
    """DELETE /bindings/{binding_id}: 200, 404."""
    if not db_bindings.end(call.runtime.db, call.id):
        raise _not_found(call.id)
    return Answer.of({})


def _not_found(binding_id: str) -> exception.NotFound:
    return exception.NotFound(f'Binding {binding_id} could not be found.')


def _refused(field: str, reason: str) -> exception.Unprocessable:
    return exception.Unprocessable(f"Invalid input for field 'pod_binding.{field}': {reason}")
