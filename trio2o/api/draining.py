# SPDX-License-Identifier: Apache-2.0
"""/pods/{id}/drain and /pods/{id}/remaining: drain a pod, and list its resources and the pods that could take them."""

from __future__ import annotations

import logging
from dataclasses import asdict, replace
from typing import Any

from trio2o import exception
from trio2o.api import pagination, pods, response_schemas
from trio2o.api.schemas import draining as schemas
from trio2o.db import routings as db_routings
from trio2o.db.records import LIVE_STATES, Pod, Routing
from trio2o.resources import ROUTED
from trio2o.scheduler.spec import SPEC_PREFIX, PodRequest
from trio2o.web.call import Answer, Call

LOG = logging.getLogger(__name__)

Json = dict[str, Any]


#: Resource of the quota -> resource of the scheduler.
_SCHEDULER_RESOURCES = {'cores': 'VCPU', 'ram': 'MEMORY_MB', 'gigabytes': 'gigabytes'}

_CANDIDATE = {
    'type': 'object',
    'required': ['pod_id', 'pod_name'],
    'properties': {'pod_id': response_schemas.TEXT, 'pod_name': response_schemas.TEXT},
}
_COUNTS = {'type': 'object', 'additionalProperties': response_schemas.NUMBER}
SHAPE: Json = response_schemas.of(
    Routing,
    resource_id=response_schemas.TEXT,
    candidates={'type': 'array', 'items': _CANDIDATE},
    reason=response_schemas.TEXT,
)
SUMMARY_SHAPE: Json = {
    'type': 'object',
    'required': ['total', 'resources', 'projects'],
    'properties': {
        'total': response_schemas.NUMBER,
        'resources': _COUNTS,
        'projects': {
            'type': 'array',
            'items': {
                'type': 'object',
                'required': ['project_id', 'resources'],
                'properties': {'project_id': response_schemas.TEXT, 'resources': _COUNTS},
            },
        },
    },
}


def drain_pod(call: Call) -> Answer:
    """POST /pods/{pod_id}/drain: create nothing new in a pod, and count its resources. 200, 400, 404, 422."""
    pod = pods.existing(call)
    wanted = schemas.DRAIN.read(call)
    if pod.is_top:
        raise exception.Unprocessable('The top region is not a pod: there is nothing to drain.')
    changed = pods.change(call, pod, {'state': 'draining'}, wanted.get('reason'))
    return Answer.of({'pod': pods.view(changed), 'remaining': _summary(call, changed)})


def list_remaining(call: Call) -> Answer:
    """GET /pods/{pod_id}/remaining: list a pod's resources, and the pods that could take each. 200, 400, 404."""
    query = schemas.REMAINING.read(call)
    pod = pods.existing(call)
    filters = {**pagination.filters_of(query), 'pod_id': pod.pod_id, 'state': LIVE_STATES}
    limit = pagination.limit_of(query)
    try:
        marker = int(query['marker']) if 'marker' in query else None
        found = db_routings.list_(call.runtime.db, filters=filters, limit=limit, marker=marker)
    except ValueError as error:
        raise exception.BadRequest(f"Invalid input for field 'marker': {error}") from error
    candidates = _Candidates(call, pod)
    rows = [candidates.view(routing) for routing in found]
    answer = pagination.answer(call, 'remaining', rows, limit, found[-1].id if found else '')
    return Answer.of({**answer.json, 'summary': _summary(call, pod)})


def _summary(call: Call, pod: Pod) -> Json:
    """Count the resources of a pod, in total and by project."""
    resources: dict[str, int] = {}
    projects: dict[str, dict[str, int]] = {}
    for project_id, kind, count in db_routings.count_by_project(call.runtime.db, pod.pod_id):
        resources[kind] = resources.get(kind, 0) + count
        projects.setdefault(project_id, {})[kind] = count
    rows = [{'project_id': project_id, 'resources': counts} for project_id, counts in sorted(projects.items())]
    return {'total': sum(resources.values()), 'resources': resources, 'projects': rows}


class _Candidates:
    """Finds the other pods that could take the resources of a pod; asks the scheduler once for equal resources."""

    def __init__(self, call: Call, pod: Pod) -> None:
        self._scheduler = call.runtime.scheduler
        self._pod = pod
        self._answers: dict[Any, tuple[list[Json], str]] = {}
        # Resources are in a pod with a tag because their flavor or type required the pairs of the tag.
        tag = pod.resource_affinity_tag or {}
        self._specs = {f'{SPEC_PREFIX}{key}': str(value) for key, value in tag.items()}

    def view(self, routing: Routing) -> Json:
        candidates, reason = self._find(routing)
        return {**asdict(routing), 'resource_id': routing.top_id, 'candidates': candidates, 'reason': reason}

    def _find(self, routing: Routing) -> tuple[list[Json], str]:
        kind = ROUTED.get(routing.resource_type)
        resources = {
            _SCHEDULER_RESOURCES[name]: amount
            for name, amount in (routing.deltas or {}).items()
            if name in _SCHEDULER_RESOURCES
        }
        request = PodRequest(
            service=kind.service if kind is not None else 'compute',
            project_id=routing.project_id,
            zone=self._pod.az_name,
            resource_type=routing.resource_type,
            resources=resources,
            extra_specs=self._specs,
        )
        key = (request.service, routing.project_id, tuple(sorted(resources.items())))
        if key not in self._answers:
            decision = self._scheduler.decide(replace(request, tried=frozenset({self._pod.pod_id})), of_all=True)
            pods_ = [pod for pod in decision.pods if pod.id != self._pod.pod_id]
            rows = [{'pod_id': pod.id, 'pod_name': pod.name} for pod in pods_]
            others = tuple(each for each in decision.dropped if each.pod.id != self._pod.pod_id)
            self._answers[key] = rows, '' if rows else str(replace(decision, dropped=others))
        return self._answers[key]
