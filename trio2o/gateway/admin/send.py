# SPDX-License-Identifier: Apache-2.0
"""Send a call to the pod that an admin named, by its name or by a resource in it."""

from __future__ import annotations

from trio2o import exception
from trio2o.gateway.call_pod import send
from trio2o.pods.registry import PodView
from trio2o.web import pod_failures
from trio2o.web.call import Answer, Call


def send_to_pod(
    call: Call,
    pod: PodView,
    name: str,
    *,
    path: str | None = None,
    query: str | None = None,
    body: bytes | None = None,
    method: str | None = None,
    is_repeated: bool = True,
) -> Answer:
    """Send a call to one pod. Its failures become errors that name the pod for admins, and its zone for others.

    :param name: kind and name of what the call is about, for the error
    :param is_repeated: whether a read may be sent twice
    :raises ServiceUnavailable: the pod is unreachable or in maintenance
    :raises OutcomeUnknown: a write was sent and not answered
    """
    may_know = call.context.may_see_all
    if pod.in_maintenance:
        if not may_know:
            raise pod_failures.in_maintenance(name, pod.zone)
        raise pod_failures.pod_in_maintenance(name, pod.name)
    try:
        return send(call, pod, path=path, query=query, body=body, method=method, is_repeated=is_repeated)
    except exception.PodError as error:
        if isinstance(error, exception.PodNoAnswer) and (method or call.method) not in ('GET', 'HEAD'):
            if not may_know:
                raise pod_failures.outcome_unknown(name, pod.zone) from error
            raise pod_failures.outcome_unknown_in_pod(name, pod.name) from error
        if not may_know:
            raise pod_failures.unreachable(name, pod.zone) from error
        raise pod_failures.unreachable_pod(name, pod.name) from error


def place_of(call: Call, pod: PodView) -> str:
    """Return what a text calls a pod: admins may know its name, others only its zone."""
    return f'pod {pod.name}' if call.context.may_see_all else f'availability zone {pod.zone}'


def path_with_id(call: Call, bottom_id: str) -> str:
    """Return the path of a call with another value of its first parameter."""
    segments = call.operation.path.split('/')
    values = iter([bottom_id, *list(call.params.values())[1:]])
    return '/'.join(next(values) if part.startswith('{') else part for part in segments)
