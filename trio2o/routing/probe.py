# SPDX-License-Identifier: Apache-2.0
"""Ask the pods for a resource that has no routing."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from oslo_config import cfg
from oslo_utils import uuidutils

from trio2o import exception
from trio2o.concurrency import Deadline, Executor
from trio2o.pods import headers as pod_headers
from trio2o.pods.client import PodClient
from trio2o.pods.fanout import ask_all
from trio2o.pods.own_answers import is_missing
from trio2o.pods.paths import project_prefix
from trio2o.pods.registry import PodView, Registry
from trio2o.resources import Item, Resource
from trio2o.web import json_body, pod_failures
from trio2o.web.call import Answer, Call


@dataclass(frozen=True)
class Found:
    """A pod that has the resource, the resource in the pod's answer, and that answer."""

    pod: PodView
    item: Item
    answer: Answer


class Prober:
    """Sends a GET of one resource to all pods at once, with the caller's own token."""

    def __init__(self, conf: cfg.ConfigOpts, registry: Registry, client: PodClient, executor: Executor) -> None:
        self._registry = registry
        self._client = client
        self._executor = executor
        self._timeout = conf.pods.probe_timeout

    def ask(self, call: Call, resource: Resource, top_id: str) -> Found:
        """Find the pod that shows a resource to the caller.

        :raises NotFound: no pod shows it
        :raises ServiceUnavailable: no pod shows it, and one that may have it did not answer
        """
        if not uuidutils.is_uuid_like(top_id):
            raise exception.NotFound(resource.missing.format(id=top_id))
        snapshot = self._registry.snapshot()
        # All resources of a reconciled pod have routings, so this one is not in it and its answer does not matter.
        is_certain = all(not pod.in_maintenance or pod.record.is_reconciled for pod in snapshot.pods)
        for pod, answer in self._ask_all(call, resource, top_id, snapshot.serving(resource.service)).items():
            if isinstance(answer, Answer) and answer.status == 200:
                item = json_body.member(answer, resource)
                if item is not None:
                    return Found(pod, item, answer)
            elif isinstance(answer, Answer) and _is_refusal(answer):
                continue
            is_certain = is_certain and pod.record.is_reconciled
        if not is_certain:
            raise pod_failures.maybe_elsewhere(f'{resource.title} {top_id}')
        raise exception.NotFound(resource.missing.format(id=top_id))

    def _ask_all(
        self, call: Call, resource: Resource, top_id: str, pods: list[PodView]
    ) -> dict[PodView, Answer | exception.PodError]:
        service = resource.service
        path = f'{project_prefix(call, service)}{resource.path}/{quote(top_id, safe="")}'
        headers = pod_headers.for_lookup(call, has_version=service == call.service.service_type)

        def ask(pod: PodView) -> Answer:
            return self._client.send(pod, service, 'GET', path, headers, timeout=self._timeout)

        return ask_all(self._executor, pods, ask, Deadline(self._timeout), _has_resource)


def _is_refusal(answer: Answer) -> bool:
    """Return whether the pod does not have the resource, or does not show it to the caller."""
    if answer.status == 404:
        return is_missing(answer)
    return answer.status < 500 and answer.status != 429


def _has_resource(answer: Answer | exception.PodError) -> bool:
    return isinstance(answer, Answer) and answer.status == 200
