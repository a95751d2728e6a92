# SPDX-License-Identifier: Apache-2.0
"""fanout_sum: numbers of many pods added up."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from trio2o import exception
from trio2o.concurrency import Deadline
from trio2o.gateway.call_pod import RETRY_AFTER, names_of, send
from trio2o.gateway.handlers.list import headers_of_many
from trio2o.gateway.translate import PodNames, answer_up
from trio2o.pods.fanout import ask_all
from trio2o.pods.registry import PodView
from trio2o.web.call import Answer, Call, dump_json, parse_json

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sum:
    """Ask every pod and combine the documents.

    :ivar combine: pure: documents of the pods that answered, in order -> the document to give
    :ivar rename: puts a pod's document into the top's terms beyond links and ids, in place
    """

    combine: Callable[[list[dict[str, Any]]], dict[str, Any]]
    rename: Callable[[dict[str, Any], PodNames], None] | None = None

    def __call__(self, call: Call) -> Answer:
        """:raises ServiceUnavailable: no pod answers, or not all do and all have to"""
        runtime = call.runtime
        pods = runtime.registry.snapshot().asked(call.service.service_type)
        deadline = Deadline(runtime.conf.pods.gather_timeout)

        def ask(pod: PodView) -> Answer:
            answer = send(call, pod, timeout=deadline.remaining())
            return answer_up(answer, names_of(call, pod), None)

        answers: list[Answer] = []
        documents: list[dict[str, Any]] = []
        missing = 0
        for pod, answer in ask_all(runtime.executor, pods, ask, deadline).items():
            if isinstance(answer, Answer) and answer.is_ok:
                document = self._document(answer, names_of(call, pod))
                if document is not None:
                    answers.append(answer)
                    documents.append(document)
                    continue
            if isinstance(answer, exception.PodError) or answer.is_ok or answer.status >= 500:
                LOG.warning('%s without pod %s', call.operation.name, pod.name)
                missing += 1
            else:
                answers.append(answer)
        if not documents:
            if answers:
                return answers[0]
            raise exception.ServiceUnavailable('No part of this cloud can be reached now.', retry_after=RETRY_AFTER)
        if missing and not runtime.conf[call.service.name].list_records_by_skipping_down_pods:
            raise exception.ServiceUnavailable(
                'A part of this cloud does not answer, and the sum would not be complete.', retry_after=RETRY_AFTER
            )
        first = next(answer for answer in answers if answer.is_ok)
        return Answer(200, headers_of_many(call, first), dump_json(self.combine(documents)))

    def _document(self, answer: Answer, names: PodNames) -> dict[str, Any] | None:
        """What a pod told, in the top's terms, or None if it cannot be added to anything."""
        document = parse_json(answer.body)
        try:
            if self.rename is not None:
                self.rename(document, names)
            self.combine([document])
        except (LookupError, TypeError, AttributeError, ValueError):
            return None
        return document if isinstance(document, dict) else None
