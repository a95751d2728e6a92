# SPDX-License-Identifier: Apache-2.0
"""Add up numbers of all pods, or combine their documents in another way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from trio2o.gateway.call_any_pod import call_any_pod
from trio2o.gateway.call_pod import names_of
from trio2o.gateway.call_pods import call_pods, merged_answer, pods_of, refusal_or_none
from trio2o.gateway.translate import PodNames
from trio2o.pods.registry import PodView
from trio2o.web.call import Answer, Call


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
        refusal = refusal_or_none(call, found)
        if refusal is not None:
            return refusal
        if not found.documents:
            return call_any_pod(call)
        return merged_answer(call, self.combine(list(found.documents.values())), found.first)

    def _is_combinable(self, call: Call, pod: PodView, document: dict[str, Any]) -> bool:
        """Translate the document of one pod, and return whether it has the form that ``combine`` needs."""
        try:
            if self.rename is not None:
                self.rename(document, names_of(call, pod))
            self.combine([document])
        except (LookupError, TypeError, AttributeError, ValueError):
            return False
        return True
