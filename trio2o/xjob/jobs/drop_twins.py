# SPDX-License-Identifier: Apache-2.0
"""Delete the twins in a pod of what was deleted while the pod was away."""

from __future__ import annotations

from trio2o.db import server_group_copies
from trio2o.db.records import Twin
from trio2o.db.session import utcnow
from trio2o.pods.podapi import PodApi, PodRefused
from trio2o.resources import SERVER_GROUP
from trio2o.xjob.jobs.base import Task, TryAgain, pod_of

_KINDS = {SERVER_GROUP.type: SERVER_GROUP}
_VERSION = '2.1'


class DropTwins:
    """``{'pod_id': ...}``"""

    max_seconds = 600.0

    def run(self, task: Task) -> None:
        pod = pod_of(task)
        if not pod.is_asked:
            raise TryAgain(f'pod {pod.name} is in maintenance')
        gone = 0
        for twin in server_group_copies.ending(task.runtime.db, pod.id):
            kind = _KINDS[twin.resource_type]
            api = PodApi(task.runtime.client, task.runtime.identity, pod, kind.service)
            if self._drop(api, kind.path, twin):
                server_group_copies.drop(task.runtime.db, twin.id)
                gone += 1
            task.progress(gone=gone)

    def _drop(self, api: PodApi, path: str, twin: Twin) -> bool:
        if twin.bottom_id is None:
            # Somebody is making it, who will see that it has to go; or was.
            return twin.busy_until is None or twin.busy_until < utcnow()
        try:
            api.send('DELETE', f'{path}/{twin.bottom_id}', _VERSION)
        except PodRefused as error:
            if error.status != 404:
                raise TryAgain(str(error)) from error
        return True
