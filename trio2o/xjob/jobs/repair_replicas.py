# SPDX-License-Identifier: Apache-2.0
"""Bring a pod what must exist everywhere and has not reached it, and mend what drifted there."""

from __future__ import annotations

from trio2o.pods.podapi import PodRefused
from trio2o.replication.adapters.quotas import free_of_limits
from trio2o.xjob.jobs.base import Task, TryAgain, pod_of


class RepairReplicas:
    """``{'pod_id': ...}``"""

    max_seconds = 1800.0

    def run(self, task: Task) -> None:
        pod = pod_of(task)
        if not pod.is_asked:
            return  # it is brought there when its maintenance is over
        # What is counted may be more than when the pods joined.
        free_of_limits(task.runtime.sync, task.runtime.identity.project_id())
        try:
            repaired = task.runtime.sync.repair(pod, task.check)
        except PodRefused as error:
            raise TryAgain(str(error)) from error
        task.progress(
            mended=repaired.mended,
            behind=repaired.behind,
            failed=repaired.failed,
            imported=repaired.imported,
        )
        if repaired.behind:
            raise TryAgain(f'pod {pod.name} is still behind with {repaired.behind} objects')
