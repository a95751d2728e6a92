# SPDX-License-Identifier: Apache-2.0
"""Delete the copies of server groups that a pod still has because it was unreachable when the groups were deleted."""

from __future__ import annotations

from trio2o.db import server_group_copies
from trio2o.db.records import ServerGroupCopy
from trio2o.db.session import utcnow
from trio2o.pods.podapi import PodApi, PodRefused
from trio2o.resources import SERVER_GROUP
from trio2o.xjob.jobs.base import Task, TryAgain, pod_of

_VERSION = '2.1'


class DeleteServerGroupCopies:
    """``{'pod_id': ...}``"""

    max_seconds = 600.0

    def run(self, task: Task) -> None:
        pod = pod_of(task)
        if pod.in_maintenance:
            raise TryAgain(f'pod {pod.name} is in maintenance')
        api = PodApi(task.runtime.client, task.runtime.identity, pod, SERVER_GROUP.service)
        deleted = 0
        for copy in server_group_copies.list_deleting(task.runtime.db, pod.id):
            if self._delete(api, copy):
                server_group_copies.delete(task.runtime.db, copy.id)
                deleted += 1
            task.progress(deleted=deleted)

    def _delete(self, api: PodApi, copy: ServerGroupCopy) -> bool:
        if copy.bottom_id is None:
            # The request that is making the copy will delete it. Only if that request died is the record stale.
            return copy.busy_until is None or copy.busy_until < utcnow()
        try:
            api.send('DELETE', f'{SERVER_GROUP.path}/{copy.bottom_id}', _VERSION)
        except PodRefused as error:
            if error.status != 404:
                raise TryAgain(str(error)) from error
        return True
