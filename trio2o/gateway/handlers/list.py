# SPDX-License-Identifier: Apache-2.0
"""List the resources of all pods that may have some, in one list as a single cloud would.

The order, the pages and the links are those of one list. Each pod lists as much as the page needs, and more while the
order of the page is not certain (``lists/merge.py``). A page after a marker starts in each pod as close before the
marker as the routings allow (``lists/marker_plan.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, ClassVar

from trio2o import exception
from trio2o.db import routings
from trio2o.gateway.admin.by_name import NameSource, find_named
from trio2o.gateway.admin.ids import split_name
from trio2o.gateway.call_any_pod import refuse_as_pod
from trio2o.gateway.call_pods import merged_headers, require_complete
from trio2o.gateway.lists.listed_pods import ListedPods
from trio2o.gateway.lists.marker_plan import plan_markers
from trio2o.gateway.lists.merge import Item
from trio2o.gateway.lists.page_plan import PagePlanner
from trio2o.gateway.lists.paging import Query
from trio2o.gateway.lists.query import ListOrder, PageQuery, Sorts
from trio2o.gateway.lists.run import ListRun
from trio2o.gateway.moving import items_with_shown
from trio2o.gateway.translate import next_link
from trio2o.pods.registry import PodView
from trio2o.resources import Resource, SortKey
from trio2o.routing.locator import Route
from trio2o.web import pod_failures, slices
from trio2o.web.call import Answer, Call


@dataclass(frozen=True)
class List:
    """A list over all pods. It has a subclass for each kind of resource.

    The service's base class (``NovaList``, ``CinderList``) has the hooks for the way the service sorts and pages.

    :ivar path: of the list, below the version
    :ivar is_detailed: whether the list shows resources in full
    """

    path: str
    is_detailed: bool = True

    resource: ClassVar[Resource]
    #: Value of ``sort_key`` -> how items show what it sorts by. Items do not show it for keys that are not here.
    sort_keys: ClassVar[Mapping[str, SortKey]] = {}
    #: The order without ``sort_key``: the key of the time of creation, and whether it descends.
    default_sort: ClassVar[tuple[str, bool]] = ('created_at', True)
    #: The order of the list in versions without pages, if that differs.
    unpaged_sort: ClassVar[tuple[str, bool] | None] = None
    #: Whether pods sort by a value that items do not show, so that all items have to be read before they are merged.
    is_sort_hidden: ClassVar[bool] = False
    #: Whether the routings, which are compared with the pods, can tell which pods have the items of a page.
    is_planned: ClassVar[bool] = False
    #: Key of the next link in an answer; empty if this list has no links.
    links_key: ClassVar[str] = ''
    #: Most items of one answer.
    max_limit: ClassVar[int] = 1000
    #: Whether the query may have an ``offset``.
    has_offset: ClassVar[bool] = False
    #: Which of several values of a paging parameter counts: the first, or else the last.
    does_first_value_count: ClassVar[bool] = False
    #: Whether an empty marker is the same as none.
    may_marker_be_empty: ClassVar[bool] = False
    #: Whether a resource that was deleted may still be a marker.
    may_marker_be_deleted: ClassVar[bool] = False
    #: Query parameters with the id of a related resource, and its kind: only the pod of that resource is called.
    related: ClassVar[Mapping[str, Resource]] = {}
    #: Query parameters with the name of a host, which may be qualified with its pod; and where hosts are listed.
    named: ClassVar[Mapping[str, NameSource]] = {}
    #: Fields of an item in the list without details, if that list is made of the detailed lists of the pods.
    summary_fields: ClassVar[tuple[str, ...]] = ()

    # -- hooks, in calling order --

    def is_paged(self, call: Call) -> bool:
        """Whether the list has pages in the version of the call."""
        return True

    def sorts(self, query: Query) -> Sorts | None:
        """Return the sort keys of a query; None if the query is wrong, so that a pod has to refuse it."""
        return []

    def has_filters(self, filters: Query) -> bool:
        """Whether parameters that are not about the page or the order leave out some of the resources.

        Only asked for a list that ``is_planned``. ``all_tenants`` is not meant.
        """
        return True

    def zone_filter(self, call: Call) -> Callable[[str], bool] | None:
        """Return a function that says of a zone whether the query asks for it; None if the query names no zone."""
        zone = dict(call.query).get('availability_zone')
        return None if zone is None else zone.__eq__

    def all_projects(self, call: Call) -> bool:
        """Whether the query asks for the resources of all projects, which pods list to an admin only."""
        return False

    def is_id_descending(self, is_descending: bool) -> bool:
        """Whether items that are otherwise equal are sorted by descending id.

        :param is_descending: the direction of the first sort key
        """
        return is_descending

    def marker_not_found(self, call: Call, marker: str) -> exception.Trio2oException:
        """Return the error for a marker that no pod has."""
        raise NotImplementedError

    def find_deleted(self, call: Call, marker: str, pods: Sequence[PodView]) -> tuple[PodView, Item] | None:
        """Find a deleted resource that may be a marker, and that its pod does not show to the caller.

        :returns: its pod, and the resource as it shows in lists; None if no pod has it, or the caller may not know it
        :raises ServiceUnavailable: no pod has it, and one that may have it did not answer
        """
        return None

    def show_time(self, moment: datetime) -> str:
        """Return a time as it shows in items."""
        return moment.isoformat(timespec='microseconds')

    @property
    def pod_path(self) -> str:
        """The path of the list in the pods. Its items have to show the values that the list is sorted by."""
        return self.path

    def summary(self, item: Item) -> Item:
        """Return an item of the detailed list as the list without details shows it."""
        return {name: item[name] for name in self.summary_fields if name in item}

    def has_partial_records(self, call: Call) -> bool:
        """Whether the list shows partial records of the resources in pods that are unreachable or in maintenance."""
        return False

    def partial_record(self, call: Call, route: Route) -> Item:
        """Return the partial record of a resource whose pod does not answer, made of its routing."""
        raise NotImplementedError

    @property
    def read_fields(self) -> tuple[str, ...]:
        """The fields of items that are read, beside those that the list is sorted by."""
        always = filter(None, ('id', self.resource.created, self.resource.part_of))
        return (*always, *(() if self.is_detailed else self.summary_fields))

    @property
    def link_path(self) -> str:
        """The path of next links."""
        return self.path

    # -- the flow --

    def __call__(self, call: Call) -> Answer:
        """:raises ServiceUnavailable: the list lacks the resources of a pod and cannot show that it does"""
        if not call.has_readable_query:
            return refuse_as_pod(call)
        sorts: Sorts | None
        if self.is_paged(call):
            query = PageQuery.parse(call.query, self)
            sorts = self.sorts(call.query)
        else:
            query = PageQuery.unpaged(call.query, self)
            sorts = [self.unpaged_sort or self.default_sort]
        if query is None or sorts is None:
            return refuse_as_pod(call)
        only, filters = self._named_pod(call, query.filters)
        query = replace(query, filters=filters)
        project_id = None if self.all_projects(call) else call.context.project_id or ''
        pods = ListedPods(self, call, project_id, only)
        order = ListOrder.of(self, sorts or [self.default_sort])
        may_plan = self._may_plan(call, query, order, project_id)
        if not may_plan and not pods.called and not pods.uncalled:
            return Answer.of({self.resource.collection: []}, headers=call.version_headers)
        marker = plan_markers(self, call, query.marker, order, pods, may_be_single=not may_plan)
        plans = PagePlanner(self, call, query, order, marker, pods, project_id).plans() if may_plan else ()
        # To other callers than admins a pod does not show the ids of other projects from which it would have to start.
        known_project = project_id if call.context.may_see_all else call.context.project_id or ''
        run = ListRun(
            self, call, query, order, marker, pods, plans, project_id=project_id, known_project=known_project
        )
        items = run.merged().items[query.offset :][: query.limit]
        if run.refusal is not None:
            return run.refusal
        items = items_with_shown(call, items)
        return self._answer(call, query, run, items, self._partial_records(call, run, project_id))

    def _may_plan(self, call: Call, query: PageQuery, order: ListOrder, project_id: str | None) -> bool:
        """Return whether the routings know in which pods the items of the page are."""
        return (
            self.is_planned
            and query.is_limited
            and query.needed <= self.max_limit
            and order.is_newest_first
            and self.is_paged(call)
            and not self.has_filters(query.filters)
            # Only pods know what a token that is scoped to a domain or to the system may list.
            and (bool(project_id) if project_id is not None else call.context.may_see_all)
            and len(call.snapshot.pods) > 1
        )

    def _named_pod(self, call: Call, filters: Query) -> tuple[PodView | None, Query]:
        """Return the pod of the host that the query names, or None, and the filters with the name in that pod.

        :raises Conflict: several pods have a host of the name
        :raises ServiceUnavailable: a pod that may have the host, too, is unreachable
        """
        # Pods ignore these filters of others.
        if not self.named or not call.context.may_see_all:
            return None, filters
        only = None
        names = {}
        for parameter, name in dict(filters).items():
            source = self.named.get(parameter)
            if source is None or not name:
                continue
            pod, names[parameter] = split_name(call, name)
            if pod is None:
                # The name of a service's host lacks the pool that a volume's has.
                found = find_named(call, source, name.partition('#')[0])
                pod = found[0] if found is not None else None
            only = pod or only
        return only, [(parameter, names.get(parameter, value)) for parameter, value in filters]

    def _partial_records(self, call: Call, run: ListRun, project_id: str | None) -> list[Item] | None:
        """Return partial records of the resources in pods that did not answer; None if the list has none.

        :raises ServiceUnavailable: the list cannot be answered without these pods
        """
        failed, uncalled = run.failed, run.uncalled
        # Without a project, only a pod that answers knows what the caller may see.
        if (failed or uncalled) and call.context.project_id and self.has_partial_records(call):
            routes = self._routes(call, [*failed, *uncalled], project_id)
            if run.first is not None or routes:
                return items_with_shown(call, [self.partial_record(call, route) for route in routes])
        if run.first is None:
            raise pod_failures.cloud_unreachable()
        require_complete(call, failed, uncalled)
        return None

    def _routes(self, call: Call, pods: Sequence[PodView], project_id: str | None) -> list[Route]:
        return [
            Route(
                pod, record.top_id, record.bottom_id, record.project_id, True, record.created_at or record.recorded_at
            )
            for pod in pods
            for record in routings.list_for_pod(
                call.runtime.db, self.resource.type, pod.id, project_id, self.max_limit
            )
        ]

    def _answer(
        self, call: Call, query: PageQuery, run: ListRun, items: list[Item], partial: list[Item] | None
    ) -> Answer:
        if self.summary_fields and not self.is_detailed:
            items = [self.summary(item) for item in items]
        if partial is not None:
            # A pod may have failed after its first page.
            known = {item['id'] for item in items}
            items = (items + [item for item in partial if item['id'] not in known])[: query.limit]
        document: dict[str, Any] = {self.resource.collection: items}
        count = run.count
        if self.links_key and items and 0 < query.link_limit <= (count or len(items)):
            link = next_link(call.base_url, call.prefix, self.link_path, call.query, str(items[-1]['id']))
            document[self.links_key] = [{'rel': 'next', 'href': link}]
        if count is not None:
            document['count'] = count
        body = slices.dump(document, self.resource.collection)
        return Answer(200, merged_headers(call, run.first), body)
