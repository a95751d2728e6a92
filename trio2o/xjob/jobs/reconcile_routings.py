# SPDX-License-Identifier: Apache-2.0
"""Compare the routings of a pod with what it has: record what is missing, end what is gone.

A pod that has been compared once need not be asked for what has no routing in it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

from trio2o.db import pods as db_pods
from trio2o.db import routings
from trio2o.db.records import NewRouting, Routing
from trio2o.db.session import utcnow
from trio2o.gateway.kinds import ROUTED
from trio2o.gateway.resource import Resource
from trio2o.pods.registry import PodView
from trio2o.sync.podapi import PodApi, Refused
from trio2o.xjob.jobs.base import Task, TryAgain, pod_of

LOG = logging.getLogger(__name__)

#: The oldest microversions: mostly they show owner and time of creation, and every pod has them.
VERSIONS = {'compute': '2.1', 'volume': '3.0'}

_PAGE = 500
_LIVE = ('creating', 'active', 'deleting')


class ReconcileRoutings:
    """``{'pod_id': ...}``"""

    max_seconds = 3600.0

    def run(self, task: Task) -> None:
        pod = pod_of(task)
        if not pod.is_asked:
            return
        started = utcnow()
        counts: dict[str, int] = {}
        for resource in ROUTED.values():
            if resource.service not in pod.endpoints:
                continue
            try:
                seen, new = _take_up(task, pod, resource)
                gone = _end_gone(task, pod, resource, seen, started)
            except Refused as error:
                # A marker that was deleted between two pages, for one: the next run starts anew.
                raise TryAgain(str(error)) from error
            counts |= {
                resource.collection: len(seen),
                f'new_{resource.collection}': new,
                f'gone_{resource.collection}': gone,
            }
            task.progress(**counts)
        db_pods.set_reconciled(task.runtime.db, pod.id, started)
        task.runtime.registry.refresh()


def _api(task: Task, pod: PodView, resource: Resource) -> PodApi:
    runtime = task.runtime
    return PodApi(runtime.client, runtime.identity, pod, resource.service)


def _take_up(task: Task, pod: PodView, resource: Resource) -> tuple[set[str], int]:
    """Record what the pod has. :returns: ids of all it has, and how many were not recorded"""
    api = _api(task, pod, resource)
    seen: set[str] = set()
    new = 0
    for page in _pages(api, resource):
        task.check()
        fresh = [item for item in page if item['id'] not in seen]
        seen.update(item['id'] for item in fresh)
        new += _record(task, pod, resource, fresh)
    return seen, new


def _version(resource: Resource) -> str:
    return resource.listed_at or VERSIONS[resource.service]


def _pages(api: PodApi, resource: Resource) -> Iterator[list[dict[str, Any]]]:
    query = {'all_tenants': '1', 'limit': str(_PAGE)}
    while True:
        path = f'{resource.path}/detail?{urlencode(query)}'
        document = api.get(path, _version(resource)) or {}
        page = document.get(resource.collection, [])
        yield page
        # Cinder's names of its links are of the one, or of the many.
        if not page or not any(document[name] for name in document if name.endswith('_links')):
            return
        query['marker'] = page[-1]['id']


def _record(task: Task, pod: PodView, resource: Resource, items: Iterable[Mapping[str, Any]]) -> int:
    db = task.runtime.db
    by_id = {item['id']: item for item in items}
    known = _known(task, pod, resource, by_id)
    new = []
    for bottom_id, item in by_id.items():
        created_at = resource.created_at(item)
        routing = known.get(bottom_id)
        owner = resource.owner_of(item, '')
        if routing is None:
            if owner:
                row = NewRouting(resource.type, bottom_id, pod.id, owner, created_at=created_at)
                new.append(row)
        elif routing.pod_id != pod.id and routing.is_live:
            LOG.warning('%s %s is in pod %s and recorded in another', resource.type, bottom_id, pod.name)
        elif not routing.is_live:
            # Gone once and there again, as after a restore, or taken for gone too early.
            routings.record(
                db,
                resource_type=resource.type,
                top_id=routing.top_id,
                bottom_id=bottom_id,
                pod_id=pod.id,
                project_id=owner or routing.project_id,
                created_at=created_at,
            )
        elif routing.created_at is None and created_at is not None:
            routings.update(db, routing.id, created_at=created_at)
    return routings.record_many(db, new)


def _known(task: Task, pod: PodView, resource: Resource, bottom_ids: Iterable[str]) -> dict[str, Routing]:
    """Routings by the id in the pod; only what was moved has another one at the top."""
    db = task.runtime.db
    ids = list(bottom_ids)
    known = routings.get_many(db, resource.type, ids)
    rest = [each for each in ids if each not in known or known[each].bottom_id != each]
    if rest:
        filters = {'pod_id': pod.id, 'resource_type': resource.type, 'bottom_id': rest}
        moved = routings.list_(db, filters=filters)
        known |= {routing.bottom_id: routing for routing in moved}
    return known


def _end_gone(task: Task, pod: PodView, resource: Resource, seen: set[str], started: datetime) -> int:
    """End the routings of what the pod has no more. :returns: how many"""
    api = _api(task, pod, resource)
    gone = 0
    for routing in _live(task, pod, resource):
        if routing.bottom_id in seen or routing.recorded_at >= started:
            continue
        task.check()
        path = f'{resource.path}/{quote(routing.bottom_id, safe="")}'
        if api.get(path, _version(resource)) is not None:
            continue
        LOG.info('%s %s is gone from pod %s', resource.type, routing.top_id, pod.name)
        if routings.mark_deleted(task.runtime.db, resource.type, routing.top_id):
            task.runtime.locator.forget(resource.type, routing.top_id)
            gone += 1
    return gone


def _live(task: Task, pod: PodView, resource: Resource) -> Iterator[Routing]:
    marker = None
    while True:
        page = routings.list_(
            task.runtime.db,
            filters={'pod_id': pod.id, 'resource_type': resource.type, 'state': _LIVE},
            limit=_PAGE,
            marker=marker,
        )
        yield from page
        if len(page) < _PAGE:
            return
        marker = page[-1].id
