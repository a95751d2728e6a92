# SPDX-License-Identifier: Apache-2.0
"""Read an object that a request refers to, such as its flavor."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from trio2o import exception
from trio2o.pods import headers as pod_headers
from trio2o.pods.own_answers import is_missing
from trio2o.pods.paths import own_project
from trio2o.pods.registry import PodView
from trio2o.web import json_body
from trio2o.web.call import Answer, Call

#: An object that is the same in every pod is asked of so many pods: one of them may have been down when it was made.
_MAX_PODS = 2


def read_object(
    call: Call, service: str, path: str, member: str, pods: Iterable[PodView] | None = None
) -> dict[str, Any] | None:
    """Read an object with the caller's own token and at the oldest microversion.

    :param path: below the project, escaped
    :param member: key of the object in the answer
    :param pods: the pods to try one after another; None for an object that is the same in every pod
    :returns: the object as the first pod that has it shows it; None if it cannot be read
    :raises NotFound: pods that answer do not have it
    """
    path = own_project(call) + path
    missing = 0
    for pod in call.runtime.registry.snapshot().serving(service) if pods is None else pods:
        headers = pod_headers.for_lookup(call, pod, has_version=False)
        try:
            answer: Answer = call.runtime.client.send(pod, service, 'GET', path, headers, timeout=lookup_timeout(call))
        except exception.PodError:
            continue
        found = json_body.object_at(answer.json, member) if answer.is_ok else None
        if found is not None:
            return found
        missing += is_missing(answer)
        if missing == _MAX_PODS:
            break
    if missing:
        call.lookups.missed()
        raise exception.NotFound('The resource could not be found.')
    return None


def lookup_timeout(call: Call) -> float:
    """Return the seconds for the next look-up in one pod. They may be none, and then nothing is sent."""
    options = call.runtime.conf.pods
    return min(options.probe_timeout, call.lookups.seconds_left(options.gather_timeout))
