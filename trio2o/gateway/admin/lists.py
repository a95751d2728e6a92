# SPDX-License-Identifier: Apache-2.0
"""Lists of admin resources: those of all pods, one pod after another.

A list has pages where the service has them. For a page after a marker all pods are read from their beginning, as the
marker is in one pod and says nothing about the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from trio2o import exception
from trio2o.gateway.admin.ids import AdminResource, split_name
from trio2o.gateway.call_any_pod import call_any_pod, refuse_as_pod
from trio2o.gateway.call_pod import names_of
from trio2o.gateway.call_pods import PodAnswers, merged_answer, pods_of, refusal_or_none, uncalled_pods
from trio2o.gateway.lists.cursor import PodCursor, read_all_pages
from trio2o.gateway.lists.paging import MarkerPaging, Paging, Query
from trio2o.gateway.translate import next_link
from trio2o.pods.registry import PodView
from trio2o.resources import Item
from trio2o.web import pod_failures
from trio2o.web.call import Answer, Call
from trio2o.web.numbers import parse_number


@dataclass(frozen=True)
class AdminPaging:
    """How a list of admin resources is paged.

    :ivar since: first version with pages; ``links_key``: key of the next link
    :ivar marker: field of an item that is its marker
    :ivar newest_first: field with the time of an item, if newer items come first
    :ivar unpaged_with: query parameters with which the list has no pages
    """

    since: tuple[int, int]
    links_key: str
    marker: str = 'id'
    newest_first: str = ''
    max_limit: int = 1000
    unpaged_with: frozenset[str] = frozenset()


@dataclass(frozen=True)
class AdminList:
    """A list of the resources of one kind in all pods.

    :ivar named: query parameters with a name that may be qualified with its pod
    :ivar zoned: query parameters with an availability zone
    :ivar is_search: whether pods answer 404 when nothing matches the pattern in the path
    """

    kind: AdminResource
    paging: AdminPaging | None = None
    named: tuple[str, ...] = ()
    zoned: tuple[str, ...] = ()
    is_search: bool = False

    #: Query parameters with a pattern; pods answer 404 when nothing matches it.
    patterns: ClassVar[frozenset[str]] = frozenset({'hypervisor_hostname_pattern'})

    # -- hooks --

    def items_read(self, call: Call, pod: PodView, items: list[Item]) -> None:
        """Do something with the items that a pod lists, before they are translated."""

    def own_items(self, call: Call, limit: int | None) -> list[Item]:
        """Return items that no pod has. Asked for after a pod has shown that the caller may see the list.

        :param limit: so many of them are enough, the first ones in the order of the list; None: all of them
        """
        return []

    def partial_records(self, call: Call, pods: Sequence[PodView]) -> list[Item] | None:
        """Return partial records of all resources in pods that are unreachable or in maintenance; None without them.

        :param pods: one or more
        """
        return None

    # -- the flow --

    def __call__(self, call: Call) -> Answer:
        selection = self._selection(call)
        if not selection.pods and not selection.uncalled:
            return call_any_pod(call)
        if self.paging is None or not _has_pages(call, self.paging):
            return self._all(call, selection)
        page = _Page.parse(call, self.paging)
        return refuse_as_pod(call) if page is None else self._page(call, selection, self.paging, page)

    def _selection(self, call: Call) -> _Selection:
        """Choose the pods that the query is about, and their filters."""
        pods, uncalled = pods_of(call), uncalled_pods(call)
        filters: list[tuple[str, str, bool]] = []
        last = dict(call.query)
        for name, value in call.query:
            if value != last[name] and name in (*self.named, *self.zoned):
                continue  # The last value counts.
            if name in self.named:
                only, value = split_name(call, value)
                if only is not None:
                    pods, uncalled = [pod for pod in pods if pod is only], [pod for pod in uncalled if pod is only]
            is_zone = name in self.zoned and value in call.runtime.registry.snapshot().zones
            if is_zone:
                pods = [pod for pod in pods if pod.zone == value]
                uncalled = [pod for pod in uncalled if pod.zone == value]
            filters.append((name, value, is_zone))
        return _Selection(call.service.service_type, pods, uncalled, filters)

    def _read(
        self, call: Call, selection: _Selection, paging: Paging, page: _Page | None = None
    ) -> tuple[PodAnswers, list[Item]]:
        """Return what the pods answered, and their items in the order of the pods."""

        def translate(pod: PodView, items: list[Item]) -> list[Item]:
            self.items_read(call, pod, items)
            for item in items:
                self.kind.up(item, pod, names_of(call, pod))
            return items

        def is_enough(left: Sequence[PodCursor]) -> bool:
            return (
                page is not None and page.marker is None and all(len(each.read.items) >= page.limit for each in left)
            )

        cursors = [PodCursor(pod) for pod in selection.pods]
        answers = read_all_pages(call, cursors, paging, selection.filters_of, translate, is_enough=is_enough)
        return answers, [item for cursor in cursors for item in cursor.read.items]

    def _all(self, call: Call, selection: _Selection) -> Answer:
        answers, items = self._read(call, selection, Paging(self.kind.collection))
        lacking = [*answers.missing, *selection.uncalled]
        # Only a pod knows whether the caller may see the list, unless the gateway knows an admin.
        may_see = bool(answers.documents) or (call.context.may_see_all and not answers.refusals)
        partial = None
        if lacking and may_see and answers.request_refusal is None:
            partial = self.partial_records(call, lacking)
        if partial is None:
            refusal = self._refusal(call, selection, answers)
            if refusal is not None:
                return refusal
        items += [*(partial or ()), *self.own_items(call, None)]
        return merged_answer(call, {self.kind.collection: items}, answers.first)

    def _refusal(self, call: Call, selection: _Selection, answers: PodAnswers) -> Answer | None:
        """Return a pod's refusal if there is one, and None if there is a list to answer with.

        :raises ServiceUnavailable: no pod answered, or the part of a pod is missing and may not be
        """
        is_search = self.is_search or any(name in self.patterns for name, _value in call.query)
        refusal = refusal_or_none(call, answers, uncalled=selection.uncalled, is_search=is_search)
        if refusal is None and answers.first is None:
            raise pod_failures.cloud_unreachable()
        return refusal

    def _page(self, call: Call, selection: _Selection, paging: AdminPaging, page: _Page) -> Answer:
        """:raises BadRequest: no pod has the marker"""
        size = max(page.limit, 1) if page.marker is None else paging.max_limit
        pages = MarkerPaging(self.kind.collection, paging.links_key, size, paging.marker)
        answers, items = self._read(call, selection.without('limit', 'marker'), pages, page)
        refusal = self._refusal(call, selection, answers)
        if refusal is not None:
            return refusal
        items += self.own_items(call, None if page.marker is not None else page.limit)
        if paging.newest_first:
            items.sort(key=lambda item: (str(item.get(paging.newest_first)), item.get('id')), reverse=True)
        if page.marker is not None:
            at = next((i for i, item in enumerate(items) if str(item.get(paging.marker)) == page.marker), None)
            if at is None:
                raise exception.BadRequest(f'marker [{page.marker}] not found')
            items = items[at + 1 :]
        items = items[: page.limit]
        document: dict[str, Any] = {self.kind.collection: items}
        if items and len(items) == page.limit:
            link = next_link(call.base_url, call.prefix, call.path, call.query, str(items[-1].get(paging.marker)))
            document[paging.links_key] = [{'rel': 'next', 'href': link}]
        return merged_answer(call, document, answers.first)


@dataclass(frozen=True)
class _Selection:
    """The pods that a query is about.

    :ivar service: the service that the query goes to
    :ivar pods: to call; ``uncalled``: in maintenance
    :ivar filters: parameters of the query: name, value, and whether it is a zone, for which a pod has another name or
        none
    """

    service: str
    pods: list[PodView]
    uncalled: list[PodView]
    filters: list[tuple[str, str, bool]]

    def without(self, *names: str) -> _Selection:
        """Leave some parameters out."""
        kept = [row for row in self.filters if row[0] not in names]
        return _Selection(self.service, self.pods, self.uncalled, kept)

    def filters_of(self, pod: PodView) -> Query:
        zone = pod.zone_in(self.service)
        return [(name, zone if is_zone else value) for name, value, is_zone in self.filters if not is_zone or zone]


@dataclass(frozen=True)
class _Page:
    limit: int
    marker: str | None

    @classmethod
    def parse(cls, call: Call, paging: AdminPaging) -> _Page | None:
        """Return the page of a query; None if the limit is invalid, so that a pod has to refuse it."""
        values = dict(call.query)
        limit = parse_number(values['limit']) if 'limit' in values else paging.max_limit
        return None if limit is None else cls(min(limit, paging.max_limit), values.get('marker'))


def _has_pages(call: Call, paging: AdminPaging) -> bool:
    if call.version is None or call.version < paging.since:
        return False
    return not any(name in paging.unpaged_with for name, _value in call.query)
