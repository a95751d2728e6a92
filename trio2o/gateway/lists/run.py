# SPDX-License-Identifier: Apache-2.0
"""Read a list from the pods until the requested page is certain."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from trio2o import exception
from trio2o.gateway.call_pods import REQUEST_REFUSED
from trio2o.gateway.lists.cursor import PageDeadlines, PodCursor, read_pages
from trio2o.gateway.lists.listed_pods import ListedPods
from trio2o.gateway.lists.marker_plan import MarkerPlan
from trio2o.gateway.lists.merge import After, Merged, PodItems, merge
from trio2o.gateway.lists.page_plan import PagePlan
from trio2o.gateway.lists.paging import GrowingPaging, Query
from trio2o.gateway.lists.query import ListOrder, PageQuery
from trio2o.gateway.moving import without_hidden
from trio2o.gateway.translate import PodNames, page_up
from trio2o.pods.own_answers import is_unknown_path
from trio2o.pods.registry import PodView
from trio2o.resources import Item
from trio2o.web.call import Answer, Call

if TYPE_CHECKING:
    from trio2o.gateway.handlers.list import List

#: A text that comes after each time.
_AFTER_ALL = '~'


class ListRun:
    """The state of one request for a list: the cursors of the pods, and the deadlines of the calls.

    :ivar cursors: of the pods that were called
    """

    def __init__(
        self,
        listing: List,
        call: Call,
        query: PageQuery,
        order: ListOrder,
        marker: MarkerPlan,
        pods: ListedPods,
        plans: Iterable[PagePlan],
        *,
        project_id: str | None,
        known_project: str | None,
    ) -> None:
        """
        :param plans: of the page, each of more items; after the last one all pods are called
        :param project_id: the only project whose resources are listed, or None
        :param known_project: the only project whose resources the pods show, or None
        """
        self._listing, self._call, self._query, self._order = listing, call, query, order
        self._marker, self._pods, self._plans = marker, pods, iter(plans)
        self._project_id, self._known_project = project_id, known_project
        self._fields = frozenset((*order.fields, *listing.read_fields))
        self._beside = frozenset((*filter(None, (listing.links_key,)), 'count'))
        self._plan = next(self._plans, None)
        self.cursors: list[PodCursor] = []
        if self._plan is not None and not self._plan.shares:
            self._plan = None
        self._begin()
        self._deadlines = PageDeadlines(call.runtime.conf)

    def _begin(self) -> list[PodCursor]:
        """Return cursors of the pods to call now that have none yet."""
        shares = dict.fromkeys(self._pods.called) if self._plan is None else self._plan.shares
        begun = {cursor.pod.id for cursor in self.cursors}
        new = [
            PodCursor(
                pod,
                share=share,
                marker=self._marker.start_in(self._listing, self._call, pod, self._order, self._known_project),
                is_marker_owner=pod.id == self._marker.owner_id,
            )
            for pod, share in shares.items()
            if pod.id not in begun
        ]
        self.cursors += new
        return new

    @property
    def failed(self) -> dict[PodView, bool]:
        """The pods whose part of the page is missing as they did not answer, each with whether it is down."""
        return {cursor.pod: cursor.is_down for cursor in self._needed if cursor.has_failed}

    @property
    def _needed(self) -> list[PodCursor]:
        """The cursors of the pods without which the page is not complete."""
        if self._plan is not None:
            unneeded = self._plan.unneeded
            return [cursor for cursor in self.cursors if cursor.pod.id not in unneeded]
        # A plan that was dropped may have called others.
        needed = {self._marker.owner_id, *(pod.id for pod in self._pods.called)}
        return [cursor for cursor in self.cursors if cursor.pod.id in needed]

    @property
    def uncalled(self) -> Sequence[PodView]:
        """The pods that have or may have a part of the page, but are not called."""
        return self._pods.uncalled if self._plan is None else self._plan.uncalled

    @property
    def first(self) -> Answer | None:
        """A successful answer of a pod, if there is one."""
        return next((cursor.first for cursor in self.cursors if cursor.first is not None), None)

    @property
    def refusal(self) -> Answer | None:
        """The refusal to answer with instead of a list, if there is one.

        It is that of the pod of the client's marker, or one of ``REQUEST_REFUSED``, or else what all pods answer. If
        no pod lists anything and one has no such path, it is that answer, as other pods will not have it either.
        Pods that the page does not need count only if no pod lists anything.
        """
        cursors = self._needed if self.first is not None else self.cursors
        refused = [cursor for cursor in cursors if cursor.refusal is not None]
        first = next((cursor for cursor in refused if cursor.is_marker_owner), None)
        first = first or next((cursor for cursor in refused if not cursor.has_failed), None)
        if first is None and refused and self.first is None:
            unknown = next((cursor for cursor in refused if cursor.refusal and is_unknown_path(cursor.refusal)), None)
            first = unknown or (refused[0] if len(refused) == len(self.cursors) else None)
        return first.refusal if first is not None else None

    @property
    def count(self) -> int | None:
        """Number of items in the complete list, if the client requested it."""
        counts = [cursor.count for cursor in self.cursors if cursor.count is not None]
        return sum(counts) if counts else None

    def merged(self) -> Merged:
        """Read until the page is certain, and return all items up to its end.

        :raises ServiceUnavailable: the list does not end
        """
        # A single pod that starts at the marker itself lists the page in the right order.
        is_merged = self._plan is not None or len(self.cursors) != 1 or self._marker.item is not None
        pods = len(self.cursors)
        paging = GrowingPaging(self._listing, self._call, self._query, pods=pods, is_merged=is_merged)
        to_read: Sequence[PodCursor] = self.cursors
        for _page in range(paging.max_pages):
            self._read(to_read, paging)
            paging.grow()
            to_read = [cursor for cursor in self.cursors if not cursor.is_done] if paging.reads_all else []
            if to_read:
                continue
            merged, to_read = self._next() if is_merged else self._single()
            if not to_read:
                return merged
        raise exception.ServiceUnavailable('The list is too long to be sorted.')

    def _next(self) -> tuple[Merged, list[PodCursor]]:
        """Merge what was read. :returns: this, and the cursors to read further before the page is certain"""
        while True:
            merged = self._merge()
            to_read = [self.cursors[index] for index in merged.to_read if index < len(self.cursors)]
            if self._plan is None:
                return merged, to_read
            if self._is_contradicted() or (not merged.to_read and self.first is None):
                self._plan = None
            elif len(self.cursors) in merged.to_read:
                # The other pods may have items of the page, too.
                self._plan = next(self._plans, None)
            else:
                return merged, to_read
            to_read += self._begin()
            if to_read:
                return merged, to_read

    def _merge(self) -> Merged:
        reads = [cursor.read for cursor in self.cursors]
        if self._plan is not None and self._plan.end:
            reads.append(PodItems(start=self._plan.end))
        after = None
        if self._marker.item is not None:
            pod_id = self._marker.shown_by
            index = next((index for index, cursor in enumerate(self.cursors) if cursor.pod.id == pod_id), None)
            after = After(self._order.order.keys(self._marker.item), index)
        return merge(reads, self._order.order, self._query.needed, after)

    def _is_contradicted(self) -> bool:
        """Return whether a pod lists items that have no routing: other pods may then have some, too."""
        plan = self._plan
        assert plan is not None
        show, created = self._listing.show_time, self._listing.resource.created
        since = show(plan.since) if plan.since is not None else ''
        until = show(plan.until) if plan.until is not None else _AFTER_ALL
        return any(
            share is not None and share < sum(since < str(item.get(created)) < until for item in cursor.read.items)
            for cursor in self.cursors
            for share in (plan.shares.get(cursor.pod),)
        )

    def _single(self) -> tuple[Merged, list[PodCursor]]:
        """Return the page of the only pod, in the order of that pod, and what to read further."""
        read = self.cursors[0].read
        items = read.items[: self._query.needed]
        is_enough = read.is_done or len(items) == self._query.needed
        merged = Merged(items, [], not read.is_done or len(read.items) > len(items))
        return merged, [] if is_enough else self.cursors

    def _read(self, cursors: Sequence[PodCursor], paging: GrowingPaging) -> None:
        """Read the next page of these pods, and record the resources that it shows."""
        starts = [len(cursor.read.items) for cursor in cursors]
        read_pages(
            self._call,
            cursors,
            paging,
            self._filters,
            self._without_hidden,
            path=self._listing.pod_path,
            deadline=self._deadlines.next(),
            parse=self._parse,
        )
        for cursor in cursors:
            refusal = cursor.refusal
            if refusal is None or cursor.is_marker_owner:
                continue
            if cursor.marker is not None and refusal.status in (400, 404):
                # The pod does not have the marker of the plan, which comes from routings: read it from its beginning.
                cursor.marker, cursor.refusal, cursor.has_failed, cursor.read.is_done = None, None, False, False
            elif refusal.status not in REQUEST_REFUSED:
                cursor.fail(is_down=False)
        learned = [
            (cursor.pod, item)
            for cursor, start in zip(cursors, starts, strict=True)
            for item in cursor.read.items[start:]
        ]
        if learned:
            self._call.runtime.locator.learn(
                self._call.context, self._listing.resource, learned, self._project_id or ''
            )

    def _parse(self, body: bytes, names: PodNames) -> Any:
        return page_up(body, names, self._listing.resource, self._fields, self._beside)

    def _without_hidden(self, pod: PodView, items: list[Item]) -> list[Item]:
        return without_hidden(self._call, self._listing.resource, pod, items)

    def _filters(self, pod: PodView) -> Query:
        """Return the query parameters that are not about the page, with the pod's name for its zone."""
        zone = pod.zone_in(self._call.service.service_type)
        return [
            (name, zone if name == 'availability_zone' else value)
            for name, value in self._query.filters
            if name != 'availability_zone' or zone
        ]
