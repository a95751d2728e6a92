# SPDX-License-Identifier: Apache-2.0
"""Read the capacity and usage of each pod, for the scheduler and ``GET /v1.0/usages``.

Placement provides the inventories of hosts, Cinder the capacities of its storage pools. While a service cannot be
read, its last usage stays valid for ``[scheduler] usage_max_age`` seconds.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from trio2o import exception
from trio2o.concurrency import Deadline
from trio2o.db import pod_usages
from trio2o.db.database import utcnow
from trio2o.db.records import PodUsage
from trio2o.pods import usage
from trio2o.pods.endpoints import COMPUTE, PLACEMENT, VOLUME
from trio2o.pods.fanout import ask_all
from trio2o.pods.podapi import PodApi, PodRefused
from trio2o.pods.registry import PodView
from trio2o.pods.usage import Usage
from trio2o.runtime import Runtime
from trio2o.xjob.jobs.base import Task
from trio2o.xjob.parts import pods_of

LOG = logging.getLogger(__name__)

#: First microversion that can leave out hosts with a disabled nova-compute.
_PLACEMENT_VERSION = '1.22'
_VOLUME_VERSION = '3.0'
_ENABLED_HOSTS = '/resource_providers?required=!COMPUTE_STATUS_DISABLED'

#: Seconds for one request. A pod with a thousand hosts gets two thousand requests.
_TIMEOUT = 20.0


class CollectUsage:
    """Payload: that of a part of the pods, see ``parts``."""

    max_seconds = 600.0

    def run(self, task: Task) -> None:
        runtime = task.runtime
        known = runtime.registry.refresh().pods
        pods = [pod for pod in pods_of(task.job.payload, known) if not pod.in_maintenance]
        results = ask_all(
            runtime.pod_threads, pods, lambda pod: read(runtime, pod, task.check), Deadline(self.max_seconds - 60)
        )
        usages = [usage for result in results.values() if isinstance(result, list) for usage in result]
        pod_usages.set_many(runtime.db, usages)
        runtime.registry.refresh()
        task.progress(pods=len(pods), services=len(usages))


def read(runtime: Runtime, pod: PodView, check: Callable[[], None] = lambda: None) -> list[PodUsage]:
    """Read the usage of the services of one pod; those that cannot be read are not in the list.

    :param check: called between requests; may raise to interrupt the work
    """
    usages = []
    for service, source, read_service in ((COMPUTE, PLACEMENT, _compute), (VOLUME, VOLUME, _volume)):
        if source not in pod.endpoints:
            continue
        api = PodApi(runtime.client, runtime.identity, pod, source, _TIMEOUT)
        try:
            found = read_service(api, check)
            if found is not None:
                usages.append(PodUsage(pod.id, service, found.to_json(), found.collected_at))
        except (exception.PodError, exception.ServiceUnavailable, PodRefused) as error:
            LOG.warning('Failed to read %s usage of pod %s: %s', service, pod.name, error)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            LOG.warning('Failed to parse %s usage of pod %s: %r', service, pod.name, error)
    return usages


def _compute(api: PodApi, check: Callable[[], None]) -> Usage:
    # Changes during the read may be missing, so the usage is dated before it.
    now = utcnow()
    return usage.from_placement(now, list(_providers(api, check)))


def _providers(api: PodApi, check: Callable[[], None]) -> Iterator[tuple[Mapping[str, Any], Mapping[str, int]]]:
    """Yield inventories and usages of each resource provider."""
    try:
        document = api.get(_ENABLED_HOSTS, _PLACEMENT_VERSION)
    except PodRefused as error:
        if error.status != 400:
            raise
        # The pod is too old for that trait.
        document = api.get('/resource_providers', _PLACEMENT_VERSION)
    for provider in document['resource_providers']:
        check()
        path = f'/resource_providers/{provider["uuid"]}'
        inventories = api.get(f'{path}/inventories', _PLACEMENT_VERSION)
        used = api.get(f'{path}/usages', _PLACEMENT_VERSION)
        if inventories is not None and used is not None:  # else the provider was just deleted
            yield inventories['inventories'], used['usages']


def _volume(api: PodApi, check: Callable[[], None]) -> Usage | None:
    now = utcnow()
    document = api.get('/scheduler-stats/get_pools?detail=true', _VOLUME_VERSION)
    return usage.from_cinder(now, document['pools'])
