# SPDX-License-Identifier: Apache-2.0
"""Determine the outcome of a write to a replicated object in its first pod, and bring it to the other pods.

For writes that were not answered, or whose pod could not be read afterwards.
"""

from __future__ import annotations

from trio2o.pods.podapi import PodRefused
from trio2o.xjob.jobs.base import Task, TryAgain, pod_of


class RecordWrite:
    """Payload: ``{'kind': ..., 'key': ..., 'pod_id': ..., 'generation': the generation before the write}``."""

    max_seconds = 600.0

    def run(self, task: Task) -> None:
        pod = pod_of(task)
        payload = task.job.payload
        try:
            task.runtime.replicator.writes.finish(payload['kind'], payload['key'], pod, payload['generation'])
        except PodRefused as error:
            raise TryAgain(str(error)) from error
