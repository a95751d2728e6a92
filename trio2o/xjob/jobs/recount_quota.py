# SPDX-License-Identifier: Apache-2.0
"""Set the counters of the quota to what there is: for one project out of its pods, for all out of what is recorded.

What is recorded is compared with the pods by ``reconcile_routings``; so what drifted, whatever the reason, is right
again after that and this.
"""

from __future__ import annotations

import logging

from trio2o import exception
from trio2o.db import quotas
from trio2o.pods.podapi import PodRefused
from trio2o.quota.amounts import COUNTS
from trio2o.quota.settle import LISTED, NotNow, Settler, Where
from trio2o.xjob.jobs.base import Task, TryAgain

LOG = logging.getLogger(__name__)


class RecountQuota:
    """``{'project_id': ..., 'asks_pods': true}``, or nothing for all projects, out of what is recorded."""

    max_seconds = 3600.0

    def run(self, task: Task) -> None:
        payload = task.job.payload or {}
        project_id = payload.get('project_id')
        if project_id:
            if payload.get('asks_pods', True):
                self._ask_pods(task, project_id)
            self._recount(task, project_id)
            return
        counted = mended = 0
        marker = ''
        while page := quotas.projects(task.runtime.db, marker):
            for project_id in page:
                mended += self._recount(task, project_id)
                counted += 1
            task.progress(projects=counted, mended=mended)
            marker = page[-1]

    def _recount(self, task: Task, project_id: str) -> int:
        mended = quotas.recount(task.runtime.db, project_id, sorted(COUNTS))
        for name, (before, now) in sorted(mended.items()):
            LOG.warning('project %s uses %d %s, not %d as was counted', project_id, now, name, before)
        return len(mended)

    def _ask_pods(self, task: Task, project_id: str) -> None:
        settler = Settler(task.runtime)
        silent = []
        for pod in task.runtime.registry.refresh().pods:
            task.check()
            if not pod.is_asked:
                continue
            try:
                # Volumes first: snapshots count for the types of theirs.
                for name in LISTED:
                    settler.count(Where(pod, name, project_id))
            except (NotNow, exception.PodError, PodRefused) as error:
                silent.append(str(error))
        for claim in quotas.claims(task.runtime.db, project_id=project_id, limit=1000):
            if claim.state != 'open':
                settler.settle(claim)
        if silent:
            self._recount(task, project_id)
            raise TryAgain('; '.join(silent))
