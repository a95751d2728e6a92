# SPDX-License-Identifier: Apache-2.0
"""Claim quota while a request is served, and look up the quota that an existing resource uses.

The subclasses of ``Create`` and ``Forward`` say what a request claims and how their service words an over-quota error.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from oslo_utils import uuidutils

from trio2o import exception, job_types
from trio2o.db import quotas, routings
from trio2o.db.database import Database, utcnow
from trio2o.db.errors import NOT_RECORDED
from trio2o.db.quotas import Settlement
from trio2o.db.records import NewRouting
from trio2o.gateway.read_object import read_object
from trio2o.pods.registry import PodView
from trio2o.quota.amounts import Amounts, charged_to
from trio2o.quota.claims import Claim, ClaimRequest, OverQuota
from trio2o.quota.settle import Settler
from trio2o.quota.usage import Measured, deltas_of, measure
from trio2o.resources import Resource, normalized_id
from trio2o.routing.locator import Route
from trio2o.web import pod_failures
from trio2o.web.call import Call

LOG = logging.getLogger(__name__)

#: Seconds a request waits for pods to confirm recent deletions before it is refused.
SETTLE_SECONDS = 5.0


class HeldClaim:
    """The claim of one request while it is served. It is released at the end unless it was committed or kept."""

    def __init__(self, call: Call, claim: Claim) -> None:
        self._runtime = call.runtime
        self._claim = claim
        self._is_decided = False

    @property
    def id(self) -> str | None:
        """The id of the claim's row; None if no limit applies and nothing was claimed."""
        return self._claim.id

    @property
    def count(self) -> int:
        """How many of the requested resources the quota has room for."""
        return self._claim.count

    @property
    def project_id(self) -> str:
        """The project whose quota the claim is on."""
        return self._claim.request.project_id

    def name_pod(self, pod: PodView) -> None:
        """Record the pod that the request is about to be sent to, unless the claim names it already."""
        self._claim = self._runtime.quota.name_pod(self._claim, pod.id)

    def require_current(self) -> None:
        """Check, before a request is sent to a pod, that its claim still counts.

        :raises ServiceUnavailable: the claim has expired, as this process or its host stopped for a while: another
            process may have released it, and other requests may have used the quota
        """
        row = self._claim.row
        if row is not None and row.expires_at is not None and utcnow() >= row.expires_at:
            raise pod_failures.too_late()

    def keep_open(self, pod: PodView, resource_type: str, resource_id: str = '') -> None:
        """Keep the claim, as the outcome of the request in the pod is unknown: the job ``settle_claims`` finds it out.

        :param resource_id: the resource that the request changes; empty for a create
        """
        self._is_decided = True
        if self._claim.id is not None:
            self._runtime.quota.keep_open(self._claim, pod.id, resource_type, resource_id)

    def watch(self, pod: PodView, resource_type: str, resource_id: str) -> None:
        """Keep the claim until a job sees that the pod has finished a change it accepted."""
        self._is_decided = True
        self._runtime.quota.watch(self._claim, pod.id, resource_type, resource_id)

    def commit(self, pod: PodView, resource: Resource, item: Mapping[str, Any], project_id: str) -> None:
        """Record a new resource, and turn the claim into its usage.

        If the request also creates other resources (volumes of a server, further servers), the rest of the claim stays
        open, and a job watches it.
        """
        runtime, request = self._runtime, self._claim.request
        self._is_decided = True
        own = charged_to(resource.type, request.amounts)
        measured = _measured(runtime.db, resource, item)
        deltas = (measured.deltas if measured is not None else None) or own or None
        has_rest = self._claim.count > 1 or len(own) < len(request.amounts)
        new = NewRouting(
            resource.type,
            item['id'],
            pod.id,
            project_id,
            created_at=resource.created_at(item),
            deltas=deltas,
            user_id=request.user_id if resource.service == 'compute' else '',
        )
        rest = runtime.quota.columns_of_rest(pod.id, resource.type, item['id']) if has_rest else None
        runtime.locator.record(new, Settlement(self._claim.row, rest))
        if measured is not None and not measured.is_settled and measured.deltas.get('gigabytes') == 0:
            # The pod shows the size only when it has read the source of the resource.
            runtime.quota.watch_again(project_id, pod.id, resource.type, item['id'])

    def close(self) -> None:
        """Release the claim unless it was committed or kept."""
        if not self._is_decided:
            self._runtime.quota.release(self._claim)


def _measured(db: Database, resource: Resource, item: Mapping[str, Any]) -> Measured | None:
    """Measure a new resource; None if the database fails, as the tenant must be shown the resource all the same."""
    try:
        return measure(db, resource.type, item)
    except NOT_RECORDED:
        LOG.exception('Failed to measure %s %s', resource.type, item['id'])
        return None


@contextmanager
def quota_claim(
    call: Call, request: ClaimRequest, over_quota_error: Callable[[OverQuota], exception.Trio2oException]
) -> Iterator[HeldClaim]:
    """Claim amounts on the quota, and release them at the end unless the claim was committed or kept.

    :param request: the amounts and whose quota they are claimed on
    :param over_quota_error: how the service words a refusal
    :raises Trio2oException: the over-quota error of the service
    """
    claim = HeldClaim(call, _claim_or_refuse(call, request, over_quota_error))
    try:
        yield claim
    finally:
        claim.close()


def _claim_or_refuse(
    call: Call, request: ClaimRequest, over_quota_error: Callable[[OverQuota], exception.Trio2oException]
) -> Claim:
    quota = call.runtime.quota
    try:
        return quota.claim(request)
    except OverQuota as error:
        refused = error
    # Pods may have finished deletions that still count. Look at the resources that are changing, then try again.
    if Settler(call.runtime, SETTLE_SECONDS).settle_project(request.project_id, SETTLE_SECONDS):
        try:
            return quota.claim(request)
        except OverQuota as error:
            refused = error
    _schedule_recount(call, request.project_id)
    raise over_quota_error(refused) from None


def _schedule_recount(call: Call, project_id: str) -> None:
    """Schedule a recount unless one ran recently: a resource may have been deleted directly in a pod."""
    runtime = call.runtime
    recounts = [row.recounted_at for row in quotas.usage(runtime.db, project_id).values()]
    since = utcnow() - timedelta(seconds=runtime.conf.quota.recheck_seconds)
    if all(at is None or at < since for at in recounts):
        payload = {'project_id': project_id, 'asks_pods': True}
        runtime.jobs.submit(job_types.RECOUNT_QUOTA, project_id, payload, request_id=call.context.request_id)


def shown_amounts(call: Call, resource: Resource, route: Route) -> Amounts:
    """Return the quota that a resource uses, as its pod shows it to the caller; {} if the pod does not have it.

    :raises ServiceUnavailable: the pod does not show it now, so what the request uses is unknown
    """
    try:
        item = read_object(call, resource.service, f'{resource.path}/{route.bottom_id}', resource.member, [route.pod])
    except exception.NotFound:
        return {}
    if item is None:
        raise pod_failures.unreachable(f'{resource.title} {route.top_id}', route.pod.zone)
    return deltas_of(call.runtime.db, resource.type, item) or {}


def amounts_of(call: Call, resource: Resource, top_id: Any) -> Amounts:
    """Return the quota that a resource in a body uses: the recorded amounts, else those that its pod shows.

    :returns: {} if no pod shows it to the caller; the pod that gets the request then refuses it
    :raises ServiceUnavailable: a pod that has it, or may have it, does not show it now
    """
    if not isinstance(top_id, str) or not uuidutils.is_uuid_like(top_id):
        return {}
    top_id = normalized_id(top_id)
    record = routings.get(call.runtime.db, resource.type, top_id)
    # What a resource of another project uses would be in the text of a refusal. Its pod decides who sees it.
    if record is not None and record.deltas and call.context.may_know(record.project_id):
        return record.deltas
    try:
        return shown_amounts(call, resource, call.runtime.locator.find(call, resource, top_id))
    except (exception.NotFound, exception.Forbidden):
        return {}
