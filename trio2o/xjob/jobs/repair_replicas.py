# SPDX-License-Identifier: Apache-2.0
"""Write the replicated objects that are out of sync to a pod, and repair drift."""

from __future__ import annotations

import time
from dataclasses import asdict

from trio2o import job_types
from trio2o.db.database import utcnow
from trio2o.pods.podapi import PodRefused
from trio2o.xjob.jobs.base import Task, TryAgain, is_joining, pod_of
from trio2o.xjob.parts import interval


class RepairReplicas:
    """Repair the replicas of one pod.

    Payload: ``pod_id``, and ``created_kind`` after a create of that kind with an unknown outcome.
    """

    max_seconds = 1800.0

    def run(self, task: Task) -> None:
        pod = pod_of(task)
        if pod.in_maintenance or is_joining(pod, utcnow()):
            return  # the job ``sync_pod`` repairs it when its maintenance is over, or when it joins
        # A new version of Trio2o may count more resources than when the pods joined.
        task.runtime.replicator.limits.raise_default_limits()
        # Without a record of the last turn: a job of a request, and one that is late, compare those of their time.
        seconds = interval(
            job_types.REPAIR_REPLICAS,
            task.runtime.conf.xjob.repair_interval,
            len(task.runtime.registry.snapshot().pods),
        )
        turn = int(time.time() // max(seconds, 1.0))
        created_kind = task.job.payload.get('created_kind')
        try:
            result = task.runtime.replicator.pods.repair(pod, task.check, created_kind, turn)
        except PodRefused as error:
            raise TryAgain(str(error)) from error
        task.progress(**asdict(result))
        if result.out_of_sync:
            raise TryAgain(f'pod {pod.name} is still out of sync with {result.out_of_sync} objects')
