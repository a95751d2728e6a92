# SPDX-License-Identifier: Apache-2.0
"""by_id and cross_pod_check: an id in the path, its pod, its answer."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from trio2o import exception
from trio2o.gateway.call_any_pod import call_any_pod
from trio2o.gateway.call_pod import names_of, send_to_route
from trio2o.gateway.claiming import Change, Claiming, is_over_quota
from trio2o.gateway.translate import PodNames, answer_up
from trio2o.pods import headers as pod_headers
from trio2o.pods.registry import PodView
from trio2o.resources import Resource
from trio2o.routing.locator import Route
from trio2o.web import json_body
from trio2o.web.call import Answer, Call

#: Gives what else a body names that has to be in the same pod: (resource, id).
Others = Callable[[Any], Iterable[tuple[Resource, str]]]
#: Shows a resource that its pod does not show now.
StandIn = Callable[[Call, Route], Answer | None]
#: A pod, or what stands before it, that answers so has nothing to say of the resource.
_UNWELL = (502, 503, 504)
#: Puts a pod's answer further into the top's terms.
Rename = Callable[[Call, PodView, Answer], Answer]

_WITH_A_BODY = frozenset({'POST', 'PUT'})


@dataclass(frozen=True)
class Forward:
    """Send the call to the pod of the resource whose id is the first in the path.

    :ivar zone_in: keys that lead to a zone's name in the body, as in ``('unshelve', 'availability_zone')``
    :ivar others: what else the body names that has to be in the same pod
    :ivar born: what a good answer names that is in the same pod, and may be new
    :ivar is_read: whether it reads whatever its method
    :ivar rename: puts into the top's terms what else an answer names
    :ivar change: what it does to the use of the quota
    :ivar stand_in: what to show of one whose pod does not answer, or None if this version shows nothing then
    """

    resource: Resource
    zone_in: tuple[str, ...] = ()
    others: Others | None = None
    born: Others | None = None
    is_read: bool = False
    rename: Rename | None = None
    stand_in: StandIn | None = None
    change: Change | None = None

    def __call__(self, call: Call) -> Answer:
        try:
            answer = self._forward(call)
        except exception.ServiceUnavailable:
            shown = self._shown_without_its_pod(call)
            if shown is None:
                raise
            return shown
        return (self._shown_without_its_pod(call) or answer) if answer.status in _UNWELL else answer

    def _shown_without_its_pod(self, call: Call) -> Answer | None:
        if self.stand_in is None or call.method != 'GET' or not self._is_about_itself(call):
            return None
        route: Route | None = call.runtime.locator.look_up(self.resource.type, call.id)
        if route is None or not route.is_live or not route.is_known_to(call):
            return None
        return self.stand_in(call, route)

    def _forward(self, call: Call) -> Answer:
        locator = call.runtime.locator
        try:
            route: Route = locator.find(call, self.resource, call.id)
        except exception.NotFound:
            known = locator.look_up(self.resource.type, call.id)
            if known is None and call.method not in _WITH_A_BODY:
                raise
            # A pod looks at the body first; what is wrong with that is said before what is missing. Of what is
            # another project's its own pod does not say quite the same as others.
            return call_any_pod(call, first=known.pod if known is not None else None)
        if self.others is not None:
            self._check_others(call, route)
        if route.answer is not None and self._is_show(call):
            # The pod was asked just now whether it has it; that was the question.
            names = names_of(call, route.pod)
            answer = Answer(200, pod_headers.up(route.answer.headers), route.answer.body)
            return self._renamed(call, route, answer_up(answer, names, self.resource))
        answer = self._send(call, route) if self.change is None else self._changed(call, route, self.change)
        if self._is_about_itself(call) and self._is_end(call, route, answer):
            locator.ended(self.resource.type, route)
        if self.born is not None and answer.is_ok:
            for resource, other_id in self.born(answer.json):
                locator.record(resource, route.pod, other_id, call.context.project_id or '')
        return self._renamed(call, route, answer)

    def _send(self, call: Call, route: Route) -> Answer:
        return send_to_route(call, route, self.resource, body=self._body(call, route), is_read=self.is_read)

    def _changed(self, call: Call, route: Route, change: Change) -> Answer:
        """Send what changes the use of the quota: claim what it takes, and have it looked at until it is done."""
        with Claiming(call, change.asked(call, route, self.resource), change.refuse) as claiming:
            try:
                answer = self._send(call, route)
            except exception.OutcomeUnknown:
                claiming.watch(route.pod, self.resource.type, route.top_id)
                raise
            if answer.is_ok and not self.resource.goes_at_once:
                claiming.watch(route.pod, self.resource.type, route.top_id)
            elif change.refuse is not None and is_over_quota(answer):
                claiming.refused(route.pod)
            return answer

    def _renamed(self, call: Call, route: Route, answer: Answer) -> Answer:
        return self.rename(call, route.pod, answer) if self.rename is not None and answer.is_ok else answer

    def _is_about_itself(self, call: Call) -> bool:
        """Whether the path ends with the id, so that a 404 is about the resource and nothing below it."""
        return len(call.params) == 1 and call.operation.path.endswith('}')

    def _is_show(self, call: Call) -> bool:
        return call.method == 'GET' and not call.query_string and self._is_about_itself(call)

    def _is_end(self, call: Call, route: Route, answer: Answer) -> bool:
        if call.method == 'DELETE' and answer.is_ok:
            return self.resource.goes_at_once
        # To other projects a pod says 404 of what is there.
        return answer.status == 404 and route.is_known_to(call)

    def _body(self, call: Call, route: Route) -> bytes | None:
        if not self.zone_in:
            return None
        document = call.json
        if json_body.at(document, *self.zone_in) != route.pod.zone:
            return None
        return call.with_body(self._in_pod_zone(document, names_of(call, route.pod))).body

    def _in_pod_zone(self, document: Any, names: PodNames) -> Any:
        """A copy with the pod's name for its zone; where that is none, nothing is wanted of the pod."""
        document = copy.deepcopy(document)
        outer, inner = document, document
        *keys, last = self.zone_in
        for key in keys:
            outer, inner = inner, inner[key]
        if names.pod_zone:
            inner[last] = names.pod_zone
        elif len(inner) > 1:
            del inner[last]
        elif keys == ['server']:
            inner[last] = None
        else:
            outer[keys[-1]] = None  # {"unshelve": {}} is no request, {"unshelve": null} is
        return document

    def _check_others(self, call: Call, route: Route) -> None:
        """:raises PinsDisagree: something the body names is in another pod"""
        assert self.others is not None
        for resource, other_id in self.others(call.json):
            try:
                other: Route = call.runtime.locator.find(call, resource, other_id)
            except exception.NotFound:
                continue  # the pod says it better
            if other.pod.id != route.pod.id:
                raise disagreement(
                    (self.resource.title, route.top_id, route.pod.zone), (resource.title, other_id, other.pod.zone)
                )


def disagreement(first: tuple[str, str, str], second: tuple[str, str, str]) -> exception.PinsDisagree:
    """Two things (title, id, zone) that would have to be in one pod and are not."""
    if first[2] != second[2]:
        return exception.PinsDisagree(
            f'{first[0]} {first[1]} is in availability zone {first[2]} and {second[0].lower()} {second[1]} in '
            f'{second[2]}; they cannot be used together.'
        )
    return exception.PinsDisagree(
        f'{first[0]} {first[1]} and {second[0].lower()} {second[1]} are in different parts of availability zone '
        f'{first[2]}; they cannot be used together.'
    )


def named(resource: Resource, *path: str) -> Others:
    """The one resource whose id stands at a place in the body."""

    def others(document: Any) -> Iterable[tuple[Resource, str]]:
        value = json_body.at(document, *path)
        return [(resource, value)] if isinstance(value, str) and value else []

    return others


@dataclass(frozen=True)
class AskAny:
    """Any pod will do."""

    def __call__(self, call: Call) -> Answer:
        return call_any_pod(call)
