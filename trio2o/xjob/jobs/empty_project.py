# SPDX-License-Identifier: Apache-2.0
"""Delete what is left in all pods of a project that Keystone has no more; only when an operator orders it.

With Trio2o's own identity, and never while Keystone still has the project. Each thing is deleted only where the pod
itself shows that it is the project's.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from trio2o.db import bindings, routings
from trio2o.pods.podapi import PodApi, PodRefused
from trio2o.pods.registry import PodView
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
from trio2o.xjob.jobs.base import GiveUp, Task, TryAgain

LOG = logging.getLogger(__name__)

#: What uses others goes before them.
KINDS: tuple[Resource, ...] = (
    SERVER,
    SERVER_GROUP,
    TRANSFER,
    GROUP_SNAPSHOT,
    GROUP,
    BACKUP,
    SNAPSHOT,
    VOLUME,
)

#: Versions whose lists show the owner of everything.
VERSIONS = {'compute': '2.47', 'volume': '3.65'}

#: Seconds between two looks at what is still there, and how many of them without any change are enough.
FIRST_LOOK_SECONDS, LOOK_SECONDS = 0.1, 2.0
_PATIENCE = 30

_PAGE = 500
_ON_ITS_WAY = frozenset({'deleting', 'DELETED', 'SOFT_DELETED'})
_MOST_REASONS = 100


class EmptyProject:
    """``{'project_id': ..., 'dry_run': whether it is only listed}``"""

    max_seconds = 6 * 3600.0

    def run(self, task: Task) -> None:
        runtime, project_id = task.runtime, task.job.payload['project_id']
        if runtime.identity.has_project(project_id):
            raise GiveUp(f'Keystone still has the project {project_id}')
        pods = runtime.registry.refresh().pods
        work = _Emptying(task, project_id, bool(task.job.payload.get('dry_run')))
        for resource in KINDS:
            for pod in pods:
                if pod.is_asked and resource.service in pod.endpoints:
                    work.empty(pod, resource)
        task.result(work.json)
        if work.is_dry_run:
            return
        silent = [pod.name for pod in pods if not pod.is_asked and _holds(task, pod, project_id)]
        if silent:
            raise TryAgain(f'it has something left in pods that are in maintenance: {", ".join(silent)}')
        if work.left:
            raise TryAgain(f'pods do not delete all of it: {"; ".join(work.reasons) or work.left}')
        for binding in bindings.current(runtime.db, project_id):
            bindings.end(runtime.db, binding.id)
        for pod in pods:
            if pod.is_asked:
                payload = {'pod_id': pod.id, 'is_full': True}
                runtime.jobs.submit('reconcile_routings', pod.id, payload, request_id=task.job.request_id)


def _holds(task: Task, pod: PodView, project_id: str) -> bool:
    filters = {'pod_id': pod.id, 'project_id': project_id, 'state': ('creating', 'active', 'deleting')}
    return bool(routings.list_(task.runtime.db, filters=filters, limit=1))


@dataclass
class _Emptying:
    """:ivar deleted: how many of each kind in each pod; ``left`` are those the pod keeps, and why"""

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
        runtime = self.task.runtime
        api = PodApi(runtime.client, runtime.identity, pod, resource.service)
        before = {item['id']: item for item in self._theirs(api, resource)}
        if not before:
            return
        if self.is_dry_run:
            self.found.setdefault(pod.name, {})[resource.collection] = sorted(before)
            return
        rest, looks, pause = before, 0, FIRST_LOOK_SECONDS
        refused: dict[str, str] = {}
        while rest and looks < _PATIENCE:
            for item_id, item in rest.items():
                if refused.get(item_id) != '':
                    refused[item_id] = self._delete(api, resource, item)
            self.deleted.setdefault(pod.name, {})[resource.collection] = len(before) - len(rest)
            self.task.progress(**self.json)
            self.task.wait(pause)
            pause = min(LOOK_SECONDS, pause * 2)
            now = {item['id']: item for item in self._theirs(api, resource)}
            before |= now
            looks = looks + 1 if now.keys() == rest.keys() else 0
            rest = now
            if rest and all(refused.get(item_id) for item_id in rest):
                break
        self.deleted.setdefault(pod.name, {})[resource.collection] = len(before) - len(rest)
        if rest:
            self.left.setdefault(pod.name, {})[resource.collection] = sorted(rest)
            why = [
                f'{resource.type} {item_id} in pod {pod.name}: {refused.get(item_id) or "stays"}' for item_id in rest
            ]
            self.reasons = [*self.reasons, *why][:_MOST_REASONS]
        self.task.progress(**self.json)

    def _theirs(self, api: PodApi, resource: Resource) -> Iterator[Item]:
        """What the pod shows as the project's."""
        query = {'all_tenants': '1', 'project_id': self.project_id, 'limit': str(_PAGE)}
        path = f'{resource.path}/detail'
        if resource is SERVER_GROUP:
            query, path = {'all_projects': 'True', 'limit': str(_PAGE), 'offset': '0'}, resource.path
        while True:
            self.task.check()
            document = api.get(f'{path}?{urlencode(query)}', VERSIONS[resource.service]) or {}
            page = document.get(resource.collection, [])
            for item in page:
                if resource.owner_of(item, '') == self.project_id and item.get('status') != 'DELETED':
                    yield item
            if len(page) < _PAGE and not any(document[name] for name in document if name.endswith('_links')):
                return
            if not page:
                return
            if 'offset' in query:
                query['offset'] = str(int(query['offset']) + len(page))
            else:
                query['marker'] = page[-1]['id']

    def _delete(self, api: PodApi, resource: Resource, item: Item) -> str:
        """:returns: why the pod would not; empty if it does"""
        if item.get('status') in _ON_ITS_WAY and resource is not SERVER:
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
            LOG.warning('%s %s stays in pod %s: %s', resource.type, item['id'], api.pod.name, error.text)
            return error.text
        LOG.info('%s %s of project %s is deleted in pod %s', resource.type, item['id'], self.project_id, api.pod.name)
        return ''
