# SPDX-License-Identifier: Apache-2.0
"""/routings: which pod holds each resource; operators read and correct the routings.

A change removes the routing from the cache of this process at once. Other processes may use the old routing for
``[pods] routing_cache_seconds``.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from trio2o import exception
from trio2o.api import pagination
from trio2o.api.schemas import routings as schemas
from trio2o.db import errors
from trio2o.db import pods as db_pods
from trio2o.db import routings as db_routings
from trio2o.db.records import NewRouting, Routing
from trio2o.web.call import Answer, Call
from trio2o.web.numbers import parse_number

_MOST_DIGITS = 18


def view(routing: Routing) -> dict[str, Any]:
    return asdict(routing)


def list_routings(call: Call) -> Answer:
    """GET /routings: 200, 400."""
    query = schemas.LIST.read(call)
    return pagination.read(
        call,
        'routings',
        query,
        db_routings.list_,
        view,
        filters=pagination.filters_of(query),
        default=(('id', 'asc'),),
        marker=int(query['marker']) if 'marker' in query else None,
    )


def show_routing(call: Call) -> Answer:
    """GET /routings/{routing_id}, by its number or the resource's top id: 200, 404."""
    query = schemas.SHOW.read(call)
    return Answer.of({'routing': view(_existing(call, query.get('resource_type')))})


def create_routing(call: Call) -> Answer:
    """POST /routings: 200, 400, 409, 422."""
    wanted = schemas.CREATE.read(call)
    db = call.runtime.db
    _check_pod(call, wanted['pod_id'])
    known = db_routings.get(db, wanted['resource_type'], wanted['top_id'])
    if known is not None and known.is_live:
        raise exception.Conflict(
            f'There is already a routing of {wanted["resource_type"]} {wanted["top_id"]}: {known.id}.'
        )
    try:
        routing = db_routings.record(db, NewRouting(**wanted))
    except errors.RecordNotFound as error:
        raise _no_pod(wanted['pod_id']) from error
    _forget(call, routing)
    return Answer.of({'routing': view(routing)})


def update_routing(call: Call) -> Answer:
    """PUT or PATCH /routings/{routing_id}: 200, 400, 404, 422."""
    routing = _existing(call, None)
    changes = schemas.UPDATE.read(call)
    if 'pod_id' in changes:
        _check_pod(call, changes['pod_id'])
    changed = db_routings.update(call.runtime.db, routing.id, **changes)
    if changed is None:
        raise _not_found(call.id)
    _forget(call, changed)
    return Answer.of({'routing': view(changed)})


def delete_routing(call: Call) -> Answer:
    """DELETE /routings/{routing_id}: the resource itself stays. 200, 404."""
    routing = _existing(call, None)
    if not db_routings.delete(call.runtime.db, routing.id):
        raise _not_found(call.id)
    _forget(call, routing)
    return Answer.of({})


def _existing(call: Call, resource_type: str | None) -> Routing:
    """Find a routing by its number, or else by its top id.

    If several have the top id, prefer one that is not deleted, and then the oldest.

    :raises NotFound: there is none
    """
    tries: list[dict[str, Any]] = [{'top_id': call.id}]
    number = parse_number(call.id, _MOST_DIGITS)
    if number is not None:
        tries.insert(0, {'id': number})
    for filters in tries:
        if resource_type is not None:
            filters['resource_type'] = resource_type
        found = db_routings.list_(call.runtime.db, filters=filters)
        if found:
            return min(found, key=lambda routing: (not routing.is_live, routing.id))
    raise _not_found(call.id)


def _forget(call: Call, routing: Routing) -> None:
    call.runtime.locator.forget(routing.resource_type, routing.top_id)


def _check_pod(call: Call, pod_id: str) -> None:
    pod = db_pods.get(call.runtime.db, pod_id)
    if pod is None or pod.is_top:
        raise _no_pod(pod_id)


def _no_pod(pod_id: str) -> exception.Unprocessable:
    return exception.Unprocessable(f"Invalid input for field 'routing.pod_id': there is no pod {pod_id}")


def _not_found(routing_id: str) -> exception.NotFound:
    return exception.NotFound(f'Routing {routing_id} could not be found.')
