# SPDX-License-Identifier: Apache-2.0
"""/replicas: which replicated objects are out of sync in which pod, and why."""

from __future__ import annotations

from typing import Any

from trio2o.api import pagination, response_schemas
from trio2o.api.schemas import replicas as schemas
from trio2o.db import pods as db_pods
from trio2o.db import replicas as db_replicas
from trio2o.db.records import Pod, Replica, ReplicatedObject
from trio2o.web.call import Answer, Call

Json = dict[str, Any]

_TEXT_OR_NULL: Json = {'type': ['string', 'null']}
SHAPE: Json = {
    'type': 'object',
    'properties': {
        **dict.fromkeys(('id', 'pod_id', 'pod_name', 'kind', 'key', 'state'), response_schemas.TEXT),
        **dict.fromkeys(('top_id', 'bottom_id', 'error', 'updated_at'), _TEXT_OR_NULL),
        **dict.fromkeys(('desired_generation', 'generation', 'attempts'), response_schemas.NUMBER),
        'is_deleted': {'type': 'boolean'},
    },
}
SUMMARY_SHAPE: Json = {
    'type': 'object',
    'required': ['out_of_sync', 'pod_id', 'pod_name'],
    'properties': {
        'pod_id': response_schemas.TEXT,
        'pod_name': response_schemas.TEXT,
        'out_of_sync': response_schemas.NUMBER,
    },
}


def list_replicas(call: Call) -> Answer:
    """GET /replicas: list the replicas out of sync, and count them in each pod. 200, 400."""
    query = schemas.LIST.read(call)
    db = call.runtime.db
    pods = [pod for pod in db_pods.list_all(db) if not pod.is_top and query.get('pod_id', pod.pod_id) == pod.pod_id]
    kind = query.get('kind')
    found = [
        _view(pod, wanted, replica)
        for pod in pods
        for wanted, replica in db_replicas.out_of_sync(db, pod.pod_id)
        if kind in (None, wanted.kind)
    ]
    state = query.get('state')
    if state is not None:
        found = [replica for replica in found if replica['state'] == state]
    answer = pagination.of(call, 'replicas', found, query, 'id', ())
    counts = db_replicas.count_out_of_sync(db)
    summary = [
        {'pod_id': pod.pod_id, 'pod_name': pod.pod_name, 'out_of_sync': counts.get(pod.pod_id, 0)} for pod in pods
    ]
    return Answer.of({**answer.json, 'pods': summary})


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
        'desired_generation': wanted.generation,
        'generation': replica.generation if replica else 0,
        'state': replica.state if replica else 'out_of_sync',
        'error': replica.error if replica else None,
        'attempts': replica.attempts if replica else 0,
        'updated_at': replica.updated_at if replica else None,
    }
