# SPDX-License-Identifier: Apache-2.0
"""The lists of all pods in one.

They are paged where the service pages them, and read page by page from each pod.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from trio2o import exception
from trio2o.concurrency import Deadline
from trio2o.gateway.admin.ids import Kind, Query, split_name
from trio2o.gateway.call_pod import ask_any, names_of
from trio2o.gateway.call_pods import Asked, ask_pods, must_be_complete, pods_of
from trio2o.gateway.handlers.list import headers_of_many
from trio2o.gateway.translate import next_link
from trio2o.pods.registry import PodView
from trio2o.resources import Item
from trio2o.web.call import Answer, Call, dump_json

MAX_PAGES = 1000


@dataclass(frozen=True)
class InfraPaging:
    """How a list of infrastructure is paged.

    :ivar since: first version with pages; :ivar links_key: key of the next link
    :ivar marker: field of an item that a marker names
    :ivar newest_first: field of its time, if newer ones come first; else pods come one after another
    :ivar whole_with: query parameters with which the list has no pages
    """

    since: tuple[int, int]
    links_key: str
    marker: str = 'id'
    newest_first: str = ''
    max_limit: int = 1000
    whole_with: frozenset[str] = frozenset()


@dataclass(frozen=True)
class InfraList:
    """The lists of all pods in one.

    :ivar named: query parameters that hold a name which may be qualified
    :ivar zoned: query parameters that hold a zone
    :ivar stand_ins: makes items that stand for what those pods have that gave no answer
    :ivar seen: is told of the items of each pod as the pod gave them
    """

    kind: Kind
    paging: InfraPaging | None = None
    named: tuple[str, ...] = ()
    zoned: tuple[str, ...] = ()
    stand_ins: Callable[[Call, list[PodView]], list[Item]] | None = None
    seen: Callable[[Call, PodView, list[Item]], None] | None = None

    def __call__(self, call: Call) -> Answer:
        pods, query = self._narrowed(call)
        if not pods:
            return ask_any(call)
        paging = self.paging
        has_pages = paging is not None and call.version is not None and call.version >= paging.since
        if paging is None or not has_pages or any(name in paging.whole_with for name, _value in call.query):
            return self.whole(call, pods, query)
        return _InfraPages(self, paging, call, pods, query).answer()

    def _narrowed(self, call: Call) -> tuple[list[PodView], Callable[[PodView], str]]:
        """The pods to ask, and the query for each."""
        pods = pods_of(call)
        given: Query = []
        zones: list[int] = []
        for name, value in call.query:
            if name in self.named:
                pod, value = split_name(call, value)
                pods = pods if pod is None else [pod]
            if name in self.zoned and value in call.runtime.registry.snapshot().zones:
                pods = [pod for pod in pods if pod.zone == value]
                zones.append(len(given))
            given.append((name, value))

        def query(pod: PodView) -> str:
            rows = [
                (name, pod.record.pod_az_name if index in zones else value)
                for index, (name, value) in enumerate(given)
                if index not in zones or pod.record.pod_az_name
            ]
            return urlencode(rows, quote_via=quote)

        return pods, query

    def items_of(self, call: Call, pod: PodView, document: Mapping[str, Any]) -> list[Item]:
        names = names_of(call, pod)
        items = [item for item in document.get(self.kind.collection) or [] if isinstance(item, dict)]
        if self.seen is not None:
            self.seen(call, pod, items)
        for item in items:
            self.kind.up(item, pod, names)
        return items

    def whole(self, call: Call, pods: list[PodView], query: Callable[[PodView], str]) -> Answer:
        asked = ask_pods(call, pods, query=query)
        if asked.refusal is not None and not asked.documents:
            return asked.refusal
        items = [item for pod, document in asked.documents.items() for item in self.items_of(call, pod, document)]
        resting = [pod for pod in call.runtime.registry.snapshot().pods if not pod.is_asked]
        stand_ins = self.stand_ins(call, asked.silent + resting) if self.stand_ins is not None else []
        if not stand_ins:
            must_be_complete(call, asked)
        first = next(iter(asked.answers.values()), None)
        return Answer(200, headers_of_many(call, first), dump_json({self.kind.collection: items + stand_ins}))


class _InfraPages:
    """One request for a page. Pods are read from their beginning, as only they know what follows a marker."""

    def __init__(
        self,
        listing: InfraList,
        paging: InfraPaging,
        call: Call,
        pods: list[PodView],
        query: Callable[[PodView], str],
    ) -> None:
        self._listing, self._paging, self._call, self._pods, self._query = listing, paging, call, pods, query
        values = dict(call.query)
        limit = values.get('limit')
        self._is_odd = limit is not None and not (limit.isascii() and limit.isdecimal() and len(limit) < 10)
        self._limit = paging.max_limit if limit is None or self._is_odd else min(int(limit), paging.max_limit)
        self._marker = values.get('marker')
        self._items: dict[PodView, list[Item]] = {pod: [] for pod in pods}
        self._first: Answer | None = None
        self._missing = Asked()

    def answer(self) -> Answer:
        if self._is_odd:
            return ask_any(self._call)
        deadline = Deadline(self._call.runtime.conf.pods.gather_timeout)
        left: dict[PodView, str] = dict.fromkeys(self._pods, '')
        for _page in range(MAX_PAGES):
            left = self._read(left, deadline)
            if not left or (self._marker is None and all(len(self._items[pod]) >= self._limit for pod in left)):
                break
        must_be_complete(self._call, self._missing)
        if self._first is None and self._missing.refusal is not None:
            return self._missing.refusal
        return self._page()

    def _read(self, left: dict[PodView, str], deadline: Deadline) -> dict[PodView, str]:
        """Read the next page of these pods; those that have more, with their markers."""
        size = self._paging.max_limit if self._marker is not None else max(self._limit, 1)

        def query(pod: PodView) -> str:
            rows = [row for row in self._parsed(pod) if row[0] not in ('limit', 'marker')]
            rows.append(('limit', str(size)))
            if left[pod]:
                rows.append(('marker', left[pod]))
            return urlencode(rows, quote_via=quote)

        asked = ask_pods(self._call, list(left), query=query, deadline=deadline)
        self._missing.silent += asked.silent
        self._missing.refusals.update(asked.refusals)
        self._missing.documents.update(asked.documents)
        self._first = self._first or next(iter(asked.answers.values()), None)
        more: dict[PodView, str] = {}
        for pod, document in asked.documents.items():
            raw = document.get(self._listing.kind.collection) or []
            last = str(raw[-1].get(self._paging.marker)) if raw else ''
            self._items[pod] += self._listing.items_of(self._call, pod, document)
            if raw and document.get(self._paging.links_key):
                more[pod] = last
        return more

    def _parsed(self, pod: PodView) -> Query:
        return parse_qsl(self._query(pod), keep_blank_values=True)

    def _page(self) -> Answer:
        """:raises BadRequest: nobody has the marker"""
        call, paging, key = self._call, self._paging, self._listing.kind.collection
        rows = [item for pod in self._pods for item in self._items[pod]]
        if paging.newest_first:
            rows.sort(key=lambda item: (str(item.get(paging.newest_first)), item.get('id')), reverse=True)
        if self._marker is not None:
            at = next((i for i, item in enumerate(rows) if str(item.get(paging.marker)) == self._marker), None)
            if at is None:
                raise exception.BadRequest(f'marker [{self._marker}] not found')
            rows = rows[at + 1 :]
        rows = rows[: self._limit]
        document: dict[str, Any] = {key: rows}
        if rows and len(rows) == self._limit:
            link = next_link(call.base_url, call.prefix, call.path, call.query, str(rows[-1].get(paging.marker)))
            document[paging.links_key] = [{'rel': 'next', 'href': link}]
        return Answer(200, headers_of_many(call, self._first), dump_json(document))
