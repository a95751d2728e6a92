# SPDX-License-Identifier: Apache-2.0
"""Look up the endpoints of the pods in Keystone, and the microversions they support."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from trio2o.concurrency import Deadline
from trio2o.db import pods as db_pods
from trio2o.pods import endpoints
from trio2o.pods.endpoints import PodEndpoint
from trio2o.pods.fanout import ask_all
from trio2o.pods.registry import PodView
from trio2o.runtime import Runtime
from trio2o.xjob.jobs.base import Task
from trio2o.xjob.parts import PODS_IN_PART

LOG = logging.getLogger(__name__)

#: Most seconds to wait for the pods that are called at the same time. Pods that hang must leave time for all others
#: before the job is interrupted; an answer that is later counts in the next run.
SECONDS_FOR_PART = 5.0


class RefreshEndpoints:
    max_seconds = 300.0

    def run(self, task: Task) -> None:
        runtime = task.runtime
        pods = [pod for pod in runtime.registry.refresh().pods if not pod.in_maintenance]
        runtime.pod_endpoints.read()
        found = {pod: runtime.pod_endpoints.known(pod.name) for pod in pods}
        refresh(runtime, found, task.check)


def refresh(
    runtime: Runtime,
    found: Mapping[PodView, Mapping[str, PodEndpoint]],
    check: Callable[[], None] = lambda: None,
) -> None:
    """Record the current endpoints and microversions of pods, of some pods at a time.

    :param found: the endpoints of the pods in Keystone's catalog, by service
    :param check: called between them; may raise to interrupt the work
    """

    def update(pod: PodView) -> bool:
        if not found[pod] and pod.endpoints:
            LOG.warning('Keystone has no endpoints of pod %s any more; keeping the known ones', pod.name)
            return False
        account = runtime.identity.account_of(pod.name)
        now = {
            service: endpoints.with_versions(account, service, _known(pod, service, endpoint))
            for service, endpoint in found[pod].items()
        }
        if now == dict(pod.endpoints):
            return False
        LOG.info('Endpoints or microversions of pod %s changed', pod.name)
        as_json = {service: endpoint.to_json() for service, endpoint in now.items()}
        return db_pods.set_endpoints(runtime.db, pod.id, as_json)

    has_changed = False
    pods = list(found)
    for start in range(0, len(pods), PODS_IN_PART):
        check()
        part = pods[start : start + PODS_IN_PART]
        results = ask_all(runtime.pod_threads, part, update, Deadline(SECONDS_FOR_PART))
        has_changed = has_changed or any(result is True for result in results.values())
    if has_changed:
        runtime.registry.refresh()


def _known(pod: PodView, service: str, found: PodEndpoint) -> PodEndpoint:
    """Return the known endpoint if its URL is the same, so that an unreachable pod keeps its microversions."""
    known = pod.endpoints.get(service)
    return known if known is not None and known.url == found.url else found
