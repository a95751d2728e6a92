# SPDX-License-Identifier: Apache-2.0
"""The headers that pass from client to pod and from pod to client. All others are dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trio2o.pods.registry import PodView
    from trio2o.web.call import Call

#: From the client to a pod. Tokens, version and request id are set by ``down`` itself.
DOWN = ('content-type', 'accept', 'accept-language', 'if-match')

#: From a pod to the client.
UP = frozenset(
    {
        'content-type',
        'etag',
        'location',
        'openstack-api-version',
        'retry-after',
        'vary',
        'x-compute-request-id',
        'x-openstack-nova-api-version',
        'x-openstack-request-id',
    }
)


def down(call: Call, pod: PodView, method: str | None = None) -> list[tuple[str, str]]:
    """Return the headers for a pod: the caller's, with its tokens, the negotiated microversion and the request id.

    The access rules of an application credential allow the request of the client, which this service has checked, and
    not those that the gateway sends to serve it. As between other services of OpenStack, a service token says that a
    request is part of a chain. Only reads get one: with it, Cinder allows writes that it forbids to tenants.

    Writes accept JSON only: middleware in a pod refuses requests in the form that they accept, and only in JSON it is
    certain that a refusal is not that of a balancer.

    :param method: that of the request to the pod; None: that of the call
    :raises ServiceUnavailable: Keystone gives no service token
    """
    is_read = (method or call.method) in ('GET', 'HEAD')
    headers = [(name, call.headers[name]) for name in DOWN if name in call.headers and (is_read or name != 'accept')]
    if not is_read:
        headers.append(('Accept', 'application/json'))
    context = call.context
    if context.auth_token:
        headers.append(('X-Auth-Token', context.auth_token))
    if context.service_token:
        headers.append(('X-Service-Token', context.service_token))
    elif context.has_access_rules and is_read:
        headers.append(('X-Service-Token', call.runtime.identity.account_of(pod.name).token()))
    if call.version is not None:
        # For this service only: Cinder refuses a header that does not name it.
        headers.append(('OpenStack-API-Version', f'{call.service.version_name} {call.version}'))
    headers.append(('X-OpenStack-Request-ID', context.global_request_id or context.request_id))
    headers.append(('User-Agent', 'trio2o'))
    return headers


def for_lookup(call: Call, pod: PodView, *, has_version: bool) -> list[tuple[str, str]]:
    """Return the headers of a GET that the gateway itself sends to serve a call, without those of the call's body.

    :param has_version: whether the GET has the call's microversion; without it the pod answers at the oldest version
    """
    dropped = {'content-type', 'if-match'} | (set() if has_version else {'openstack-api-version'})
    return [(name, value) for name, value in down(call, pod, 'GET') if name.lower() not in dropped]


def up(headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the headers of a pod's answer that a client may see."""
    return [(name, value) for name, value in headers if name.lower() in UP]
