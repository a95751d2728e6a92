# SPDX-License-Identifier: Apache-2.0
"""Find out in the pods what became of claims on the quota: of what is deleted, resized or extended, of requests that
no pod answered, and of those whose process died."""

from __future__ import annotations

from trio2o.quota.settle import Settler
from trio2o.xjob.jobs.base import Task

_AT_ONCE = 100


class SettleClaims:
    max_seconds = 600.0

    def run(self, task: Task) -> None:
        settled = 0
        while True:
            some = Settler(task.runtime).settle_due(_AT_ONCE)
            settled += some
            task.progress(settled=settled)
            if some < _AT_ONCE:
                return
