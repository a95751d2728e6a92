# SPDX-License-Identifier: Apache-2.0
"""Paths of the requests that a client's call causes in a pod."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from trio2o.web.call import Call


def project_prefix(call: Call, service: str | None = None) -> str:
    """Return ``/{project_id}``, or nothing, for the place between a pod's endpoint and the path of a resource.

    The pod gets the project id if the client's path has it, so that links in the pod's answer have the same form. A
    service other than the call's always gets it, as Cinder required it before 2022.

    :param service: the service in the pod; None: that of the call
    """
    if service is not None and service != call.service.service_type:
        return own_project(call)
    project = call.prefix.rpartition('/')[2]
    return f'/{project}' if call.prefix.count('/') > 1 else ''


def own_project(call: Call) -> str:
    """Return ``/{project_id}`` of the caller; nothing for a token that is scoped to a domain or to the system."""
    return f'/{call.context.project_id}' if call.context.project_id else ''


def quoted(path: str) -> str:
    """Escape a path for a request line: text that a client escaped must not become syntax in the pod."""
    path = quote(path, safe="/!$&'()*+,;=:@")
    if '/.' in path:
        # HTTP clients take these segments for the way to a parent folder.
        path = '/'.join('%2E' * len(part) if part in ('.', '..') else part for part in path.split('/'))
    return path
