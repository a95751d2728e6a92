# SPDX-License-Identifier: Apache-2.0
"""Read an object that a request refers to, such as its flavor."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from trio2o import exception
from trio2o.pods import headers as pod_headers
from trio2o.pods.registry import PodView
from trio2o.web import json_body
from trio2o.web.call import Answer, Call


def read_object(
    call: Call, service: str, path: str, member: str, pods: Iterable[PodView] | None = None
) -> dict[str, Any] | None:
    """Read an object with the caller's own token and at the oldest microversion.

    :param path: below the project, escaped
    :param member: key of the object in the answer
    :param pods: the pods to try one after another; None for all pods that have the service
    :returns: the object as the first pod that has it shows it; None if no pod that answers has it
    """
    headers = pod_headers.for_lookup(call, has_version=False)
    path = f'/{call.context.project_id}{path}'
    timeout = call.runtime.conf.pods.probe_timeout
    for pod in call.runtime.registry.snapshot().serving(service) if pods is None else pods:
        try:
            answer: Answer = call.runtime.client.send(pod, service, 'GET', path, headers, timeout=timeout)
        except exception.PodError:
            continue
        found = json_body.object_at(answer.json, member) if answer.is_ok else None
        if found is not None:
            return found
    return None
