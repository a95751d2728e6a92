# SPDX-License-Identifier: Apache-2.0
"""Where each pod starts to list when a page starts after a marker.

The marker is in one pod only. The others start at the last item that they are known to have before it, by the
times of creation in the routings; without one, at their beginning.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from trio2o import exception
from trio2o.db import routings
from trio2o.gateway.call_pod import names_of, send
from trio2o.gateway.lists.merge import Item
from trio2o.gateway.lists.query import ListOrder
from trio2o.gateway.translate import answer_up
from trio2o.pods.own_answers import is_missing
from trio2o.pods.registry import PodView
from trio2o.routing.locator import Route
from trio2o.web import json_body, pod_failures
from trio2o.web.call import Answer, Call

if TYPE_CHECKING:
    from trio2o.gateway.handlers.list import List
    from trio2o.gateway.lists.listed_pods import ListedPods

#: A pod may round a time up in its database that it showed exactly in the answer to a create, or truncate it. So the
#: time in a routing may differ as much from that in lists.
ROUNDING = timedelta(seconds=1)


@dataclass(frozen=True)
class MarkerPlan:
    """Where each pod starts to list.

    :ivar item: the client's marker, or an item with its sort values; None if pods leave out what comes before it
    :ivar created_at: its creation time; None if that is not known
    :ivar shown_by: id of the pod that lists the marker; None if it is not listed
    :ivar owner_id: id of the pod that starts at the client's marker itself
    :ivar owner_start: the client's marker in that pod
    """

    item: Item | None = None
    created_at: datetime | None = None
    shown_by: str | None = None
    owner_id: str | None = None
    owner_start: str | None = None

    def start_in(
        self, listing: List, call: Call, pod: PodView, order: ListOrder, project_id: str | None
    ) -> str | None:
        """Return the marker of a pod for its first page: an id before everything that may come after the marker.

        :param project_id: the only project whose items the pod shows, or None
        :returns: None to start at the beginning
        """
        if pod.id == self.owner_id:
            return self.owner_start
        if not order.is_by_time or self.created_at is None:
            return None
        routing = routings.before(
            call.runtime.db,
            listing.resource.type,
            pod.id,
            project_id,
            self.created_at + (ROUNDING if order.is_descending else -ROUNDING),
            newest_first=order.is_descending,
            with_deleted=listing.may_marker_be_deleted,
        )
        return routing.bottom_id if routing else None


def plan_markers(
    listing: List, call: Call, marker: str | None, order: ListOrder, pods: ListedPods, *, may_be_single: bool
) -> MarkerPlan:
    """Find the marker, so that nothing after it is missed.

    The pod of the marker, too, starts before it if there are others: pods sort by more than they show, so what
    comes after the marker in the pod's order is not what comes after it in the merged order.

    :param may_be_single: whether the pod of the marker may be the only one that is called
    :raises BadRequest, NotFound: no pod has the marker, in the service's own words
    :raises ServiceUnavailable: the pod of the marker is unreachable, and the order needs more than the routing has
    """
    if marker is None:
        return MarkerPlan()
    item: Item | None = None
    is_unreachable = False
    route, answer = _find_marker(listing, call, marker)
    if route is None:
        found = listing.find_deleted(call, marker, pods.called)
        if found is None:
            raise listing.marker_not_found(call, marker)
        pod, item = found
        route = Route(pod, marker, marker, listing.resource.owner_of(item, ''), False)
    if may_be_single and [pod.id for pod in pods.called] == [route.pod.id]:
        return MarkerPlan(owner_id=route.pod.id, owner_start=route.bottom_id)
    shown_by = None
    if item is None:
        item, is_unreachable = _read_marker(listing, call, route, answer)
        shown_by = route.pod.id if item is not None else None
        if item is None and not route.is_known_to(call):
            raise listing.marker_not_found(call, marker)
    created_at = (listing.resource.created_at(item) if item else None) or route.created_at
    if item is None and not is_unreachable and (created_at is None or not order.is_by_time):
        found = listing.find_deleted(call, marker, [route.pod])
        item = found[1] if found is not None else None
    if item is None:
        item = _missing_marker(listing, call, route, created_at if order.is_by_time else None, is_unreachable)
    if shown_by is None and not is_unreachable and listing.may_marker_be_deleted:
        # Only its own pod can say whether a deleted item may still be a marker.
        return MarkerPlan(item, created_at, owner_id=route.pod.id, owner_start=route.bottom_id)
    return MarkerPlan(item, created_at, shown_by)


def _find_marker(listing: List, call: Call, marker: str) -> tuple[Route | None, Answer | None]:
    """Return the route of the marker, or None, and the pod's answer to a GET of it if the pods were called for it.

    :raises ServiceUnavailable: a pod that may have it did not answer
    """
    # Its pod may be in maintenance: the routing may be enough.
    route = call.runtime.locator.look_up(listing.resource.type, marker)
    if route is not None and route.is_known_to(call):
        return route, None
    try:
        return call.runtime.locator.find_with_answer(call, listing.resource, marker)
    except exception.NotFound:
        return None, None


def _read_marker(listing: List, call: Call, route: Route, answer: Answer | None) -> tuple[Item | None, bool]:
    """Return the marker as tenants see it in lists, or None, and whether the pod is unreachable.

    :param answer: the pod's answer to a GET of the marker, if the locator got one while it looked for the pod
    """
    if answer is None:
        if route.pod.in_maintenance or listing.resource.service not in route.pod.endpoints:
            return None, True
        path = f'{listing.resource.path}/{route.bottom_id}'
        try:
            answer = send(call, route.pod, method='GET', path=path, query='')
        except exception.PodError:
            return None, True
    names = names_of(call, route.pod).with_id(route.bottom_id, route.top_id)
    item = json_body.member(answer_up(answer, names, listing.resource), listing.resource)
    return item, item is None and not is_missing(answer)


def _missing_marker(
    listing: List, call: Call, route: Route, created_at: datetime | None, is_unreachable: bool
) -> Item:
    """Return an item with the sort values of a marker that its pod does not show.

    :param created_at: None if it is not known, or not enough for this order
    """
    if created_at is not None:
        if is_unreachable or listing.may_marker_be_deleted:
            return {listing.resource.created: listing.show_time(created_at), 'id': route.top_id}
    elif is_unreachable:
        raise pod_failures.unreachable(f'The marker {route.top_id}', route.pod.zone)
    raise listing.marker_not_found(call, route.top_id)
