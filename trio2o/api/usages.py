# SPDX-License-Identifier: Apache-2.0
"""/usages: capacity, use and headroom as last read, of each pod and in sum."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import reduce
from typing import Any

from trio2o.api import pagination, response_schemas
from trio2o.api.schemas import usages as schemas
from trio2o.db import pod_usages as db_usages
from trio2o.db import pods as db_pods
from trio2o.db.database import utcnow
from trio2o.db.records import Pod, PodUsage
from trio2o.pods.usage import NOTHING, Amount, Usage
from trio2o.scheduler.capacity import Room, kept
from trio2o.web.call import Answer, Call

Json = dict[str, Any]

_LIMIT: Json = {'type': ['number', 'null'], 'description': 'null: without limit'}
_RESOURCES: Json = {
    'type': 'object',
    'additionalProperties': {
        'type': 'object',
        'required': ['capacity', 'free', 'headroom', 'room', 'used'],
        'properties': {
            'capacity': _LIMIT,
            'used': {'type': 'number'},
            'free': _LIMIT,
            'headroom': {'type': 'number'},
            'room': _LIMIT,
        },
    },
}


@dataclass(frozen=True)
class _Item:
    """The usage of one service of one pod, as the API shows it."""

    id: str
    pod_id: str
    pod_name: str
    az_name: str
    service: str
    collected_at: datetime
    age_seconds: float
    is_stale: bool
    data: Any


SHAPE = response_schemas.of(_Item, resources=_RESOURCES)
SUM_SHAPE: Json = {
    'type': 'object',
    'required': ['pods', 'resources', 'service'],
    'properties': {'service': response_schemas.TEXT, 'pods': response_schemas.NUMBER, 'resources': _RESOURCES},
}


def list_usages(call: Call) -> Answer:
    """GET /usages: list capacity and use of each pod as last read, and sum them. 200, 400."""
    query = schemas.LIST.read(call)
    db = call.runtime.db
    room: Room = call.runtime.scheduler.room
    pods = {pod.pod_id: pod for pod in db_pods.list_all(db)}
    found = [_view(room, pods[row.pod_id], row) for row in db_usages.list_all(db) if row.pod_id in pods]
    wanted = pagination.filters_of(query).items()
    found = [item for item in found if all(item[name] == value for name, value in wanted)]
    answer = pagination.of(call, 'usages', found, query, 'id', (('pod_name', 'asc'), ('service', 'asc')))
    return Answer.of({**answer.json, 'sums': [_sum(service, found) for service in _services(found)]})


def _view(room: Room, pod: Pod, row: PodUsage) -> Json:
    usage = Usage.from_json(row.data, row.collected_at)
    amounts = usage.amounts if usage is not None else {}
    headroom = room.headroom(pod)
    item = _Item(
        f'{pod.pod_id}:{row.service}',
        pod.pod_id,
        pod.pod_name,
        pod.az_name,
        row.service,
        row.collected_at,
        round(max(0.0, (utcnow() - row.collected_at).total_seconds()), 3),
        room.is_stale(row.collected_at),
        row.data,
    )
    resources = {
        name: _resource(amount, kept(amount, headroom.get(name, (0.0, False)))) for name, amount in amounts.items()
    }
    return {**asdict(item), 'resources': resources}


def _resource(amount: Amount, keep: float) -> Json:
    """:param keep: the part of the amount that new resources may not use"""
    return {
        'capacity': amount.capacity,
        'used': amount.used,
        'free': amount.free,
        'headroom': keep,
        'room': None if amount.free is None else max(0, amount.free - keep),
    }


def _services(found: Iterable[Json]) -> list[str]:
    return sorted({item['service'] for item in found})


def _sum(service: str, found: Iterable[Json]) -> Json:
    """Sum over all pages, not only over this one. If one pod has no limit, the sum has none."""
    items = [item['resources'] for item in found if item['service'] == service]
    names = dict.fromkeys(name for resources in items for name in resources)
    return {'service': service, 'pods': len(items), 'resources': {name: _added(items, name) for name in names}}


def _added(items: Iterable[Json], name: str) -> Json:
    parts = [resources[name] for resources in items if name in resources]
    amounts = (Amount(part['capacity'], part['used'], part['free'], None) for part in parts)
    total = _resource(reduce(Amount.__add__, amounts, NOTHING), sum(part['headroom'] for part in parts))
    rooms = [part['room'] for part in parts]
    return {**total, 'room': None if None in rooms else sum(rooms)}
