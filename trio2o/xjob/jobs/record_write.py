# SPDX-License-Identifier: Apache-2.0
"""Determine the outcome of a write to a replicated object in its first pod, and bring it to the other pods.

For writes that were not answered, or whose pod could not be read afterwards.
"""

from __future__ import annotations

from trio2o.pods.podapi import PodRefused
from trio2o.replication.request_writes import Prepared
from trio2o.xjob.jobs.base import Task, TryAgain, pod_of


class RecordWrite:
    """Payload: ``kind``, ``key``, ``pod_id``, ``generation``, ``desired``, ``sent``, ``is_delete`` and ``is_done``.

    ``generation`` and ``desired``, the desired attributes, are those of the object before the write. ``sent`` are the
    attributes that the request gave it. Only a write that deletes the object may end with a pod that does not have it:
    else the job fails and is retried, and the other pods keep the object.
    """

    max_seconds = 600.0

    def run(self, task: Task) -> None:
        pod = pod_of(task)
        payload = task.job.payload
        try:
            task.runtime.replicator.writes.finish(
                payload['kind'],
                payload['key'],
                pod,
                Prepared(payload['generation'], payload.get('desired'), sent=payload.get('sent') or {}),
                is_delete=payload.get('is_delete', False),
                is_done=payload.get('is_done', False),
            )
        except PodRefused as error:
            raise TryAgain(str(error)) from error
