# SPDX-License-Identifier: Apache-2.0
"""Delete the copies of deleted server groups that a pod still has, and find those that it made without an answer."""

from __future__ import annotations

from datetime import timedelta

from trio2o.db import server_group_copies
from trio2o.db.database import utcnow
from trio2o.pods.podapi import PodApi, PodRefused
from trio2o.resources import SERVER_GROUP
from trio2o.routing import pod_lists, unanswered_copies
from trio2o.xjob.jobs.base import Task, TryAgain, pod_of

_VERSION = '2.1'
#: So long after the last request a pod may still make a copy.
_LATE = timedelta(seconds=60)


class DeleteServerGroupCopies:
    """``{'pod_id': ...}``"""

    max_seconds = 600.0

    def run(self, task: Task) -> None:
        pod = pod_of(task)
        if pod.in_maintenance:
            raise TryAgain(f'pod {pod.name} is in maintenance')
        api = PodApi(task.runtime.client, task.runtime.identity, pod, SERVER_GROUP.service)
        are_left = self._find_unanswered(task, api)
        deleted = 0
        for copy in server_group_copies.list_deleting(task.runtime.db, pod.id):
            if copy.bottom_id is not None:
                self._delete(api, copy.bottom_id)
                server_group_copies.delete(task.runtime.db, copy.id)
                deleted += 1
            task.progress(deleted=deleted)
        if are_left:
            raise TryAgain(f'pod {pod.name} may still make a copy of a server group')

    def _find_unanswered(self, task: Task, api: PodApi) -> bool:
        """Record the ids of copies that the pod made without an answer.

        :returns: whether the pod may still make such copies
        """
        db, now = task.runtime.db, utcnow()
        copies = [
            copy
            for copy in server_group_copies.list_without_id(db, [api.pod.id])
            if copy.busy_until is None or copy.busy_until <= now
        ]
        if not copies:
            return False
        pages = pod_lists.pages(db, api, SERVER_GROUP, has_copies=True)
        try:
            found = unanswered_copies.find(db, copies, [group for page in pages for group in page])
        except PodRefused as error:
            raise TryAgain(str(error)) from error
        is_left = False
        for copy in copies:
            bottom_id = found.get(copy.id)
            if bottom_id is not None and copy.state == 'making':
                server_group_copies.record_made(db, copy.id, bottom_id)
            elif bottom_id is not None:
                server_group_copies.record_deleting(db, copy.id, bottom_id)
            elif copy.busy_until is None or copy.busy_until + _LATE <= now:
                server_group_copies.delete_without_id(db, copy)
            else:
                is_left = True
        return is_left

    def _delete(self, api: PodApi, bottom_id: str) -> None:
        try:
            api.send('DELETE', f'{SERVER_GROUP.path}/{bottom_id}', _VERSION)
        except PodRefused as error:
            if error.status != 404:
                raise TryAgain(str(error)) from error
