# SPDX-License-Identifier: Apache-2.0
"""Correct the usage counters of the quota: of one project from its pods, or of all projects from their routings.

``reconcile_routings`` compares the routings with the pods, so after both jobs the counters are right whatever went
wrong before.
"""

from __future__ import annotations

import logging

from trio2o import exception
from trio2o.db import quotas
from trio2o.pods.podapi import PodRefused
from trio2o.quota.settle import Recount, Settler
from trio2o.resources import ROUTED, USED_BY
from trio2o.xjob.jobs.base import Task, TryAgain

LOG = logging.getLogger(__name__)


class RecountQuota:
    """Payload: ``{'project_id': ..., 'asks_pods': true}``, or None for all projects, from their routings only."""

    max_seconds = 3600.0

    def run(self, task: Task) -> None:
        payload = task.job.payload or {}
        project_id = payload.get('project_id')
        if project_id:
            if payload.get('asks_pods', True):
                self._recount_in_pods(task, project_id)
            self._correct(task, project_id)
            return
        counted = corrected = 0
        marker = ''
        while page := quotas.projects(task.runtime.db, marker):
            for project_id in page:
                corrected += self._correct(task, project_id)
                counted += 1
            task.progress(projects=counted, corrected=corrected)
            marker = page[-1]

    def _correct(self, task: Task, project_id: str) -> int:
        """Set the counters of a project to the sums of its routings. :returns: number of counters that were wrong"""
        corrected = quotas.recount_project(task.runtime.db, project_id, sorted(USED_BY))
        for name, (before, now) in sorted(corrected.items()):
            LOG.warning('Corrected usage of %s in project %s from %d to %d', name, project_id, before, now)
        return len(corrected)

    def _recount_in_pods(self, task: Task, project_id: str) -> None:
        settler = Settler(task.runtime, check=task.check)
        failures = []
        for pod in task.runtime.registry.refresh().pods:
            task.check()
            if pod.in_maintenance:
                continue
            try:
                # Volumes come before snapshots in ROUTED, as a snapshot counts for the volume type of its volume.
                for resource_type in ROUTED:
                    settler.recount(Recount(pod, resource_type, project_id))
            except (exception.PodError, PodRefused) as error:
                failures.append(str(error))
        for claim in quotas.list_claims(task.runtime.db, project_id=project_id, limit=1000):
            if claim.state != 'open':
                settler.settle(claim)
        if failures:
            self._correct(task, project_id)
            raise TryAgain('; '.join(failures))
