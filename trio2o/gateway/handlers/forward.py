# SPDX-License-Identifier: Apache-2.0
"""Forward a call to the pod of the resource whose id is in its path, and the pod's answer to the client.

``Forward.__call__`` is the flow. What differs from resource to resource is a subclass next to the resource's rows, as
``ForwardServer`` in ``nova_apigw/servers/forward.py``. It sets fields and overrides hooks, listed below in the
order in which they are called.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar

from trio2o import exception
from trio2o.db import routings
from trio2o.db.records import NewRouting
from trio2o.gateway.call_any_pod import call_any_pod
from trio2o.gateway.call_pod import names_of, send_to_route
from trio2o.gateway.claiming import quota_claim, shown_amounts
from trio2o.gateway.moving import check_may_write, check_not_moving, deleted, is_delete, with_shown
from trio2o.gateway.pod_quota import is_over_quota, report_limit
from trio2o.gateway.refs import Ref, disagreement, refs
from trio2o.gateway.translate import PodNames, answer_up
from trio2o.pods import headers as pod_headers
from trio2o.pods.own_answers import is_internal_error, is_missing
from trio2o.pods.registry import PodView
from trio2o.quota.amounts import Amounts
from trio2o.quota.claims import ClaimRequest, OverQuota
from trio2o.resources import Resource, is_resource_id
from trio2o.routing.locator import Route
from trio2o.web import json_body, pod_failures
from trio2o.web.call import Answer, Call

LOG = logging.getLogger(__name__)

#: Statuses of a pod, or of a proxy before it, that say nothing about the resource.
_POD_FAILED = (502, 503, 504)

#: Methods of requests with a body.
_WITH_BODY = frozenset({'POST', 'PUT'})


class QuotaEffect(Enum):
    """How a call changes the quota that its resource uses.

    After a call that changes it, or that may have changed it, a job looks at the resource until the pod is done, and
    counts it again.
    """

    NONE = 'none'
    #: The resource may use less, as after a delete: nothing is claimed.
    RELEASES = 'releases'
    #: The resource uses more, as after a resize: ``Forward.quota_growth`` is claimed before the call is sent.
    GROWS = 'grows'


@dataclass(frozen=True)
class BodyRef:
    """The keys that lead to the id of another resource in a body: ``BodyRef(VOLUME, ('restore', 'volume_id'))``."""

    resource: Resource
    path: tuple[str, ...]

    def read(self, document: Any) -> list[Ref]:
        """Return the resource, if the body names it."""
        return refs(self.resource, json_body.at(document, *self.path))


@dataclass(frozen=True)
class Forward:
    """Send the call to the pod of the resource whose id is the first in the path.

    :ivar resource: the kind of that resource
    :ivar quota_effect: how the call changes the quota that the resource uses
    :ivar other: a second resource that the body names and that has to be in the same pod
    :ivar is_read: whether the call only reads, whatever its method
    :cvar zone_path: keys that lead to the name of an availability zone in the body
    """

    resource: Resource
    quota_effect: QuotaEffect = QuotaEffect.NONE
    other: BodyRef | None = None
    is_read: bool = False
    zone_path: ClassVar[tuple[str, ...]] = ()

    # -- hooks, in calling order --

    def same_pod_refs(self, call: Call) -> Iterable[Ref]:
        """Return the resources that the body names and that have to be in the same pod."""
        return self.other.read(call.json) if self.other is not None else ()

    def prepare(self, call: Call, route: Route) -> Call:
        """Return the call to send to the pod. It may have another path or body than the client's.

        Nothing is claimed or sent yet, so this is also the place to refuse the call.

        :raises Trio2oException: the answer to a call that must not be sent
        """
        return call

    def quota_growth(self, call: Call, route: Route, counted: Amounts) -> Mapping[str, int]:
        """Return the amounts to claim for a call after which the resource uses more quota.

        :param counted: the quota that it uses now
        """
        return {}

    def over_quota_error(self, error: OverQuota) -> exception.Trio2oException:
        """Return the error of the service for a change that the quota does not allow."""
        return exception.Forbidden(f'Quota exceeded for {error}')

    def drop_zone(self, document: Any) -> None:
        """Take the zone out of a copy of the body, in place, for a pod that has no name for its zone."""
        raise NotImplementedError

    def new_refs(self, answer: Answer) -> Iterable[Ref]:
        """Return resources in a successful answer that are in the same pod and may have no routing yet."""
        return ()

    def translate(self, call: Call, pod: PodView, answer: Answer) -> Answer:
        """Translate a successful answer further: links, ids and zones in it are those of tenants already."""
        return answer

    def translate_refusal(self, call: Call, pod: PodView, answer: Answer) -> Answer:
        """Translate what else a refusal of the pod names in its own words."""
        return answer

    def fallback_answer(self, call: Call, route: Route) -> Answer | None:
        """Return an answer about a resource whose pod does not answer; None to answer with the error."""
        return None

    # -- the flow --

    def __call__(self, call: Call) -> Answer:
        try:
            answer = self._forward(call)
        except exception.ServiceUnavailable:
            fallback = self._fallback_answer(call)
            if fallback is None:
                raise
            return fallback
        return (self._fallback_answer(call) or answer) if answer.status in _POD_FAILED else answer

    def _fallback_answer(self, call: Call) -> Answer | None:
        if call.method != 'GET' or not self._is_about_itself(call):
            return None
        route = call.runtime.locator.look_up(self.resource.type, call.id)
        if route is None or not route.is_live or not route.is_known_to(call):
            return None
        answer = self.fallback_answer(call, route)
        return None if answer is None else with_shown(call, self.resource, route.top_id, answer)

    def _forward(self, call: Call) -> Answer:
        locator = call.runtime.locator
        try:
            route, shown = locator.find_with_answer(call, self.resource, call.id)
        except exception.NotFound:
            # The answer is the same for an unknown id and one of another project. Pods would word them differently.
            if call.method not in _WITH_BODY:
                raise
            # A pod refuses an invalid body before it says that the id is unknown.
            # If another project has the resource, its own pod may refuse the call in another way than the other pods.
            known = locator.look_up(self.resource.type, call.id)
            return call_any_pod(call, first=known.pod if known is not None else None)
        if check_may_write(call, self.resource, route.top_id, self.is_read, self._is_about_itself(call)):
            route, shown = locator.find_with_answer(call, self.resource, call.id)
        self._check_same_pod(call, route)
        call = self.prepare(call, route)
        if shown is not None and self._is_show(call):
            # The locator has just sent the same request to the pod, to find out whether it has the resource.
            names = names_of(call, route.pod)
            answer = Answer(200, pod_headers.up(shown.headers), shown.body)
            return self._translated(call, route, answer_up(answer, names, self.resource))
        is_counted = self.quota_effect is not QuotaEffect.NONE
        answer = self._send_claimed(call, route) if is_counted else self._send(call, route)
        if self._is_about_itself(call):
            if self._is_gone(call, route, answer):
                is_ended = locator.mark_deleted(self.resource.type, route)
                if not is_ended and not answer.is_ok and self._is_elsewhere(call, route):
                    return self._forward(call)
            elif not route.is_live and call.method == 'GET':
                item = json_body.member(answer, self.resource)
                if item is not None and item.get('id') == route.top_id:
                    locator.revive(self.resource, route.pod, route, item)
        is_deleted = answer.is_ok and is_delete(call, self._is_about_itself(call))
        if is_deleted and deleted(call, self.resource, route.top_id):
            return self._forward(call)
        for resource, ref_id in self.new_refs(answer) if answer.is_ok else ():
            if is_resource_id(ref_id):
                locator.record(NewRouting(resource.type, ref_id, route.pod.id, call.context.project_id or ''))
        return self._translated(call, route, answer)

    def _is_elsewhere(self, call: Call, route: Route) -> bool:
        """Return whether the routing, read again, names another pod or id than the route of this request."""
        now = call.runtime.locator.look_up(self.resource.type, route.top_id)
        if not route.is_live or now is None or not now.is_live:
            return False
        return (now.pod.id, now.bottom_id) != (route.pod.id, route.bottom_id)

    def _check_same_pod(self, call: Call, route: Route) -> None:
        """:raises RefsDisagree: a resource that the body names is in another pod"""
        # The pod refuses a call with a reference that is not found in its service's words.
        for (resource, other_id), other in call.runtime.locator.find_many(call, self.same_pod_refs(call)).items():
            check_not_moving(call, resource, other.top_id)
            if other.pod.id != route.pod.id:
                raise disagreement(
                    (self.resource.title, route.top_id, route.pod.zone), (resource.title, other_id, other.pod.zone)
                )

    def _send(self, call: Call, route: Route) -> Answer:
        return send_to_route(call, route, self.resource, body=self._body(call, route), is_read=self.is_read)

    def _send_claimed(self, call: Call, route: Route) -> Answer:
        """Send a call that changes the usage of quota: claim the growth, and keep the claim until the pod is done.

        :raises OutcomeUnknown: the pod may have accepted the call; a job looks at the resource
        """
        with quota_claim(call, self._claim_request(call, route), self.over_quota_error) as claim:
            claim.require_current()
            try:
                answer = self._send(call, route)
                if is_internal_error(answer):
                    LOG.warning('outcome unknown: pod %s answered %d', route.pod.name, answer.status)
                    raise pod_failures.outcome_unknown(f'{self.resource.title} {route.top_id}', route.pod.zone)
            except exception.OutcomeUnknown:
                claim.keep_open(route.pod, self.resource.type, route.top_id)
                raise
            if answer.is_ok and not self.resource.is_deleted_synchronously:
                claim.watch(route.pod, self.resource.type, route.top_id)
            elif self.quota_effect is QuotaEffect.GROWS and is_over_quota(answer):
                report_limit(call, route.pod, claim.project_id)
            return answer

    def _claim_request(self, call: Call, route: Route) -> ClaimRequest:
        """Return the claim, on the quota of the project that owns the resource."""
        record = routings.get(call.runtime.db, self.resource.type, route.top_id)
        growth: Mapping[str, int] = {}
        if self.quota_effect is QuotaEffect.GROWS:
            counted = record.deltas if record is not None else None
            growth = self.quota_growth(
                call, route, shown_amounts(call, self.resource, route) if counted is None else counted
            )
        return ClaimRequest(
            route.project_id,
            record.user_id if record is not None else '',
            growth,
            resource_type=self.resource.type,
            resource_id=route.top_id,
            pod_id=route.pod.id,
            request_id=call.context.request_id or '',
        )

    def _body(self, call: Call, route: Route) -> bytes | None:
        """Return the body with the pod's name for its zone; None if the body can be sent unchanged."""
        if not self.zone_path or json_body.at(call.json, *self.zone_path) != route.pod.zone:
            return None
        return call.with_body(self._in_pod_zone(call.json, names_of(call, route.pod))).body

    def _in_pod_zone(self, document: Any, names: PodNames) -> Any:
        document = copy.deepcopy(document)
        if names.pod_zone:
            *keys, last = self.zone_path
            json_body.at(document, *keys)[last] = names.pod_zone
        else:
            self.drop_zone(document)
        return document

    def _translated(self, call: Call, route: Route, answer: Answer) -> Answer:
        translate = self.translate if answer.is_ok else self.translate_refusal
        return translate(call, route.pod, with_shown(call, self.resource, route.top_id, answer))

    def _is_about_itself(self, call: Call) -> bool:
        """Return whether the path ends with the id, so that a 404 is about the resource and nothing below it."""
        return len(call.params) == 1 and call.operation.path.endswith('}')

    def _is_show(self, call: Call) -> bool:
        return call.method == 'GET' and not call.query_string and self._is_about_itself(call)

    def _is_gone(self, call: Call, route: Route, answer: Answer) -> bool:
        """Return whether an answer says that the resource does not exist any more."""
        if call.method == 'DELETE' and answer.is_ok:
            return self.resource.is_deleted_synchronously
        # To other projects a pod answers 404 about a resource that exists, and its policy may not take the
        # administrators of Trio2o for its own.
        return is_missing(answer) and route.project_id == call.context.project_id


@dataclass(frozen=True)
class ForwardToAny:
    """Send the call to any one pod."""

    def __call__(self, call: Call) -> Answer:
        return call_any_pod(call)
