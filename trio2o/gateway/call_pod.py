# SPDX-License-Identifier: Apache-2.0
"""Call one pod.

The pod gets the call with the ids, the zone and the headers that it knows. The client gets the answer with those that
tenants know.
"""

from __future__ import annotations

from trio2o import exception
from trio2o.gateway.translate import PodNames, answer_up, ids_down, replace_segment
from trio2o.pods import headers as pod_headers
from trio2o.pods.paths import project_prefix, quoted
from trio2o.pods.registry import PodView
from trio2o.resources import Resource
from trio2o.routing.locator import Route
from trio2o.web import pod_failures
from trio2o.web.call import Answer, Call


def names_of(call: Call, pod: PodView) -> PodNames:
    """Return the names that a pod and tenants have for the same things. Links get the host that the client called."""
    return PodNames(
        roots=pod.endpoints[call.service.service_type].roots,
        base_url=call.base_url,
        zone=pod.zone,
        pod_zone=pod.zone_in(call.service.service_type),
        ids_up=pod.ids_up,
        ids_down=pod.ids_down,
        host_ids=call.runtime.host_ids,
        pod_id=pod.id,
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
    """Send a call to a pod. Parameters that are not given are those of the call.

    :param names: ids in the path, the query and the body are replaced by those the pod knows
    :param path: below the version, not escaped
    :param timeout: seconds; ``[pods] read_timeout`` if None
    :param is_repeated: whether a read may be sent twice, when the pod closed the connection
    :param is_read: whether the call only reads, although its method is not GET or HEAD
    :returns: the pod's answer with the headers that a client may see, and its body as it is
    :raises PodNotReached: nothing was sent
    :raises PodNoAnswer: the request was sent and no complete answer came
    """
    names = names or names_of(call, pod)
    path = project_prefix(call) + quoted(call.path if path is None else path)
    query = call.query_string if query is None else query
    body = call.body if body is None else body
    if names.ids_down:
        path = ids_down(path.encode(), names).decode()
        query = ids_down(query.encode(), names).decode()
        body = ids_down(body, names)
    answer: Answer = call.runtime.client.send(
        pod,
        call.service.service_type,
        method or call.method,
        f'{path}?{query}' if query else path,
        pod_headers.down(call, pod, method),
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
    """Send a call about one resource to its pod and translate the answer.

    :param path_id: the id in the path that is replaced by the pod's, if it is not the top id
    :param is_read: whether the call only reads, although its method is not GET or HEAD
    :raises ServiceUnavailable: the pod is unreachable
    :raises OutcomeUnknown: a write was sent and not answered
    """
    names = names_of(call, route.pod).with_id(route.bottom_id, route.top_id)
    path = replace_segment(call.path, path_id or route.top_id, route.bottom_id)
    try:
        answer = send(call, route.pod, names=names, path=path, body=body, is_read=is_read)
    except exception.PodError as error:
        raise route_error(call, route, resource, error, is_read) from error
    return answer_up(answer, names, resource)


def route_error(
    call: Call, route: Route, resource: Resource, error: exception.PodError, is_read: bool = False
) -> exception.Trio2oException:
    """Return the error for a client when the pod of a resource failed. It names the zone, not the pod."""
    name = f'{resource.title} {route.top_id}'
    if isinstance(error, exception.PodNoAnswer) and not is_read and call.method not in ('GET', 'HEAD'):
        return pod_failures.outcome_unknown(name, route.pod.zone)
    return pod_failures.unreachable(name, route.pod.zone)
