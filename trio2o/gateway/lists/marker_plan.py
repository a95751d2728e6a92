# SPDX-License-Identifier: Apache-2.0
"""Where each pod starts to list when a page starts after a marker.

The marker is in one pod only. The others start at the last item that they are known to have before it, by the
times of creation in the routings; without one, at their beginning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from trio2o import exception
from trio2o.db import routings
from trio2o.gateway.call_pod import send
from trio2o.gateway.lists.merge import After, Item
from trio2o.gateway.lists.query import ListOrder
from trio2o.pods.own_answers import is_missing
from trio2o.pods.registry import PodView
from trio2o.routing.locator import Route
from trio2o.web import json_body, pod_failures
from trio2o.web.call import Answer, Call

if TYPE_CHECKING:
    from trio2o.gateway.handlers.list import List


@dataclass(frozen=True)
class MarkerPlan:
    """Where each pod starts to list.

    :ivar starts: id of a pod -> the pod's own marker; pods without one start at their beginning
    :ivar owner_id: id of the pod that starts at the client's marker itself
    :ivar after: the position of the marker in the merged list; None if pods leave out what comes before it
    """

    starts: Mapping[str, str] = field(default_factory=dict)
    owner_id: str | None = None
    after: After | None = None


def plan_markers(
    listing: List, call: Call, marker: str | None, order: ListOrder, pods: Sequence[PodView], project_id: str | None
) -> MarkerPlan:
    """Find the marker, and where each pod has to start so that nothing after the marker is missed.

    The pod of the marker, too, starts before it if there are others: pods sort by more than they show, so what
    comes after the marker in the pod's order is not what comes after it in the merged order.

    :param project_id: the only project whose items are listed, or None
    :raises BadRequest, NotFound: no pod has the marker, in the service's own words
    :raises ServiceUnavailable: the pod of the marker is unreachable, and the order needs more than the routing has
    """
    if marker is None:
        return MarkerPlan()
    item: Item | None = None
    is_shown = is_unreachable = False
    route, answer = _find_marker(listing, call, marker)
    if route is None:
        found = listing.find_deleted(call, marker, pods)
        if found is None:
            raise listing.marker_not_found(call, marker)
        pod, item = found
        route = Route(pod, marker, marker, listing.resource.owner_of(item, ''), False)
    index = next((index for index, pod in enumerate(pods) if pod.id == route.pod.id), None)
    if index == 0 and len(pods) == 1:
        return MarkerPlan({route.pod.id: route.bottom_id}, route.pod.id)
    if item is None:
        item, is_unreachable = _read_marker(listing, call, route, answer)
        is_shown = item is not None
        if item is None and not route.is_known_to(call):
            raise listing.marker_not_found(call, marker)
    created_at = (listing.resource.created_at(item) if item else None) or route.created_at
    if item is None and not is_unreachable and (created_at is None or not order.is_by_time):
        found = listing.find_deleted(call, marker, [route.pod])
        item = found[1] if found is not None else None
    if item is None:
        item = _missing_marker(listing, call, route, created_at if order.is_by_time else None, is_unreachable)
    starts: dict[str, str] = {}
    owner_id = None
    if not is_shown and index is not None and listing.may_marker_be_deleted:
        # Only its own pod can say whether a deleted item may still be a marker.
        owner_id = route.pod.id
        starts[owner_id] = route.bottom_id
    if order.is_by_time and created_at is not None:
        for pod in pods:
            start = None if pod.id == owner_id else _start_in(listing, call, pod, created_at, order, project_id)
            if start is not None:
                starts[pod.id] = start
    return MarkerPlan(starts, owner_id, After(order.order.keys(item), index if is_shown else None))


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
    """Return the marker as its pod shows it, or None, and whether the pod is unreachable.

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
    item = json_body.member(answer, listing.resource)
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


def _start_in(
    listing: List, call: Call, pod: PodView, created_at: datetime, order: ListOrder, project_id: str | None
) -> str | None:
    """Return an id in a pod that comes before everything that may come after the marker."""
    routing = routings.before(
        call.runtime.db,
        listing.resource.type,
        pod.id,
        project_id,
        created_at,
        newest_first=order.is_descending,
        with_deleted=listing.may_marker_be_deleted,
    )
    return routing.bottom_id if routing else None
