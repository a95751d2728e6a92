# SPDX-License-Identifier: Apache-2.0
"""Take a pod in: find its endpoints, give and take what must be the same everywhere, then its resources."""

from __future__ import annotations

from trio2o.pods.podapi import PodRefused
from trio2o.replication.adapters.quotas import free_of_limits
from trio2o.xjob.jobs.base import Task, TryAgain, pod_of
from trio2o.xjob.jobs.refresh_endpoints import refresh


class SyncPod:
    """``{'pod_id': ...}``"""

    max_seconds = 3600.0

    def run(self, task: Task) -> None:
        runtime = task.runtime
        pod = pod_of(task)
        if not pod.is_asked:
            return
        free_of_limits(runtime.sync, runtime.identity.project_id())
        refresh(runtime, [pod])
        pod = pod_of(task)
        if not pod.endpoints:
            raise TryAgain(f'Keystone has no endpoints in region {pod.name}')
        try:
            joined = runtime.sync.join(pod, task.check)
        except PodRefused as error:
            raise TryAgain(str(error)) from error
        task.progress(
            imported=joined.imported,
            mended=joined.mended,
            behind=joined.behind,
            failed=joined.failed,
        )
        runtime.jobs.submit('reconcile_routings', pod.id, {'pod_id': pod.id}, request_id=task.job.request_id)
        if joined.behind:
            raise TryAgain(f'pod {pod.name} is still behind with {joined.behind} objects')
