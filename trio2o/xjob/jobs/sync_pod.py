# SPDX-License-Identifier: Apache-2.0
"""Look up the endpoints of a pod, write all replicated objects to it, then submit a job that records its resources."""

from __future__ import annotations

from dataclasses import asdict

from trio2o import job_types
from trio2o.pods.podapi import PodRefused
from trio2o.xjob.jobs.base import Task, TryAgain, pod_of
from trio2o.xjob.jobs.refresh_endpoints import refresh


class SyncPod:
    """Prepare a pod that joins: one that was registered, or was in maintenance.

    Payload: ``{'pod_id': ...}``.
    """

    max_seconds = 3600.0

    def run(self, task: Task) -> None:
        runtime = task.runtime
        pod = pod_of(task)
        if pod.in_maintenance:
            return
        runtime.replicator.limits.raise_default_limits()
        refresh(runtime, {pod: runtime.pod_endpoints.find(pod.name)})
        pod = pod_of(task)
        if not pod.endpoints:
            raise TryAgain(f'Keystone has no endpoints in region {pod.name}')
        try:
            joined = runtime.replicator.pods.join(pod, task.check, is_adopted=pod.record.adopted_at is None)
        except PodRefused as error:
            raise TryAgain(str(error)) from error
        task.progress(**asdict(joined))
        runtime.jobs.submit(job_types.RECONCILE_ROUTINGS, pod.id, {'pod_id': pod.id}, request_id=task.job.request_id)
        if joined.out_of_sync:
            raise TryAgain(f'pod {pod.name} is still out of sync with {joined.out_of_sync} objects')
