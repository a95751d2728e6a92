# SPDX-License-Identifier: Apache-2.0
"""Add up numbers of all pods, or combine their documents in another way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from trio2o.gateway.call_any_pod import call_any_pod
from trio2o.gateway.call_pod import names_of
from trio2o.gateway.call_pods import PodAnswers, call_pods, merged_answer, pods_of, refusal_or_none
from trio2o.gateway.translate import PodNames
from trio2o.pods.registry import PodView
from trio2o.web.call import Answer, Call

#: What reading a document of another shape raises.
_UNREADABLE = (LookupError, TypeError, AttributeError, ValueError)


@dataclass(frozen=True)
class Sum:
    """Call every pod and combine the documents.

    :ivar combine: pure function: documents of the pods that answered, in order -> the document of the answer
    :ivar rename: replaces names other than links and ids in a pod's document, in place
    """

    combine: Callable[[list[dict[str, Any]]], dict[str, Any]]
    rename: Callable[[dict[str, Any], PodNames], None] | None = None

    def __call__(self, call: Call) -> Answer:
        """:raises ServiceUnavailable: no pod answers; or some do not, and answers have to be complete"""
        found = call_pods(call, pods_of(call))
        for pod, document in list(found.documents.items()):
            if not self._is_combinable(call, pod, document):
                found.reject(call, pod, 'answered numbers that cannot be added up')
        total = self._combined(list(found.documents.values()))
        if total is None:
            self._reject_others(call, found)
            total = self._combined(list(found.documents.values()))
        refusal = refusal_or_none(call, found)
        if refusal is not None:
            return refusal
        if total is None or not found.documents:
            return call_any_pod(call)
        return merged_answer(call, total, found.first)

    def _is_combinable(self, call: Call, pod: PodView, document: dict[str, Any]) -> bool:
        """Translate the document of one pod, and return whether it has the form that ``combine`` needs."""
        try:
            if self.rename is not None:
                self.rename(document, names_of(call, pod))
        except _UNREADABLE:
            return False
        return self._combined([document]) is not None

    def _combined(self, documents: list[dict[str, Any]]) -> dict[str, Any] | None:
        try:
            return self.combine(documents)
        except _UNREADABLE:
            return None

    def _reject_others(self, call: Call, found: PodAnswers) -> None:
        """Leave out the documents that have another form than those before, though each can be combined alone."""
        kept: list[dict[str, Any]] = []
        for pod, document in list(found.documents.items()):
            if self._combined([*kept, document]) is None:
                found.reject(call, pod, 'answered other kinds of values than another pod')
            else:
                kept.append(document)
