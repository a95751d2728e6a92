# SPDX-License-Identifier: Apache-2.0
"""Which pods have the items of a page, by the creation times in the routings.

A list of the newest items would have to call all pods. With a plan it calls those that have items of the page, and for
no more than these. The other pods have no item before a certain time, so that the merged order is certain up to there.
If the page needs more items than that (because resources were deleted in the pods directly), the plan is extended, and
in the end all pods are called.

A plan does not know what the routings do not know yet: a resource that was created in a pod directly, until the job
that reconciles the routings has read the changes of the pod. So these pods are always called:

- those that have not been reconciled, or whose changes have not been read for long, unless they are out of service,
- those with resources whose creation time is not known yet: the answer to a create of a server does not show it,
- for the beginning of the list of a project, the pods that the project is bound to, where its requests create,
- for the beginning of the list of all projects, the pods that did not answer a create and may have carried it out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from trio2o.db import routings
from trio2o.db.database import utcnow
from trio2o.gateway.lists.marker_plan import ROUNDING
from trio2o.gateway.lists.merge import Keys
from trio2o.gateway.lists.paging import GROWTH, SPARE
from trio2o.pods.registry import PodView, late_seconds
from trio2o.web.call import Call

if TYPE_CHECKING:
    from trio2o.gateway.handlers.list import List
    from trio2o.gateway.lists.listed_pods import ListedPods
    from trio2o.gateway.lists.marker_plan import MarkerPlan
    from trio2o.gateway.lists.query import ListOrder, PageQuery

_JUST_BEFORE = timedelta(microseconds=1)
#: Most plans for one page, each of more rows than the one before.
_MAX_PLANS = 3


@dataclass(frozen=True)
class PagePlan:
    """The pods to call for a page.

    :ivar shares: pods to call, each with the number of items that it has on the page; None if that is not known
    :ivar unneeded: ids of those pods among them without which the page is complete, as far as the routings know
    :ivar uncalled: pods that have or may have items of the page, but are not called
    :ivar end: sort values, without the id, that no item of another pod comes before; () if they have no items at all
    :ivar since: time from which on the plan knows all items of the pods whose number is known; None: of all times
    :ivar until: time up to which it knows them; None if the page has no marker
    """

    shares: Mapping[PodView, int | None] = field(default_factory=dict)
    unneeded: frozenset[str] = frozenset()
    uncalled: Sequence[PodView] = ()
    end: Keys = ()
    since: datetime | None = None
    until: datetime | None = None


class PagePlanner:
    """Plans one page, and extends the plan if the page needs more items."""

    def __init__(
        self,
        listing: List,
        call: Call,
        query: PageQuery,
        order: ListOrder,
        marker: MarkerPlan,
        pods: ListedPods,
        project_id: str | None,
    ) -> None:
        self._listing, self._call, self._order, self._pods = listing, call, order, pods
        self._marker, self._project_id = marker, project_id
        self._needed = max(query.needed, 1)
        self._has_marker = query.marker is not None
        self._marker_id = str(marker.item.get('id')) if marker.item is not None else ''

    def plans(self) -> Iterator[PagePlan]:
        """Yield a plan, then plans of more items. There are no more if all pods are better called."""
        if self._has_marker and self._marker.created_at is None:
            return
        for _plan in range(_MAX_PLANS):
            plan = self._plan()
            self._needed *= GROWTH
            if plan is not None:
                yield plan
                if not plan.end:
                    return

    def _plan(self) -> PagePlan | None:
        """Return a plan of as many items as are needed now; None if too many were created at the same time."""
        marked = self._marker.created_at
        limit = self._needed + 2 * SPARE
        newest = routings.newest(
            self._call.runtime.db,
            self._listing.resource.type,
            self._project_id,
            limit,
            (self._marker_id, marked + ROUNDING) if marked is not None else None,
        )
        rows = newest.dated
        are_all = len(rows) < limit
        # Items of the same second as the marker may be before it.
        after = [at for at, _pod_id in rows if marked is None or at < marked]
        first = after[self._needed - 1] if len(after) >= self._needed else None
        if first is None and not are_all:
            return None
        start = first - ROUNDING if first is not None else None
        shares: dict[str, int | None] = {}
        shares |= Counter(pod_id for at, pod_id in rows if start is None or at >= start)
        shares |= dict.fromkeys(newest.undated)
        if start is not None and not are_all and rows[-1][0] >= start:
            # So many items of one second that the rows may not be all.
            shares |= dict.fromkeys(self._pods_between(start, rows[-1][0]))
        if self._marker.owner_id is not None:
            shares.setdefault(self._marker.owner_id, None)
        shares |= dict.fromkeys(self._not_reconciled())
        may_have_more = newest.may_have_more | {pod.id for pod in self._late()}
        unneeded = may_have_more - shares.keys()
        shares |= dict.fromkeys(may_have_more)
        called, uncalled = self._split(shares, unneeded)
        return PagePlan(called, frozenset(unneeded), uncalled, self._end(first), first, marked)

    def _pods_between(self, start: datetime, end: datetime) -> set[str]:
        runtime = self._call.runtime
        return routings.pods_between(runtime.db, self._listing.resource.type, self._project_id, start, end)

    def _not_reconciled(self) -> Iterator[str]:
        for pod in self._call.snapshot.by_changes_read:
            if pod.record.is_reconciled:
                return
            yield pod.id

    def _late(self) -> Iterator[PodView]:
        """Yield the reconciled pods in service whose changes have not been read for long."""
        late = utcnow() - timedelta(seconds=late_seconds(self._call.runtime.conf))
        for pod in self._call.snapshot.by_changes_read:
            if not pod.record.is_reconciled:
                continue
            if pod.record.followed_at is not None and pod.record.followed_at >= late:
                return
            if self._pods.may_call(pod) and self._is_in_service(pod):
                yield pod

    def _is_in_service(self, pod: PodView) -> bool:
        key = (pod.id, self._call.service.service_type)
        return not self._call.runtime.client.breakers.seconds_tripped(key)

    def _split(
        self, shares: Mapping[str, int | None], unneeded: Collection[str]
    ) -> tuple[dict[PodView, int | None], list[PodView]]:
        """Return the pods to call, with their shares, and those that are needed and are not called."""
        snapshot = self._call.snapshot
        pods = {snapshot.by_id[pod_id]: share for pod_id, share in shares.items() if pod_id in snapshot.by_id}
        called = {pod: share for pod, share in pods.items() if self._pods.may_call(pod)}
        uncalled = [pod for pod in pods if pod not in called and pod.id not in unneeded]
        # A pod that is not reconciled may have none, or not even the service.
        unsure = [pod for pod in uncalled if not pod.record.is_reconciled]
        having = self._pods.with_resources(unsure) if unsure else ()
        if not called:
            # Only a pod can say what else is wrong with the request.
            callable_ = [pod for pod in snapshot.pods if self._pods.may_call(pod)]
            one = next((pod for pod in callable_ if self._is_in_service(pod)), None)
            called = dict.fromkeys([one] if one is not None else callable_[:1])
        return called, [pod for pod in uncalled if pod not in unsure or pod in having]

    def _end(self, first: datetime | None) -> Keys:
        if first is None:
            return ()
        item = {self._listing.resource.created: self._listing.show_time(first - _JUST_BEFORE), 'id': ''}
        return self._order.order.keys(item)[:-1]
