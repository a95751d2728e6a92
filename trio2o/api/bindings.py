# SPDX-License-Identifier: Apache-2.0
"""/bindings: which pods a project is bound to, by the scheduler or by hand.

A binding that is deleted ends and is kept; ``history=true`` shows ended bindings too. The scheduler prefers a binding
made by hand (``is_pinned``) to its own and never changes it. An exclusive binding excludes the other pods of the zone.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from trio2o import exception
from trio2o.api import pagination
from trio2o.api.schemas import bindings as schemas
from trio2o.db import bindings as db_bindings
from trio2o.db import errors
from trio2o.db import pods as db_pods
from trio2o.db.records import Binding
from trio2o.pods.registry import group_of
from trio2o.web.call import Answer, Call

_LABELS = {'az_name': 'zone', 'affinity_group': 'affinity group'}


def view(binding: Binding) -> dict[str, Any]:
    return asdict(binding)


def list_bindings(call: Call) -> Answer:
    """GET /bindings: 200, 400."""
    query = schemas.LIST.read(call)
    filters = pagination.filters_of(query, 'history', 'is_pinned')
    if 'is_pinned' in query:
        filters['is_pinned'] = pagination.is_true(query, 'is_pinned')
    if not pagination.is_true(query, 'history'):
        filters['ended_at'] = None
    return pagination.read(
        call, 'pod_bindings', query, db_bindings.list_, view, filters=filters, default=(('created_at', 'asc'),)
    )


def show_binding(call: Call) -> Answer:
    """GET /bindings/{binding_id}: 200, 404."""
    query = schemas.SHOW.read(call)
    binding = db_bindings.get(call.runtime.db, call.id)
    if binding is None or not (binding.is_current or pagination.is_true(query, 'history')):
        raise _not_found(call.id)
    return Answer.of({'pod_binding': view(binding)})


def create_binding(call: Call) -> Answer:
    """POST /bindings: 200, 400, 409, 422."""
    wanted = schemas.CREATE.read(call)
    pod = db_pods.get(call.runtime.db, wanted['pod_id'])
    if pod is None:
        raise _refused('pod_id', f'there is no pod {wanted["pod_id"]}')
    if pod.is_top:
        raise _refused('pod_id', 'a project cannot be bound to the top region')
    group = group_of(pod.resource_affinity_tag)
    for name, value in (('az_name', pod.az_name), ('affinity_group', group)):
        if wanted.get(name, '') not in ('', value):
            raise _refused(name, f"pod {pod.pod_name} is in {_LABELS[name]} '{value}'")
    try:
        binding = db_bindings.create(call.runtime.db, **{**wanted, 'az_name': pod.az_name, 'affinity_group': group})
    except errors.Duplicate as error:
        raise exception.Conflict(f'Project {wanted["tenant_id"]} is already bound to pod {pod.pod_id}.') from error
    except errors.RecordNotFound as error:
        raise _refused('pod_id', f'there is no pod {pod.pod_id}') from error
    return Answer.of({'pod_binding': view(binding)})


def update_binding(call: Call) -> Answer:
    """PATCH /bindings/{binding_id}: set whether the scheduler may move it; move it. 200, 400, 404, 409, 422."""
    wanted = schemas.UPDATE.read(call)
    db = call.runtime.db
    binding = db_bindings.get(db, call.id)
    if binding is None or not binding.is_current:
        raise _not_found(call.id)
    is_pinned = bool(wanted.get('is_pinned', binding.is_pinned or wanted.get('is_exclusive', False)))
    is_exclusive = bool(wanted.get('is_exclusive', binding.is_exclusive and is_pinned))
    if is_exclusive and not is_pinned:
        raise _refused('is_exclusive', 'only a binding by hand (is_pinned) can be exclusive')
    pod_id = wanted.get('pod_id', binding.pod_id)
    pod = db_pods.get(db, pod_id)
    if pod is None:
        raise _refused('pod_id', f'there is no pod {pod_id}')
    if pod_id != binding.pod_id and (pod.az_name, group_of(pod.resource_affinity_tag)) != (
        binding.az_name,
        binding.affinity_group,
    ):
        raise _refused('pod_id', f'pod {pod.pod_name} is in another zone or affinity group than the binding')
    try:
        if pod_id != binding.pod_id:
            binding = db_bindings.move(db, binding.id, pod_id)
        if (is_pinned, is_exclusive) != (binding.is_pinned, binding.is_exclusive):
            binding = db_bindings.change(db, binding.id, is_pinned=is_pinned, is_exclusive=is_exclusive)
    except errors.Duplicate as error:
        raise exception.Conflict(f'Project {binding.tenant_id} has another binding that conflicts with it.') from error
    except errors.RecordNotFound as error:
        raise _not_found(call.id) from error
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
