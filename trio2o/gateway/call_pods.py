# SPDX-License-Identifier: Apache-2.0
"""Call several pods at once within one deadline, and make one answer of theirs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from trio2o import exception
from trio2o.concurrency import Deadline
from trio2o.gateway.call_pod import names_of, send
from trio2o.gateway.translate import answer_up, body_up
from trio2o.pods.fanout import ask_all
from trio2o.pods.own_answers import is_unknown_path
from trio2o.pods.registry import PodView
from trio2o.web import pod_failures
from trio2o.web.call import JSON, Answer, Call, dump_json, parse_json

LOG = logging.getLogger(__name__)

#: Headers of one pod's answer that do not apply to the answer of several pods.
_OF_ONE_POD = frozenset({'x-openstack-request-id', 'x-compute-request-id', 'etag', 'location'})


@dataclass
class PodAnswers:
    """The answers of several pods to the same call. Each pod is in ``answers``, ``refusals`` or ``unreachable``.

    A pod that has no such path is in ``refusals`` and in ``unreachable``: if all pods say so, the client gets that
    answer; else the answer lacks the part of this pod, as the path of its endpoint may be wrong.

    :ivar answers: successful answers, by pod in the order of the calls, as the pods gave them
    :ivar documents: the parsed bodies of these, with the links and ids that tenants know
    :ivar refusals: answers with a status from 300 to 499, with the links and ids that tenants know
    :ivar unreachable: pods that gave no usable answer: none at all, an error of their own, or no JSON object
    """

    answers: dict[PodView, Answer] = field(default_factory=dict)
    documents: dict[PodView, dict[str, Any]] = field(default_factory=dict)
    refusals: dict[PodView, Answer] = field(default_factory=dict)
    unreachable: list[PodView] = field(default_factory=list)

    @property
    def first(self) -> Answer | None:
        """The first successful answer, if there is one."""
        return next(iter(self.answers.values()), None)

    @property
    def refusal(self) -> Answer | None:
        """The refusal to show to the client: one that is not a mere 404, if there is one."""
        return min(self.refusals.values(), key=lambda answer: answer.status == 404, default=None)

    def add(self, more: PodAnswers) -> None:
        """Add the answers to the call for the next page. The first successful answer of each pod is kept."""
        for pod, document in more.documents.items():
            self.documents.setdefault(pod, document)
            self.answers.setdefault(pod, more.answers[pod])
        self.refusals.update(more.refusals)
        self.unreachable += more.unreachable

    def reject(self, call: Call, pod: PodView, reason: str) -> None:
        """Count a pod as unreachable because its answer cannot be used."""
        del self.answers[pod], self.documents[pod]
        self._leave_out(call, pod, reason)

    def take(self, call: Call, pod: PodView, answer: Answer | exception.PodError, *, may_be_empty: bool) -> None:
        """Add the answer of one pod, or its failure."""
        if isinstance(answer, exception.PodError):
            self._leave_out(call, pod, answer.reason)
        elif answer.is_ok:
            document = parse_json(body_up(answer.body, names_of(call, pod)))
            if not answer.body and may_be_empty:
                document = {}
            if isinstance(document, dict):
                self.documents[pod] = document
                self.answers[pod] = answer
            else:
                self._leave_out(call, pod, 'answered without a JSON object')
        elif answer.status >= 500:
            self._leave_out(call, pod, f'answered {answer.status}')
        else:
            self.refusals[pod] = answer_up(answer, names_of(call, pod), None)
            if is_unknown_path(answer):
                self._leave_out(call, pod, 'answered that it has no such path')

    def _leave_out(self, call: Call, pod: PodView, reason: str) -> None:
        LOG.warning('%s: answering without pod %s: %s', call.operation.name, pod.name, reason)
        self.unreachable.append(pod)


def pods_of(call: Call) -> list[PodView]:
    """Return the pods that have the service and may be called."""
    return call.runtime.registry.snapshot().serving(call.service.service_type)


def call_pods(
    call: Call,
    pods: Iterable[PodView],
    *,
    method: str = 'GET',
    path: str | Callable[[PodView], str] | None = None,
    query: Callable[[PodView], str] | None = None,
    body: Callable[[PodView], bytes] | None = None,
    may_be_empty: bool = False,
    deadline: Deadline | None = None,
) -> PodAnswers:
    """Call several pods at once.

    :param path: below the version, if not that of the call; a function if it is not the same in each pod
    :param query: returns the query for a pod, if not that of the call
    :param body: returns the body for a pod, if they get any
    :param may_be_empty: whether an answer without a body is as good as an empty JSON object
    :param deadline: shared by all of these calls; ``[pods] gather_timeout`` from now if None
    """
    deadline = deadline or Deadline(call.runtime.conf.pods.gather_timeout)
    timeout = deadline.remaining()

    def ask(pod: PodView) -> Answer:
        return send(
            call,
            pod,
            method=method,
            path=path(pod) if callable(path) else path,
            query=None if query is None else query(pod),
            body=b'' if body is None else body(pod),
            timeout=timeout,
        )

    found = PodAnswers()
    results: dict[PodView, Answer | exception.PodError]
    if timeout:
        results = ask_all(call.runtime.executor, pods, ask, deadline)
    else:
        results = {pod: exception.PodNoAnswer(pod.name, 'no time left') for pod in pods}
    for pod, answer in results.items():
        found.take(call, pod, answer, may_be_empty=may_be_empty)
    return found


def refusal_or_none(call: Call, found: PodAnswers) -> Answer | None:
    """Return the pods' refusal if no pod answered otherwise, and None if there are answers to merge.

    :raises ServiceUnavailable: no pod answered; or some did not, and the configuration requires complete answers
    """
    if found.documents:
        if found.unreachable and not may_be_incomplete(call):
            raise pod_failures.incomplete()
        return None
    if found.refusal is None and found.unreachable:
        raise pod_failures.cloud_unreachable()
    return found.refusal


def may_be_incomplete(call: Call) -> bool:
    """Whether lists and sums may lack the part of an unreachable pod, by the service's configuration."""
    return bool(call.runtime.conf[call.service.name].list_records_by_skipping_down_pods)


def merged_answer(call: Call, document: Any, first: Answer | None) -> Answer:
    """Return an answer with a document that was made of the answers of several pods.

    :param first: an answer of a pod, whose headers apply unless they are about that pod alone
    """
    return Answer(200, merged_headers(call, first), dump_json(document))


def merged_headers(call: Call, first: Answer | None) -> list[tuple[str, str]]:
    """Return the headers for an answer that was made of those of several pods, or of none."""
    if first is None:
        return [JSON, *call.version_headers]
    return [(name, value) for name, value in first.headers if name.lower() not in _OF_ONE_POD]
