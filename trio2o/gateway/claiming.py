# SPDX-License-Identifier: Apache-2.0
"""A claim on the quota for as long as a request is served, and what a row says of it.

A row that makes or changes something names what that takes and how the service refuses it; the mechanism is here,
the same for all.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Any

from oslo_utils import uuidutils

from trio2o import exception, job_types
from trio2o.db import quotas, routings
from trio2o.db.session import utcnow
from trio2o.gateway.read_object import read_object
from trio2o.gateway.requested import Needs
from trio2o.pods.registry import PodView
from trio2o.quota.amounts import Amounts, part_of
from trio2o.quota.claims import Asked, Claim, Quota, Refused
from trio2o.quota.settle import Settler
from trio2o.quota.usage import deltas_of, measure
from trio2o.resources import Resource
from trio2o.routing.locator import Route
from trio2o.web.call import Answer, Call

LOG = logging.getLogger(__name__)

#: How a service says that a limit does not allow it.
Refuse = Callable[[Refused], exception.Trio2oException]
#: (call, where it is, what it counts for now): what a change takes on top of that.
ReadGrowth = Callable[[Call, Route, Amounts], Mapping[str, int]]

#: Seconds a request waits for pods to tell whether what was deleted is gone, before it is refused.
SETTLE_SECONDS = 5.0


@dataclass(frozen=True)
class Change:
    """What a change of a resource does to its use of the quota.

    :ivar refuse: how the service refuses it; None: nothing more is taken
    :ivar grows: what it takes on top of what the resource counts for
    """

    refuse: Refuse | None = None
    grows: ReadGrowth | None = None

    def asked(self, call: Call, route: Route, resource: Resource) -> Asked:
        """What it asks, of the quota of the owner."""
        record = routings.get(call.runtime.db, resource.type, route.top_id)
        growth: Mapping[str, int] = {}
        if self.grows is not None:
            known = record.deltas if record is not None else None
            growth = self.grows(call, route, known_amounts(call, resource, route) if known is None else known)
        return Asked(
            route.project_id,
            record.user_id if record is not None else '',
            growth,
            resource_type=resource.type,
            resource_id=route.top_id,
            request_id=call.context.request_id or '',
        )


#: It may count for less afterwards.
SHRINKS = Change()


class Claiming:
    """A claim that is given back at the end, unless it was said what came of it."""

    def __init__(self, call: Call, asked: Asked, refuse: Refuse | None) -> None:
        """:raises Trio2oException: a limit does not allow it"""
        self._call = call
        self._quota: Quota = call.runtime.quota
        self.claim: Claim = self._claimed(asked, refuse)
        self._is_decided = False

    def _claimed(self, asked: Asked, refuse: Refuse | None) -> Claim:
        try:
            return self._quota.claim(asked)
        except Refused as error:
            refused = error
        runtime = self._call.runtime
        if Settler(runtime).settle_project(asked.project_id, SETTLE_SECONDS):
            try:
                return self._quota.claim(asked)
            except Refused as error:
                refused = error
        self._recheck(asked.project_id)
        if refuse is None:
            raise exception.Forbidden(f'Quota exceeded for {refused}')
        raise refuse(refused) from None

    def _recheck(self, project_id: str) -> None:
        """Have it counted anew, unless that was done a moment ago: perhaps something is gone that nobody told."""
        runtime = self._call.runtime
        counted = [row.recounted_at for row in quotas.usage(runtime.db, project_id).values()]
        since = utcnow() - timedelta(seconds=runtime.conf.quota.recheck_seconds)
        if all(at is None or at < since for at in counted):
            payload = {'project_id': project_id, 'asks_pods': True}
            runtime.jobs.submit(job_types.RECOUNT_QUOTA, project_id, payload, request_id=self._call.context.request_id)

    def __enter__(self) -> Claiming:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._is_decided:
            self._quota.give_back(self.claim)

    def unknown(self, pod: PodView, resource_type: str) -> None:
        """The pod did not answer; a job finds out."""
        self._is_decided = True
        if self.claim.id is not None:
            self._quota.leave_open(self.claim, pod.id, resource_type)

    def watch(self, pod: PodView, resource_type: str, resource_id: str) -> None:
        """The pod said yes, and the resource has to be looked at until it is done."""
        self._is_decided = True
        self._quota.watch(self.claim, pod.id, resource_type, resource_id)

    def refused(self, pod: PodView) -> None:
        """The pod has a limit of its own that refuses what the quota allows: have it set to unlimited."""
        context, runtime = self._call.context, self._call.runtime
        project_id = self.claim.asked.project_id
        LOG.warning(
            'pod %s has a limit of its own that refuses project %s what the quota allows', pod.name, project_id
        )
        if runtime.conf.quota.raise_limits_interval:
            payload = {'pod_id': pod.id, 'project_id': project_id, 'user_id': context.user_id}
            key = f'{pod.id}:{project_id}'
            runtime.jobs.submit(job_types.RAISE_POD_LIMITS, key, payload, request_id=context.request_id)

    def record(self, pod: PodView, resource: Resource, item: Mapping[str, Any], project_id: str) -> None:
        """Record what was made; what it counts for comes out of the claim, and what is left of that is watched."""
        runtime, asked = self._call.runtime, self.claim.asked
        self._is_decided = True
        own = part_of(resource.type, asked.once)
        measured = measure(runtime.db, resource.type, item)
        deltas = (measured.deltas if measured is not None else None) or own or None
        rest = self.claim.count > 1 or len(own) < len(asked.once)
        runtime.locator.record(
            resource,
            pod,
            item['id'],
            project_id,
            resource.created_at(item),
            deltas=deltas,
            user_id=asked.user_id if resource.service == 'compute' else '',
            claim=self.claim.row,
            keep=self._quota.rest(pod.id, resource.type, item['id']) if rest else None,
        )
        if measured is not None and not measured.is_settled and measured.deltas.get('gigabytes') == 0:
            # Its size shows later.
            self._quota.watch_again(project_id, pod.id, resource.type, item['id'])


#: How a single thing is refused that is larger than any may be, in every pod.
_TOO_LARGE_ANYWHERE = b'larger than maximum allowed limit'


def is_over_quota(answer: Answer) -> bool:
    """Whether a pod's refusal is for a quota of its own."""
    if answer.status == 413:
        return _TOO_LARGE_ANYWHERE not in answer.body
    return answer.status == 403 and b'uota exceeded' in answer.body


def asked_by(call: Call, needs: Needs, resource: Resource) -> Asked:
    return Asked(
        call.context.project_id or '',
        call.context.user_id or '',
        needs.quota,
        needs.count,
        needs.least,
        resource.type,
        request_id=call.context.request_id or '',
    )


def known_amounts(call: Call, resource: Resource, route: Route) -> Amounts:
    """What a resource counts for as its pod shows it to the caller; nothing if it does not."""
    item = read_object(call, resource.service, f'{resource.path}/{route.bottom_id}', resource.member, [route.pod])
    return (deltas_of(call.runtime.db, resource.type, item) if item is not None else None) or {}


def amounts_of(call: Call, resource: Resource, top_id: Any) -> Amounts:
    """What something that a body refers to counts for: as it is recorded, else as its pod shows it."""
    if not isinstance(top_id, str) or not uuidutils.is_uuid_like(top_id):
        return {}
    record = routings.get(call.runtime.db, resource.type, top_id)
    if record is not None and record.deltas:
        return record.deltas
    try:
        return known_amounts(call, resource, call.runtime.locator.find(call, resource, top_id))
    except exception.Trio2oException:
        return {}
