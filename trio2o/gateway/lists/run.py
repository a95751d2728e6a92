# SPDX-License-Identifier: Apache-2.0
"""Read a list from the pods until the requested page is certain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from trio2o import exception
from trio2o.gateway.call_pod import names_of
from trio2o.gateway.call_pods import REQUEST_REFUSED
from trio2o.gateway.lists.cursor import PageDeadlines, PodCursor, read_pages
from trio2o.gateway.lists.marker_plan import MarkerPlan
from trio2o.gateway.lists.merge import Merged, Order, merge
from trio2o.gateway.lists.paging import GrowingPaging, Query
from trio2o.gateway.lists.query import PageQuery
from trio2o.gateway.translate import host_ids_up, items_up
from trio2o.pods.own_answers import is_unknown_path
from trio2o.pods.registry import PodView
from trio2o.resources import Item
from trio2o.web.call import Answer, Call

if TYPE_CHECKING:
    from trio2o.gateway.handlers.list import List


class ListRun:
    """The state of one request for a list: the cursors of the pods, and the deadlines of the calls."""

    def __init__(
        self,
        listing: List,
        call: Call,
        query: PageQuery,
        plan: MarkerPlan,
        pods: Sequence[PodView],
        project_id: str | None,
    ) -> None:
        self._listing, self._call, self._query, self._project_id = listing, call, query, project_id
        self._after = plan.after
        self.cursors = [
            PodCursor(pod, marker=plan.starts.get(pod.id), is_marker_owner=pod.id == plan.owner_id) for pod in pods
        ]
        self._deadlines = PageDeadlines(call.runtime.conf)

    @property
    def first(self) -> Answer | None:
        """A successful answer of a pod, if there is one."""
        return next((cursor.first for cursor in self.cursors if cursor.first is not None), None)

    @property
    def refusal(self) -> Answer | None:
        """The refusal to answer with instead of a list, if there is one.

        It is that of the pod of the client's marker, or one of ``REQUEST_REFUSED``, or else what all pods answer. If
        no pod lists anything and one has no such path, it is that answer, as other pods will not have it either.
        """
        refused = [cursor for cursor in self.cursors if cursor.refusal is not None]
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

    def merged(self, order: Order) -> Merged:
        """Read until the page is certain, and return all items up to its end.

        :raises ServiceUnavailable: the list does not end
        """
        # A single pod that starts at the marker itself lists the page in the right order.
        is_merged = len(self.cursors) != 1 or self._after is not None
        pods = len(self.cursors)
        paging = GrowingPaging(self._listing, self._call, self._query, pods=pods, is_merged=is_merged)
        to_read: Sequence[PodCursor] = self.cursors
        for _page in range(paging.max_pages):
            self._read(to_read, paging)
            paging.grow()
            to_read = [cursor for cursor in self.cursors if not cursor.is_done] if paging.reads_all else []
            if to_read:
                continue
            merged = self._merge(order) if is_merged else self._single()
            if not merged.to_read:
                return merged
            to_read = [self.cursors[index] for index in merged.to_read]
        raise exception.ServiceUnavailable('The list is too long to be sorted.')

    def _merge(self, order: Order) -> Merged:
        return merge([cursor.read for cursor in self.cursors], order, self._query.needed, self._after)

    def _single(self) -> Merged:
        """Return the page of the only pod, in the order of that pod."""
        read = self.cursors[0].read
        items = read.items[: self._query.needed]
        is_enough = read.is_done or len(items) == self._query.needed
        return Merged(items, [] if is_enough else [0], not read.is_done or len(read.items) > len(items))

    def _read(self, cursors: Sequence[PodCursor], paging: GrowingPaging) -> None:
        """Read the next page of these pods, and record the resources that it shows."""
        starts = [len(cursor.read.items) for cursor in cursors]
        read_pages(
            self._call,
            cursors,
            paging,
            self._filters,
            self._translate,
            path=self._listing.pod_path,
            deadline=self._deadlines.next(),
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

    def _translate(self, pod: PodView, items: list[Item]) -> list[Item]:
        names, resource = names_of(self._call, pod), self._listing.resource
        items_up(items, resource.zones, names)
        host_ids_up(items, resource.host_id, names)
        # A pod may still show resources that were moved to another pod.
        moved = self._call.runtime.registry.snapshot().moved
        return [item for item in items if moved.get(str(item.get('id')), pod.id) == pod.id] if moved else items

    def _filters(self, pod: PodView) -> Query:
        """Return the query parameters that are not about the page, with the pod's name for its zone."""
        zone = pod.zone_in(self._call.service.service_type)
        return [
            (name, zone if name == 'availability_zone' else value)
            for name, value in self._query.filters
            if name != 'availability_zone' or zone
        ]
