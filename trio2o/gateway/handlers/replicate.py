# SPDX-License-Identifier: Apache-2.0
"""Handlers of objects that are the same in every pod.

A write goes to one pod first, with the token and the bytes of the caller. The answer of that pod, success or refusal,
is the answer to the caller. The state of the object in that pod becomes the desired state, and the replicator brings
the other pods to it (see ``trio2o.replication``). A read goes to one pod that is in sync.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from trio2o import exception
from trio2o.db.replicas import Superseded
from trio2o.gateway.call_any_pod import with_timeouts
from trio2o.gateway.call_pod import names_of, send
from trio2o.gateway.translate import answer_up
from trio2o.pods.own_answers import is_about_pod
from trio2o.pods.registry import PodView
from trio2o.replication.object_sync import ROUNDS
from trio2o.replication.replicator import ObjectRef
from trio2o.replication.request_writes import Prepared
from trio2o.web import json_body, pod_failures
from trio2o.web.call import Answer, Call


@dataclass(frozen=True)
class ReplicatedWrite:
    """Change or delete an object in one pod, then in the others.

    The methods without underscore are hooks, in the order in which a request calls them.

    :ivar is_refused_in_use: whether a pod that uses the object may refuse a write that the others allow, so that this
        pod has to be the first
    :cvar is_create: whether the write creates the object
    """

    kind: str
    is_refused_in_use: bool = False
    is_create: ClassVar[bool] = False

    def key(self, call: Call) -> str | None:
        """Return the key of the object in the request; None if only the pod's answer has it."""
        return call.id

    def may_prepare(self, call: Call) -> bool:
        """Return whether Trio2o's own user may read and repair the object before a pod has authorized the caller."""
        return call.context.may_see_all

    def sent_attributes(self, call: Call) -> Mapping[str, Any]:
        """Return attributes in the request that pods keep as they are. No pod can replace them in the other pods."""
        return {}

    def replicated_refs(self, call: Call) -> Sequence[ObjectRef]:
        """Return other replicated objects in the request, which the first pod has to have."""
        return ()

    def body_for(self, call: Call, pod: PodView) -> bytes | None:
        """Return the body for a pod; None if it can be sent unchanged."""
        return None

    def translate(self, pod: PodView, answer: Answer) -> Answer:
        """Return a pod's answer with what tenants know in place of what only the pod knows."""
        return answer

    def key_in_answer(self, call: Call, answer: Answer) -> str | None:
        """Return the key of a new object in the successful answer of the first pod."""
        return self.key(call)

    def record_answer(
        self, call: Call, pod: PodView, key: str | None, answer: Answer, prepared: Prepared
    ) -> str | None:
        """Record the effect of the request in the first pod.

        :param key: the key that the pod knows the object by; None if only its answer has it
        :param prepared: the object in the pod before the request
        :returns: the key of the object to write to the other pods now; None if there is none, or a job does it
        :raises Superseded: another write was recorded while this one was sent, so it has to be sent again
        """
        writes, request_id = call.runtime.replicator.writes, call.context.request_id
        if answer.is_ok:
            written = self.key_in_answer(call, answer) if self.is_create else key
            if written is not None:
                return writes.record(
                    self.kind,
                    written,
                    pod,
                    prepared=prepared,
                    is_create=self.is_create,
                    is_delete=_deletes_object(call),
                    request_id=request_id,
                )
        elif answer.status >= 500:
            self._record_later(call, pod, key, prepared)
        elif answer.status == 409 and key is not None and self.may_prepare(call):
            writes.record_if_unknown(self.kind, key, pod, request_id)
        return None

    def __call__(self, call: Call) -> Answer:
        replicator = call.runtime.replicator
        key = self.key(call)
        if key is not None:
            key = replicator.writes.stored_key(self.kind, key)
        pods = pods_by_preference(call)
        if self.is_refused_in_use and self.may_prepare(call):
            pods = replicator.writes.order_by_use(self.kind, key, pods)
        with replicator.writes.lock(self.kind, key):
            answer, pod, written = self._write(call, pods, key)
        if written is not None and pod is not None:
            replicator.objects.sync_everywhere(self.kind, written, pod, request_id=call.context.request_id)
        return answer

    def _write(self, call: Call, pods: list[PodView], key: str | None) -> tuple[Answer, PodView | None, str | None]:
        """Send the request to the first pod that can take it.

        :returns: its answer, the pod, and the key of the object to write to the other pods, if there is one
        """
        unavailable: Answer | None = None
        given = key
        for pod in pods:
            try:
                key = self._known_key(call, given, pod)
                prepared = self._prepared(call, key, pod)
            except exception.PodError:
                continue
            try:
                answer = self._send(call, pod, key)
            except exception.PodNotReached:
                continue
            except exception.PodNoAnswer as error:
                self._record_later(call, pod, key, prepared)
                raise pod_failures.write_outcome_unknown() from error
            if answer.status == 503:
                unavailable = answer
                continue
            return self._record(call, pod, key, answer, prepared)
        if unavailable is not None:
            return unavailable, None, None
        raise pod_failures.cloud_unreachable()

    def _record(
        self, call: Call, pod: PodView, key: str | None, answer: Answer, prepared: Prepared
    ) -> tuple[Answer, PodView, str | None]:
        """Record the effect of a request. Send it again after another write that was recorded in the meantime.

        That write may have been sent to another pod, and bringing it to this pod may have undone this one. A request
        that creates an object is refused by the pod then, as the object exists.

        :returns: as ``_write``
        """
        writes = call.runtime.replicator.writes
        for _ in range(ROUNDS):
            try:
                return answer, pod, self.record_answer(call, pod, key, answer, prepared)
            except Superseded:
                if key is None:
                    break
            try:
                sent = prepared.sent
                prepared = replace(writes.prepare_again(self.kind, key, pod, prepared, self.is_create), sent=sent)
                again = self._send(call, pod, key)
            except exception.PodError:
                break
            if self.is_create:
                answer = again
            elif again.status >= 500:
                break
        self._record_later(call, pod, key, prepared)
        return answer, pod, None

    def _known_key(self, call: Call, key: str | None, pod: PodView) -> str | None:
        """Return the key of the object that the pod takes the key in the request for.

        :raises PodNotReached: the request has to go to another pod
        """
        if key is None or self.is_create or not self.may_prepare(call):
            return key
        return call.runtime.replicator.writes.known_key(self.kind, key, pod)

    def _prepared(self, call: Call, key: str | None, pod: PodView) -> Prepared:
        """:raises PodNotReached: the request has to go to another pod"""
        if not self.may_prepare(call):
            return Prepared()
        prepared = call.runtime.replicator.writes.prepare(self.kind, key, pod, self.is_create)
        return replace(prepared, sent=self.sent_attributes(call))

    def _record_later(self, call: Call, pod: PodView, key: str | None, prepared: Prepared) -> None:
        writes, request_id = call.runtime.replicator.writes, call.context.request_id
        writes.record_later(self.kind, key, pod, prepared, request_id, is_delete=_deletes_object(call))

    def _send(self, call: Call, pod: PodView, key: str | None) -> Answer:
        replicator = call.runtime.replicator
        may_prepare = self.may_prepare(call)
        if may_prepare:
            pod = replicator.ensure(pod, self.replicated_refs(call), call.context.user_id or '')
        names = names_of(call, pod)
        body = self.body_for(call, pod)
        # Not repeated, whatever the method: some GET requests of Cinder are writes.
        answer = send(call, pod, names=names, body=body, is_repeated=False)
        is_missing = answer.status == 404 and may_prepare
        if is_missing and key is not None and replicator.writes.restore(self.kind, key, pod):
            # The object should exist. It was deleted directly in this pod.
            answer = send(call, pod, names=names, body=body, is_repeated=False)
        return self.translate(pod, answer_up(answer, names, None))


@dataclass(frozen=True)
class ReplicatedCreate(ReplicatedWrite):
    """Create an object in one pod, then in the others.

    :ivar id_path: keys that lead to the object's id in an answer, and in a request whose client chooses the id
    """

    id_path: tuple[str, ...] = ()
    is_create: ClassVar[bool] = True

    def key(self, call: Call) -> str | None:
        return self._id_in(call.json)

    def key_in_answer(self, call: Call, answer: Answer) -> str | None:
        return self._id_in(answer.json)

    def _id_in(self, document: Any) -> str | None:
        found = json_body.at(document, *self.id_path)
        return str(found) if isinstance(found, str | int) and found != '' else None


@dataclass(frozen=True)
class ReplicatedRead:
    """Send the request to one pod, preferably one that is in sync."""

    kind: str

    def translate(self, pod: PodView, answer: Answer) -> Answer:
        """Hook: see ``ReplicatedWrite.translate``."""
        return answer

    def __call__(self, call: Call) -> Answer:
        error_answer: Answer | None = None
        for pod, seconds in with_timeouts(call, pods_by_preference(call)):
            names = names_of(call, pod)
            try:
                answer = answer_up(send(call, pod, names=names, timeout=seconds), names, None)
            except exception.PodError:
                continue
            if not is_about_pod(answer):
                return self.translate(pod, answer)
            error_answer = error_answer or answer
        if error_answer is not None:
            return error_answer
        raise pod_failures.cloud_unreachable()


def _deletes_object(call: Call) -> bool:
    """Return whether a request deletes the object itself, and not a part of it, as an extra spec."""
    return call.method == 'DELETE' and len(call.params) == 1 and call.operation.path.endswith('}')


def pods_by_preference(call: Call) -> list[PodView]:
    """Return the pods in the order to try them: reachable ones first, then those in sync, then by their numbers."""
    runtime, service = call.runtime, call.service.service_type
    breakers = runtime.client.breakers
    return sorted(
        runtime.registry.snapshot().serving(service),
        key=lambda pod: (breakers.is_open((pod.id, service)), pod.out_of_sync, pod.record.number),
    )
