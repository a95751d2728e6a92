# SPDX-License-Identifier: Apache-2.0
"""Lists that are paged by ``limit`` and ``offset`` alone: read completely from every pod, then cut as one list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from trio2o.gateway.call_any_pod import refuse_as_pod
from trio2o.gateway.call_pod import names_of
from trio2o.gateway.call_pods import PodAnswers, merged_answer, pods_of, refusal_or_none
from trio2o.gateway.lists.cursor import PodCursor, read_all_pages
from trio2o.gateway.lists.paging import OffsetPaging
from trio2o.gateway.moving import without_hidden
from trio2o.gateway.translate import items_up
from trio2o.pods.registry import PodView
from trio2o.resources import Item, Resource
from trio2o.web import pod_failures
from trio2o.web.call import Answer, Call
from trio2o.web.numbers import parse_number

#: A pod and an item that it lists.
Found = tuple[PodView, Item]


@dataclass(frozen=True)
class OffsetList:
    """A list over all pods that is paged by offset.

    :ivar newest_first: whether newer items come first; otherwise pods come one after another, each in its own order
    """

    resource: Resource
    newest_first: bool = False

    #: Most items of one answer.
    max_limit: ClassVar[int] = 1000

    def merge_items(self, call: Call, answers: PodAnswers, found: Sequence[Found]) -> Sequence[Found]:
        """Hook: merge items that are copies of each other."""
        return found

    def __call__(self, call: Call) -> Answer:
        bounds = self._bounds(call)
        if bounds is None or not call.has_readable_query:
            return refuse_as_pod(call)
        pods = pods_of(call)
        if not pods:
            raise pod_failures.cloud_unreachable()
        filters = [row for row in call.query if row[0] not in ('offset', 'limit')]

        def translate(pod: PodView, items: list[Item]) -> list[Item]:
            items_up(items, self.resource.zones, names_of(call, pod))
            return items

        cursors = [PodCursor(pod) for pod in pods]
        answers = read_all_pages(call, cursors, OffsetPaging(self.resource.collection), lambda pod: filters, translate)
        refusal = refusal_or_none(call, answers)
        if refusal is not None:
            return refusal
        # Only now, as offsets count what a pod lists.
        listed = [(each.pod, without_hidden(call, self.resource, each.pod, each.read.items)) for each in cursors]
        found = self.merge_items(call, answers, [(pod, item) for pod, items in listed for item in items])
        call.runtime.locator.learn(call.context, self.resource, found, call.context.project_id or '')
        items = [item for _pod, item in found]
        if self.newest_first:
            items.sort(key=lambda item: (str(item.get(self.resource.created)), str(item.get('id'))), reverse=True)
        offset, limit = bounds
        return merged_answer(call, {self.resource.collection: items[offset : offset + limit]}, answers.first)

    def _bounds(self, call: Call) -> tuple[int, int] | None:
        """Return the offset and the limit; None if one is wrong, so that a pod has to refuse it."""
        bounds = {'offset': 0, 'limit': 0}
        for name, value in call.query:
            if name in bounds:
                number = parse_number(value)
                if number is None:
                    return None
                bounds[name] = number
        # No limit and a limit of 0 both mean as many as there may be.
        return bounds['offset'], min(bounds['limit'] or self.max_limit, self.max_limit)
