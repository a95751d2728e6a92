# SPDX-License-Identifier: Apache-2.0
"""Set a pod's own limits to unlimited for resources that Trio2o counts over all pods.

Such a limit makes the pod refuse what the quota of Trio2o allows. An operator set it in the pod by hand, or the pod
had it before it was registered; the default quota class and quotas set through Trio2o are replicated and already
right. The job checks users who own resources in the pod or have a limit in Trio2o, as a pod does not list the users it
has limits for.
"""

from __future__ import annotations

import logging

from trio2o.db import bindings, quotas, routings
from trio2o.pods.podapi import PodRefused
from trio2o.pods.registry import PodView
from trio2o.xjob.jobs.base import Task, TryAgain, pod_of

LOG = logging.getLogger(__name__)


class RaisePodLimits:
    """Payload: ``{'pod_id': ..., 'project_id': ..., 'user_id': ...}``.

    Without ``project_id`` the job checks every project that is bound to the pod or has resources in it.
    """

    max_seconds = 3600.0

    def run(self, task: Task) -> None:
        pod = pod_of(task)
        if pod.in_maintenance or not task.runtime.conf.quota.raise_limits_interval:
            return
        payload = task.job.payload
        projects = [payload['project_id']] if payload.get('project_id') else _projects(task, pod)
        raised: dict[str, dict[str, int]] = {}
        for done, project_id in enumerate(projects):
            task.check()
            users = _users(task, pod, project_id) | ({payload['user_id']} if payload.get('user_id') else set())
            try:
                raised |= task.runtime.replicator.limits.raise_limits(pod, project_id, sorted(users))
            except PodRefused as error:
                raise TryAgain(str(error)) from error
            task.progress(projects=done + 1, raised=len(raised))
        task.result({'raised': raised})


def _projects(task: Task, pod: PodView) -> list[str]:
    """List the projects that are bound to a pod or have resources in it."""
    db = task.runtime.db
    bound = bindings.list_(db, filters={'pod_id': pod.id, 'ended_at': None})
    counts = routings.count_by_project(db, pod.id)
    return sorted({binding.tenant_id for binding in bound} | {project_id for project_id, _type, _count in counts})


def _users(task: Task, pod: PodView, project_id: str) -> set[str]:
    db = task.runtime.db
    return routings.users_of_project(db, pod.id, project_id) | set(quotas.get_limits_of_users(db, project_id))
