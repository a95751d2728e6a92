# SPDX-License-Identifier: Apache-2.0
"""Create a resource in the best pod: read the request, choose pods, claim quota, send the create, record the result.

``Create.__call__`` is the flow of every create, and it is not overridden. What differs from resource to resource is a
subclass next to the resource's rows, as ``CreateVolume`` in ``cinder_apigw/volumes.py``. It sets class attributes and
overrides hooks, which are listed below in the order in which they are called.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, ClassVar

from trio2o import exception, job_types
from trio2o.db.errors import NOT_RECORDED
from trio2o.gateway.call_any_pod import call_any_pod
from trio2o.gateway.call_pod import names_of, send
from trio2o.gateway.claiming import HeldClaim, quota_claim
from trio2o.gateway.moving import check_not_moving
from trio2o.gateway.pod_quota import is_over_quota, report_limit
from trio2o.gateway.refs import NamedPod, Ref, disagreement, refs
from trio2o.gateway.requested import Requested
from trio2o.gateway.translate import PodNames, answer_up, zone_down
from trio2o.pods.own_answers import is_internal_error
from trio2o.pods.registry import PodView
from trio2o.quota.claims import ClaimRequest, OverQuota
from trio2o.resources import Item, Resource, is_resource_id
from trio2o.routing.locator import Route
from trio2o.scheduler.decision import Decision
from trio2o.scheduler.spec import PodRequest
from trio2o.web import json_body, pod_failures
from trio2o.web.call import Answer, Call

LOG = logging.getLogger(__name__)

#: Both services refuse longer names of zones, in words of their own.
MAX_ZONE_LENGTH = 255

#: A pod that gave no clear answer to a create may still carry it out. A job looks there after so many seconds, twice.
LOOKS_AGAIN = [10, 60]


class PreparationRefused(Exception):
    """A pod refused to create an object that it needs for the create, such as a server group copy.

    :ivar answer: the pod's answer, which is treated like one to the create itself
    """

    def __init__(self, answer: Answer) -> None:
        super().__init__(f'answered {answer.status}')
        self.answer = answer


@dataclass
class Creation:
    """The state of one create while it is served.

    :ivar call: the call; its body is always that of ``document``
    :ivar document: the parsed body
    :ivar key: key of the object in the document that describes the new resource
    :ivar zone: the availability zone for the new resource; empty: any
    :ivar host: the text after the zone in the body, for a service that lets an admin write ``zone:host:node``
    :ivar pod: the only possible pod, as it holds something that the body refers to; None: any pod of the zone
    :ivar soft_pods: ids of the pods that are preferred, if they pass the filters of the scheduler
    :ivar requested: the quota and the capacity that the body requests
    :ivar request: the criteria by which the scheduler selects pods
    :ivar claim: the claim on the quota
    """

    call: Call = field(repr=False)
    document: Any = field(repr=False)
    key: str
    zone: str = ''
    host: str = ''
    pod: PodView | None = None
    soft_pods: frozenset[str] = frozenset()
    requested: Requested = field(default_factory=Requested)
    request: PodRequest = field(init=False, repr=False)
    claim: HeldClaim = field(init=False, repr=False)

    @property
    def inner(self) -> Item:
        """The object that describes the new resource."""
        inner: Item = self.document[self.key]
        return inner

    def preferred(self, pods: list[PodView]) -> list[PodView]:
        """Return pods with the soft ones first."""
        return sorted(pods, key=lambda pod: pod.id not in self.soft_pods)

    def change_body(self, document: Any) -> None:
        """Continue with another body."""
        if document is not self.document:
            self.call, self.document = self.call.with_body(document), document


@dataclass(frozen=True)
class Create:
    """Create a resource in the best pod; the next pod if one is unreachable, unavailable or out of capacity.

    :cvar resource: the kind of resource
    :cvar body_key: key of the object in the body that describes the new resource; empty: ``resource.member``
    :cvar zone_field: field of that object that names the availability zone; empty: it has none
    :cvar unknown_zone: text of the 400 for a zone that no pod is in, with ``{zone}``
    :cvar refuses_null_zone: whether the service refuses a zone that is null, instead of choosing one
    :cvar affinity_fields: fields of that object that hold the id of a resource, and its kind; the new resource has to
        be in the pod of that one
    :cvar is_dependent: whether the new resource always belongs to an existing one, as a snapshot does to its volume
    """

    resource: ClassVar[Resource]
    body_key: ClassVar[str] = ''
    zone_field: ClassVar[str] = 'availability_zone'
    unknown_zone: ClassVar[str] = ''
    refuses_null_zone: ClassVar[bool] = False
    affinity_fields: ClassVar[Mapping[str, Resource]] = {}
    is_dependent: ClassVar[bool] = False

    # -- hooks, in calling order --

    def resolve(self, creation: Creation) -> NamedPod | None:
        """Return the pod of something that has no routing, such as a host or an image in the body.

        May change the body, for example replace the qualified name of a host by its name in the pod.

        :raises RefsDisagree: the body names such things in different pods
        """
        return None

    def split_zone(self, text: str) -> tuple[str, str]:
        """Split the text of the zone field into the zone and the host that follows it."""
        return text, ''

    def affinity_refs(self, creation: Creation) -> list[Ref]:
        """Return existing resources whose pod has to take the new one; by default those in ``affinity_fields``."""
        inner = creation.inner
        return [ref for name, resource in self.affinity_fields.items() for ref in refs(resource, inner.get(name))]

    def known_affinity_refs(self, creation: Creation) -> Iterable[Ref]:
        """Return further affinity refs, which only count if they have a routing: they may be ids of other clouds."""
        return ()

    def requested(self, creation: Creation) -> Requested:
        """Return the quota and the capacity that the body requests."""
        return Requested()

    def replicated_refs(self, creation: Creation) -> Iterable[tuple[str, str]]:
        """Return (kind, key) of the replicated objects that the chosen pod has to have."""
        return ()

    def soft_affinity_refs(self, creation: Creation) -> Iterable[Ref]:
        """Return resources whose pods are preferred, but not required."""
        return ()

    def over_quota_error(self, error: OverQuota) -> exception.Trio2oException:
        """Return the error of the service for a request that the quota does not allow."""
        return exception.Forbidden(f'Quota exceeded for {error}')

    def with_count(self, creation: Creation, count: int) -> Any:
        """Return the body for fewer resources than requested, if ``Requested.min_count`` allows fewer."""
        return creation.document

    def prepared_in(self, creation: Creation, pod: PodView, names: PodNames) -> AbstractContextManager[PodNames]:
        """Return a context manager that keeps a pod prepared for the create while the create is sent.

        It yields ``names``, to which it may add ids: those that objects in the body have in this pod.

        :raises PreparationRefused: the pod refuses to create an object that is missing there
        :raises PodNotReached: the pod cannot be prepared now; the next one is tried
        """
        return nullcontext(names)

    def is_out_of_capacity(self, answer: Answer) -> bool:
        """Return whether a pod's refusal means that another pod may still have room."""
        return is_over_quota(answer)

    def batch_query(self, creation: Creation, answer: Answer) -> str | None:
        """Return the query of a list with all resources that the request created; None if the answer shows all."""
        return None

    def created(self, creation: Creation, answer: Answer) -> None:
        """Do what is left after a pod accepted the create and its routing was recorded."""

    # -- the flow --

    def __call__(self, call: Call) -> Answer:
        document, key = call.json, self.body_key or self.resource.member
        inner = json_body.object_at(document, key)
        if inner is None or not self._has_readable_zone(inner):
            return self._refused_by_any_pod(call, key)
        creation = Creation(call, document, key)
        named = self.resolve(creation)
        creation.zone, creation.host = self._zone(creation)
        creation.pod = self._pod(creation, named)
        if creation.pod is None and not creation.zone:
            creation.zone = self._default_zone(call)
        creation.requested = self.requested(creation)
        self._apply_zones(creation)
        creation.request = self._pod_request(creation)
        if creation.pod is not None:
            self._check_usable(creation, creation.pod)
        elif self.is_dependent:
            return call_any_pod(creation.call)
        else:
            creation.soft_pods = self._soft_pods(creation)
        decision = self._decide(creation)
        # The claim names the pod from the beginning: if this process dies, the outcome is looked for in that pod only.
        with quota_claim(call, self._claim_request(creation, decision), self.over_quota_error) as creation.claim:
            if creation.claim.count < creation.requested.count:
                creation.change_body(self.with_count(creation, creation.claim.count))
                creation.request = creation.request.with_count(creation.claim.count)
                decision = self._decide(creation)
            pods = self._choose(creation, decision)
            if not pods:
                raise self._none_left(creation.request.zone)
            answer = self._try(creation, pods)
        if answer.is_ok:
            try:
                self.created(creation, answer)
            except NOT_RECORDED:
                LOG.exception('Failed to complete the record of a new %s', self.resource.type)
        return answer

    def create_in(self, creation: Creation, pod: PodView) -> Answer:
        """Create the resource in one pod without claim, translation or record.

        :returns: the pod's own answer
        :raises PodNotReached: nothing was sent
        :raises PodNoAnswer: the pod may have created the resource
        """
        pod = self._with_replicated_refs(creation, pod)
        names = names_of(creation.call, pod)
        return self._send_body(creation, pod, names, self._body_for(creation, pod, names))

    # -- before any pod is called --

    def _refused_by_any_pod(self, call: Call, key: str) -> Answer:
        """Let a pod say in its service's words what is wrong with a body that cannot be read."""
        answer = call_any_pod(call)
        if answer.status == 500 and not call.body.strip():
            # Cinder answers a missing body with an internal error.
            raise exception.BadRequest(f"Missing required element '{key}' in request body.")
        return answer

    def _has_readable_zone(self, inner: Item) -> bool:
        """Return whether the zone can be the name of one. A pod refuses any other value."""
        zone = inner.get(self.zone_field)
        # An empty name passes: some pods take it for no zone, and the new resource then has to be recorded.
        return zone is None or (isinstance(zone, str) and len(zone) <= MAX_ZONE_LENGTH)

    def _zone(self, creation: Creation) -> tuple[str, str]:
        """Return the requested zone and the host that follows it.

        :raises BadRequest: no pod is in that zone
        """
        zone, host = self.split_zone(creation.inner.get(self.zone_field) or '')
        if zone and zone not in creation.call.runtime.registry.snapshot().zones:
            raise exception.BadRequest(self.unknown_zone.format(zone=zone))
        return zone, host

    def _default_zone(self, call: Call) -> str:
        """Return the zone for a body that names none and has no affinity refs.

        :raises BadRequest: no pod is in that zone
        """
        zone: str = call.runtime.conf.scheduler.default_availability_zone or ''
        if zone and zone not in call.runtime.registry.snapshot().zones:
            raise exception.BadRequest(self.unknown_zone.format(zone=zone))
        return zone

    def _pod(self, creation: Creation, named: NamedPod | None) -> PodView | None:
        """Return the pod of the affinity refs and of what ``resolve`` found; None if the body has neither.

        :param named: the result of ``resolve``

        :raises RefsDisagree: the references lead to two pods, or to another zone than the requested one
        """
        first = self._first_affinity(creation)
        if named is None:
            return first[1].pod if first is not None else None
        title, pod = named
        if creation.zone and pod.zone != creation.zone:
            raise exception.RefsDisagree(f'{title} is in availability zone {pod.zone}, not in {creation.zone}.')
        if first is not None and first[1].pod.id != pod.id:
            resource, route = first
            raise exception.RefsDisagree(
                f'{title} and {resource.title.lower()} {route.top_id} are in different parts of this cloud; they '
                'cannot be used together.'
            )
        return pod

    def _first_affinity(self, creation: Creation) -> tuple[Resource, Route] | None:
        """Return the first affinity ref with its routing, after checking that all others are in the same pod.

        :raises RefsDisagree: the refs are in two pods, or in another zone than the requested one
        """
        first: tuple[Resource, Route] | None = None
        for resource, ref_id, route in self._affinity_routes(creation):
            if creation.zone and route.pod.zone != creation.zone:
                raise exception.RefsDisagree(
                    f'{resource.title} {ref_id} is in availability zone {route.pod.zone}, not in {creation.zone}.'
                )
            if first is not None and first[1].pod.id != route.pod.id:
                raise disagreement(
                    (first[0].title, first[1].top_id, first[1].pod.zone), (resource.title, ref_id, route.pod.zone)
                )
            first = first or (resource, route)
        return first

    def _affinity_routes(self, creation: Creation) -> Iterable[tuple[Resource, str, Route]]:
        """Find the pods of the affinity refs that the caller may see.

        A ref that is not found is left out: the pod that gets the request refuses it in its service's words.

        :raises Conflict: one of them moves
        """
        call, locator = creation.call, creation.call.runtime.locator
        for (resource, ref_id), found in locator.find_many(call, self.affinity_refs(creation)).items():
            check_not_moving(call, resource, found.top_id)
            yield resource, ref_id, found
        for resource, ref_id in self.known_affinity_refs(creation):
            route = locator.look_up(resource.type, ref_id)
            if route is not None and route.is_live and route.is_known_to(call):
                check_not_moving(call, resource, route.top_id)
                yield resource, ref_id, route

    def _apply_zones(self, creation: Creation) -> None:
        """Consider the zones that the requested volume types are bound to.

        As in Cinder, they overrule the default zone, and not the requested one.

        :raises BadRequest: the resource is requested in another zone, and its service does not know the types
        """
        zones = creation.requested.zones
        where = creation.pod.zone if creation.pod is not None else creation.zone
        if not zones or where in zones:
            return
        if creation.pod is None and not (self.zone_field and creation.inner.get(self.zone_field)):
            creation.zone = ''
        elif self.resource.service != 'volume':
            names = ', '.join(sorted(zones))
            raise exception.BadRequest(
                f'The volume type can only be used in availability zones: {names}, not in {where}.'
            )

    def _pod_request(self, creation: Creation) -> PodRequest:
        call, requested = creation.call, creation.requested
        references = list(self.replicated_refs(creation))
        return PodRequest(
            self.resource.service,
            call.context.project_id or '',
            creation.zone,
            resources=requested.resources,
            count=requested.count,
            extra_specs=requested.extra_specs,
            resource_type=self.resource.type,
            zones=requested.zones,
            unusable=call.runtime.replicator.unusable(references, call.context.user_id or ''),
        )

    def _check_usable(self, creation: Creation, pod: PodView) -> None:
        """Check the only possible pod.

        :raises BadRequest: something that the body names is unusable there
        :raises ServiceUnavailable: the pod takes no new resources
        """
        reason = creation.request.unusable.get(pod.id)
        if reason is not None:
            LOG.warning('cannot create a %s in pod %s: %s', self.resource.type, pod.name, reason)
            raise exception.BadRequest(
                f'The {self.resource.type} would have to be in a part of availability zone {pod.zone} where '
                f'{reason.partition(":")[0]} cannot be used.'
            )
        if not pod.is_enabled and not self.is_dependent:
            raise exception.ServiceUnavailable(
                f'The source of the {self.resource.type} is in a part of availability zone {pod.zone} '
                'that takes no new resources.'
            )

    def _soft_pods(self, creation: Creation) -> frozenset[str]:
        """Return the ids of the pods that hold soft affinity refs. They are preferred, not required."""
        call, locator = creation.call, creation.call.runtime.locator
        refs = list(self.soft_affinity_refs(creation))
        try:
            return frozenset(route.pod.id for route in locator.find_many(call, refs).values())
        except exception.ServiceUnavailable:
            # Some pod does not answer. The refs with a routing are enough for a preference.
            routes = [locator.look_up(resource.type, ref_id) for resource, ref_id in dict.fromkeys(refs)]
            return frozenset(route.pod.id for route in routes if route is not None and route.is_known_to(call))

    def _claim_request(self, creation: Creation, decision: Decision | None) -> ClaimRequest:
        context, requested = creation.call.context, creation.requested
        likely = [creation.pod] if decision is None else creation.preferred(decision.pods)
        return ClaimRequest(
            context.project_id or '',
            context.user_id or '',
            requested.quota,
            requested.count,
            requested.min_count,
            self.resource.type,
            request_id=context.request_id or '',
            pod_id=next((pod.id for pod in likely if pod is not None), ''),
        )

    def _decide(self, creation: Creation) -> Decision | None:
        """Let the scheduler choose pods, without any effect; None if only one pod is possible."""
        return None if creation.pod is not None else creation.call.runtime.scheduler.decide(creation.request)

    def _choose(self, creation: Creation, decision: Decision | None) -> list[PodView]:
        """Return the pods to try, best first, and bind the project to the pod that the scheduler prefers.

        :raises BadRequest: see ``Scheduler.select``
        :raises ServiceUnavailable: see ``Scheduler.select``
        """
        if decision is None:
            return [creation.pod] if creation.pod is not None else []
        runtime = creation.call.runtime
        return creation.preferred(runtime.scheduler.bind(decision))[: runtime.conf.scheduler.max_attempts]

    # -- one pod after another --

    def _try(self, creation: Creation, pods: list[PodView]) -> Answer:
        """Send the create to one pod after another until one accepts or refuses it.

        :raises OutcomeUnknown: a pod was sent the create and may have carried it out
        :raises ServiceUnavailable: no pod can take it now
        """
        refusal: Answer | None = None
        has_failed = False
        for number, view in enumerate(pods):
            creation.claim.name_pod(view)
            pod = self._with_replicated_refs(creation, view)
            try:
                answer, names = self._send(creation, pod)
            except exception.PodNotReached as error:
                LOG.warning('trying the next pod for a new %s: %s', self.resource.type, error)
                has_failed = True
                continue
            except exception.PodNoAnswer as error:
                LOG.warning('the outcome of a create of a %s is unknown: %s', self.resource.type, error)
                creation.claim.keep_open(pod, self.resource.type)
                raise self._outcome_unknown(creation.call, pod) from error
            is_out_of_capacity = self.is_out_of_capacity(answer)
            if answer.status >= 500 or is_out_of_capacity:
                LOG.warning(
                    'trying the next pod for a new %s: pod %s answered %d', self.resource.type, pod.name, answer.status
                )
                has_failed = has_failed or not is_out_of_capacity
                if is_out_of_capacity:
                    report_limit(creation.call, pod, creation.claim.project_id)
                refusal = answer_up(answer, names, None)
                continue
            answer = answer_up(answer, names, self.resource)
            if answer.is_ok:
                self._record(creation, pod, answer)
                self._record_batch(creation, pod, answer)
                creation.call.runtime.scheduler.placed(creation.request, pod)
                if number:
                    creation.call.runtime.scheduler.moved(creation.request, pod, has_failed)
            return answer
        if refusal is not None and refusal.status < 500:
            return refusal
        raise self._none_left(creation.request.zone or pods[0].zone)

    def _with_replicated_refs(self, creation: Creation, pod: PodView) -> PodView:
        """Create or update the replicated objects that the body names in a pod that is out of sync."""
        if not pod.out_of_sync:
            return pod
        call = creation.call
        return call.runtime.replicator.ensure(pod, list(self.replicated_refs(creation)), call.context.user_id or '')

    def _send(self, creation: Creation, pod: PodView) -> tuple[Answer, PodNames]:
        """Send the create to one pod.

        :returns: its answer, and the names for translating the answer
        :raises PodNotReached: the create was not sent
        :raises PodNoAnswer: the pod may have created the resource
        :raises ServiceUnavailable: the claim has expired
        """
        call = creation.call
        names = names_of(call, pod)
        body = self._body_for(creation, pod, names)
        try:
            with self.prepared_in(creation, pod, names) as names:
                creation.claim.require_current()
                return self._send_body(creation, pod, names, body), names
        except PreparationRefused as error:
            return error.answer, names

    def _send_body(self, creation: Creation, pod: PodView, names: PodNames, body: bytes) -> Answer:
        """Send the create itself.

        :returns: an answer that shows whether the pod created the resource
        """
        answer = send(creation.call, pod, names=names, body=body)
        if is_internal_error(answer):
            raise exception.PodNoAnswer(pod.name, f'answered {answer.status}')
        shows_new = json_body.member(answer, self.resource) is not None
        if answer.is_ok and not shows_new and self.batch_query(creation, answer) is None:
            raise exception.PodNoAnswer(pod.name, f'answered {answer.status} without a {self.resource.type}')
        return answer

    def _body_for(self, creation: Creation, pod: PodView, names: PodNames) -> bytes:
        """Return the body for one pod: unchanged, unless the pod has another name for the zone.

        A zone that is empty or null is passed on: only the pod knows whether it means no zone or is an error. A body
        without a zone gets the name that the pod has for its zone, if the pod was registered with one.
        """
        inner, key = creation.inner, creation.key
        zone = inner.get(self.zone_field) if self.zone_field else ''
        if not self.zone_field or (self.is_dependent and not zone):
            return creation.call.body
        is_null = self.refuses_null_zone and self.zone_field in inner and zone is None
        if is_null or zone == '' or not (zone or names.pod_zone):
            return creation.call.body
        changed = dict(inner)
        zone_down(changed, self.zone_field, names, creation.host)
        return creation.call.with_body({**creation.document, key: changed}).body

    def _record(self, creation: Creation, pod: PodView, answer: Answer) -> None:
        item = json_body.member(answer, self.resource)
        if item is not None and is_resource_id(item.get('id')):
            creation.claim.commit(pod, self.resource, item, creation.call.context.project_id or '')
        else:
            creation.claim.keep_open(pod, self.resource.type)

    def _record_batch(self, creation: Creation, pod: PodView, answer: Answer) -> None:
        """Record, in the background, the resources that the request created beside the one in the answer."""
        query = self.batch_query(creation, answer)
        if query is not None:
            # In a thread of the pod: if it does not answer, no work of others waits.
            threads = creation.call.runtime.pod_threads
            threads.submit(pod, self._read_batch, creation.call, pod, query, creation.claim.id)

    def _read_batch(self, call: Call, pod: PodView, query: str, claim_id: str | None) -> None:
        try:
            path = f'{self.resource.path}/detail'
            timeout = call.runtime.conf.pods.gather_timeout
            answer = send(call, pod, method='GET', path=path, query=query, body=b'', timeout=timeout)
        except exception.PodError as error:
            LOG.warning('further resources created with a %s are not recorded yet: %s', self.resource.type, error)
            return
        found = [(pod, item) for item in json_body.objects_at(answer.json, self.resource.collection) if answer.is_ok]
        call.runtime.locator.learn(call.context, self.resource, found, call.context.project_id or '', claim_id)

    def _outcome_unknown(self, call: Call, pod: PodView) -> exception.OutcomeUnknown:
        """Submit a job that looks in a pod that may have created the resource, and return the error."""
        payload = {'pod_id': pod.id, 'looks': LOOKS_AGAIN}
        try:
            call.runtime.jobs.submit(job_types.RECONCILE_ROUTINGS, pod.id, payload, request_id=call.context.request_id)
        except NOT_RECORDED:
            LOG.exception('Failed to submit a job that looks for a new %s in pod %s', self.resource.type, pod.name)
        return pod_failures.create_outcome_unknown(self.resource.type, pod.zone)

    def _none_left(self, zone: str) -> exception.ServiceUnavailable:
        return pod_failures.cannot_create(self.resource.type, zone)
