# SPDX-License-Identifier: Apache-2.0
"""Look up and record the routings of resources, with a cache of each process in front of the database."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from cachetools import TTLCache
from oslo_config import cfg
from oslo_db import exception as db_exc

from trio2o import exception
from trio2o.concurrency import Executor
from trio2o.db import routings
from trio2o.db.database import Database, utcnow
from trio2o.db.errors import NOT_RECORDED
from trio2o.db.quotas import Settlement
from trio2o.db.records import NewRouting, Routing
from trio2o.pods.client import PodClient
from trio2o.pods.fanout import PodThreads
from trio2o.pods.registry import PodView, Registry, Snapshot
from trio2o.quota.usage import deltas_of, user_of
from trio2o.resources import Resource, is_resource_id, normalized_id
from trio2o.routing.inventory import match_routings, new_routing
from trio2o.routing.misses import Misses
from trio2o.routing.probe import Found, Prober, Wanted
from trio2o.routing.unfinished import without_unfinished
from trio2o.web import pod_failures
from trio2o.web.call import Answer, Call
from trio2o.web.slices import whole

if TYPE_CHECKING:
    from trio2o.context import RequestContext

LOG = logging.getLogger(__name__)

#: Ids that a routing can have. Others are not looked up in the database.
_ID = re.compile(r'[!-~]{1,64}')
#: Exceptions for an item of a list that cannot be recorded.
_UNFIT_ITEM = (ValueError, LookupError, ArithmeticError, db_exc.DBDataError)


@dataclass(frozen=True)
class Route:
    """The pod of one resource, and the ids that the pod and the tenants know it by."""

    pod: PodView
    top_id: str
    bottom_id: str
    project_id: str
    is_live: bool = True
    created_at: datetime | None = None

    def is_known_to(self, call: Call) -> bool:
        """Whether the caller may learn, even from an error, that the resource exists."""
        return call.context.may_know(self.project_id)


@dataclass(frozen=True, slots=True)
class _CachedRouting:
    """:ivar created: ``created_at`` as text, to the second; empty if it is not known"""

    pod_id: str
    bottom_id: str
    project_id: str
    is_live: bool
    created_at: datetime | None
    created: str

    def agrees_with(self, created: Any) -> bool:
        """Whether the creation time is that of an item, to the second, or the item shows none.

        It is compared as text, in the forms of Nova and Cinder: a list can have many items.
        """
        if not created or not self.created:
            return not created
        return str(created).startswith(self.created)


class Locator:
    """Looks up, records and forgets routings. One per process."""

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        db: Database,
        registry: Registry,
        client: PodClient,
        threads: PodThreads,
        background: Executor,
    ) -> None:
        self._db = db
        self._registry = registry
        self._background = background
        self._list_time = timedelta(seconds=conf.pods.read_timeout)
        self.misses = Misses(conf)
        self._prober = Prober(conf, registry, client, threads, self.misses)
        self._cache: TTLCache[tuple[str, str], _CachedRouting] = TTLCache(
            conf.pods.routing_cache_size, conf.pods.routing_cache_seconds, time.monotonic
        )
        # A TTLCache changes its own order even when it is read.
        self._lock = threading.Lock()

    # -- look up --

    def find(self, call: Call, resource: Resource, top_id: str) -> Route:
        """Return the route of a resource from its routing; without one, call the pods.

        :raises NotFound: no pod has it, or none shows it to the caller
        :raises ServiceUnavailable: its pod is in maintenance, or a pod that may have it did not answer
        """
        return self.find_with_answer(call, resource, top_id)[0]

    def find_with_answer(self, call: Call, resource: Resource, top_id: str) -> tuple[Route, Answer | None]:
        """Return the route as ``find`` does, and the pod's answer to a GET of the resource if the pods were called.

        :raises NotFound: as ``find``
        :raises ServiceUnavailable: as ``find``
        """
        answer = None
        top_id = normalized_id(top_id)
        route = self.look_up(resource.type, top_id)
        if route is None or not route.is_known_to(call):
            # For a resource of another project the pods decide, exactly as for one without a routing, what the caller
            # may see. So an answer never reveals whether Trio2o has a routing.
            found = self._prober.ask(call, _wanted(resource, top_id, route))
            route, answer = self._found(call, resource, top_id, found), found.answer
        _check_maintenance(resource, route)
        return route, answer

    def find_many(self, call: Call, refs: Iterable[tuple[Resource, str]]) -> dict[tuple[Resource, str], Route]:
        """Return the routes of resources as ``find`` does, in the order of the references.

        Those without a routing are looked up in the pods side by side. Those that are not found are left out.

        :raises NotFound: one is the copy that a move makes or leaves, which its pod would let the caller use
        :raises ServiceUnavailable: as ``find``
        """
        given = {ref: (ref[0], normalized_id(ref[1])) for ref in refs}
        routes: dict[tuple[Resource, str], Route] = {}
        wanted: list[Wanted] = []
        for resource in dict.fromkeys(resource for resource, _top_id in given):
            ids = list(dict.fromkeys(top_id for each, top_id in given.values() if each == resource))
            recorded = self.look_up_many(resource.type, ids)
            for top_id in ids:
                route = recorded.get(top_id)
                if route is not None and route.is_known_to(call):
                    _check_maintenance(resource, route)
                    routes[resource, top_id] = route
                else:
                    wanted.append(_wanted(resource, top_id, route))
        for each, found in self._prober.ask_many(call, wanted):
            routes[each.resource, each.top_id] = self._found(call, each.resource, each.top_id, found)
        return {ref: routes[known] for ref, known in given.items() if known in routes}

    def look_up_many(self, resource_type: str, top_ids: Iterable[str]) -> dict[str, Route]:
        """Return routes by the given id as ``look_up`` does, with one query for those that are not in the cache."""
        snapshot = self._registry.snapshot()
        ids = {
            given: snapshot.ids_up.get(top_id, top_id)
            for given, top_id in ((given, normalized_id(given)) for given in top_ids)
        }
        with self._lock:
            cached = {top_id: self._cached((resource_type, top_id)) for top_id in ids.values()}
        known = {top_id: each for top_id, each in cached.items() if not _is_outdated(each, snapshot.moved.get(top_id))}
        missing = [top_id for top_id in cached if top_id not in known and _ID.fullmatch(top_id)]
        for top_id, record in routings.get_many(self._db, resource_type, missing).items():
            known[top_id] = self._remember(record)
        routes = {}
        for given, top_id in ids.items():
            route = self._route(resource_type, top_id, known.get(top_id), snapshot)
            if route is not None:
                routes[given] = route
        return routes

    def remembers(self, resource_type: str, top_id: str) -> bool:
        """Whether the cache has the routing of a resource."""
        with self._lock:
            return self._cached((resource_type, top_id)) is not None

    def look_up(self, resource_type: str, top_id: str) -> Route | None:
        """Return the route of a resource from its routing; None without one. Calls no pod."""
        snapshot = self._registry.snapshot()
        # Other services may know a moved resource by its id in the pod.
        top_id = normalized_id(top_id)
        top_id = snapshot.ids_up.get(top_id, top_id)
        key = (resource_type, top_id)
        with self._lock:
            known = self._cached(key)
        if _is_outdated(known, snapshot.moved.get(top_id)):
            if not _ID.fullmatch(top_id):
                return None
            record = routings.get(self._db, resource_type, top_id)
            if record is None:
                return None
            known = self._remember(record)
        return self._route(resource_type, top_id, known, snapshot)

    def _route(
        self, resource_type: str, top_id: str, known: _CachedRouting | None, snapshot: Snapshot
    ) -> Route | None:
        if known is None:
            return None
        pod = snapshot.by_id.get(known.pod_id)
        if pod is None:
            self.forget(resource_type, top_id)
            return None
        return Route(pod, top_id, known.bottom_id, known.project_id, known.is_live, known.created_at)

    def _found(self, call: Call, resource: Resource, top_id: str, found: Found) -> Route:
        """Record a resource that a pod showed, and return its route."""
        # An administrator may be shown a resource of any project, so the owner is unknown if the pod does not show it.
        default_owner = '' if call.context.may_see_all else call.context.project_id or ''
        owner = resource.owner_of(found.item, default_owner)
        created_at = resource.created_at(found.item)
        # A pod's answer to a request of one project must not decide what other projects own and use.
        may_record = owner and call.context.may_know(owner)
        moving = self._registry.snapshot().moving
        if moving.hides(found.pod.id, resource, found.item):
            raise exception.NotFound(resource.missing.format(id=top_id))
        if may_record and without_unfinished(self._db, moving, resource, found.pod.id, [found.item]):
            self.record(
                NewRouting(
                    resource.type,
                    top_id,
                    found.pod.id,
                    owner,
                    created_at=created_at,
                    deltas=deltas_of(self._db, resource.type, found.item),
                    user_id=user_of(found.item),
                )
            )
        return Route(found.pod, top_id, top_id, owner, True, created_at)

    # -- record --

    def record(self, new: NewRouting, settlement: Settlement | None = None) -> None:
        """Record the routing of a resource.

        A failure is only logged, as a later request for the resource calls the pods and records it then.

        :param settlement: the quota claim of the request that created it
        """
        try:
            record = routings.record(self._db, new, settlement)
        except (*NOT_RECORDED, ValueError, LookupError):
            LOG.exception('Failed to record that %s %s is in pod %s', new.resource_type, new.top_id, new.pod_id)
            return
        self._remember(record)

    def learn(
        self,
        caller: RequestContext,
        resource: Resource,
        found: Iterable[tuple[PodView, Mapping[str, Any]]],
        project_id: str,
        claim_id: str | None = None,
    ) -> None:
        """Record, in the background, the resources of pods' lists that have no routing, and times that differ.

        :param caller: who was shown the lists. A resource of a project that the caller may not know is not recorded
        :param found: pods and the items in their lists
        :param project_id: owner of the items that do not show one; empty: unknown, and they are not recorded
        :param claim_id: the quota claim of the request that created them
        """
        unknown = []
        # A list can have many items: one lock, and one look at the clock, for all of them.
        with self._lock, self._cache.timer:
            for pod, item in found:
                # Most are known, and an id that is known is one of a resource.
                item_id = item.get('id')
                known = self._cached((resource.type, item_id)) if isinstance(item_id, str) else None
                if known is None or not known.is_live or not known.agrees_with(item.get(resource.created)):
                    unknown.append((pod, item))
        items: dict[PodView, list[Mapping[str, Any]]] = {}
        for pod, item in unknown:
            if not is_resource_id(item.get('id')):
                continue
            complete = whole(item)
            if complete is None or complete.get('status') == 'DELETED':
                continue
            owner = resource.owner_of(complete, project_id)
            if owner and caller.may_know(owner):
                items.setdefault(pod, []).append(complete)
        if items:
            self._background.submit(self._record_listed, resource, items, project_id, claim_id)

    def _record_listed(
        self,
        resource: Resource,
        items: Mapping[PodView, list[Mapping[str, Any]]],
        project_id: str,
        claim_id: str | None,
    ) -> None:
        for pod, of_pod in items.items():
            try:
                self._record_listed_in(pod, resource, of_pod, project_id, claim_id)
            except (*NOT_RECORDED, *_UNFIT_ITEM) as error:
                middle = len(of_pod) // 2
                if middle and isinstance(error, _UNFIT_ITEM):
                    # The other items can be recorded.
                    for half in (of_pod[:middle], of_pod[middle:]):
                        self._record_listed(resource, {pod: half}, project_id, claim_id)
                    continue
                # No caller waits for this thread and could log the error. The next list tries again.
                LOG.exception('Failed to record %ss in a list of pod %s', resource.type, pod.name)

    def _record_listed_in(
        self, pod: PodView, resource: Resource, items: list[Mapping[str, Any]], project_id: str, claim_id: str | None
    ) -> None:
        known = match_routings(self._db, resource.type, pod.id, [item['id'] for item in items])
        unknown = [item for item in items if item['id'] not in known]
        new = [
            new_routing(self._db, resource, pod.id, item, resource.owner_of(item, project_id))
            for item in without_unfinished(self._db, self._registry.snapshot().moving, resource, pod.id, unknown)
        ]
        for item in items:
            record = known.get(item['id'])
            if record is None:
                continue
            if not record.is_live and record.pod_id == pod.id and self._is_old(record):
                self.revive(resource, pod, record, item)
                continue
            created_at = resource.created_at(item)
            if created_at is not None and record.created_at != created_at and record.pod_id == pod.id:
                record = routings.update(self._db, record.id, created_at=created_at) or record
            self._remember(record)
        if new:
            routings.record_many(self._db, new, claim_id)
            for record in routings.get_many(self._db, resource.type, [row.top_id for row in new]).values():
                self._remember(record)

    def _is_old(self, record: Routing) -> bool:
        """Whether a resource was marked deleted before the requests for all lists that are answered now were sent."""
        return record.deleted_at is not None and record.deleted_at + self._list_time < utcnow()

    def change_owner(self, resource: Resource, pod: PodView, top_ids: Iterable[str], project_id: str) -> None:
        """Record that resources of a pod belong to another project now, as the pod says.

        Those that are in another pod are left out. A failure is only logged, as the next comparison with the pod
        corrects the owner.
        """
        for top_id in top_ids:
            self.record(NewRouting(resource.type, top_id, pod.id, project_id))
            try:
                record = routings.get(self._db, resource.type, top_id)
                if record is not None and record.pod_id == pod.id and record.project_id != project_id:
                    record = routings.update(self._db, record.id, project_id=project_id)
            except NOT_RECORDED:
                LOG.exception('Failed to record the new owner of %s %s', resource.type, top_id)
                continue
            if record is not None:
                self._remember(record)

    # -- forget --

    def mark_deleted(self, resource_type: str, route: Route) -> bool:
        """Record that a resource is gone from its pod.

        The routing stays, marked as deleted, so that later requests do not have to call all pods. A failure of the
        database is only logged, as the next request for the resource gets 404 from the pod and records it then.

        :returns: False if no live routing names this pod and the id in it: it may name another pod by now
        """
        self.forget(resource_type, route.top_id)
        if not route.is_live:
            return False
        try:
            return routings.mark_deleted(self._db, resource_type, route.top_id, route.pod.id, route.bottom_id)
        except NOT_RECORDED:
            LOG.exception(
                'Failed to record that %s %s is gone from pod %s', resource_type, route.top_id, route.pod.name
            )
            return True

    def revive(self, resource: Resource, pod: PodView, routing: Route | Routing, item: Mapping[str, Any]) -> None:
        """Record that a resource exists: its pod shows it, although its routing is marked as deleted.

        The routing keeps its owner. If the owner changed meanwhile, the next comparison with the pod corrects it.

        :param item: the resource in the pod's answer
        """
        if item.get('status') == 'DELETED':
            return
        LOG.warning('%s %s exists in pod %s, though marked as deleted', resource.type, routing.top_id, pod.name)
        self.record(
            NewRouting(
                resource.type,
                routing.top_id,
                pod.id,
                routing.project_id,
                routing.bottom_id,
                resource.created_at(item),
                deltas_of(self._db, resource.type, item),
                user_id=user_of(item),
            )
        )

    def forget(self, resource_type: str, top_id: str) -> None:
        """Drop a routing from the cache, so that the next lookup reads it from the database."""
        with self._lock:
            self._cache.pop((resource_type, top_id), None)

    def _cached(self, key: tuple[str, str]) -> _CachedRouting | None:
        """Return a routing from the cache; the caller holds the lock."""
        try:
            # ``get`` of a TTLCache looks the key up twice and reads the clock each time.
            return self._cache[key]
        except KeyError:
            return None

    def _remember(self, record: Routing) -> _CachedRouting:
        created_at = record.created_at
        created = created_at.isoformat(timespec='seconds') if created_at is not None else ''
        known = _CachedRouting(record.pod_id, record.bottom_id, record.project_id, record.is_live, created_at, created)
        if self._cache.maxsize:
            with self._lock:
                self._cache[record.resource_type, record.top_id] = known
        return known


def _is_outdated(known: _CachedRouting | None, moved_to: str | None) -> bool:
    """Return whether a routing has to be read from the database: it is not in the cache, or has moved since."""
    return known is None or (moved_to is not None and known.pod_id != moved_to)


def _wanted(resource: Resource, top_id: str, route: Route | None) -> Wanted:
    """Return what to ask the pods for."""
    return Wanted(resource, top_id, route.pod if route is not None and route.is_live else None)


def _check_maintenance(resource: Resource, route: Route) -> None:
    """:raises ServiceUnavailable: the pod of a resource is in maintenance"""
    if route.pod.in_maintenance:
        raise pod_failures.in_maintenance(f'{resource.title} {route.top_id}', route.pod.zone)
