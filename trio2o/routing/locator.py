# SPDX-License-Identifier: Apache-2.0
"""Which pod holds an id: known from memory or the database, else found by asking the pods."""

from __future__ import annotations

import logging
import re
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import quote

from oslo_config import cfg
from oslo_db import exception as db_exc
from oslo_utils import uuidutils

from trio2o import exception
from trio2o.concurrency import Deadline, Executor
from trio2o.db import routings
from trio2o.db.records import NewRouting, Routing
from trio2o.db.session import Database
from trio2o.pods import headers as pod_headers
from trio2o.pods.client import PodClient
from trio2o.pods.fanout import ask_all
from trio2o.pods.registry import PodView, Registry
from trio2o.quota.usage import deltas_of, user_of
from trio2o.resources import Resource
from trio2o.web import json_body, pod_failures
from trio2o.web.call import Answer, Call

LOG = logging.getLogger(__name__)

#: What a routing may have as its id.
_ID = re.compile(r'[!-~]{1,64}')


@dataclass(frozen=True)
class Route:
    """Where one resource is.

    :ivar answer: what the pod said when it was asked whether it has it, if it was
    """

    pod: PodView
    top_id: str
    bottom_id: str
    project_id: str
    is_live: bool = True
    created_at: datetime | None = None
    answer: Answer | None = None

    def is_known_to(self, call: Call) -> bool:
        """Whether the caller may learn from us that there is such a thing, be it from an error."""
        return call.context.may_see_all or call.context.project_id == self.project_id


@dataclass(slots=True)
class _Known:
    pod_id: str
    bottom_id: str
    project_id: str
    is_live: bool
    created_at: datetime | None
    until: float


class Locator:
    """Finds and records routings, the latest of them kept in memory."""

    def __init__(
        self, conf: cfg.ConfigOpts, db: Database, registry: Registry, client: PodClient, executor: Executor
    ) -> None:
        self._db = db
        self._registry = registry
        self._client = client
        self._executor = executor
        self._size = conf.pods.routing_cache_size
        self._seconds = conf.pods.routing_cache_seconds
        self._probe_timeout = conf.pods.probe_timeout
        self._known: OrderedDict[tuple[str, str], _Known] = OrderedDict()

    def find(self, call: Call, resource: Resource, top_id: str) -> Route:
        """The pod of a resource.

        :raises NotFound: no pod has it, or none that the caller may see it in
        :raises ServiceUnavailable: its pod is in maintenance, or a pod that may have it cannot be asked
        """
        route = self.look_up(resource.type, top_id)
        if route is None or not route.is_known_to(call):
            # Of what is another project's the pods tell, or do not, as of what nobody has recorded.
            route = self._probe(call, resource, top_id)
        if not route.pod.is_asked:
            raise pod_failures.in_maintenance(f'{resource.title} {top_id}', route.pod.zone)
        return route

    def look_up(self, resource_type: str, top_id: str) -> Route | None:
        """The routing that is known, or None; no pod is asked."""
        snapshot = self._registry.snapshot()
        # What was moved is also found by its id in the pod, by which other services may know it.
        top_id = snapshot.ids_up.get(top_id, top_id)
        key = (resource_type, top_id)
        known = self._known.get(key)
        moved_to = snapshot.moved.get(top_id)
        is_old = known is not None and moved_to is not None and known.pod_id != moved_to
        if known is None or is_old or known.until < time.monotonic():
            if not _ID.fullmatch(top_id):
                return None  # nothing a database need see, or could
            record = routings.get(self._db, resource_type, top_id)
            if record is None:
                return None
            known = self._remember(record)
        pod = snapshot.by_id.get(known.pod_id)
        if pod is None:
            self._known.pop(key, None)
            return None
        return Route(pod, top_id, known.bottom_id, known.project_id, known.is_live, known.created_at)

    def record(
        self,
        resource: Resource,
        pod: PodView,
        top_id: str,
        project_id: str,
        created_at: datetime | None = None,
        bottom_id: str | None = None,
        **counted: Any,
    ) -> None:
        """Record where a resource is. A failure is logged: it will be found again by asking the pods.

        :param counted: what it counts for in the quota, as ``routings.record`` takes it
        """
        try:
            record = routings.record(
                self._db,
                resource_type=resource.type,
                top_id=top_id,
                bottom_id=bottom_id,
                pod_id=pod.id,
                project_id=project_id,
                created_at=created_at,
                **counted,
            )
        except (db_exc.DBError, ValueError, LookupError):
            LOG.exception('%s %s in pod %s could not be recorded', resource.type, top_id, pod.name)
            return
        self._remember(record)

    def learn(
        self,
        resource: Resource,
        found: Iterable[tuple[PodView, Mapping[str, Any]]],
        project_id: str,
        claim_id: str | None = None,
    ) -> None:
        """Record what lists showed and nobody has recorded yet, in the background.

        :param project_id: whose those are that do not show it; empty: nobody knows, and they stay unrecorded
        :param claim_id: the claim that they come true of
        """
        now = time.monotonic()
        new = []
        for pod, item in found:
            top_id = item.get('id')
            known = self._known.get((resource.type, str(top_id)))
            if known is not None and known.until >= now and (known.created_at or not item.get(resource.created)):
                continue
            owner = resource.owner_of(item, project_id)
            if isinstance(top_id, str) and len(top_id) <= 64 and item.get('status') != 'DELETED' and owner:
                created_at = resource.created_at(item)
                row = NewRouting(resource.type, top_id, pod.id, owner, created_at=created_at, user_id=user_of(item))
                new.append((row, item))
        if new:
            self._executor.submit(self._learn, resource.type, new, claim_id)

    def ended(self, resource_type: str, route: Route) -> None:
        """Its pod says that a resource is gone; what is left is a tombstone."""
        self._known.pop((resource_type, route.top_id), None)
        if route.is_live:
            routings.mark_deleted(self._db, resource_type, route.top_id)

    def changed_owner(self, resource: Resource, pod: PodView, top_ids: Iterable[str], project_id: str) -> None:
        """Resources are another project's now."""
        for top_id in top_ids:
            self.record(resource, pod, top_id, project_id)
            record = routings.get(self._db, resource.type, top_id)
            if record is not None and record.project_id != project_id:
                record = routings.update(self._db, record.id, project_id=project_id)
            if record is not None:
                self._remember(record)

    def forget(self, resource_type: str, top_id: str) -> None:
        """Drop what is in memory; the database is asked next time."""
        self._known.pop((resource_type, top_id), None)

    def _learn(
        self, resource_type: str, new: list[tuple[NewRouting, Mapping[str, Any]]], claim_id: str | None
    ) -> None:
        try:
            known = routings.get_many(self._db, resource_type, [row.top_id for row, _item in new])
            unknown = [
                replace(row, deltas=deltas_of(self._db, resource_type, item))
                for row, item in self._unmoved(resource_type, [pair for pair in new if pair[0].top_id not in known])
            ]
            for row, _item in new:
                record = known.get(row.top_id)
                if record is None:
                    continue
                if record.created_at is None and row.created_at is not None:
                    record = routings.update(self._db, record.id, created_at=row.created_at) or record
                self._remember(record)
            if unknown:
                routings.record_many(self._db, unknown, claim_id)
                for record in routings.get_many(self._db, resource_type, [row.top_id for row in unknown]).values():
                    self._remember(record)
        except (db_exc.DBError, ValueError, LookupError):
            # In the background nobody else would tell; the next list tries again.
            LOG.exception('%s of a list could not be recorded', resource_type)

    def _unmoved(
        self, resource_type: str, new: list[tuple[NewRouting, Mapping[str, Any]]]
    ) -> list[tuple[NewRouting, Mapping[str, Any]]]:
        """Without those that are recorded under another id, which this process has not heard of yet."""
        if not new:
            return []
        filters = {'resource_type': resource_type, 'bottom_id': [row.top_id for row, _item in new]}
        moved = {record.bottom_id for record in routings.list_(self._db, filters=filters)}
        return [(row, item) for row, item in new if row.top_id not in moved]

    def _remember(self, record: Routing) -> _Known:
        known = _Known(
            record.pod_id,
            record.bottom_id,
            record.project_id,
            record.is_live,
            record.created_at,
            time.monotonic() + self._seconds,
        )
        self._known[(record.resource_type, record.top_id)] = known
        while len(self._known) > self._size:
            self._known.popitem(last=False)
        return known

    def _probe(self, call: Call, resource: Resource, top_id: str) -> Route:
        """Ask every pod that may have it, all at once, with the caller's own token."""
        if not uuidutils.is_uuid_like(top_id):
            raise exception.NotFound(resource.missing.format(id=top_id))
        path = f'{_prefix(call, resource)}{resource.path}/{quote(top_id, safe="")}'
        headers = _probe_headers(call, resource)
        pods = self._registry.snapshot().asked(resource.service)
        timeout = self._probe_timeout

        def ask(pod: PodView) -> Answer:
            return self._client.send(pod, resource.service, 'GET', path, headers, timeout=timeout)

        is_certain = all(pod.is_asked or pod.record.is_reconciled for pod in self._registry.snapshot().pods)
        for pod, answer in ask_all(self._executor, pods, ask, Deadline(timeout), _has_it).items():
            item = None
            if isinstance(answer, Answer) and answer.status == 200:
                item = json_body.member(answer, resource)
            elif isinstance(answer, Answer) and answer.status < 500 and answer.status != 429:
                continue
            if item is None:
                # No answer, or none that tells. A pod whose resources are all recorded cannot have one that is not.
                is_certain = is_certain and pod.record.is_reconciled
            else:
                # An administrator sees what is of any project.
                default = '' if call.context.may_see_all else call.context.project_id or ''
                project_id = resource.owner_of(item, default)
                created_at = resource.created_at(item)
                if project_id:
                    deltas = deltas_of(self._db, resource.type, item)
                    self.record(resource, pod, top_id, project_id, created_at, deltas=deltas, user_id=user_of(item))
                assert isinstance(answer, Answer)
                return Route(pod, top_id, top_id, project_id, True, created_at, answer)
        if not is_certain:
            raise pod_failures.maybe_elsewhere(f'{resource.title} {top_id}')
        raise exception.NotFound(resource.missing.format(id=top_id))


def _prefix(call: Call, resource: Resource) -> str:
    """The project in the path where the client wrote it, and always towards the other service."""
    if resource.service != call.service.service_type:
        return f'/{call.context.project_id}'
    return project_prefix(call)


def project_prefix(call: Call) -> str:
    """``/{project_id}`` if the client's path had it, so that the pod's links have the same form."""
    project = call.prefix.rpartition('/')[2]
    return f'/{project}' if call.prefix.count('/') > 1 else ''


def _probe_headers(call: Call, resource: Resource) -> list[tuple[str, str]]:
    headers = pod_headers.down(call)
    drop = {'content-type', 'if-match'}
    if resource.service != call.service.service_type:
        drop.add('openstack-api-version')
    return [(name, value) for name, value in headers if name.lower() not in drop]


def _has_it(answer: Answer | exception.PodError) -> bool:
    return isinstance(answer, Answer) and answer.status == 200
