# SPDX-License-Identifier: Apache-2.0
"""Ask the pods for resources that have no routing."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from oslo_config import cfg
from oslo_utils import uuidutils

from trio2o import exception, metrics
from trio2o.concurrency import Deadline
from trio2o.pods import headers as pod_headers
from trio2o.pods.client import PodClient
from trio2o.pods.fanout import PendingCalls, PodThreads, ask_all
from trio2o.pods.own_answers import is_missing
from trio2o.pods.paths import project_prefix
from trio2o.pods.registry import PodView, Registry
from trio2o.resources import Item, Resource
from trio2o.routing.misses import Misses
from trio2o.web import json_body, pod_failures
from trio2o.web.call import Answer, Call


@dataclass(frozen=True)
class Wanted:
    """A resource to ask for.

    :ivar top_id: in lower case
    :ivar holder: the pod that has it according to its routing, which names another project; None: any pod may have it
    """

    resource: Resource
    top_id: str
    holder: PodView | None = None

    def shown_in(self, answer: Answer | exception.PodError) -> Item | None:
        """Return the resource that a pod's answer shows; None if it does not show the one with this id."""
        if not isinstance(answer, Answer) or answer.status != 200:
            return None
        item = json_body.member(answer, self.resource)
        return item if item is not None and item.get('id') == self.top_id else None

    def is_of_caller(self, call: Call, item: Item) -> bool:
        """Whether the resource may be the caller's own."""
        return call.context.may_know(self.resource.owner_of(item, call.context.project_id or ''))


@dataclass(frozen=True)
class Found:
    """A pod that has the resource, the resource in the pod's answer, and that answer."""

    pod: PodView
    item: Item
    answer: Answer


class Prober:
    """Sends a GET of one resource to all pods at once, with the caller's own token.

    An id that no pod shows to a caller is not asked for again for some seconds. A resource that gets a routing
    meanwhile is found by that.
    """

    def __init__(
        self, conf: cfg.ConfigOpts, registry: Registry, client: PodClient, threads: PodThreads, misses: Misses
    ) -> None:
        self._registry = registry
        self._client = client
        self._threads = threads
        self._timeout: float = conf.pods.probe_timeout
        self._lookup_timeout: float = conf.pods.gather_timeout
        self._misses = misses

    def ask(self, call: Call, wanted: Wanted) -> Found:
        """Find the pod that shows a resource to the caller.

        A pod may show resources of other projects to a caller to whom it gives more rights than Trio2o knows of. They
        only count if no pod shows a resource of the caller.

        :raises NotFound: no pod shows it, or the look-ups of the request are used up
        :raises Forbidden: all pods refuse to show it
        :raises ServiceUnavailable: no pod shows it, and one that may have it did not say that it has not
        """
        self._check(call, wanted)
        deadline = self._deadline(call)
        pods = self._pods(wanted)
        ask = _Lookup(self._client, call, wanted, deadline.remaining())
        return self._found(call, wanted, ask_all(self._threads, pods, ask, deadline, ask.is_enough))

    def ask_many(self, call: Call, wanted: Sequence[Wanted]) -> Iterator[tuple[Wanted, Found]]:
        """Find the pods that show resources to the caller, some resources at a time.

        :returns: the resources that were found; a request that needs the others is refused by any pod
        :raises ServiceUnavailable: as ``ask``
        """
        left = [each for each in wanted if self._is_askable(call, each)]
        while left and call.lookups.misses_left > 0:
            # Not more than may be missed: with a body of ids that nobody knows, no more of them are asked for.
            batch, left = left[: call.lookups.misses_left], left[call.lookups.misses_left :]
            deadline = self._deadline(call)
            seconds = deadline.remaining()
            pending = [
                (ask, PendingCalls(self._threads, self._pods(ask.wanted), ask))
                for ask in (_Lookup(self._client, call, each, seconds) for each in batch)
            ]
            metrics.fanned_out(len(batch) * len(self._registry.snapshot().pods))
            for ask, calls in pending:
                try:
                    yield ask.wanted, self._found(call, ask.wanted, calls.results(deadline, ask.is_enough))
                except exception.NotFound:
                    continue

    def _deadline(self, call: Call) -> Deadline:
        return Deadline(min(self._timeout, call.lookups.seconds_left(self._lookup_timeout)))

    def _pods(self, wanted: Wanted) -> list[PodView]:
        """Return the pods to ask.

        For a resource of another project its own pod is enough, if the other pods cannot change the answer: an error
        must not show whether there is a routing.
        """
        snapshot = self._registry.snapshot()
        pods = snapshot.serving(wanted.resource.service)
        if wanted.holder is None or not all(pod.record.is_reconciled for pod in snapshot.pods):
            return pods
        return [pod for pod in pods if pod.id == wanted.holder.id]

    def _is_askable(self, call: Call, wanted: Wanted) -> bool:
        try:
            self._check(call, wanted)
        except exception.NotFound:
            return False
        return True

    def _check(self, call: Call, wanted: Wanted) -> None:
        """:raises NotFound: the id is no id, no pod had it a moment ago, or the look-ups are used up"""
        if not uuidutils.is_uuid_like(wanted.top_id) or call.lookups.misses_left <= 0:
            raise _not_found(wanted)
        if _key(call, wanted) in self._misses:
            call.lookups.missed()
            raise _not_found(wanted)

    def _found(self, call: Call, wanted: Wanted, answers: dict[PodView, Answer | exception.PodError]) -> Found:
        """
        :raises NotFound, Forbidden, ServiceUnavailable: as ``ask``
        """
        # All resources of a reconciled pod have routings, so this one is not in it and its answer does not matter.
        is_certain = all(not pod.in_maintenance or pod.record.is_reconciled for pod in self._registry.snapshot().pods)
        of_others: Found | None = None
        for pod, answer in answers.items():
            item = wanted.shown_in(answer)
            if item is not None and isinstance(answer, Answer):
                found = Found(pod, item, answer)
                if wanted.is_of_caller(call, item):
                    return found
                of_others = of_others or found
            elif isinstance(answer, Answer) and is_missing(answer):
                continue
            is_certain = is_certain and pod.record.is_reconciled
        if of_others is not None:
            return of_others
        if not is_certain:
            forbidden = [each for each in answers.values() if isinstance(each, Answer) and each.status == 403]
            if forbidden and len(forbidden) == len(answers):
                raise exception.Forbidden(json_body.error_message(forbidden[0].json))
            raise pod_failures.maybe_elsewhere(f'{wanted.resource.title} {wanted.top_id}')
        call.lookups.missed()
        self._misses.add(_key(call, wanted))
        raise _not_found(wanted)


@dataclass(frozen=True)
class _Lookup:
    """Sends the GET of a resource to a pod."""

    client: PodClient
    call: Call
    wanted: Wanted
    timeout: float

    def __call__(self, pod: PodView) -> Answer:
        call, resource = self.call, self.wanted.resource
        path = f'{project_prefix(call, resource.service)}{resource.path}/{quote(self.wanted.top_id, safe="")}'
        headers = pod_headers.for_lookup(call, pod, has_version=resource.service == call.service.service_type)
        return self.client.send(pod, resource.service, 'GET', path, headers, timeout=self.timeout)

    def is_enough(self, answer: Answer | exception.PodError) -> bool:
        """Whether no other pod need be asked."""
        item = self.wanted.shown_in(answer)
        return item is not None and self.wanted.is_of_caller(self.call, item)


def _key(call: Call, wanted: Wanted) -> Hashable:
    """Return the key of a miss: what a pod shows depends on the project, the user and the roles of the caller."""
    context = call.context
    return wanted.resource.type, wanted.top_id, context.project_id, context.user_id, tuple(context.roles)


def _not_found(wanted: Wanted) -> exception.NotFound:
    return exception.NotFound(wanted.resource.missing.format(id=wanted.top_id))
