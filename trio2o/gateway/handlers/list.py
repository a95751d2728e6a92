# SPDX-License-Identifier: Apache-2.0
"""fanout_list: ask the pods that can matter, all at once, and answer as one cloud would have.

The order, the pages and the links are those of one list (``merge.py``). Pods are asked for as much as is
needed, and for more while the merge cannot be certain yet; a page that starts after a marker starts in each
pod as near before it as the routings allow.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

from trio2o import exception
from trio2o.concurrency import Deadline
from trio2o.db import bindings, routings
from trio2o.gateway.call_pod import RETRY_AFTER, ask_any, names_of, send
from trio2o.gateway.lists.merge import After, Item, Merged, Order, Part, merge
from trio2o.gateway.translate import answer_up, body_up, items_up, next_link
from trio2o.pods.fanout import ask_all
from trio2o.pods.registry import PodView
from trio2o.resources import Resource, SortKey
from trio2o.routing.locator import Route
from trio2o.web.call import JSON, Answer, Call, dump_json, parse_json
from trio2o.web.microversion import response_headers

LOG = logging.getLogger(__name__)

#: Items beyond the limit to ask a pod for, so that one more look is seldom needed to be certain of the order.
SPARE = 4
#: Each further look asks for so many times more, as whoever needs a second one may well need all there is.
GROWTH = 4
MAX_ROUNDS = 200
#: Longer numbers are no offset any pod would take, and much longer ones Python refuses to read.
MAX_DIGITS = 9

Query = list[tuple[str, str]]


@dataclass(frozen=True)
class Paging:
    """How one service pages its lists.

    :ivar max_limit: most items of one answer
    :ivar links_key: key of the next link in the answer; empty: lists of this kind have none
    :ivar sorts: what a query asks for as (sort key, is descending) pairs; None if a pod has to judge it
    :ivar id_descends: whether equal items stand by id from the last to the first, given the first direction
    :ivar bad_marker: error for a marker nobody has
    :ivar may_marker_be_empty: whether an empty marker is none
    :ivar is_paged: whether this version of the list has pages
    """

    links_key: str
    sorts: Callable[[Query], list[tuple[str, bool]] | None]
    id_descends: Callable[[bool], bool]
    bad_marker: Callable[[Call, str], exception.Trio2oException]
    max_limit: int = 1000
    has_offset: bool = False
    marker_may_be_deleted: bool = False
    may_marker_be_empty: bool = False
    is_paged: Callable[[Call], bool] = field(default=lambda call: True)


def is_named_zone(call: Call) -> Callable[[str], bool] | None:
    """Narrow to the zone that the query names, if it names one."""
    zone = next((value for name, value in call.query if name == 'availability_zone'), None)
    return None if zone is None else zone.__eq__


@dataclass(frozen=True)
class Gather:
    """A list over all pods.

    :ivar detail_path: where pods show what the order is made of, if the list itself does not
    :ivar brief: cuts an item of the detailed list down to one of this list
    :ivar sort_keys: the service's sort keys as they show in items; what is not here shows nowhere, if it is one at all
    :ivar skeleton: a minimal record of something in a pod that does not answer, or None if this version has none
    :ivar all_projects: whether a query asks for the resources of every project
    :ivar is_zone_wanted: which zones a query asks for; None if it does not say
    :ivar narrowed_by: query parameters with the id of something that is in the same pod, and of what kind that is
    :ivar link_path: what next links are for, if not the list itself
    :ivar unpaged_sort: default order where the list has no pages
    :ivar is_order_hidden: whether items do not show what pods put them in order by, so that all have to be read
    """

    resource: Resource
    paging: Paging
    sort_keys: Mapping[str, SortKey]
    default_sort: tuple[str, bool]
    path: str
    detail_path: str = ''
    brief: Callable[[Item], Item] | None = None
    skeleton: Callable[[Call, Route], Item] | None = None
    has_skeletons: Callable[[Call], bool] = field(default=lambda call: False)
    all_projects: Callable[[Call], bool] = field(default=lambda call: False)
    is_zone_wanted: Callable[[Call], Callable[[str], bool] | None] = is_named_zone
    narrowed_by: tuple[tuple[str, Resource], ...] = ()
    link_path: str = ''
    unpaged_sort: tuple[str, bool] | None = None
    is_order_hidden: bool = False

    def __call__(self, call: Call) -> Answer:
        if not call.has_readable_query:
            return ask_any(call)
        sorts: list[tuple[str, bool]] | None
        if self.paging.is_paged(call):
            query = _Query.parse(call.query, self.paging)
            sorts = self.paging.sorts(call.query)
        else:
            query = _Query.unpaged(call.query, self.paging)
            sorts = [self.unpaged_sort or self.default_sort]
        if query is None or sorts is None:
            return ask_any(call)
        pods = self._pods(call)
        if not pods:
            return Answer.of({self.resource.collection: []})
        return _Listing(self, call, query, sorts or [self.default_sort], pods).answer()

    def _pods(self, call: Call) -> list[PodView]:
        """The pods that can have something to show."""
        pods: list[PodView] = call.runtime.registry.snapshot().asked(self.resource.service)
        is_wanted = self.is_zone_wanted(call)
        if is_wanted is not None:
            pods = [pod for pod in pods if is_wanted(pod.zone)]
        if len(pods) > 1 and not self.all_projects(call) and any(pod.record.is_reconciled for pod in pods):
            mine = self._pods_of_project(call)
            pods = [pod for pod in pods if pod.id in mine or not pod.record.is_reconciled] or pods[:1]
        return self._narrowed(call, pods)

    def _narrowed(self, call: Call, pods: list[PodView]) -> list[PodView]:
        """Without the pods that what the query names is not in."""
        kinds = dict(self.narrowed_by)
        for name, value in call.query if len(pods) > 1 and kinds else ():
            route = call.runtime.locator.look_up(kinds[name].type, value) if name in kinds else None
            if route is not None and route.is_live:
                pods = [pod for pod in pods if pod.id == route.pod.id] or pods
        return pods

    def _pods_of_project(self, call: Call) -> set[str]:
        project_id = call.context.project_id or ''
        db = call.runtime.db
        found = {binding.pod_id for binding in bindings.current(db, project_id)}
        for resource_type in (self.resource.type, *self.resource.found_with):
            found |= routings.pods_of_project(db, resource_type, project_id)
        return found


@dataclass(frozen=True)
class _Query:
    """The paging part of a query, and the rest."""

    limit: int
    marker: str | None
    offset: int
    is_limited: bool
    rest: Query
    link_limit: int

    @classmethod
    def unpaged(cls, query: Query, paging: Paging) -> _Query:
        """Of a list without pages: pods see all that was asked."""
        limit = dict(query).get('limit', '')
        most = paging.max_limit
        return cls(most, None, 0, False, query, int(limit) if _is_number(limit) and len(limit) <= MAX_DIGITS else most)

    @classmethod
    def parse(cls, query: Query, paging: Paging) -> _Query | None:
        """None if a pod has to say what is wrong with it."""
        values: dict[str, str] = {}
        rest = []
        for name, value in query:
            if name in ('limit', 'marker') or (name == 'offset' and paging.has_offset):
                if name in values:
                    return None
                values[name] = value
            else:
                rest.append((name, value))
        if not values.get('marker') and paging.may_marker_be_empty:
            values.pop('marker', None)
        limit, offset = values.get('limit'), values.get('offset', '0')
        if limit is not None and not _is_number(limit):
            return None
        if not _is_number(offset) or len(offset) > MAX_DIGITS:
            return None
        most = paging.max_limit
        size = most if limit is None or len(limit) > MAX_DIGITS else min(int(limit), most)
        is_limited = limit is not None or int(offset) > 0
        return cls(size, values.get('marker'), int(offset), is_limited, rest, size)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal()


class _Listing:
    """One list request under way."""

    def __init__(
        self, gather: Gather, call: Call, query: _Query, sorts: list[tuple[str, bool]], pods: list[PodView]
    ) -> None:
        self._gather = gather
        self._call = call
        self._query = query
        self._pods = pods
        self._path = gather.detail_path or gather.path
        self._needed = query.offset + query.limit
        self._is_by_time = sorts[0][0] == gather.default_sort[0]
        # An order has an end: created_at settles what other keys leave open, the id what that leaves open.
        first_down = sorts[0][1]
        names = [name for name, _down in sorts]
        if gather.default_sort[0] not in names and gather.paging.has_offset:
            sorts = [*sorts, (gather.default_sort[0], first_down)]
        self._order = Order(
            tuple(gather.sort_keys.get(name, SortKey(name)).of for name, _down in sorts),
            (*(down for _name, down in sorts), gather.paging.id_descends(first_down)),
        )
        self._parts = [Part() for _pod in pods]
        self._markers: list[str | None] = [None for _pod in pods]
        self._first: Answer | None = None
        self._refusal: Answer | None = None
        self._is_refused = False
        self._failed: list[PodView] = []
        # In maintenance: not asked, but what is there has not gone.
        self._resting = [pod for pod in call.runtime.registry.snapshot().pods if not pod.is_asked]
        self._count: int | None = None
        self._own = -1
        self._has_own_marker = False
        self._is_marker_unseen = False
        self._is_newest_first = first_down
        self._round = 0
        self._deadline = Deadline(call.runtime.conf.pods.gather_timeout)

    def answer(self) -> Answer:
        """:raises ServiceUnavailable: nobody answers, or not all do and all have to"""
        after = self._place_markers() if self._query.marker is not None else None
        merged = self._merge(after)
        if self._refusal is not None and (self._is_refused or self._first is None):
            return self._refusal
        if self._first is None:
            if not self._skeletons_are_due():
                raise exception.ServiceUnavailable(
                    'No part of this cloud that could answer can be reached now.', retry_after=RETRY_AFTER
                )
        if self._failed and not self._skeletons_are_due() and not self._may_skip():
            raise exception.ServiceUnavailable(
                'A part of this cloud does not answer, and the list would not be complete.', retry_after=RETRY_AFTER
            )
        items = merged.items[self._query.offset :][: self._query.limit]
        return self._render(items, merged)

    def _may_skip(self) -> bool:
        return bool(self._call.runtime.conf[self._call.service.name].list_records_by_skipping_down_pods)

    def _merge(self, after: After | None) -> Merged:
        """:raises ServiceUnavailable: there is no end to it; half a list would look like a whole one"""
        wanting = list(range(len(self._pods)))
        for self._round in range(MAX_ROUNDS):
            self._fetch(wanting)
            if self._gather.is_order_hidden and not self._is_alone:
                wanting = [index for index, part in enumerate(self._parts) if not part.is_done]
                if wanting:
                    continue
            merged = self._alone() if self._is_alone else merge(self._parts, self._order, self._needed, after)
            wanting = merged.wanting
            if not wanting:
                return merged
        raise exception.ServiceUnavailable('The list is too long to be put in this order.')

    @property
    def _is_alone(self) -> bool:
        """Whether one pod has it all, so that its order, whatever it is made of, is the order."""
        return len(self._pods) == 1 and (self._query.marker is None or self._has_own_marker)

    def _alone(self) -> Merged:
        part = self._parts[0]
        items = part.items[: self._needed]
        is_enough = part.is_done or len(items) == self._needed
        return Merged(items, [] if is_enough else [0], not part.is_done or len(part.items) > len(items))

    def _fetch(self, indexes: list[int]) -> None:
        """Ask these pods for their next items, all at once."""
        index_of = {self._pods[index]: index for index in indexes}
        timeout = self._deadline.remaining()

        def ask(pod: PodView) -> Answer:
            query = self._query_for(pod, self._markers[index_of[pod]])
            return send(self._call, pod, path=self._path, query=query, timeout=timeout)

        if self._deadline.is_over():
            results: Mapping[PodView, Any] = {pod: exception.PodNoAnswer(pod.name, 'no time left') for pod in index_of}
        else:
            results = ask_all(self._call.runtime.executor, index_of, ask, self._deadline)
        learned = []
        for pod, answer in results.items():
            index = index_of[pod]
            items = self._take(pod, index, answer)
            learned += [(pod, item) for item in items]
        if learned:
            owner = '' if self._gather.all_projects(self._call) else self._call.context.project_id or ''
            self._call.runtime.locator.learn(self._gather.resource, learned, owner)

    def _take(self, pod: PodView, index: int, answer: Answer | exception.PodError) -> list[Item]:
        """Add what a pod answered to its part; what failed is at its end."""
        part = self._parts[index]
        if isinstance(answer, exception.PodError) or answer.status >= 500:
            LOG.warning('list of %s without pod %s: %s', self._gather.resource.type, pod.name, _why(answer))
            part.is_done = True
            self._failed.append(pod)
            return []
        if not answer.is_ok:
            part.is_done = True
            if answer.status in (400, 404) and self._markers[index] is not None and index != self._own:
                # It does not know the marker we chose for it (any more): from its start, then.
                self._markers[index] = None
                part.is_done = False
                return []
            # A filter value may mean something in another pod only. What its own pod says of the marker is final.
            answer = answer_up(answer, names_of(self._call, pod), None)
            if index == self._own:
                self._refusal, self._is_refused = answer, True
            self._refusal = self._refusal or answer
            return []
        names = names_of(self._call, pod)
        document = parse_json(body_up(answer.body, names))
        items = document.get(self._gather.resource.collection) if isinstance(document, dict) else None
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            LOG.warning('list of %s without pod %s: not a list', self._gather.resource.type, pod.name)
            part.is_done = True
            self._failed.append(pod)
            return []
        items_up(items, self._gather.resource.zones, names)
        self._first = self._first or answer
        if not part.items and isinstance(document.get('count'), int):
            self._count = (self._count or 0) + document['count']
        # A pod may still show what has gone to another one.
        moved = self._call.runtime.registry.snapshot().moved
        shown = [item for item in items if moved.get(str(item.get('id')), pod.id) == pod.id] if moved else items
        part.items += shown
        part.is_done = not items or not self._has_more(document, items, self._page_size(self._markers[index]))
        if items:
            self._markers[index] = str(items[-1].get('id'))
            self._own = -1 if index == self._own else self._own
        return shown

    def _has_more(self, document: Mapping[str, Any], items: list[Item], page_size: int) -> bool:
        if not self._gather.paging.is_paged(self._call):
            return False
        if not self._gather.paging.links_key:
            return len(items) >= (page_size if self._query.is_limited else self._gather.paging.max_limit)
        links = document.get(self._gather.paging.links_key) or []
        return any(isinstance(link, dict) and link.get('rel') == 'next' for link in links)

    def _query_for(self, pod: PodView, marker: str | None) -> str:
        query = [
            (name, pod.record.pod_az_name if name == 'availability_zone' else value)
            for name, value in self._query.rest
            if name != 'availability_zone' or pod.record.pod_az_name
        ]
        if self._query.is_limited:
            query.append(('limit', str(self._page_size(marker))))
        if marker is not None:
            query.append(('marker', marker))
        return urlencode(query, quote_via=quote)

    def _page_size(self, marker: str | None) -> int:
        most = self._gather.paging.max_limit
        if self._gather.is_order_hidden and not self._is_alone:
            return most
        if self._query.marker is not None and marker is None:
            return most  # somewhere in all there is, the page begins
        spare = 0 if self._is_alone else SPARE
        return min((max(self._needed, 1) + spare) * GROWTH**self._round, most)

    def _place_markers(self) -> After | None:
        """Find the marker, and where each pod has to begin so that nothing after it is missed.

        The marker's own pod too begins before it where there are others: what is after the marker in the pod's
        order, made of more than the pod shows, is not what is after it in ours.

        :returns: where the marker stands, so that what is before it can be left out
        :raises BadRequest, NotFound: nobody has the marker, in the service's own words
        :raises ServiceUnavailable: its pod would have to say where it stands, and does not answer
        """
        gather, call = self._gather, self._call
        marker = self._query.marker or ''
        try:
            route, shown = call.runtime.locator.find_with_answer(call, gather.resource, marker)
        except exception.NotFound:
            raise gather.paging.bad_marker(call, marker) from None
        own = next((index for index, pod in enumerate(self._pods) if pod.id == route.pod.id), -1)
        if own == 0 and len(self._pods) == 1:
            self._markers, self._own, self._has_own_marker = [route.bottom_id], own, True
            return None
        item = self._marker_item(route, shown)
        if item is None and not route.is_known_to(call):
            raise gather.paging.bad_marker(call, marker)
        created_at = (gather.resource.created_at(item) if item else None) or route.created_at
        is_shown = item is not None
        if item is None:
            item = self._gone_marker(route, created_at)
            if own >= 0 and gather.paging.marker_may_be_deleted:
                # Whether one that is gone is a marker still, only its pod can say.
                self._markers[own], self._own = route.bottom_id, own
        if self._is_by_time and created_at is not None:
            for index, pod in enumerate(self._pods):
                if index != self._own:
                    self._markers[index] = self._start_in(pod, created_at)
        # A part that is told from before the marker on shows the marker's place in it.
        return After(self._order.keys(item), own if own >= 0 and own != self._own and is_shown else None)

    def _gone_marker(self, route: Route, created_at: datetime | None) -> Item:
        """What is known of a marker that its pod does not show."""
        if self._is_by_time and created_at is not None:
            resource = self._gather.resource
            if self._is_marker_unseen or self._gather.paging.marker_may_be_deleted:
                return {resource.created: _shown(created_at, self._call), 'id': route.top_id}
        elif self._is_marker_unseen:
            raise exception.ServiceUnavailable(
                f'The marker {route.top_id} is in availability zone {route.pod.zone}, of which a part cannot be '
                'reached now.',
                retry_after=RETRY_AFTER,
            )
        raise self._gather.paging.bad_marker(self._call, route.top_id)

    def _marker_item(self, route: Route, answer: Answer | None) -> Item | None:
        """The marker itself as its pod shows it, if it still does."""
        resource = self._gather.resource
        if answer is None:
            try:
                answer = send(self._call, route.pod, method='GET', path=f'{resource.path}/{route.bottom_id}', query='')
            except exception.PodError:
                self._is_marker_unseen = True
                return None
        self._is_marker_unseen = answer.status >= 500
        document = answer.json if answer.is_ok else None
        item = document.get(resource.member) if isinstance(document, dict) else None
        return item if isinstance(item, dict) else None

    def _start_in(self, pod: PodView, created_at: datetime) -> str | None:
        """An id in this pod that stands before everything that may come after the marker."""
        project_id = None if self._gather.all_projects(self._call) else self._call.context.project_id
        routing = routings.before(
            self._call.runtime.db,
            self._gather.resource.type,
            pod.id,
            project_id,
            created_at,
            newest_first=self._is_newest_first,
            with_deleted=self._gather.paging.marker_may_be_deleted,
        )
        return routing.bottom_id if routing else None

    def _skeletons_are_due(self) -> bool:
        gather = self._gather
        return gather.skeleton is not None and bool(self._failed or self._resting) and gather.has_skeletons(self._call)

    def _skeletons(self) -> list[Item]:
        """Records of what is in the pods that failed, as far as we know."""
        call, gather = self._call, self._gather
        assert gather.skeleton is not None
        project_id = None if gather.all_projects(call) else call.context.project_id
        items = []
        for pod in self._failed + self._resting:
            for record in routings.list_for_pod(
                call.runtime.db, gather.resource.type, pod.id, project_id, gather.paging.max_limit
            ):
                route = Route(
                    pod,
                    record.top_id,
                    record.bottom_id,
                    record.project_id,
                    True,
                    record.created_at or record.recorded_at,
                )
                items.append(gather.skeleton(call, route))
        return items

    def _render(self, items: list[Item], merged: Merged) -> Answer:
        gather, call, query = self._gather, self._call, self._query
        if gather.brief is not None:
            items = [gather.brief(item) for item in items]
        if self._skeletons_are_due():
            items = (items + self._skeletons())[: query.limit]
        document: dict[str, Any] = {gather.resource.collection: items}
        if gather.paging.links_key and items and 0 < query.link_limit <= (self._count or len(items)):
            path = gather.link_path or gather.path
            link = next_link(call.base_url, call.prefix, path, call.query, str(items[-1]['id']))
            document[gather.paging.links_key] = [{'rel': 'next', 'href': link}]
        if self._count is not None:
            document['count'] = self._count
        return Answer(200, headers_of_many(call, self._first), dump_json(document))


#: Headers of a pod's answer that say nothing of the whole.
_OF_ONE_POD = frozenset({'x-openstack-request-id', 'x-compute-request-id', 'etag', 'location'})


def headers_of_many(call: Call, first: Answer | None) -> list[tuple[str, str]]:
    """Headers for an answer made of those of many pods, as the first of them had them."""
    if first is None:
        return [JSON, *(response_headers(call.service, call.version) if call.version else [])]
    return [(name, value) for name, value in first.headers if name.lower() not in _OF_ONE_POD]


def _shown(moment: datetime, call: Call) -> str:
    """A time as the service shows it."""
    if call.service.service_type == 'compute':
        return moment.strftime('%Y-%m-%dT%H:%M:%SZ')
    return moment.isoformat(timespec='microseconds')


def _why(answer: Answer | exception.PodError) -> str:
    return f'answered {answer.status}' if isinstance(answer, Answer) else answer.reason
