# SPDX-License-Identifier: Apache-2.0
"""Carry out a group of moves. A run ends when the group has to wait for its moves."""

from __future__ import annotations

from trio2o.moves.groups.conductor import Conductor
from trio2o.xjob.jobs.base import Later, Task


class RunMoveGroup:
    """Payload: ``{'group_id': ...}``."""

    max_seconds = 3600.0

    def run(self, task: Task) -> None:
        pause = Conductor(task.runtime, task.job.payload['group_id'], task.check).advance()
        if pause is not None:
            raise Later(pause)
