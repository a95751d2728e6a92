# SPDX-License-Identifier: Apache-2.0
"""Submit the jobs that run at intervals.

Every worker does this without coordination: the table of jobs holds when a job ended last, and only one active job of
a type for a resource. Each such job is one row that is run again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from oslo_config import cfg

from trio2o import job_types
from trio2o.db import jobs as db_jobs
from trio2o.db import move_groups
from trio2o.db.database import utcnow
from trio2o.pods.registry import PodView
from trio2o.runtime import Runtime
from trio2o.xjob.jobs.base import is_joining
from trio2o.xjob.parts import ALL, interval, parts

PURGE_SECONDS = 3600.0
#: So long after the job of a move or of a group has ended without an end of these, it is submitted again.
MOVE_SECONDS = 60.0
#: Between two sweeps of what an abandoned move has left.
SWEEP_SECONDS = 600.0


@dataclass(frozen=True)
class PeriodicJob:
    """A job and its interval in seconds; 0 switches it off.

    :ivar done_at: when something else did the work of the job, which has not run yet
    """

    type: str
    resource_key: str
    payload: Any
    seconds: float
    done_at: datetime | None = None

    def is_due(self, ends: Mapping[tuple[str, str], datetime | None], now: datetime) -> bool:
        """
        :param ends: when the last job of each resource ended, by type and resource key; None if one waits or runs
        """
        key = (self.type, self.resource_key)
        if key not in ends:
            return self.done_at is None or self.done_at + timedelta(seconds=self.seconds) <= now
        ended = ends[key]
        return ended is not None and ended + timedelta(seconds=self.seconds) <= now


class Periodic:
    """Submits the jobs that are due."""

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
        """Submit the jobs that are due now. :returns: number of jobs submitted"""
        wanted = [each for each in self._all() if each.seconds > 0]
        # One query: with many pods there are thousands of these jobs, and each worker looks every few seconds.
        ends = db_jobs.last_ends(self._runtime.db, {each.type for each in wanted})
        now = self._clock()
        return sum(self._submit(each, now) for each in wanted if each.is_due(ends, now))

    def _all(self) -> Iterator[PeriodicJob]:
        options = self._options
        pods = [pod for pod in self._runtime.registry.snapshot().pods if not pod.in_maintenance]
        endpoint_seconds = interval(job_types.REFRESH_ENDPOINTS, options.endpoint_interval, len(pods))
        usage_seconds = interval(job_types.COLLECT_USAGE, options.usage_interval, len(pods))
        repair_seconds = interval(job_types.REPAIR_REPLICAS, options.repair_interval, len(pods))
        yield PeriodicJob(job_types.REFRESH_ENDPOINTS, ALL, None, endpoint_seconds)
        for key, payload in parts(len(pods)):
            yield PeriodicJob(job_types.COLLECT_USAGE, key, payload, usage_seconds)
            yield PeriodicJob(job_types.READ_CHANGES, key, payload, options.reconcile_interval)
        yield PeriodicJob(job_types.PURGE_HISTORY, ALL, None, PURGE_SECONDS)
        yield PeriodicJob(job_types.SETTLE_CLAIMS, ALL, None, self._quota.settle_interval)
        yield PeriodicJob(job_types.RECOUNT_QUOTA, ALL, None, self._quota.recount_interval)
        moving = self._runtime.registry.snapshot().moving
        for moves, seconds in ((moving.running, MOVE_SECONDS), (moving.left, SWEEP_SECONDS)):
            for move_id, source_id in moves.items():
                yield PeriodicJob(job_types.RUN_MOVE, move_id, {'move_id': move_id, 'pod_id': source_id}, seconds)
        for group_id in move_groups.running(self._runtime.db):
            yield PeriodicJob(job_types.RUN_MOVE_GROUP, group_id, {'group_id': group_id}, MOVE_SECONDS)
        for pod in pods:
            if is_joining(pod, self._clock()):
                continue
            of_pod = {'pod_id': pod.id}
            yield PeriodicJob(job_types.REPAIR_REPLICAS, pod.id, of_pod, repair_seconds, pod.record.adopted_at)
            if pod.record.reconciled_at is not None:
                # Before that, it is not known which projects have resources in the pod.
                yield PeriodicJob(job_types.RAISE_POD_LIMITS, pod.id, of_pod, self._quota.raise_limits_interval)
            if self._is_to_be_compared(pod):
                yield PeriodicJob(job_types.RECONCILE_ROUTINGS, pod.id, of_pod, options.reconcile_interval)

    def _is_to_be_compared(self, pod: PodView) -> bool:
        """Whether a full comparison of a pod is due. If it fails, it is due until one has reached its end."""
        reconciled, seconds = pod.record.reconciled_at, self._options.full_reconcile_interval
        if reconciled is None:
            return True
        return bool(seconds) and reconciled + timedelta(seconds=seconds) <= self._clock()

    def _submit(self, due: PeriodicJob, now: datetime) -> bool:
        job = db_jobs.submit_again(
            self._runtime.db,
            due.type,
            due.resource_key,
            due.payload,
            due.seconds,
            self._options.max_attempts,
            now,
        )
        return job is not None
