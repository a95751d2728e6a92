# SPDX-License-Identifier: Apache-2.0
"""Lift limits of a pod's own on what is counted over all pods, so that the pod refuses nothing that is allowed.

The default class is the same everywhere, as are quotas that were set at the top; what is found here was set in the
pod by hand, or before it came here. Of users those are looked at that have something there, or limits at the top: a
pod does not tell which users it has limits for.
"""

from __future__ import annotations

import logging

from trio2o.db import bindings, quotas, routings
from trio2o.pods.podapi import PodRefused
from trio2o.pods.registry import PodView
from trio2o.xjob.jobs.base import Task, TryAgain, pod_of

LOG = logging.getLogger(__name__)


class LiftLimits:
    """``{'pod_id': ..., 'project_id': ..., 'user_id': ...}``; without a project, all that have something there."""

    max_seconds = 3600.0

    def run(self, task: Task) -> None:
        pod = pod_of(task)
        if not pod.is_asked or not task.runtime.conf.quota.lift_interval:
            return
        payload = task.job.payload
        projects = [payload['project_id']] if payload.get('project_id') else _projects(task, pod)
        lifted: dict[str, dict[str, int]] = {}
        for done, project_id in enumerate(projects):
            task.check()
            users = _users(task, pod, project_id) | ({payload['user_id']} if payload.get('user_id') else set())
            try:
                lifted |= task.runtime.sync.lift(pod, project_id, sorted(users))
            except PodRefused as error:
                raise TryAgain(str(error)) from error
            task.progress(projects=done + 1, lifted=len(lifted))
        task.result({'lifted': lifted})


def _projects(task: Task, pod: PodView) -> list[str]:
    """Those that are bound to a pod, or have something in it."""
    db = task.runtime.db
    bound = bindings.list_(db, filters={'pod_id': pod.id, 'ended_at': None})
    there = routings.count_by_project(db, pod.id)
    return sorted({binding.tenant_id for binding in bound} | {project_id for project_id, _kind, _count in there})


def _users(task: Task, pod: PodView, project_id: str) -> set[str]:
    db = task.runtime.db
    return routings.users_of_project(db, pod.id, project_id) | set(quotas.limits_of_users(db, project_id))
