# SPDX-License-Identifier: Apache-2.0
"""Leave one server of the two that a reschedule makes, if the process that reschedules it has ended in between."""

from __future__ import annotations

from datetime import timedelta

from trio2o.db import moved_resources, routings
from trio2o.db.database import utcnow
from trio2o.db.records import Routing
from trio2o.pods.podapi import PodApi, PodRefused
from trio2o.pods.registry import PodView
from trio2o.resources import SERVER, Item, is_resource_id
from trio2o.routing.inventory import Inventory, match_routings, new_routing
from trio2o.routing.reschedules import CLOCKS_DIFFER, Reschedule, had_no_valid_host
from trio2o.xjob.jobs.base import Task, TryAgain, pod_of

_VERSION = '2.1'
#: So long after the last answer could come, a pod may still make the server.
_LATE = timedelta(seconds=60)


class SettleReschedule:
    """Payload: see ``Reschedule``. The job is submitted before the create is sent to the pod.

    While the tenant's id leads to the failed server, the job looks for the new one in the pod and lets the id lead to
    it. Then it deletes the failed server.
    """

    max_seconds = 600.0

    def run(self, task: Task) -> None:
        pod, begun = pod_of(task), Reschedule.from_payload(task.job.payload)
        routing = routings.get(task.runtime.db, SERVER.type, begun.top_id)
        if routing is not None and not _leads_to_failed(routing, begun):
            self._delete_failed(task, begun)
            return
        new = self._find(task, pod, begun)
        options = task.runtime.conf.pods
        if new is None:
            age = utcnow() - begun.since
            if age <= timedelta(seconds=options.read_timeout) + _LATE:
                task.run_again(task.job.payload, max(1.0, age.total_seconds()))
            return
        if routing is not None and routing.is_live and self._failed(task, begun) is not None:
            self._move(task, begun, new['id'])
            task.run_again(task.job.payload, _seconds_until_known(task))
            return
        # The tenant deleted or rebuilt the server that failed. The new one is recognized by its name only, so it is
        # not deleted: it may be of another request that got no answer.
        routings.record_many(task.runtime.db, [new_routing(task.runtime.db, SERVER, pod.id, new, begun.project_id)])

    def _find(self, task: Task, pod: PodView, begun: Reschedule) -> Item | None:
        """Return the oldest server that may be the new one and has no routing.

        :raises PodError: the pod did not answer
        """
        inventory = _inventory(task, pod, begun)
        try:
            found = [
                item
                for page in inventory.pages_since(begun.since - CLOCKS_DIFFER)
                for item in page
                if is_resource_id(item['id']) and begun.may_have_made(item)
            ]
        except PodRefused as error:
            raise TryAgain(str(error)) from error
        recorded = match_routings(task.runtime.db, SERVER.type, pod.id, [item['id'] for item in found])
        unrecorded = [item for item in found if item['id'] not in recorded]
        return min(unrecorded, key=lambda item: str(item.get(SERVER.created)), default=None)

    def _failed(self, task: Task, begun: Reschedule) -> Item | None:
        """Return the failed server; None if it is gone or was built since.

        :raises PodError: its pod did not answer
        """
        pod = _old_pod(task, begun)
        try:
            server = _inventory(task, pod, begun).show(begun.old_bottom_id) if pod is not None else None
        except PodRefused as error:
            raise TryAgain(str(error)) from error
        return server if server is not None and had_no_valid_host(server) else None

    def _move(self, task: Task, begun: Reschedule, bottom_id: str) -> None:
        """Let the tenant's id lead to the new server."""
        source, target = (begun.old_pod_id, begun.old_bottom_id), (begun.pod_id, bottom_id)
        if not moved_resources.move(task.runtime.db, SERVER.type, begun.top_id, source, target):
            raise TryAgain(f'the routing of server {begun.top_id} has changed')
        task.runtime.registry.refresh()
        task.runtime.locator.forget(SERVER.type, begun.top_id)
        task.runtime.locator.forget(SERVER.type, bottom_id)
        task.progress(server=begun.top_id, pod_id=begun.pod_id, bottom_id=bottom_id)

    def _delete_failed(self, task: Task, begun: Reschedule) -> None:
        """Delete the failed server, once every process knows that the tenant's id leads to another one."""
        moved_at = moved_resources.moved_at(task.runtime.db, SERVER.type, begun.top_id)
        seconds = _seconds_until_known(task)
        if moved_at is not None and moved_at + timedelta(seconds=seconds) > utcnow():
            task.run_again(task.job.payload, seconds)
            return
        pod = _old_pod(task, begun)
        if pod is None or self._failed(task, begun) is None:
            return
        try:
            PodApi(task.runtime.client, task.runtime.identity, pod, SERVER.service).send(
                'DELETE', f'{SERVER.path}/{begun.old_bottom_id}', _VERSION
            )
        except PodRefused as error:
            if error.status != 404:
                raise TryAgain(str(error)) from error


def _leads_to_failed(routing: Routing, begun: Reschedule) -> bool:
    return (routing.pod_id, routing.bottom_id) == (begun.old_pod_id, begun.old_bottom_id)


def _seconds_until_known(task: Task) -> float:
    """Return how long other processes may still use a routing that has changed."""
    return float(2 * task.runtime.conf.pods.refresh_seconds + 1)


def _old_pod(task: Task, begun: Reschedule) -> PodView | None:
    """Return the pod where the server failed; None if it is no longer registered.

    :raises TryAgain: it is in maintenance
    """
    pod = task.runtime.registry.snapshot().by_id.get(begun.old_pod_id)
    if pod is not None and pod.in_maintenance:
        raise TryAgain(f'pod {pod.name} is in maintenance')
    return pod


def _inventory(task: Task, pod: PodView, begun: Reschedule) -> Inventory:
    return Inventory(task.runtime, pod, SERVER, begun.project_id, task.check)
