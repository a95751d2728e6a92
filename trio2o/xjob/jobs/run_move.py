# SPDX-License-Identifier: Apache-2.0
"""Carry out a move of a resource from one pod to another. A run ends when the move has to wait for a pod."""

from __future__ import annotations

from trio2o.moves.engine import Engine
from trio2o.xjob.jobs.base import Later, Task


class RunMove:
    """Payload: ``{'move_id': ..., 'pod_id': id of the source}``."""

    max_seconds = 3600.0

    def run(self, task: Task) -> None:
        pause = Engine(task.runtime, task.job.payload['move_id'], task.check).advance()
        if pause is not None:
            raise Later(pause)
