# SPDX-License-Identifier: Apache-2.0
"""Delete the resources that a deleted project still has in the pods, at the request of an operator.

The job uses Trio2o's own identity and refuses to run while Keystone still has the project. It deletes only resources
that the pod itself shows as the project's.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from trio2o.db import bindings, quotas, replicas, routings
from trio2o.db.database import utcnow
from trio2o.db.records import LIVE_STATES
from trio2o.pods.podapi import PodApi, PodRefused
from trio2o.pods.registry import PodView
from trio2o.quota.usage import VERSIONS
from trio2o.replication.kinds import LIMITS_OF_PROJECTS, project_of_limits
from trio2o.resources import (
    BACKUP,
    GROUP,
    GROUP_SNAPSHOT,
    SERVER,
    SERVER_GROUP,
    SNAPSHOT,
    TRANSFER,
    VOLUME,
    Item,
    Resource,
)
from trio2o.routing import pod_lists
from trio2o.routing.inventory import Inventory
from trio2o.xjob.jobs.base import GiveUp, Task, TryAgain

LOG = logging.getLogger(__name__)

#: Deleted in this order, as a resource must be deleted before those it uses.
RESOURCES: tuple[Resource, ...] = (
    SERVER,
    SERVER_GROUP,
    TRANSFER,
    GROUP_SNAPSHOT,
    GROUP,
    BACKUP,
    SNAPSHOT,
    VOLUME,
)

#: Seconds between two reads of the pod's list: at first, and at most.
FIRST_WAIT_SECONDS, MAX_WAIT_SECONDS = 0.1, 2.0
#: Give up after this many reads in which no resource disappeared.
_MAX_READS = 30

_BEING_DELETED = frozenset({'deleting', 'DELETED', 'SOFT_DELETED'})
_MAX_REASONS = 100


class EmptyProject:
    """Payload: ``{'project_id': ..., 'dry_run': ...}``. A dry run only lists the resources."""

    max_seconds = 6 * 3600.0

    def run(self, task: Task) -> None:
        runtime, project_id = task.runtime, task.job.payload['project_id']
        if runtime.identity.has_project(project_id):
            raise GiveUp(f'Keystone still has the project {project_id}')
        pods = runtime.registry.refresh().pods
        work = _Emptying(task, project_id, bool(task.job.payload.get('dry_run')))
        for resource in RESOURCES:
            for pod in pods:
                if not pod.in_maintenance and resource.service in pod.endpoints:
                    work.empty(pod, resource)
        task.result(work.json)
        if work.is_dry_run:
            return
        in_maintenance = [pod.name for pod in pods if pod.in_maintenance and _has_routings(task, pod, project_id)]
        if in_maintenance:
            raise TryAgain(f'the project has resources in pods in maintenance: {", ".join(in_maintenance)}')
        if work.left:
            raise TryAgain(f'pods did not delete all resources: {"; ".join(work.reasons) or work.left}')
        for binding in bindings.current(runtime.db, project_id):
            bindings.end(runtime.db, binding.id)
        _drop_limits(task, project_id)


def _drop_limits(task: Task, project_id: str) -> None:
    """Delete the limits of the project and of its users, here and in the pods."""
    runtime = task.runtime
    quotas.delete_limits(runtime.db, project_id, '')
    for kind in LIMITS_OF_PROJECTS:
        for obj in replicas.list_objects(runtime.db, kind):
            if project_of_limits(obj.key) == project_id:
                runtime.replicator.desired.delete(kind, obj.key, task.job.request_id)


def _has_routings(task: Task, pod: PodView, project_id: str) -> bool:
    filters = {'pod_id': pod.id, 'project_id': project_id, 'state': LIVE_STATES}
    return bool(routings.list_(task.runtime.db, filters=filters, limit=1))


@dataclass
class _Emptying:
    """One run of the job.

    :ivar deleted: number of resources deleted, by pod and collection
    :ivar found: ids of the resources that a dry run lists, by pod and collection
    :ivar left: ids of the resources that a pod did not delete, by pod and collection
    :ivar reasons: why it did not
    """

    task: Task
    project_id: str
    is_dry_run: bool
    deleted: dict[str, dict[str, int]] = field(default_factory=dict)
    found: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    left: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)

    @property
    def json(self) -> dict[str, Any]:
        if self.is_dry_run:
            return {'dry_run': True, 'found': self.found}
        return {'dry_run': False, 'deleted': self.deleted, 'left': self.left, 'reasons': self.reasons}

    def empty(self, pod: PodView, resource: Resource) -> None:
        """Delete the project's resources of a type in a pod, and end their routings once they are gone."""
        runtime = self.task.runtime
        api = PodApi(runtime.client, runtime.identity, pod, resource.service)
        started = utcnow()
        before = {item['id']: item for item in self._owned(api, resource)}
        if self.is_dry_run:
            if before:
                self.found.setdefault(pod.name, {})[resource.collection] = sorted(before)
            return
        if before:
            self._delete_all(api, resource, before)
        left = self.left.get(pod.name, {}).get(resource.collection, [])
        inventory = Inventory(runtime, pod, resource, self.project_id, self.task.check)
        inventory.end_missing(left, started, may_be_many=True)

    def _delete_all(self, api: PodApi, resource: Resource, before: dict[str, Item]) -> None:
        """Delete resources until the pod's list is without them, or the pod refuses."""
        pod = api.pod
        rest, reads, pause = before, 0, FIRST_WAIT_SECONDS
        refused: dict[str, str] = {}
        while rest and reads < _MAX_READS:
            for item_id, item in rest.items():
                if refused.get(item_id) != '':
                    refused[item_id] = self._delete(api, resource, item)
            self.deleted.setdefault(pod.name, {})[resource.collection] = len(before) - len(rest)
            self.task.progress(**self.json)
            self.task.wait(pause)
            pause = min(MAX_WAIT_SECONDS, pause * 2)
            now = {item['id']: item for item in self._owned(api, resource)}
            before |= now
            reads = reads + 1 if now.keys() == rest.keys() else 0
            rest = now
            if rest and all(refused.get(item_id) for item_id in rest):
                break
        self.deleted.setdefault(pod.name, {})[resource.collection] = len(before) - len(rest)
        if rest:
            self.left.setdefault(pod.name, {})[resource.collection] = sorted(rest)
            why = [
                f'{resource.type} {item_id} in pod {pod.name}: {refused.get(item_id) or "not deleted"}'
                for item_id in rest
            ]
            self.reasons = [*self.reasons, *why][:_MAX_REASONS]
        self.task.progress(**self.json)

    def _owned(self, api: PodApi, resource: Resource) -> Iterator[Item]:
        """Yield the resources that the pod shows as the project's, copies of server groups among them."""
        db = self.task.runtime.db
        for page in pod_lists.pages(db, api, resource, has_copies=True, project_id=self.project_id):
            self.task.check()
            for item in page:
                if resource.owner_of(item, '') == self.project_id and item.get('status') != 'DELETED':
                    yield item

    def _delete(self, api: PodApi, resource: Resource, item: Item) -> str:
        """Ask the pod to delete a resource. :returns: why the pod refuses; empty if it does not"""
        if item.get('status') in _BEING_DELETED and resource is not SERVER:
            return ''
        path = f'{resource.path}/{quote(item["id"], safe="")}'
        version = VERSIONS[resource.service]
        try:
            if resource is GROUP:
                api.send('POST', f'{path}/action', version, {'delete': {'delete-volumes': True}})
            elif item.get('status') == 'SOFT_DELETED':
                api.send('POST', f'{path}/action', version, {'forceDelete': None})
            else:
                api.send('DELETE', path, version)
        except PodRefused as error:
            if error.status == 404:
                return ''
            LOG.warning('Failed to delete %s %s in pod %s: %s', resource.type, item['id'], api.pod.name, error.text)
            return error.text
        LOG.info('Deleting %s %s of project %s in pod %s', resource.type, item['id'], self.project_id, api.pod.name)
        return ''
