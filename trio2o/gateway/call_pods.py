# SPDX-License-Identifier: Apache-2.0
"""Asking pods: all of them the same, or one that a call is for."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from trio2o import exception
from trio2o.concurrency import Deadline
from trio2o.gateway.call_pod import RETRY_AFTER, names_of, send
from trio2o.gateway.translate import body_up
from trio2o.pods.fanout import ask_all
from trio2o.pods.registry import PodView
from trio2o.web.call import Answer, Call, parse_json

LOG = logging.getLogger(__name__)


@dataclass
class Asked:
    """What pods said when all were asked the same.

    :ivar documents: of those that had something to say, in the order of their numbers
    :ivar refusals: answers of those that had not
    :ivar silent: those that gave no answer
    """

    documents: dict[PodView, dict[str, Any]] = field(default_factory=dict)
    answers: dict[PodView, Answer] = field(default_factory=dict)
    refusals: dict[PodView, Answer] = field(default_factory=dict)
    silent: list[PodView] = field(default_factory=list)

    @property
    def refusal(self) -> Answer | None:
        """The refusal that tells most: one that is not a mere 404, if there is one."""
        return min(self.refusals.values(), key=lambda answer: answer.status == 404, default=None)


def pods_of(call: Call) -> list[PodView]:
    pods: list[PodView] = call.runtime.registry.snapshot().asked(call.service.service_type)
    return pods


def ask_pods(
    call: Call,
    pods: Sequence[PodView],
    *,
    path: str | None = None,
    query: Callable[[PodView], str] | None = None,
    deadline: Deadline | None = None,
) -> Asked:
    """Ask pods for the same, all at once; links in what they tell are the top's."""
    deadline = deadline or Deadline(call.runtime.conf.pods.gather_timeout)

    def ask(pod: PodView) -> Answer:
        return send(
            call,
            pod,
            method='GET',
            path=path,
            query=None if query is None else query(pod),
            body=b'',
            timeout=deadline.remaining(),
        )

    asked = Asked()
    for pod, answer in sorted(
        ask_all(call.runtime.executor, pods, ask, deadline).items(), key=lambda row: row[0].record.number
    ):
        if isinstance(answer, Answer) and answer.is_ok:
            document = parse_json(body_up(answer.body, names_of(call, pod)))
            if isinstance(document, dict):
                asked.documents[pod] = document
                asked.answers[pod] = answer
                continue
        elif isinstance(answer, Answer) and answer.status < 500:
            asked.refusals[pod] = answer
            continue
        LOG.warning('%s without pod %s', call.operation.name, pod.name)
        asked.silent.append(pod)
    return asked


def must_be_complete(call: Call, asked: Asked) -> None:
    """:raises ServiceUnavailable: nobody answered, or not everybody did and everybody has to"""
    if not asked.silent:
        return
    if not asked.documents and not asked.refusals:
        raise exception.ServiceUnavailable('No part of this cloud can be reached now.', retry_after=RETRY_AFTER)
    if not call.runtime.conf[call.service.name].list_records_by_skipping_down_pods:
        raise exception.ServiceUnavailable(
            'A part of this cloud does not answer, and the answer would not be complete.', retry_after=RETRY_AFTER
        )


def send_in(
    call: Call,
    pod: PodView,
    what: str,
    *,
    path: str | None = None,
    query: str | None = None,
    body: bytes | None = None,
    method: str | None = None,
    is_repeated: bool = True,
) -> Answer:
    """Send a call to the one pod it is for.

    :param what: what it is about, for the error
    :param is_repeated: whether a read may be sent twice
    :raises ServiceUnavailable: the pod is not reached, or in maintenance
    :raises OutcomeUnknown: a write was sent and nothing came back
    """
    if not pod.is_asked:
        raise exception.ServiceUnavailable(f'{what} is in pod {pod.name}, which is under maintenance.')
    try:
        return send(call, pod, path=path, query=query, body=body, method=method, is_repeated=is_repeated)
    except exception.PodError as error:
        if isinstance(error, exception.PodNoAnswer) and (method or call.method) not in ('GET', 'HEAD'):
            raise exception.OutcomeUnknown(
                f'{what} is in pod {pod.name}, which did not answer in time. The request may or may not have been '
                'carried out.'
            ) from error
        raise exception.ServiceUnavailable(
            f'{what} is in pod {pod.name}, which cannot be reached now.', retry_after=RETRY_AFTER
        ) from error


def with_id(call: Call, bottom_id: str) -> str:
    """The path with what stands for its first id put in its place."""
    segments = call.operation.path.split('/')
    values = iter([bottom_id, *list(call.params.values())[1:]])
    return '/'.join(next(values) if part.startswith('{') else part for part in segments)
