# SPDX-License-Identifier: Apache-2.0
"""Record how far a list has been read in each pod, and read the next page of some pods."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from oslo_config import cfg

from trio2o.concurrency import Deadline
from trio2o.gateway.call_pods import Parse, PodAnswers, call_pods, parse_all
from trio2o.gateway.lists.merge import PodItems
from trio2o.pods.registry import PodView
from trio2o.resources import Item
from trio2o.web.call import Answer, Call

if TYPE_CHECKING:
    from trio2o.gateway.lists.paging import Paging, Query


@dataclass
class PodCursor:
    """How far one list has been read in one pod.

    :ivar read: the items that the pod has listed so far, as tenants see them, and whether these are all
    :ivar share: number of items that the pod has on the page; None if that is not known
    :ivar marker: the pod's own marker of the next page; None for the first page
    :ivar markers: all markers so far
    :ivar is_marker_owner: whether the next page begins at the marker that the client sent, so that a refusal by this
        pod is final
    :ivar has_failed: whether the pod gives no usable answers
    :ivar is_down: whether it seems to be out of service, if it has failed
    :ivar first: the pod's first successful answer
    :ivar refusal: the pod's refusal
    :ivar count: number of items in the complete list, if the client requested it and the pod shows it
    """

    pod: PodView
    read: PodItems = field(default_factory=PodItems)
    share: int | None = None
    marker: str | None = None
    markers: set[str | None] = field(default_factory=set)
    is_marker_owner: bool = False
    has_failed: bool = False
    is_down: bool = False
    first: Answer | None = None
    refusal: Answer | None = None
    count: int | None = None

    @property
    def is_done(self) -> bool:
        return self.read.is_done

    def has_moved(self) -> bool:
        """Return whether the marker is a new one. Otherwise the pod repeats its pages, perhaps without end."""
        if self.marker in self.markers:
            return False
        self.markers.add(self.marker)
        return True

    def fail(self, *, is_down: bool) -> None:
        """Read nothing more from a pod that gives no usable answers."""
        self.is_down = is_down
        self.has_failed = self.read.is_done = True

    def refuse(self, answer: Answer) -> None:
        """Read nothing more from a pod that refused the list."""
        self.refusal = answer
        self.read.is_done = True


class PageDeadlines:
    """The deadlines of calls for one page after another.

    A pod that gives a page in time is not slow, however many pages are needed. All pages together may take as long as
    a call to a single pod.
    """

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        options = conf.pods
        self._page_timeout: float = options.gather_timeout
        self._all = Deadline(max(options.read_timeout, self._page_timeout))

    def next(self) -> Deadline:
        """Return the deadline of the next page of all pods."""
        return Deadline(min(self._page_timeout, self._all.remaining()))


def read_pages(
    call: Call,
    cursors: Sequence[PodCursor],
    paging: Paging,
    filters: Callable[[PodView], Query],
    translate: Callable[[PodView, list[Item]], list[Item]],
    *,
    path: str | None = None,
    deadline: Deadline | None = None,
    parse: Parse = parse_all,
) -> PodAnswers:
    """Read the next page of each cursor, all at once.

    :param filters: query parameters of each pod beside those of paging
    :param translate: gives the items of a pod the names that tenants know, in place, and returns those to keep
    :param parse: parses the answers, as in ``call_pods``
    """
    by_pod = {cursor.pod: cursor for cursor in cursors}

    def query(pod: PodView) -> str:
        return urlencode([*filters(pod), *paging.query(by_pod[pod])], quote_via=quote)

    found = call_pods(call, by_pod, path=path, query=query, deadline=deadline, parse=parse)
    for pod, document in list(found.documents.items()):
        items = paging.items(document)
        if items is None:
            found.reject(call, pod, 'answered without a list')
            continue
        cursor = by_pod[pod]
        # Ids are the pod's own until they are translated, and so are markers.
        paging.advance(cursor, document, items)
        if not cursor.is_done and not cursor.has_moved():
            found.reject(call, pod, 'repeats a page of a list')
            continue
        cursor.first = cursor.first or found.answers[pod]
        cursor.read.items += translate(pod, items)
    for pod in found.unreachable:
        by_pod[pod].fail(is_down=pod not in found.not_down)
    for pod, answer in found.refusals.items():
        by_pod[pod].refuse(answer)
    return found


def read_all_pages(
    call: Call,
    cursors: Sequence[PodCursor],
    paging: Paging,
    filters: Callable[[PodView], Query],
    translate: Callable[[PodView, list[Item]], list[Item]],
    *,
    is_enough: Callable[[Sequence[PodCursor]], bool] | None = None,
) -> PodAnswers:
    """Read page after page until every pod has listed all of its items, or ``is_enough`` returns true.

    :param is_enough: gets the cursors that are not done, and returns whether reading may end
    """
    deadlines = PageDeadlines(call.runtime.conf)
    answers = PodAnswers()
    for _page in range(paging.max_pages):
        left = [cursor for cursor in cursors if not cursor.is_done]
        if not left or (answers.answers and is_enough is not None and is_enough(left)):
            break
        answers.add(read_pages(call, left, paging, filters, translate, deadline=deadlines.next()))
    else:
        for cursor in cursors:
            if not cursor.is_done:
                cursor.fail(is_down=False)
                answers.reject(call, cursor.pod, f'has a list of more than {paging.max_pages} pages')
    return answers
