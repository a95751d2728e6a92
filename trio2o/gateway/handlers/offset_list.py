# SPDX-License-Identifier: Apache-2.0
"""Lists that are cut by ``limit`` and ``offset`` alone: read whole from every pod, then cut as one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from trio2o.concurrency import Deadline
from trio2o.gateway.call_pod import ask_any, names_of
from trio2o.gateway.call_pods import Asked, ask_pods, must_be_complete, pods_of
from trio2o.gateway.handlers.list import headers_of_many
from trio2o.gateway.translate import items_up
from trio2o.pods.registry import PodView
from trio2o.resources import Item, Resource
from trio2o.web.call import Answer, Call, dump_json

Found = tuple[PodView, Item]

MAX_PAGES = 100
#: An answer with fewer items is a pod's last; no pod is set to give so few at most.
SMALLEST_PAGE = 100


@dataclass(frozen=True)
class Slices:
    """Such a list.

    :ivar newest_first: whether newer items come first; else pods come one after another, as they list
    :ivar merged: makes one of items that are the same
    """

    resource: Resource
    newest_first: bool = False
    max_limit: int = 1000
    merged: Callable[[Call, Asked, Sequence[Found]], list[Found]] | None = None

    def __call__(self, call: Call) -> Answer:
        bounds = self._bounds(call)
        pods = pods_of(call)
        if bounds is None or not pods or not call.has_readable_query:
            return ask_any(call)
        asked, found = self._read(call, pods)
        if asked.refusal is not None and not asked.documents:
            return asked.refusal
        must_be_complete(call, asked)
        if self.merged is not None:
            found = self.merged(call, asked, found)
        call.runtime.locator.learn(self.resource, found, call.context.project_id or '')
        items = [item for _pod, item in found]
        if self.newest_first:
            items.sort(key=lambda item: (str(item.get(self.resource.created)), str(item.get('id'))), reverse=True)
        offset, limit = bounds
        first = next(iter(asked.answers.values()), None)
        document = {self.resource.collection: items[offset : offset + limit]}
        return Answer(200, headers_of_many(call, first), dump_json(document))

    def _bounds(self, call: Call) -> tuple[int, int] | None:
        """Offset and limit; None if a pod has to say what is wrong with them."""
        values = {'offset': '0', 'limit': '0'}
        for name, value in call.query:
            if name in values:
                if not (value.isascii() and value.isdecimal() and len(value) < 10):
                    return None
                values[name] = value
        # No limit and a limit of 0 both mean as many as there may be.
        return int(values['offset']), min(int(values['limit']) or self.max_limit, self.max_limit)

    def _read(self, call: Call, pods: list[PodView]) -> tuple[Asked, list[tuple[PodView, Item]]]:
        """All that pods have, page by page."""
        deadline = Deadline(call.runtime.conf.pods.gather_timeout)
        rest = [row for row in call.query if row[0] not in ('offset', 'limit')]
        whole = Asked()
        items: dict[PodView, list[Item]] = {pod: [] for pod in pods}
        left = list(pods)

        def query(pod: PodView) -> str:
            paging = [('offset', str(len(items[pod])))] if items[pod] else []
            return urlencode([*rest, *paging], quote_via=quote)

        for _page in range(MAX_PAGES):
            asked = ask_pods(call, left, query=query, deadline=deadline)
            whole.silent += asked.silent
            whole.refusals.update(asked.refusals)
            for pod, document in asked.documents.items():
                whole.documents.setdefault(pod, document)
                whole.answers.setdefault(pod, asked.answers[pod])
                items[pod] += self._items(call, pod, document)
            left = [
                pod
                for pod, document in asked.documents.items()
                if len(document.get(self.resource.collection) or []) >= SMALLEST_PAGE
            ]
            if not left:
                break
        return whole, [(pod, item) for pod in pods for item in items[pod]]

    def _items(self, call: Call, pod: PodView, document: dict[str, Any]) -> list[Item]:
        items = [item for item in document.get(self.resource.collection) or [] if isinstance(item, dict)]
        items_up(items, self.resource.zones, names_of(call, pod))
        return items
