# SPDX-License-Identifier: Apache-2.0
"""Find out what a write made of an object in the pod it went to first, and bring that to the others.

For writes whose pod could not be asked right afterwards, or that were never answered.
"""

from __future__ import annotations

from trio2o.pods.podapi import PodRefused
from trio2o.xjob.jobs.base import Task, TryAgain, pod_of


class RecordWrite:
    """``{'kind': ..., 'key': ..., 'pod_id': ..., 'generation': what was recorded before}``"""

    max_seconds = 600.0

    def run(self, task: Task) -> None:
        pod = pod_of(task)
        payload = task.job.payload
        try:
            task.runtime.sync.record_late(payload['kind'], payload['key'], pod, payload['generation'])
        except PodRefused as error:
            raise TryAgain(str(error)) from error
