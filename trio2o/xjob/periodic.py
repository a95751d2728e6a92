# SPDX-License-Identifier: Apache-2.0
"""What has to be done again and again: submitted as jobs when it was last asked for long enough ago.

Every worker does this, and none minds the others: the table tells when it ended last, and takes a job for one
resource only once. Such a job is one row that is run again and again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from oslo_config import cfg

from trio2o import job_types
from trio2o.db import jobs as db_jobs
from trio2o.db.session import utcnow
from trio2o.runtime import Runtime

#: Key of a job that is about all pods.
ALL = 'all'

PURGE_SECONDS = 3600.0


@dataclass(frozen=True)
class Due:
    """A job to be submitted every so many seconds."""

    type: str
    resource_key: str
    payload: Any
    seconds: float


class Periodic:
    """Submits what is due."""

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        runtime: Runtime,
        clock: Callable[[], datetime] = utcnow,
    ) -> None:
        self._options = conf.xjob
        self._quota = conf.quota
        self._runtime = runtime
        self._clock = clock

    def tick(self) -> int:
        """Submit what is due now. :returns: how many jobs that were"""
        submitted = 0
        for due in self._all():
            if due.seconds > 0 and self._submit(due):
                submitted += 1
        return submitted

    def _all(self) -> Iterator[Due]:
        options = self._options
        yield Due(job_types.REFRESH_ENDPOINTS, ALL, None, options.endpoint_interval)
        yield Due(job_types.COLLECT_USAGE, ALL, None, options.usage_interval)
        yield Due(job_types.PURGE_HISTORY, ALL, None, PURGE_SECONDS)
        yield Due(job_types.SETTLE_CLAIMS, ALL, None, self._quota.settle_interval)
        yield Due(job_types.RECOUNT_QUOTA, ALL, None, self._quota.recount_interval)
        for pod in self._runtime.registry.snapshot().pods:
            if pod.is_asked:
                payload = {'pod_id': pod.id}
                yield Due(job_types.REPAIR_REPLICAS, pod.id, payload, options.repair_interval)
                yield Due(job_types.RECONCILE_ROUTINGS, pod.id, payload, options.reconcile_interval)
                yield Due(job_types.RAISE_POD_LIMITS, pod.id, payload, self._quota.raise_limits_interval)

    def _submit(self, due: Due) -> bool:
        job = db_jobs.submit_again(
            self._runtime.db,
            due.type,
            due.resource_key,
            due.payload,
            due.seconds,
            self._options.max_attempts,
            self._clock(),
        )
        return job is not None
