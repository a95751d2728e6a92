# SPDX-License-Identifier: Apache-2.0
"""Settle quota claims: find out in the pods what became of a request, and correct the usage of its project.

A job settles the claims that are due, with Trio2o's own identity. A request that is over quota settles those of its
project first, so that a resource deleted a moment ago does not count against it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent import futures
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from trio2o import exception
from trio2o.concurrency import Deadline
from trio2o.db import pods as db_pods
from trio2o.db import quotas, routings
from trio2o.db.database import Database, utcnow
from trio2o.db.records import QuotaClaim
from trio2o.pods.podapi import PodRefused
from trio2o.pods.registry import PodView
from trio2o.quota.amounts import base_name
from trio2o.quota.usage import Measured, is_idle, measure
from trio2o.resources import (
    CGSNAPSHOT,
    CONSISTENCYGROUP,
    GROUP_SNAPSHOT,
    ROUTED,
    SNAPSHOT,
    TRANSFER,
    USED_BY,
    VOLUME,
    Resource,
)
from trio2o.routing.inventory import Inventory

if TYPE_CHECKING:
    from trio2o.runtime import Runtime

LOG = logging.getLogger(__name__)

#: Types that a claim can name. Those beyond ROUTED cannot be listed for every project.
_SETTLED: Mapping[str, Resource] = {
    **ROUTED,
    **{resource.type: resource for resource in (GROUP_SNAPSHOT, CONSISTENCYGROUP, CGSNAPSHOT, TRANSFER)},
}
#: Types whose resources may be deleted together with one of this type.
_RELATED: Mapping[str, tuple[str, ...]] = {
    'server': ('volume',),
    'volume': ('snapshot',),
    'group': ('volume', 'snapshot'),
    'consistencygroup': ('volume', 'snapshot'),
    'group_snapshot': ('snapshot',),
    'cgsnapshot': ('snapshot',),
}

#: Claims of one project that are settled before a request is refused.
_MAX_CLAIMS = 20
#: An open claim is settled again after this share of its age, so less and less often.
_AGE_SHARE = 0.25


@dataclass(frozen=True)
class Recount:
    """Resources of a type that a project has in a pod, to be counted again."""

    pod: PodView
    resource_type: str
    project_id: str


class PodUnavailable(Exception):
    """A pod that must be called is in maintenance."""


class PodDeleted(Exception):
    """The pod of a claim is not registered any more, so that Trio2o has no resources there."""


class Settling:
    """Lets one request of a project at a time look in pods; the others wait for it. There is one in each process."""

    def __init__(self) -> None:
        self._running: dict[str, futures.Future[bool]] = {}
        self._lock = threading.Lock()

    def run(self, project_id: str, seconds: float, settle: Callable[[], bool]) -> bool:
        """Call a function, or wait for the result of the call that another request has begun.

        :param seconds: how long to wait at most
        :returns: the result; False if it is not there in time
        """
        with self._lock:
            running = self._running.get(project_id)
            if running is None:
                mine = self._running[project_id] = futures.Future[bool]()
        if running is not None:
            try:
                return running.result(seconds)
            except TimeoutError:
                return False
        result = False
        try:
            result = settle()
        finally:
            with self._lock:
                del self._running[project_id]
            mine.set_result(result)
        return result


class Settler:
    """One run of settling claims."""

    def __init__(
        self, runtime: Runtime, timeout: float | None = None, check: Callable[[], None] | None = None
    ) -> None:
        """
        :param timeout: seconds for each call to a pod; ``[pods] read_timeout`` if None
        :param check: see ``Inventory``
        """
        self._timeout = timeout
        self._runtime = runtime
        self._check = check
        self._db: Database = runtime.db
        options = runtime.conf.quota
        self._watch_seconds: float = options.watch_seconds
        self._claim_seconds: float = options.claim_seconds
        self._related: set[Recount] = set()

    # -- claims --

    def settle_due(self, limit: int = 200) -> int:
        """Settle the claims that are due. :returns: number of claims settled"""
        settled = 0
        for claim in quotas.list_claims(self._db, due=utcnow(), limit=limit):
            later = utcnow() + timedelta(seconds=max(self._watch_seconds, 1.0))
            if quotas.postpone(self._db, claim.id, claim.expires_at, later):
                settled += self.settle(claim)
        self.recount_related()
        return settled

    def settle_project(self, project_id: str, seconds: float) -> bool:
        """Settle claims on changes of a project's resources. Concurrent requests of a project do it together.

        :param seconds: return after this time, even if claims are still being settled
        :returns: whether any claim was settled
        """
        return self._runtime.settling.run(project_id, seconds, lambda: self._settle_project(project_id, seconds))

    def _settle_project(self, project_id: str, seconds: float) -> bool:
        claims = quotas.list_claims(self._db, project_id=project_id)
        changes = [claim for claim in claims if claim.resource_id and claim.state != 'open']
        if not changes:
            return False
        deadline = Deadline(seconds)
        pending = [self._runtime.background.submit(self.settle, claim) for claim in changes[:_MAX_CLAIMS]]
        done, _late = futures.wait(pending, deadline.remaining())
        if not deadline.is_over():
            self.recount_related()
        for future in done:
            if future.exception() is not None:
                LOG.warning('Failed to settle a claim of project %s', project_id, exc_info=future.exception())
        return any(future.exception() is None and future.result() for future in done)

    def settle(self, claim: QuotaClaim) -> bool:
        """Settle one claim, or set when to try again. :returns: whether it is settled"""
        try:
            if claim.state == 'open':
                # Its request is no longer served, so no answer will show what it created.
                quotas.keep(self._db, claim.id, state='unknown')
            is_settled = self.settle_change(claim) if claim.resource_id else self.settle_create(claim)
        except (PodUnavailable, exception.Trio2oException, PodRefused) as error:
            LOG.info('Claim %s of project %s stays open: %s', claim.id, claim.project_id, error)
            is_settled = False
        except PodDeleted as error:
            LOG.info('Claim %s of project %s is released: %s', claim.id, claim.project_id, error)
            quotas.release(self._db, claim.id)
            is_settled = True
        if not is_settled:
            age = (utcnow() - claim.created_at).total_seconds()
            wait = min(max(self._watch_seconds, age * _AGE_SHARE), self._claim_seconds)
            quotas.keep(self._db, claim.id, expires_at=utcnow() + timedelta(seconds=wait))
        return is_settled

    def settle_change(self, claim: QuotaClaim) -> bool:
        """Settle the claim on a change of one resource, when the pod has finished the change.

        :returns: whether it is settled
        :raises PodDeleted: the pod of the resource is not registered
        :raises PodUnavailable: it is in maintenance
        :raises PodError: the pod did not answer
        """
        routing = routings.get(self._db, claim.resource_type, claim.resource_id)
        # The resource may have moved since the claim was made.
        pod_id = (
            claim.pod_id if routing is None else routing.pod_id if routing.is_live else claim.pod_id or routing.pod_id
        )
        pod = self._pod(pod_id or '')
        measured: Measured | None = None
        if routing is not None and routing.is_live:
            inventory = Inventory(self._runtime, pod, _SETTLED[claim.resource_type], timeout=self._timeout)
            item = inventory.show(routing.bottom_id)
            if item is None:
                inventory.end(routing)
            else:
                measured = measure(self._db, claim.resource_type, item)
                if not (measured.is_settled if measured is not None else is_idle(item)):
                    return False
                is_changed = measured is not None and measured.counted_after(routing.deltas) != routing.deltas
                if claim.state != 'watch' and not is_changed and not self._is_old(claim):
                    return False  # the request was not answered, and the pod may still begin with it
        elif claim.resource_type == TRANSFER.type and not self._is_old(claim):
            if Inventory(self._runtime, pod, TRANSFER, timeout=self._timeout).show(claim.resource_id) is not None:
                return False  # not accepted yet
        for resource_type in _claimed_types(claim):
            self.recount(Recount(pod, resource_type, claim.project_id), claim)
        if routing is not None and measured is not None:
            deltas = measured.counted_after(routing.deltas)
            routings.set_deltas(self._db, routing.resource_type, routing.top_id, deltas, claim_id=claim.id)
        else:
            quotas.release(self._db, claim.id)
            types = _RELATED.get(claim.resource_type, ())
            self._related |= {Recount(pod, resource_type, claim.project_id) for resource_type in types}
        return True

    def settle_create(self, claim: QuotaClaim) -> bool:
        """Settle the claim of a create with an unknown outcome: record what the pod created, then release the rest.

        Nothing is released in the first ``claim_seconds``, because the pod may still create the resource.

        :returns: whether it is settled
        :raises PodDeleted: the pod of the create is not registered
        :raises PodUnavailable: it is in maintenance
        :raises PodError: a pod did not answer
        """
        if claim.pod_id:
            pods = [self._pod(claim.pod_id)]
        else:
            # Left by a process of an earlier release, which recorded the pod only when it got no answer.
            pods = self._possible_pods(self._runtime.registry.snapshot().pods, claim)
        is_old = self._is_old(claim)
        for resource_type in _claimed_types(claim):
            for pod in pods:
                if pod.in_maintenance:
                    raise PodUnavailable(f'pod {pod.id} is in maintenance')
                self.recount(Recount(pod, resource_type, claim.project_id), claim if is_old else None)
        if quotas.get_claim(self._db, claim.id) is None:
            return True  # the recounts turned all of it into usage
        if not is_old:
            return False  # the pod may still be creating it
        quotas.release(self._db, claim.id)
        return True

    def _is_old(self, claim: QuotaClaim) -> bool:
        """Whether the pod has certainly carried out the request by now, if it ever does."""
        return utcnow() >= claim.created_at + timedelta(seconds=self._claim_seconds)

    def _possible_pods(self, pods: Iterable[PodView], claim: QuotaClaim) -> list[PodView]:
        """Return the pods that the create of a claim could be sent to.

        Pods that were registered later, or are in maintenance since before the claim, cannot have got it.
        """
        found = []
        for pod in pods:
            if pod.record.created_at > claim.created_at:
                continue
            changes = db_pods.state_changes(self._db, pod.id, limit=1) if pod.in_maintenance else []
            since = changes[0].at if changes else pod.record.created_at
            if not pod.in_maintenance or since > claim.created_at:
                found.append(pod)
        return found

    # -- recounts --

    def recount_related(self) -> None:
        """Recount resources that were deleted or created together with those of settled claims."""
        while self._related:
            each = self._related.pop()
            if each.pod.id in routings.pods_of_project(self._db, [each.resource_type], each.project_id):
                try:
                    # Volumes go with their server, and snapshots with their volume, in any number.
                    self.recount(each, may_be_many=True)
                except (exception.Trio2oException, PodRefused) as error:
                    kind, project_id = each.resource_type, each.project_id
                    LOG.info('Not recounting the %ss of project %s: %s', kind, project_id, error)

    def recount(self, recount: Recount, claim: QuotaClaim | None = None, *, may_be_many: bool = False) -> None:
        """Make routings and usage agree with the resources that a project has in a pod.

        :param claim: the claim that ends afterwards, and which resources without an answer therefore use up first
        :param may_be_many: whether it is known why many resources may be gone
        :raises PodError: the pod did not answer, or many resources are missing for no known reason
        :raises PodRefused: the pod answered 4xx
        """
        resource = ROUTED[recount.resource_type]
        if resource.service not in recount.pod.endpoints:
            return
        inventory = Inventory(
            self._runtime, recount.pod, resource, recount.project_id, self._check, timeout=self._timeout
        )
        started = utcnow()
        seen: set[str] = set()
        for page in inventory.pages():
            seen.update(item['id'] for item in page)
            found = inventory.compare(page)
            inventory.record_new(found, claim.id if claim is not None else None)
            inventory.record_returned(found)
            inventory.record_changes(found)
            for routing in found.unsettled:
                if not quotas.list_claims_on(self._db, [routing.top_id]):
                    self._runtime.quota.watch_again(recount.project_id, recount.pod.id, resource.type, routing.top_id)
        inventory.end_missing(seen, started, may_be_many=may_be_many)

    def _pod(self, pod_id: str) -> PodView:
        """
        :raises PodDeleted: it is not registered
        :raises PodUnavailable: it is in maintenance
        """
        pod = self._runtime.registry.snapshot().by_id.get(pod_id)
        if pod is None and db_pods.get(self._db, pod_id) is None:
            raise PodDeleted(f'pod {pod_id or None} is not registered')
        if pod is None or pod.in_maintenance:
            raise PodUnavailable(f'pod {pod_id} is in maintenance, or not known yet')
        return pod


def _claimed_types(claim: QuotaClaim) -> list[str]:
    """Return the types of the resources that a claim is for, as far as pods list them.

    Volumes come before snapshots, as a snapshot counts for the volume type of its volume.
    """
    if claim.resource_type == TRANSFER.type:
        return [VOLUME.type, SNAPSHOT.type]
    names = {base_name(name) for name, amount in claim.resources.items() if amount}
    return [resource_type for resource_type in ROUTED if USED_BY[resource_type][0] in names]
