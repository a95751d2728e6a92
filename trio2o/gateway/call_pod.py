# SPDX-License-Identifier: Apache-2.0
"""What every handler does with one pod: send the call down in its terms, bring the answer up in ours."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from trio2o import exception
from trio2o.gateway.translate import PodNames, answer_up, ids_down, replace_segment
from trio2o.pods import headers as pod_headers
from trio2o.pods.paths import project_prefix, quoted
from trio2o.pods.registry import PodView
from trio2o.resources import Resource
from trio2o.routing.locator import Route
from trio2o.web.call import Answer, Call

RETRY_AFTER = 5


def names_of(call: Call, pod: PodView) -> PodNames:
    """What the pod and the top call the same things, for this request's links."""
    return PodNames(
        roots=pod.endpoints[call.service.service_type].roots,
        base_url=call.base_url,
        zone=pod.zone,
        pod_zone=pod.record.pod_az_name,
        ids=pod.ids_up,
    )


def send(
    call: Call,
    pod: PodView,
    *,
    names: PodNames | None = None,
    path: str | None = None,
    query: str | None = None,
    body: bytes | None = None,
    method: str | None = None,
    timeout: float | None = None,
    is_repeated: bool = True,
    is_read: bool = False,
) -> Answer:
    """Send a call to a pod as it came, but for what is given here.

    :param path: below the version, as text: nothing in it is escaped yet
    :param is_repeated: whether a read may be sent twice; :param is_read: whether it reads whatever its method
    :returns: the pod's answer with the headers a client may see, its body untouched
    :raises PodError: the pod was not reached, or gave no answer
    """
    names = names or names_of(call, pod)
    path = project_prefix(call) + quoted(call.path if path is None else path)
    query = call.query_string if query is None else query
    body = call.body if body is None else body
    if names.ids:
        path = ids_down(path.encode(), names).decode()
        query = ids_down(query.encode(), names).decode()
        body = ids_down(body, names)
    answer: Answer = call.runtime.client.send(
        pod,
        call.service.service_type,
        method or call.method,
        f'{path}?{query}' if query else path,
        pod_headers.down(call),
        body,
        timeout,
        is_repeated,
        is_read,
    )
    return Answer(answer.status, pod_headers.up(answer.headers), answer.body)


def send_to_route(
    call: Call,
    route: Route,
    resource: Resource,
    *,
    body: bytes | None = None,
    path_id: str | None = None,
    is_read: bool = False,
) -> Answer:
    """Send a call about one resource to its pod and translate what comes back.

    :param is_read: whether it reads whatever its method
    :raises ServiceUnavailable: its pod is not reached
    :raises OutcomeUnknown: a write was sent and nothing came back
    """
    names = names_of(call, route.pod).with_id(route.bottom_id, route.top_id)
    path = replace_segment(call.path, path_id or route.top_id, route.bottom_id)
    try:
        answer = send(call, route.pod, names=names, path=path, body=body, is_read=is_read)
    except exception.PodError as error:
        raise unreachable(call, route, resource, error, is_read) from error
    return answer_up(answer, names, resource)


def unreachable(
    call: Call, route: Route, resource: Resource, error: exception.PodError, is_read: bool = False
) -> exception.Trio2oException:
    """What a tenant is told when the pod of a resource fails: the zone, not the pod."""
    what = f'{resource.title} {route.top_id} is in availability zone {route.pod.zone}'
    if isinstance(error, exception.PodNoAnswer) and not is_read and call.method not in ('GET', 'HEAD'):
        return exception.OutcomeUnknown(
            f'{what}, which did not answer in time. The request may or may not have been carried out; '
            'look at the resource before trying again.'
        )
    return exception.ServiceUnavailable(f'{what}, of which a part cannot be reached now.', retry_after=RETRY_AFTER)


def peek(
    call: Call, service: str, path: str, member: str, pods: Iterable[PodView] | None = None
) -> dict[str, Any] | None:
    """Look at something beside the call, with the caller's own token and at the oldest version.

    :param pods: to ask one after another; all that are asked if None
    :returns: what the first pod that has it shows; None: none has it, or none answers
    """
    headers = pod_headers.for_lookup(call, has_version=False)
    where = f'/{call.context.project_id}{path}'
    timeout = call.runtime.conf.pods.probe_timeout
    for pod in call.runtime.registry.snapshot().asked(service) if pods is None else pods:
        try:
            answer: Answer = call.runtime.client.send(pod, service, 'GET', where, headers, timeout=timeout)
        except exception.PodError:
            continue
        document = answer.json if answer.is_ok else None
        found = document.get(member) if isinstance(document, dict) else None
        if isinstance(found, dict):
            return found
    return None


def patience(call: Call, pods: Sequence[PodView]) -> Iterator[tuple[PodView, float | None]]:
    """Pods with the seconds to wait for each, where any will do: as long as another is left, not for long."""
    for number, pod in enumerate(pods, 1):
        yield pod, None if number == len(pods) else call.runtime.conf.pods.probe_timeout


def ask_any(call: Call, first: PodView | None = None) -> Answer:
    """Let one pod say what it has to say: for requests that are the same anywhere, or wrong everywhere.

    :param first: the pod to ask before others, if it is well
    :raises ServiceUnavailable: no pod can be reached
    """
    is_read = call.method in ('GET', 'HEAD')
    unwell: Answer | None = None
    service = call.service.service_type
    runtime = call.runtime
    pods = runtime.registry.snapshot().asked(service)
    # Those whose breaker is open come last, not never.
    is_open = runtime.client.breakers.is_open
    pods = sorted(pods, key=lambda view: (is_open((view.id, service)), view != first))
    for pod, seconds in patience(call, pods):
        names = names_of(call, pod)
        try:
            answer = answer_up(send(call, pod, names=names, timeout=seconds if is_read else None), names, None)
        except exception.PodNotReached:
            continue
        except exception.PodNoAnswer:
            if is_read:
                continue
            raise
        if answer.status == 503 or (is_read and answer.status >= 500):
            unwell = unwell or answer
            continue
        return answer
    if unwell is not None:
        return unwell
    raise exception.ServiceUnavailable('No part of this cloud can be reached now.', retry_after=RETRY_AFTER)
