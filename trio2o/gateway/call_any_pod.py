# SPDX-License-Identifier: Apache-2.0
"""Call whichever pod answers: for requests that have the same answer in every pod, or that every pod refuses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from trio2o import exception
from trio2o.gateway.call_pod import names_of, send
from trio2o.gateway.translate import answer_up
from trio2o.pods.own_answers import is_about_pod
from trio2o.pods.registry import PodView
from trio2o.web import pod_failures
from trio2o.web.call import Answer, Call


def call_any_pod(call: Call, first: PodView | None = None) -> Answer:
    """Send a call to one pod after another until one answers without an error of its own.

    :param first: the pod to try before the others, unless its breaker is open
    :returns: the first such answer, else the first error answer
    :raises ServiceUnavailable: no pod can be reached
    :raises OutcomeUnknown: a write was sent and not answered
    """
    is_read = call.method in ('GET', 'HEAD')
    error_answer: Answer | None = None
    service = call.service.service_type
    runtime = call.runtime
    pods = runtime.registry.snapshot().serving(service)
    # Pods whose breaker is open are tried last: one of them may work again.
    is_open = runtime.client.breakers.is_open
    pods = sorted(pods, key=lambda pod: (is_open((pod.id, service)), pod != first))
    for pod, seconds in with_timeouts(call, pods):
        names = names_of(call, pod)
        try:
            answer = answer_up(send(call, pod, names=names, timeout=seconds if is_read else None), names, None)
        except exception.PodNotReached:
            continue
        except exception.PodNoAnswer as error:
            if is_read:
                continue
            raise pod_failures.write_outcome_unknown() from error
        if answer.status == 503 or (is_read and is_about_pod(answer)):
            error_answer = error_answer or answer
            continue
        return answer
    if error_answer is not None:
        return error_answer
    raise pod_failures.cloud_unreachable()


def refuse_as_pod(call: Call) -> Answer:
    """Let a pod refuse a query that the gateway cannot read, in the words of the service.

    :raises BadRequest: the pod does not refuse it, and its own answer would look like that of all pods
    :raises ServiceUnavailable: no pod can be reached
    """
    answer = call_any_pod(call)
    if answer.is_ok and len(call.runtime.registry.snapshot().pods) > 1:
        raise exception.BadRequest('The query cannot be read.')
    return answer


def with_timeouts(call: Call, pods: Sequence[PodView]) -> Iterator[tuple[PodView, float | None]]:
    """Yield pods that can all answer a call, each with the seconds to wait for it.

    All but the last get ``[pods] probe_timeout``: while another pod is left to try, a slow one is not worth waiting
    for. The last gets None, which is the timeout of any other call.
    """
    for number, pod in enumerate(pods, 1):
        yield pod, None if number == len(pods) else call.runtime.conf.pods.probe_timeout
