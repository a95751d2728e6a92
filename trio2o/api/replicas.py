# SPDX-License-Identifier: Apache-2.0
"""/replicas: which pods are behind with what must be the same everywhere, and why; /usages: how full they are."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from trio2o import exception
from trio2o.api import pages
from trio2o.api.schemas import replicas as schemas
from trio2o.db import pods as db_pods
from trio2o.db import replicas as db_replicas
from trio2o.db import usages as db_usages
from trio2o.db.records import Pod, Replica, ReplicatedObject
from trio2o.web.call import Answer, Call

Json = dict[str, Any]


def list_replicas(call: Call) -> Answer:
    """GET /replicas: what is not in step, pod by pod, and how many in each pod. 200, 400."""
    query = schemas.LIST.read(call)
    db = call.runtime.db
    pods = [pod for pod in db_pods.list_all(db) if not pod.is_top and query.get('pod_id', pod.pod_id) == pod.pod_id]
    kind = query.get('kind')
    found = [
        _view(pod, wanted, replica)
        for pod in pods
        for wanted, replica in db_replicas.behind(db, pod.pod_id)
        if kind in (None, wanted.kind)
    ]
    limit = pages.limit_of(query)
    page = _after(found, query.get('marker'))[:limit]
    answer = pages.answer(call, 'replicas', page, limit, page[-1]['id'] if page else '')
    counts = db_replicas.count_behind(db)
    summary = [{'pod_id': pod.pod_id, 'pod_name': pod.pod_name, 'behind': counts.get(pod.pod_id, 0)} for pod in pods]
    return Answer.of({**answer.json, 'pods': summary})


def list_usages(call: Call) -> Answer:
    """GET /usages: capacity and use of each pod as they were read last. 200, 400."""
    query = schemas.USAGES.read(call)
    names = {pod.pod_id: pod.pod_name for pod in db_pods.list_all(call.runtime.db)}
    found = [
        {**asdict(usage), 'pod_name': names.get(usage.pod_id, '')}
        for usage in db_usages.list_all(call.runtime.db)
        if all(getattr(usage, name) == value for name, value in query.items())
    ]
    return Answer.of({'usages': found})


def _view(pod: Pod, wanted: ReplicatedObject, replica: Replica | None) -> Json:
    return {
        'id': f'{pod.pod_id}:{wanted.id}',
        'pod_id': pod.pod_id,
        'pod_name': pod.pod_name,
        'kind': wanted.kind,
        'key': wanted.key,
        'top_id': wanted.top_id,
        'bottom_id': replica.bottom_id if replica else None,
        'is_deleted': wanted.is_deleted,
        'wanted_generation': wanted.generation,
        'generation': replica.generation if replica else 0,
        'state': replica.state if replica else 'behind',
        'error': replica.error if replica else None,
        'attempts': replica.attempts if replica else 0,
        'updated_at': replica.updated_at if replica else None,
    }


def _after(items: list[Json], marker: str | None) -> list[Json]:
    if marker is None:
        return items
    for index, item in enumerate(items):
        if item['id'] == marker:
            return items[index + 1 :]
    raise exception.BadRequest(f"Invalid input for field 'marker': there is no {marker}.")
