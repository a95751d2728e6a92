# SPDX-License-Identifier: Apache-2.0
"""Calls about one admin resource, by its id."""

from __future__ import annotations

from dataclasses import dataclass

from oslo_utils import uuidutils

from trio2o import exception
from trio2o.gateway.admin.ids import AdminResource, bottom_number
from trio2o.gateway.admin.send import path_with_id, send_to_pod
from trio2o.gateway.call_any_pod import call_any_pod
from trio2o.gateway.call_pods import call_pods, pods_of, uncalled_pods
from trio2o.pods.registry import PodView
from trio2o.resources import normalized_id
from trio2o.web import json_body, pod_failures
from trio2o.web.call import Answer, Call


@dataclass(frozen=True)
class ForwardById:
    """Send the call to the pod of the resource whose id is the first in the path.

    :ivar path: of the list of such resources
    :ivar is_shown: whether ``GET path/{id}`` shows one; otherwise it is looked up in the list
    """

    kind: AdminResource
    path: str
    is_shown: bool = True

    def __call__(self, call: Call) -> Answer:
        if self.kind.has_uuids(call):
            if not uuidutils.is_uuid_like(call.id):
                return call_any_pod(call)
            pod, bottom_id = self._holder(call), call.id
        else:
            if not call.id.lstrip('-').isdecimal():
                return call_any_pod(call)
            found = bottom_number(call, call.id)
            if found is None or found[1] == 0:
                return refusal_or_raise(call, self.path, exception.NotFound(self.kind.missing.format(id=call.id)))
            pod, bottom_id = found[0], str(found[1])
        answer = send_to_pod(call, pod, f'{self.kind.title} {call.id}', path=path_with_id(call, bottom_id))
        answer = self.kind.answer_up(call, pod, answer)
        if answer.status == 404 and bottom_id != call.id:
            raise exception.NotFound(self.kind.missing.format(id=call.id))
        return answer

    def _holder(self, call: Call) -> PodView:
        """Return the pod of the resource whose UUID is in the path.

        :raises NotFound: no pod has it
        :raises ServiceUnavailable: no pod that answers has it, and some do not answer
        """
        path = f'{self.path}/{call.id}' if self.is_shown else self.path
        found = call_pods(call, pods_of(call), path=path, query=lambda pod: '')
        for pod, document in list(found.documents.items()):
            shown = [document.get(self.kind.member)] if self.is_shown else document.get(self.kind.collection)
            if not isinstance(shown, list) or (self.is_shown and not json_body.objects(shown)):
                found.reject(call, pod, f'answered without a {self.kind.member}')
            elif any(item.get('id') == normalized_id(call.id) for item in json_body.objects(shown)):
                return pod
        if found.request_refusal is not None:
            raise RefusedByPod(found.request_refusal)
        if found.unreachable or uncalled_pods(call):
            raise pod_failures.maybe_elsewhere(f'{self.kind.title} {call.id}')
        raise exception.NotFound(self.kind.missing.format(id=call.id))


class RefusedByPod(exception.Trio2oException):
    """A pod refused a call that was made to find something; the client gets the same status and text."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(json_body.error_message(answer.json))
        self.code = answer.status


def refusal_or_raise(call: Call, path: str, error: exception.Trio2oException) -> Answer:
    """Return a pod's refusal if the caller may not see the list at ``path``, else raise the error.

    Nova and Cinder check who the caller is before they check whether the id exists.
    """
    refusal = call_pods(call, pods_of(call)[:1], path=path, query=lambda pod: '').refusal
    if refusal is not None and refusal.status in (401, 403):
        return refusal
    raise error


@dataclass(frozen=True)
class ForwardToHolder:
    """Send the call to all pods, and answer with the answer of the pod that has the id. Other pods answer 404.

    :ivar missing: text of the 404, with ``{id}``
    """

    missing: str

    def __call__(self, call: Call) -> Answer:
        found = call_pods(call, pods_of(call), path=path_with_id(call, call.id))
        for answer in found.answers.values():
            return answer
        if found.unreachable:
            raise pod_failures.incomplete()
        refusal = found.refusal
        if refusal is None or refusal.status == 404:
            raise exception.NotFound(self.missing.format(id=call.id))
        return refusal
