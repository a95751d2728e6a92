# SPDX-License-Identifier: Apache-2.0
"""Objects that are the same everywhere: written to one pod first and from there to the others.

The first pod checks and decides, with the caller's own token and bytes; its answer is the answer and its
refusal the refusal. What it then has is what is wanted everywhere. Recording and spreading that is the
replicator's work, which is handed in with the runtime; the handlers here decide only which pod is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from trio2o import exception
from trio2o.gateway.call_pod import RETRY_AFTER, names_of, patience, send
from trio2o.gateway.handlers.forward import at
from trio2o.gateway.translate import answer_up
from trio2o.pods.registry import PodView
from trio2o.web.call import Answer, Call

FLAVOR = 'flavor'
KEYPAIR = 'keypair'
VOLUME_TYPE = 'volume_type'
QOS_SPEC = 'qos_spec'
GROUP_TYPE = 'group_type'
DEFAULT_TYPE = 'default_type'
VOLUME_QUOTA = 'volume_quota'
VOLUME_QUOTA_CLASS = 'volume_quota_class'
QUOTA_SET = 'quota_set'
QUOTA_CLASS = 'quota_class'

#: Gives the key of the object a call is about. The answer is None before a pod was asked; then the key
#: may be unknown, as that of an object which is about to be made.
KeyOf = Callable[[Call, Answer | None], str | None]

_AWAY = 'No part of this cloud can be reached now.'


class Replicator(Protocol):
    """What the handlers need of ``replication.replicator.Replicator``."""

    def prepare(self, kind: str, key: str | None, pod: PodView, is_made: bool) -> Any: ...

    def users_first(self, kind: str, key: str | None, pods: Sequence[PodView]) -> list[PodView]: ...

    def alone(self, kind: str, key: str | None) -> AbstractContextManager[Any]: ...

    def wrote(self, kind: str, key: str, pod: PodView, *, before: Any, request_id: str | None) -> bool: ...

    def spread(self, kind: str, key: str, origin: PodView, *, request_id: str | None) -> None: ...

    def restore(self, kind: str, key: str, pod: PodView) -> bool: ...

    def find_out(self, kind: str, key: str | None, pod: PodView, request_id: str | None) -> None: ...

    def adopt(self, kind: str, key: str, pod: PodView, request_id: str | None) -> None: ...

    def ensure(self, pod: PodView, refs: Collection[tuple[str, str]]) -> PodView: ...

    def wanted(self, kind: str, key: str) -> Mapping[str, Any] | None: ...

    def want(self, kind: str, key: str, wanted: Mapping[str, Any] | None, request_id: str | None = None) -> None: ...


@dataclass(frozen=True)
class ReplicatedWrite:
    """Change an object in one pod, then in the others.

    :ivar key: of the object that is changed, made or deleted
    :ivar makes: whether the object is new
    :ivar is_refused_in_use: pods that use the object may say no where the others would not, so they
        are asked first
    :ivar references: other objects a call is about, as (kind, key), which have to be in the pod too
    """

    kind: str
    key: KeyOf
    makes: bool = False
    is_refused_in_use: bool = False
    references: Callable[[Call], list[tuple[str, str]]] | None = None

    def __call__(self, call: Call) -> Answer:
        engine: Replicator = call.runtime.replicator
        key = self.key(call, None)
        pods = candidates(call)
        if self.is_refused_in_use:
            pods = engine.users_first(self.kind, key, pods)
        with engine.alone(self.kind, key):
            answer, pod, made = self._write(call, pods, key)
        if made is not None and pod is not None:
            engine.spread(self.kind, made, pod, request_id=call.context.request_id)
        return answer

    def _write(self, call: Call, pods: list[PodView], key: str | None) -> tuple[Answer, PodView | None, str | None]:
        """Write to the first pod that can take it.

        :returns: its answer, which one it was, and the key of what is to be spread, if anything is
        """
        engine: Replicator = call.runtime.replicator
        unwell: Answer | None = None
        for pod in pods:
            try:
                before = engine.prepare(self.kind, key, pod, self.makes)
            except exception.PodError:
                continue
            try:
                answer = self._send(call, pod, key)
            except exception.PodNotReached:
                continue
            except exception.PodNoAnswer as error:
                engine.find_out(self.kind, key, pod, call.context.request_id)
                raise exception.OutcomeUnknown(
                    'The request was sent on and not answered in time. It may or may not have '
                    'been carried out; look before trying again.'
                ) from error
            if answer.status == 503:
                unwell = answer
                continue
            return answer, pod, self._follow(call, pod, key, answer, before)
        if unwell is not None:
            return unwell, None, None
        raise exception.ServiceUnavailable(_AWAY, retry_after=RETRY_AFTER)

    def _send(self, call: Call, pod: PodView, key: str | None) -> Answer:
        if pod.behind and self.references is not None:
            pod = call.runtime.replicator.ensure(pod, self.references(call))
        names = names_of(call, pod)
        # Whatever its method: some of Cinder's GETs are writes.
        answer = send(call, pod, names=names, is_repeated=False)
        if answer.status == 404 and key is not None:
            # Perhaps it is there by right and was taken away behind our back.
            if call.runtime.replicator.restore(self.kind, key, pod):
                answer = send(call, pod, names=names, is_repeated=False)
        return answer_up(answer, names, None)

    def _follow(self, call: Call, pod: PodView, key: str | None, answer: Answer, before: Any) -> str | None:
        """Do what the answer of the first pod asks for.

        :returns: the key of what is recorded now and to be spread
        """
        engine: Replicator = call.runtime.replicator
        request_id = call.context.request_id
        if answer.is_ok:
            made = self.key(call, answer)
            if made is not None and engine.wrote(self.kind, made, pod, before=before, request_id=request_id):
                return made
        elif answer.status >= 500:
            engine.find_out(self.kind, key, pod, request_id)
        elif answer.status == 409 and key is not None:
            engine.adopt(self.kind, key, pod, request_id)
        return None


@dataclass(frozen=True)
class ReplicatedRead:
    """Let a pod answer that has all there should be."""

    kind: str

    def __call__(self, call: Call) -> Answer:
        unwell: Answer | None = None
        for pod, seconds in patience(call, candidates(call)):
            names = names_of(call, pod)
            try:
                answer = answer_up(send(call, pod, names=names, timeout=seconds), names, None)
            except exception.PodError:
                continue
            if answer.status < 500:
                return answer
            unwell = unwell or answer
        if unwell is not None:
            return unwell
        raise exception.ServiceUnavailable(_AWAY, retry_after=RETRY_AFTER)


def candidates(call: Call) -> list[PodView]:
    """Pods to ask, best first: well, in sync, and the same one whenever possible."""
    runtime, service = call.runtime, call.service.service_type
    breakers = runtime.client.breakers
    return sorted(
        runtime.registry.snapshot().asked(service),
        key=lambda pod: (breakers.is_open((pod.id, service)), pod.behind, pod.record.number),
    )


@dataclass(frozen=True)
class PathKey:
    """The first id in the path is the key."""

    def __call__(self, call: Call, answer: Answer | None) -> str | None:
        return call.id


@dataclass(frozen=True)
class AnswerKey:
    """The pod tells the key of what it made.

    :ivar place: of the id in its answer, and in the body where a client may choose it
    """

    place: tuple[str, ...]

    def __call__(self, call: Call, answer: Answer | None) -> str | None:
        document = call.json if answer is None else answer.json
        found = at(*self.place)(document)
        return str(found) if isinstance(found, str | int) and found != '' else None
