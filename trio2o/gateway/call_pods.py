# SPDX-License-Identifier: Apache-2.0
"""Call several pods at once within one deadline, and make one answer of theirs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from trio2o import exception
from trio2o.concurrency import Deadline
from trio2o.db import pods as db_pods
from trio2o.gateway.call_pod import names_of, send
from trio2o.gateway.translate import PodNames, answer_up, body_up
from trio2o.pods.fanout import ask_all
from trio2o.pods.own_answers import is_internal_error, is_missing, is_unknown_path
from trio2o.pods.registry import PodView
from trio2o.web import pod_failures
from trio2o.web.call import JSON, Answer, Call, dump_json, parse_json

LOG = logging.getLogger(__name__)

#: Parses the body of a pod's answer, with the links and ids that tenants know.
Parse = Callable[[bytes, PodNames], Any]


def parse_all(body: bytes, names: PodNames) -> Any:
    """Parse all of the body of a pod's answer; see ``Parse``."""
    return parse_json(body_up(body, names))


#: Headers of one pod's answer that do not apply to the answer of several pods.
_OF_ONE_POD = frozenset({'x-openstack-request-id', 'x-compute-request-id', 'etag', 'location'})


#: Statuses by which a pod refuses the request itself or limits its sender, so that the client can act on them. Another
#: status from 400 to 499, beside answers of other pods, shows that something is wrong with the pod or in front of it.
REQUEST_REFUSED = frozenset({400, 403, 413, 429})


@dataclass
class PodAnswers:
    """The answers of several pods to the same call. Each pod is in ``answers``, ``refusals`` or ``unreachable``.

    A pod whose refusal is neither of ``REQUEST_REFUSED`` nor the service's own 404 is in ``refusals`` and in
    ``unreachable``: if all pods say so, the client gets that answer; else the answer lacks the part of this pod, as
    its endpoint may have a wrong path, or its Keystone may refuse tokens.

    :ivar answers: successful answers, by pod in the order of the calls, as the pods gave them
    :ivar documents: the parsed bodies of these, with the links and ids that tenants know
    :ivar refusals: answers with a status from 400 to 499, with the links and ids that tenants know
    :ivar unreachable: pods that gave no usable answer: none at all, an error of their own, or no JSON object
    :ivar not_down: those of them that may work well, so that no option permits an answer without their part
    :ivar unclear: those of them that may have carried out the call, if it is a write
    """

    answers: dict[PodView, Answer] = field(default_factory=dict)
    documents: dict[PodView, dict[str, Any]] = field(default_factory=dict)
    refusals: dict[PodView, Answer] = field(default_factory=dict)
    unreachable: list[PodView] = field(default_factory=list)
    not_down: set[PodView] = field(default_factory=set)
    unclear: list[PodView] = field(default_factory=list)

    @property
    def first(self) -> Answer | None:
        """The first successful answer, if there is one."""
        return next(iter(self.answers.values()), None)

    @property
    def refusal(self) -> Answer | None:
        """The refusal to show to the client: one that is not a mere 404, if there is one."""
        return min(self.refusals.values(), key=lambda answer: answer.status == 404, default=None)

    @property
    def missing(self) -> list[PodView]:
        """The pods whose part of a list is missing: those that are unreachable, or refuse for another reason."""
        refused = [pod for pod, answer in self.refusals.items() if answer.status not in REQUEST_REFUSED]
        return list(dict.fromkeys([*self.unreachable, *refused]))

    @property
    def request_refusal(self) -> Answer | None:
        """A pod's refusal of the request itself, if there is one."""
        return next((answer for answer in self.refusals.values() if answer.status in REQUEST_REFUSED), None)

    def add(self, more: PodAnswers) -> None:
        """Add the answers to the call for the next page. The first successful answer of each pod is kept."""
        for pod, document in more.documents.items():
            self.documents.setdefault(pod, document)
            self.answers.setdefault(pod, more.answers[pod])
        self.refusals.update(more.refusals)
        self.unreachable += more.unreachable
        self.not_down |= more.not_down
        self.unclear += more.unclear

    def reject(self, call: Call, pod: PodView, reason: str) -> None:
        """Count a pod as unreachable because its answer is not one of the service, so that the pod may work well."""
        del self.answers[pod], self.documents[pod]
        self._leave_out(call, pod, reason, is_down=False)
        self.unclear.append(pod)

    def take(
        self,
        call: Call,
        pod: PodView,
        answer: Answer | exception.PodError,
        *,
        may_be_empty: bool,
        parse: Parse = parse_all,
    ) -> None:
        """Add the answer of one pod, or its failure."""
        if isinstance(answer, exception.PodError):
            self._leave_out(call, pod, answer.reason, is_down=answer.is_down)
            if isinstance(answer, exception.PodNoAnswer):
                self.unclear.append(pod)
        elif answer.is_ok:
            document = parse(answer.body, names_of(call, pod))
            if not answer.body and may_be_empty:
                document = {}
            if isinstance(document, dict):
                self.documents[pod] = document
                self.answers[pod] = answer
            else:
                # Something else than the service answered, so this does not show whether that is out of service.
                self._leave_out(call, pod, 'answered without a JSON object', is_down=False)
                self.unclear.append(pod)
        elif answer.status >= 500:
            self._leave_out(call, pod, f'answered {answer.status}')
            if is_internal_error(answer):
                self.unclear.append(pod)
        else:
            self.refusals[pod] = answer_up(answer, names_of(call, pod), None)
            if answer.status not in REQUEST_REFUSED and not is_missing(answer):
                self._leave_out(call, pod, f'answered {answer.status}', is_down=False)

    def _leave_out(self, call: Call, pod: PodView, reason: str, *, is_down: bool = True) -> None:
        LOG.warning('%s: no usable answer of pod %s: %s', call.operation.name, pod.name, reason)
        self.unreachable.append(pod)
        if not is_down:
            self.not_down.add(pod)


def pods_of(call: Call) -> list[PodView]:
    """Return the pods that have the service and may be called."""
    return call.snapshot.serving(call.service.service_type)


def uncalled_pods(call: Call) -> list[PodView]:
    """Return the pods that have the service and a part of the answer, but are not called as they are in maintenance.

    A pod that has been in maintenance ever since it was registered is not part of the cloud yet.
    """
    service, db = call.service.service_type, call.runtime.db
    return [
        pod
        for pod in call.snapshot.pods
        if pod.in_maintenance
        and service in pod.endpoints
        and (pod.record.is_reconciled or db_pods.state_changes(db, pod.id))
    ]


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
    parse: Parse = parse_all,
) -> PodAnswers:
    """Call several pods at once.

    :param path: below the version, if not that of the call; a function if it is not the same in each pod
    :param query: returns the query for a pod, if not that of the call
    :param body: returns the body for a pod, if they get any
    :param may_be_empty: whether an answer without a body is as good as an empty JSON object
    :param deadline: shared by all of these calls; ``[pods] gather_timeout`` from now if None
    :param parse: parses the answers
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
        results = ask_all(call.runtime.pod_threads, pods, ask, deadline)
    else:
        results = {pod: exception.PodNotReached(pod.name, 'no time left', is_down=False) for pod in pods}
    for pod, answer in results.items():
        found.take(call, pod, answer, may_be_empty=may_be_empty, parse=parse)
    return found


def refusal_or_none(
    call: Call, found: PodAnswers, *, uncalled: Sequence[PodView] | None = None, is_search: bool = False
) -> Answer | None:
    """Return a pod's refusal of the request if there is one, and None if there are answers to merge.

    :param uncalled: the pods that have a part of the answer and were not called; ``uncalled_pods`` if None
    :param is_search: whether a 404 says that a pod has nothing that matches; otherwise the pod's part is missing
    :raises ServiceUnavailable: no pod answered, or the part of a pod is missing and may not be
    """
    if found.request_refusal is not None:
        return found.request_refusal
    lacking = found.unreachable if is_search else found.missing
    missing = {pod: pod in found.unreachable and pod not in found.not_down for pod in lacking}
    if not found.documents:
        if missing and not found.refusals:
            raise pod_failures.cloud_unreachable()
        unknown = next((answer for answer in found.refusals.values() if is_unknown_path(answer)), None)
        if unknown is not None or (missing and missing.keys() <= found.refusals.keys()):
            return unknown or found.refusal
    if found.documents or found.refusals:
        require_complete(call, missing, uncalled_pods(call) if uncalled is None else uncalled)
    return None if found.documents else found.refusal


def require_complete(call: Call, missing: Mapping[PodView, bool], uncalled: Sequence[PodView] = ()) -> None:
    """Raise an error if an answer lacks the part of a pod, unless the option permits it for all of these pods.

    :param missing: pods that were called, each with whether it is down
    :param uncalled: pods that were not called
    :raises ServiceUnavailable: the answer would be incomplete
    """
    if not missing and not uncalled:
        return
    may_skip = call.runtime.conf[call.service.name].list_records_by_skipping_down_pods
    if not may_skip or not all(missing.values()):
        raise pod_failures.incomplete()


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
