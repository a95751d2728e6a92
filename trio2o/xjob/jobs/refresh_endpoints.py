# SPDX-License-Identifier: Apache-2.0
"""Look up where the pods' APIs are and what they can do."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from trio2o.concurrency import Deadline
from trio2o.db import pods as db_pods
from trio2o.pods import endpoints
from trio2o.pods.endpoints import PodEndpoint
from trio2o.pods.fanout import ask_all
from trio2o.pods.registry import PodView
from trio2o.runtime import Runtime
from trio2o.xjob.jobs.base import Task

LOG = logging.getLogger(__name__)


class RefreshEndpoints:
    max_seconds = 300.0

    def run(self, task: Task) -> None:
        runtime = task.runtime
        pods = [pod for pod in runtime.registry.refresh().pods if pod.is_asked]
        refresh(runtime, pods)


def refresh(runtime: Runtime, pods: Iterable[PodView]) -> None:
    """Record the endpoints and versions of pods as they are now.

    :raises ServiceUnavailable: Keystone does not answer
    """
    conf, identity = runtime.conf, runtime.identity

    def look(pod: PodView) -> bool:
        found = endpoints.find(conf, identity, pod.name)
        if not found and pod.endpoints:
            LOG.warning('pod %s has no endpoints in Keystone any more', pod.name)
            return False
        now = {
            service: endpoints.with_versions(identity, service, _known(pod, service, endpoint))
            for service, endpoint in found.items()
        }
        if now == dict(pod.endpoints):
            return False
        LOG.info('pod %s has other endpoints or versions than before', pod.name)
        as_json = {service: endpoint.to_json() for service, endpoint in now.items()}
        return db_pods.set_endpoints(runtime.db, pod.id, as_json)

    results = ask_all(runtime.executor, pods, look, Deadline(conf.pods.read_timeout))
    if any(result is True for result in results.values()):
        runtime.registry.refresh()


def _known(pod: PodView, service: str, found: PodEndpoint) -> PodEndpoint:
    """With the versions known so far: a pod that is away keeps them."""
    known = pod.endpoints.get(service)
    return known if known is not None and known.url == found.url else found
