# SPDX-License-Identifier: Apache-2.0
"""Finding out in the pods what became of claims, and counting there what was never told.

Done with Trio2o's own identity: by a job again and again, and before a request is refused, so that what was deleted
a moment ago does not stand in its way.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from concurrent import futures
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from trio2o import exception, resources
from trio2o.concurrency import Deadline
from trio2o.db import pods as db_pods
from trio2o.db import quotas, routings
from trio2o.db.records import NewRouting, QuotaClaim, Routing
from trio2o.db.session import Database, utcnow
from trio2o.pods.podapi import PodApi, PodRefused
from trio2o.pods.registry import PodView
from trio2o.quota.amounts import COUNTS, base_of
from trio2o.quota.usage import VERSIONS, Measured, is_at_rest, measure, user_of
from trio2o.resources import Resource
from trio2o.routing.pod_lists import pages

if TYPE_CHECKING:
    from trio2o.runtime import Runtime

LOG = logging.getLogger(__name__)

#: What counts, and is looked at in pods.
KINDS: Mapping[str, Resource] = {
    kind.type: kind
    for kind in (
        resources.SERVER,
        resources.SERVER_GROUP,
        resources.VOLUME,
        resources.SNAPSHOT,
        resources.BACKUP,
        resources.GROUP,
    )
}
#: All that may be changed or go away.
_ALL: Mapping[str, Resource] = {
    **KINDS,
    **{kind.type: kind for kind in (resources.GROUP_SNAPSHOT, resources.CONSISTENCYGROUP, resources.CGSNAPSHOT)},
}
#: Those that can be listed for every project.
LISTED: Mapping[str, Resource] = {name: KINDS[name] for name in resources.ROUTED if name in KINDS}
#: Kinds whose resources go along when one of this kind goes.
_WITH: Mapping[str, tuple[str, ...]] = {
    'server': ('volume',),
    'volume': ('snapshot',),
    'group': ('volume', 'snapshot'),
    'consistencygroup': ('volume', 'snapshot'),
    'group_snapshot': ('snapshot',),
    'cgsnapshot': ('snapshot',),
}

#: Claims of one project that are looked into before a request is refused.
_MOST = 20
#: A claim is looked at the more seldom the longer it lasts: after so much of its age again.
_PATIENCE = 0.25


@dataclass(frozen=True)
class Where:
    """Resources of a kind that a project has in a pod."""

    pod: PodView
    kind: str
    project_id: str


class NotNow(Exception):
    """A pod that has to tell cannot be asked."""


class Settler:
    """Settles claims, one after another; made anew for each run."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._db: Database = runtime.db
        options = runtime.conf.quota
        self._watch_seconds: float = options.watch_seconds
        self._claim_seconds: float = options.claim_seconds
        self._also: set[Where] = set()

    # -- claims --

    def settle_due(self, limit: int = 200) -> int:
        """Look into the claims that are due. :returns: how many are settled"""
        settled = 0
        for claim in quotas.claims(self._db, due=utcnow(), limit=limit):
            later = utcnow() + timedelta(seconds=max(self._watch_seconds, 1.0))
            if quotas.take_up(self._db, claim.id, claim.expires_at, later):
                settled += self.settle(claim)
        self._count_also()
        return settled

    def settle_project(self, project_id: str, seconds: float) -> bool:
        """Look into what is open of a project, within some seconds. :returns: whether anything was settled"""
        open_claims = [claim for claim in quotas.claims(self._db, project_id=project_id) if claim.state == 'watch']
        if not open_claims:
            return False
        deadline = Deadline(seconds)
        looks = [self._runtime.executor.submit(self.settle, claim) for claim in open_claims[:_MOST]]
        done, _late = futures.wait(looks, deadline.remaining())
        if not deadline.is_over():
            self._count_also()
        for look in done:
            if look.exception() is not None:
                LOG.warning('a claim of project %s could not be settled', project_id, exc_info=look.exception())
        return any(look.exception() is None and look.result() for look in done)

    def settle(self, claim: QuotaClaim) -> bool:
        """Look into one claim. :returns: whether it is settled"""
        try:
            is_settled = self._watched(claim) if claim.resource_id else self._made(claim)
        except (NotNow, exception.Trio2oException, PodRefused) as error:
            LOG.info('claim %s of project %s stays open: %s', claim.id, claim.project_id, error)
            is_settled = False
        if not is_settled:
            age = (utcnow() - claim.created_at).total_seconds()
            wait = max(self._watch_seconds, age * _PATIENCE)
            quotas.keep(self._db, claim.id, expires_at=utcnow() + timedelta(seconds=min(wait, self._claim_seconds)))
        return is_settled

    def _watched(self, claim: QuotaClaim) -> bool:
        """Look at what was changed; once it has come to rest it counts for what it is."""
        routing = routings.get(self._db, claim.resource_type, claim.resource_id)
        pod = self._pod(routing.pod_id if routing is not None and routing.is_live else claim.pod_id)
        found: Measured | None = None
        if routing is not None and routing.is_live:
            item = self.look(pod, _ALL[claim.resource_type], routing.bottom_id)
            if item is None:
                self._ended(routing)
            else:
                found = measure(self._db, claim.resource_type, item)
                if not (found.is_settled if found is not None else is_at_rest(item)):
                    return False
        for name in self._born(claim):
            self.count(Where(pod, name, claim.project_id))
        if routing is not None and found is not None:
            routings.set_deltas(
                self._db, routing.resource_type, routing.top_id, found.over(routing.deltas), claim_id=claim.id
            )
        else:
            quotas.give_back(self._db, claim.id)
        if found is None:
            self._also |= {Where(pod, name, claim.project_id) for name in _WITH.get(claim.resource_type, ())}
        return True

    def _made(self, claim: QuotaClaim) -> bool:
        """Count what a create made that nobody heard of again."""
        snapshot = self._runtime.registry.snapshot()
        pods = [self._pod(claim.pod_id)] if claim.pod_id else self._could_be_asked(snapshot.pods, claim)
        is_alone = len(quotas.claims(self._db, project_id=claim.project_id, limit=2)) < 2
        for name in self._born(claim):
            for pod in pods:
                self.count(Where(self._pod(pod.id), name, claim.project_id), claim if is_alone else None)
        if not any(each.id == claim.id for each in quotas.claims(self._db, project_id=claim.project_id, limit=1000)):
            return True  # it has come true
        if utcnow() < claim.created_at + timedelta(seconds=self._claim_seconds):
            return False  # the pod may still be at it
        quotas.give_back(self._db, claim.id)
        return True

    def _could_be_asked(self, pods: Iterable[PodView], claim: QuotaClaim) -> list[PodView]:
        """Without those that came later, or were in maintenance when it was made and have not left it since."""
        found = []
        for pod in pods:
            if pod.record.created_at > claim.created_at:
                continue
            changes = db_pods.state_changes(self._db, pod.id, limit=1) if not pod.is_asked else []
            since = changes[0].at if changes else pod.record.created_at
            if pod.is_asked or since > claim.created_at:
                found.append(pod)
        return found

    def _born(self, claim: QuotaClaim) -> set[str]:
        """Kinds that a claim says there will be more of."""
        bases = {base_of(name) for name, amount in claim.resources.items() if amount}
        return {name for name in LISTED if COUNTS[name][0] in bases}

    def _count_also(self) -> None:
        """Count what may have gone along with what is gone, or come along with it."""
        while self._also:
            where = self._also.pop()
            if where.pod.id in routings.pods_of_project(self._db, where.kind, where.project_id):
                try:
                    self.count(where)
                except (NotNow, exception.Trio2oException, PodRefused) as error:
                    LOG.info('%ss of project %s are counted another time: %s', where.kind, where.project_id, error)

    def _ended(self, routing: Routing) -> None:
        routings.mark_deleted(self._db, routing.resource_type, routing.top_id)
        self._runtime.locator.forget(routing.resource_type, routing.top_id)

    # -- pods --

    def count(self, where: Where, claim: QuotaClaim | None = None) -> None:
        """Record what a project has of a kind in a pod, and end the routings of what it has no more.

        :param claim: a claim that what is new may have come true of
        """
        resource = LISTED[where.kind]
        if resource.service not in where.pod.endpoints:
            return
        started = utcnow()
        seen: set[str] = set()
        for item in self.items(where):
            seen.add(item['id'])
            self._take(where, resource, item, claim)
        for routing in routings.list_for_pod(self._db, resource.type, where.pod.id, where.project_id):
            if routing.bottom_id in seen or routing.recorded_at >= started:
                continue
            if self.look(where.pod, resource, routing.bottom_id) is None:
                self._ended(routing)

    def _take(self, where: Where, resource: Resource, item: Mapping[str, Any], claim: QuotaClaim | None) -> None:
        """Record one item of a list with what it counts for."""
        found = measure(self._db, resource.type, item)
        if found is None:
            return
        known = routings.get(self._db, resource.type, item['id'])
        if known is None or not known.is_live or known.deltas is None:
            new = NewRouting(
                resource.type,
                item['id'],
                where.pod.id,
                where.project_id,
                created_at=resource.created_at(item),
                deltas=found.deltas,
                user_id=user_of(item),
            )
            is_new = (
                claim is not None
                and new.created_at is not None
                and new.created_at >= claim.created_at.replace(microsecond=0)
            )
            routings.record_many(self._db, [new], claim.id if claim is not None and is_new else None)
        elif known.pod_id == where.pod.id and not quotas.claims_on(self._db, [known.top_id]):
            deltas = found.over(known.deltas)
            if not found.is_settled:
                self._runtime.quota.watch_again(where.project_id, where.pod.id, resource.type, known.top_id)
            elif deltas != known.deltas or known.project_id != where.project_id:
                LOG.info('%s %s counts for %s, not %s', resource.type, known.top_id, deltas, known.deltas)
                routings.set_deltas(self._db, resource.type, known.top_id, deltas, project_id=where.project_id)

    def items(self, where: Where) -> Iterator[dict[str, Any]]:
        """All that a project has of a kind in a pod.

        :raises PodError: it does not tell
        :raises PodRefused: it does not want to
        """
        resource = LISTED[where.kind]
        api = self._api(where.pod, resource.service)
        for page in pages(self._db, api, resource, project_id=where.project_id):
            for item in page:
                if resource.owner_of(item, where.project_id) == where.project_id:
                    yield item

    def look(self, pod: PodView, resource: Resource, bottom_id: str) -> dict[str, Any] | None:
        """One resource as its pod shows it; None if it is gone.

        :raises NotNow: the pod says neither
        """
        path = f'{resource.path}/{quote(bottom_id, safe="")}'
        document = self._api(pod, resource.service).get(path, VERSIONS[resource.service])
        item = document.get(resource.member) if isinstance(document, dict) else None
        if document is not None and not isinstance(item, dict):
            raise NotNow(f'pod {pod.name} answered what is not understood')
        return item

    def _api(self, pod: PodView, service: str) -> PodApi:
        runtime = self._runtime
        return PodApi(runtime.client, runtime.identity, pod, service)

    def _pod(self, pod_id: str | None) -> PodView:
        """:raises NotNow: it is not asked"""
        pod: PodView | None = self._runtime.registry.snapshot().by_id.get(pod_id or '')
        if pod is None or not pod.is_asked:
            raise NotNow(f'pod {pod_id} is not asked')
        return pod
