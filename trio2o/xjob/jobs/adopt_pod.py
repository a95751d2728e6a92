# SPDX-License-Identifier: Apache-2.0
"""Take in a pod that is full already, or only report what that would come to.

The state of the pod does not matter: an operator asked for it. One in maintenance is not asked by anybody else.
"""

from __future__ import annotations

from trio2o import job_types
from trio2o.xjob.adoption import Adoption
from trio2o.xjob.jobs.base import Task, TryAgain, pod_of
from trio2o.xjob.jobs.refresh_endpoints import refresh


class AdoptPod:
    """``{'pod_id': ..., 'dry_run': whether nothing is to be changed or recorded}``"""

    max_seconds = 6 * 3600.0

    def run(self, task: Task) -> None:
        pod = pod_of(task)
        refresh(task.runtime, [pod])
        pod = pod_of(task)
        if not pod.endpoints:
            raise TryAgain(f'Keystone has no endpoints in region {pod.name}')
        is_dry_run = bool(task.job.payload.get('dry_run'))
        if not is_dry_run:
            task.runtime.replicator.limits.raise_default_limits()
        task.result(Adoption(task, pod, is_dry_run).run())
        if not is_dry_run:
            task.runtime.jobs.submit(
                job_types.RAISE_POD_LIMITS, pod.id, {'pod_id': pod.id}, request_id=task.job.request_id
            )
