# SPDX-License-Identifier: Apache-2.0
"""One thing of some pod, by its id."""

from __future__ import annotations

from dataclasses import dataclass

from oslo_utils import uuidutils

from trio2o import exception
from trio2o.gateway.admin.ids import Kind, bottom_number
from trio2o.gateway.call_pod import RETRY_AFTER, ask_any
from trio2o.gateway.call_pods import ask_pods, pods_of, send_in, with_id
from trio2o.pods.registry import PodView
from trio2o.web.call import Answer, Call


@dataclass(frozen=True)
class ForwardInfra:
    """Send the call to the pod of the thing whose id is the first in the path.

    :ivar kind: what it is
    :ivar is_shown: whether ``GET path/{id}`` shows one; otherwise it is looked for in the list at ``path``
    """

    kind: Kind
    path: str
    is_shown: bool = True

    def __call__(self, call: Call) -> Answer:
        if self.kind.has_uuids(call):
            if not uuidutils.is_uuid_like(call.id):
                return ask_any(call)
            pod, bottom_id = self._holder(call), call.id
        else:
            if not call.id.lstrip('-').isdecimal():
                return ask_any(call)
            found = bottom_number(call, call.id)
            if found is None or found[1] == 0:
                return refused_or(call, self.path, exception.NotFound(self.kind.missing.format(id=call.id)))
            pod, bottom_id = found[0], str(found[1])
        answer = send_in(call, pod, f'{self.kind.title} {call.id}', path=with_id(call, bottom_id))
        answer = self.kind.answer_up(call, pod, answer)
        if answer.status == 404 and bottom_id != call.id:
            raise exception.NotFound(self.kind.missing.format(id=call.id))
        return answer

    def _holder(self, call: Call) -> PodView:
        """The pod that has a UUID.

        :raises NotFound: none has it
        :raises ServiceUnavailable: none of those that answer has it
        """
        path = f'{self.path}/{call.id}' if self.is_shown else self.path
        asked = ask_pods(call, pods_of(call), path=path, query=lambda pod: '')
        for pod, document in asked.documents.items():
            if self.is_shown or any(item.get('id') == call.id for item in document.get(self.kind.collection, [])):
                return pod
        if asked.silent:
            raise exception.ServiceUnavailable(
                f'{self.kind.title} {call.id} cannot be looked for everywhere now, as a part of this cloud does not '
                'answer.',
                retry_after=RETRY_AFTER,
            )
        refusal = asked.refusal
        if refusal is not None and refusal.status != 404:
            raise Refusal(refusal)
        raise exception.NotFound(self.kind.missing.format(id=call.id))


class Refusal(exception.Trio2oException):
    """What a pod said, where a search for something meets a refusal."""

    def __init__(self, answer: Answer) -> None:
        document = answer.json
        inner = next(iter(document.values()), None) if isinstance(document, dict) else None
        super().__init__(str(inner.get('message', '')) if isinstance(inner, dict) else '')
        self.code = answer.status


def refused_or(call: Call, path: str, error: exception.Trio2oException) -> Answer:
    """The refusal of a caller who may not see the list at ``path``; else the error.

    Pods check who is asking before they look whether there is what was asked for.
    """
    asked = ask_pods(call, pods_of(call)[:1], path=path, query=lambda pod: '')
    refusal = asked.refusal
    if refusal is not None and refusal.status in (401, 403):
        return refusal
    raise error


@dataclass(frozen=True)
class AskEverybody:
    """Ask all pods for one thing that only one can have; the first that has it answers."""

    missing: str

    def __call__(self, call: Call) -> Answer:
        asked = ask_pods(call, pods_of(call), path=with_id(call, call.id))
        for answer in asked.answers.values():
            return answer
        if asked.silent:
            raise exception.ServiceUnavailable(
                'A part of this cloud, which may have what is asked for, does not answer.', retry_after=RETRY_AFTER
            )
        refusal = asked.refusal
        if refusal is None or refusal.status == 404:
            raise exception.NotFound(self.missing.format(id=call.id))
        return refusal
