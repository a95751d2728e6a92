# SPDX-License-Identifier: Apache-2.0
"""Settle the quota claims that are due.

These are the claims on resources that are being deleted, resized or extended, of requests with an unknown outcome, and
of requests whose process died.
"""

from __future__ import annotations

from trio2o.quota.settle import Settler
from trio2o.xjob.jobs.base import Task

_BATCH = 100


class SettleClaims:
    max_seconds = 600.0

    def run(self, task: Task) -> None:
        settled = 0
        while True:
            batch = Settler(task.runtime, check=task.check).settle_due(_BATCH)
            settled += batch
            task.progress(settled=settled)
            if batch < _BATCH:
                return
