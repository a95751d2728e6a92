# SPDX-License-Identifier: Apache-2.0
"""create: choose a pod, send, record; the next pod if one cannot be reached or refuses for want of room."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from trio2o import exception, job_types
from trio2o.gateway.call_any_pod import call_any_pod
from trio2o.gateway.call_pod import names_of, send
from trio2o.gateway.claiming import Claiming, Refuse, asked_by
from trio2o.gateway.handlers.forward import disagreement
from trio2o.gateway.requested import NOTHING, Needs, ReadNeeds
from trio2o.gateway.translate import PodNames, answer_up, zone_down
from trio2o.pods.registry import PodView
from trio2o.resources import Item, Resource
from trio2o.routing.locator import Route
from trio2o.scheduler.spec import PodRequest
from trio2o.web import json_body, pod_failures
from trio2o.web.call import Answer, Call

LOG = logging.getLogger(__name__)

#: Both services refuse longer names of zones, in words of their own.
MAX_ZONE_LENGTH = 255

#: Seconds after which a pod that did not answer is looked at once more, and then once more.
LOOKS_AGAIN = [10, 60]

#: (resource, id): the new one has to be in the pod of that one.
Pins = Callable[[Any], Iterable[tuple[Resource, str]]]
#: (call, document) -> the document in the terms of the pod that it names otherwise than by an id, as by a host;
#: what names it; and that pod.
ByName = Callable[[Call, Any], tuple[Any, tuple[str, PodView] | None]]
#: (document, answer) -> query of the list that shows all that came into being with what was made, or None.
Siblings = Callable[[Any, Any], str | None]
#: (document, count) -> the document for as many as that.
Fewer = Callable[[Any, int], Any]
#: (kind, key) of replicated objects a body refers to.
References = Callable[[Any], Iterable[tuple[str, str]]]
#: (call, document, pod, names): for as long as it is sent, the names with what the body refers to that stands in
#: several pods; or the pod's refusal to have that.
Joins = Callable[[Call, Any, PodView, PodNames], AbstractContextManager[PodNames | Answer]]
#: (place, call, document, request, answer): told of what was created in a pod that the scheduler chose.
Follow = Callable[['Place', Call, Any, PodRequest, Answer], None]


@dataclass(frozen=True)
class Place:
    """Create a resource in the best pod.

    :ivar body_key: key of the object in the body that describes the new resource
    :ivar pins: what the body refers to that ties it to a pod
    :ivar known_pins: the same, where it need not be anything of this cloud: only what has a routing counts
    :ivar near: what the body refers to that is best judged where it is, but keeps nothing from being elsewhere
    :ivar references: what the body refers to that must exist in whichever pod it is
    :ivar unknown_zone: text of the 400 for a zone nobody has, with ``{zone}``
    :ivar zone_field: field of the object that names the zone; empty: it has none
    :ivar needs_pin: whether it always belongs to something that exists
    :ivar has_host_after_zone: whether the zone may be written ``zone:host:node``
    :ivar is_full: whether a pod's refusal means that it has no room, and another may have
    :ivar by_name: finds what the body names, of a pod, that has no id of ours
    :ivar siblings: tells where to read what else came into being
    :ivar joins: sees that a pod has what the body refers to that may stand in several
    :ivar needs: tells what is needed of the quota and of a pod
    :ivar refuse: how the service refuses what is over the quota
    :ivar fewer: the document for fewer resources than it asks for
    :ivar follow: sees what becomes of it
    """

    resource: Resource
    unknown_zone: str
    is_full: Callable[[Answer], bool]
    pins: Pins | None = None
    known_pins: Pins | None = None
    near: Pins | None = None
    references: References | None = None
    body_key: str = ''
    zone_field: str = 'availability_zone'
    has_host_after_zone: bool = False
    needs_pin: bool = False
    by_name: ByName | None = None
    siblings: Siblings | None = None
    needs: ReadNeeds | None = None
    joins: Joins | None = None
    refuse: Refuse | None = None
    fewer: Fewer | None = None
    follow: Follow | None = None

    def __call__(self, call: Call) -> Answer:
        document = call.json
        inner = json_body.object_at(document, self.body_key or self.resource.member)
        if inner is None or not self._has_readable_zone(inner):
            return self._as_a_pod_says(call)
        named = None
        if self.by_name is not None:
            document, named = self.by_name(call, document)
            if document is not call.json:
                call = call.with_body(document)
                inner = document[self.body_key or self.resource.member]
        zone, rest = self._zone(call, inner)
        pod = self._pod(self._pinned(call, document, zone), named, zone)
        if pod is None and not zone:
            zone = self._default_zone(call)
        needs = self.needs(call, document) if self.needs is not None else NOTHING
        references = list(self.references(document)) if self.references is not None else []
        request = PodRequest(
            self.resource.service,
            call.context.project_id or '',
            zone,
            resources=needs.resources,
            count=needs.count,
            extra_specs=needs.extra_specs,
            resource_type=self.resource.type,
            unusable=call.runtime.replicator.unusable(references, call.context.user_id or ''),
        )
        if pod is not None:
            if pod.id in request.unusable:
                LOG.warning('no new %s in pod %s: %s', self.resource.type, pod.name, request.unusable[pod.id])
                what = request.unusable[pod.id].partition(':')[0]
                raise exception.BadRequest(
                    f'The {self.resource.type} would have to be in a part of availability zone {pod.zone} that '
                    f'{what} cannot be used in.'
                )
            if not pod.takes_new and not self.needs_pin:
                raise exception.ServiceUnavailable(
                    f'What the {self.resource.type} is made from is in a part of availability zone {pod.zone} '
                    'that takes no new resources.'
                )
            only = [pod]
            return self._create_in(call, lambda request: only, document, rest, request, needs)
        if self.needs_pin:
            return call_any_pod(call)
        near = self._near(call, document)

        def choose(request: PodRequest) -> list[PodView]:
            pods = sorted(call.runtime.scheduler.select(request), key=lambda pod: pod.id not in near)
            return pods[: call.runtime.conf.scheduler.max_attempts]

        answer = self._create_in(call, choose, document, rest, request, needs)
        if self.follow is not None and not rest and answer.is_ok:
            self.follow(self, call, document, request, answer)
        return answer

    def create_once(self, call: Call, pod: PodView, document: Any) -> Answer:
        """Create it in one pod, and record nothing. :returns: the pod's answer in its own terms

        :raises PodError: the pod was not reached, or gave no answer
        """
        if pod.behind and self.references is not None:
            pod = call.runtime.replicator.ensure(pod, list(self.references(document)))
        names = names_of(call, pod)
        inner = document[self.body_key or self.resource.member]
        body = self._body_for(call.with_body(document), document, inner, '', pod, names)
        return send(call, pod, names=names, body=body)

    def _as_a_pod_says(self, call: Call) -> Answer:
        answer = call_any_pod(call)
        if answer.status == 500 and not call.body.strip():
            # Cinder takes no body at all for a fault of its own.
            key = self.body_key or self.resource.member
            raise exception.BadRequest(f"Missing required element '{key}' in request body.")
        return answer

    def _has_readable_zone(self, inner: Item) -> bool:
        """Whether the zone is one that there may be; of any other a pod has something to say."""
        zone = inner.get(self.zone_field)
        # Some pods take an empty one for none: what they make of it has to be recorded, and to count.
        return zone is None or (isinstance(zone, str) and len(zone) <= MAX_ZONE_LENGTH)

    def _default_zone(self, call: Call) -> str:
        """The zone for what names none and refers to nothing that is in one.

        :raises BadRequest: no pod is in that zone
        """
        zone: str = call.runtime.conf.scheduler.default_availability_zone or ''
        if zone and zone not in call.runtime.registry.snapshot().zones:
            raise exception.BadRequest(self.unknown_zone.format(zone=zone))
        return zone

    def _zone(self, call: Call, inner: Item) -> tuple[str, str]:
        """The zone asked for and what follows it.

        :raises BadRequest: no pod is in that zone
        """
        text = inner.get(self.zone_field) or ''
        zone, colon, rest = text.partition(':') if self.has_host_after_zone else (text, '', '')
        if zone and zone not in call.runtime.registry.snapshot().zones:
            raise exception.BadRequest(self.unknown_zone.format(zone=zone))
        return zone, colon + rest

    def _pod(
        self, pinned: tuple[Resource, Route] | None, named: tuple[str, PodView] | None, zone: str
    ) -> PodView | None:
        """The pod that what the body refers to is in, by id or by name.

        :raises PinsDisagree: two pods, or another zone than the one asked for
        """
        if named is None:
            return pinned[1].pod if pinned is not None else None
        title, pod = named
        if zone and pod.zone != zone:
            raise exception.PinsDisagree(f'{title} is in availability zone {pod.zone}, not in {zone}.')
        if pinned is not None and pinned[1].pod.id != pod.id:
            resource, route = pinned
            raise exception.PinsDisagree(
                f'{title} and {resource.title.lower()} {route.top_id} are in different parts of this cloud; they '
                'cannot be used together.'
            )
        return pod

    def _near(self, call: Call, document: Any) -> set[str]:
        """Ids of the pods with what the new one is to be apart from: best judged there, and any other will do."""
        found = set()
        for resource, near_id in self.near(document) if self.near else ():
            try:
                found.add(call.runtime.locator.find(call, resource, near_id).pod.id)
            except (exception.NotFound, exception.ServiceUnavailable):
                continue
        return found

    def _pinned(self, call: Call, document: Any, zone: str) -> tuple[Resource, Route] | None:
        """The first of what the body refers to by its id, which all the others are with.

        :raises PinsDisagree: two pods, or another zone than the one asked for
        """
        first: tuple[Resource, Route] | None = None
        for resource, pin_id, route in self._routes(call, document):
            if zone and route.pod.zone != zone:
                raise exception.PinsDisagree(
                    f'{resource.title} {pin_id} is in availability zone {route.pod.zone}, not in {zone}.'
                )
            if first is not None and first[1].pod.id != route.pod.id:
                raise disagreement(
                    (first[0].title, first[1].top_id, first[1].pod.zone), (resource.title, pin_id, route.pod.zone)
                )
            first = first or (resource, route)
        return first

    def _routes(self, call: Call, document: Any) -> Iterable[tuple[Resource, str, Route]]:
        """Where the pins are that are anywhere the caller may know of; of all others a pod knows nothing either."""
        locator = call.runtime.locator
        for resource, pin_id in self.pins(document) if self.pins else ():
            try:
                yield resource, pin_id, locator.find(call, resource, pin_id)
            except exception.NotFound:
                continue  # a pod says it better
        for resource, pin_id in self.known_pins(document) if self.known_pins else ():
            route = locator.look_up(resource.type, pin_id)
            if route is not None and route.is_live and route.is_known_to(call):
                yield resource, pin_id, route

    def _create_in(
        self,
        call: Call,
        choose: Callable[[PodRequest], list[PodView]],
        document: Any,
        rest: str,
        request: PodRequest,
        needs: Needs,
    ) -> Answer:
        """Claim what is needed, as Nova does before it schedules, and try pods with room for that in turn.

        :raises OutcomeUnknown: one took the request and did not answer
        :raises ServiceUnavailable: none can take it now
        """
        with Claiming(call, asked_by(call, needs, self.resource), self.refuse) as claiming:
            if claiming.claim.count < needs.count and self.fewer is not None:
                document = self.fewer(document, claiming.claim.count)
                call = call.with_body(document)
                request = request.fewer(claiming.claim.count)
            pods = choose(request)
            if not pods:
                raise self._none_left(request.zone)
            return self._try(call, pods, document, rest, request, claiming)

    def _try(
        self, call: Call, pods: list[PodView], document: Any, rest: str, request: PodRequest, claiming: Claiming
    ) -> Answer:
        inner = document[self.body_key or self.resource.member]
        refusal: Answer | None = None
        for number, view in enumerate(pods):
            pod = view
            if pod.behind and self.references is not None:
                pod = call.runtime.replicator.ensure(pod, list(self.references(document)))
            names = names_of(call, pod)
            body = self._body_for(call, document, inner, rest, pod, names)
            try:
                joining = self.joins(call, document, pod, names) if self.joins is not None else nullcontext(names)
                with joining as joined:
                    if isinstance(joined, Answer):
                        answer = joined
                    else:
                        names = joined
                        answer = send(call, pod, names=names, body=body)
            except exception.PodNotReached as error:
                LOG.warning('create of a %s passes over %s', self.resource.type, error)
                continue
            except exception.PodNoAnswer as error:
                claiming.unknown(pod, self.resource.type)
                raise self._unknown(call, pod, inner) from error
            if answer.status >= 500 or self.is_full(answer):
                LOG.warning(
                    'create of a %s passes over pod %s, which answered %d', self.resource.type, pod.name, answer.status
                )
                if answer.status < 500:
                    claiming.refused(pod)
                refusal = answer_up(answer, names, None)
                continue
            answer = answer_up(answer, names, self.resource)
            if answer.is_ok:
                self._record(call, pod, answer, claiming)
                self._learn_siblings(call, pod, document, answer, claiming.claim.id)
                call.runtime.scheduler.placed(request, pod)
                if number:
                    call.runtime.scheduler.moved(request, pod)
            return answer
        if refusal is not None and refusal.status < 500:
            return refusal
        raise self._none_left(request.zone or pods[0].zone)

    def _body_for(self, call: Call, document: Any, inner: Item, rest: str, pod: PodView, names: PodNames) -> bytes:
        """The body for one pod: as it came, unless the pod has another name for the zone."""
        if not self.zone_field or (self.needs_pin and not inner.get(self.zone_field)):
            return call.body
        # What an empty name means, or that it means nothing, a pod knows; Cinder takes null for none, Nova does not.
        is_null = self.has_host_after_zone and self.zone_field in inner and inner[self.zone_field] is None
        if is_null or inner.get(self.zone_field) == '' or not (inner.get(self.zone_field) or pod.record.pod_az_name):
            return call.body
        changed = dict(inner)
        zone_down(changed, self.zone_field, names, rest)
        return call.with_body({**document, self.body_key or self.resource.member: changed}).body

    def _record(self, call: Call, pod: PodView, answer: Answer, claiming: Claiming) -> None:
        document = answer.json
        item = document.get(self.resource.member) if isinstance(document, Mapping) else None
        if isinstance(item, Mapping) and isinstance(item.get('id'), str):
            claiming.record(pod, self.resource, item, call.context.project_id or '')
        else:
            claiming.unknown(pod, self.resource.type)

    def _learn_siblings(self, call: Call, pod: PodView, document: Any, answer: Answer, claim_id: str | None) -> None:
        """Record what came into being beside the one the answer is about, in the background."""
        query = self.siblings(document, answer.json) if self.siblings is not None else None
        if query is not None:
            call.runtime.executor.submit(self._read_siblings, call, pod, query, claim_id)

    def _read_siblings(self, call: Call, pod: PodView, query: str, claim_id: str | None) -> None:
        try:
            path = f'{self.resource.path}/detail'
            answer = send(call, pod, method='GET', path=path, query=query, body=b'')
        except exception.PodError as error:
            LOG.warning('what was created with a %s is not recorded yet: %s', self.resource.type, error)
            return
        found = [(pod, item) for item in json_body.objects_at(answer.json, self.resource.collection) if answer.is_ok]
        call.runtime.locator.learn(self.resource, found, call.context.project_id or '', claim_id)

    def _unknown(self, call: Call, pod: PodView, inner: Item) -> exception.OutcomeUnknown:
        """The pod may have made it: look there soon, so that what it made is known."""
        payload = {'pod_id': pod.id, 'looks': LOOKS_AGAIN}
        call.runtime.jobs.submit(job_types.RECONCILE_ROUTINGS, pod.id, payload, request_id=call.context.request_id)
        return pod_failures.create_outcome_unknown(self.resource.type, pod.zone)

    def _none_left(self, zone: str) -> exception.ServiceUnavailable:
        return pod_failures.cannot_create(self.resource.type, zone)


def pin_if(resource: Resource, value: Any) -> list[tuple[Resource, str]]:
    """A pin for what looks like an id, or nothing."""
    return [(resource, value)] if isinstance(value, str) and value else []
