# SPDX-License-Identifier: Apache-2.0
"""Taking in a pod that is full already: what it has, what becomes of it, and what stands in the way.

A dry run only reports. Otherwise all is taken in that nothing stands in the way of, kind by kind and page by page;
how far it is stands in the job's progress, so that another worker goes on where one died. Conflicts are reported, and
both sides stay as they are.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from trio2o import exception
from trio2o.db import pods as db_pods
from trio2o.db.session import utcnow
from trio2o.pods.podapi import PodRefused
from trio2o.pods.registry import PodView
from trio2o.replication.replicator import CHANGED, CONFLICT, KNOWN, NEW, Meeting
from trio2o.resources import ROUTED, Item, Resource
from trio2o.xjob.jobs.base import Task, TryAgain
from trio2o.xjob.routes import Compared, Routes, Taken, split_deleted

LOG = logging.getLogger(__name__)

#: Of what there is one row for each in the report, no more are listed, only counted.
MOST_ROWS = 500

OBJECTS = 'objects'

Json = dict[str, Any]


class Report:
    """What is told to operators; made of JSON alone, so that it survives a worker."""

    def __init__(self, is_dry_run: bool, saved: Json | None = None) -> None:
        self.json: Json = saved or {
            'dry_run': is_dry_run,
            'objects': {},
            'resources': {},
            'new': [],
            'changes': [],
            'conflicts': [],
            'unknown_projects': {},
            'ownerless': {},
            'are_projects_checked': True,
        }

    def met(self, meetings: Iterable[Meeting]) -> None:
        """Tell of what must be the same everywhere."""
        rows = {NEW: 'new', CHANGED: 'changes', CONFLICT: 'conflicts'}
        self.json['objects'] = {}
        for each in meetings:
            kind = each.adapter.kind
            counts = self.json['objects'].setdefault(kind, dict.fromkeys(('total', NEW, KNOWN, CHANGED, CONFLICT), 0))
            counts['total'] += 1
            counts[each.verdict] += 1
            if each.verdict in rows:
                self._add(rows[each.verdict], kind, each.key, each.found.name, each.text)

    def start(self, resource: Resource) -> None:
        """Count a kind of resources anew."""
        names = ('total', 'new', 'known', 'moved', 'conflict')
        self.json['resources'][resource.collection] = dict.fromkeys(names, 0)
        self.json['ownerless'].pop(resource.collection, None)
        for project_id, counts in list(self.json['unknown_projects'].items()):
            counts.pop(resource.collection, None)
            if not counts:
                del self.json['unknown_projects'][project_id]

    def compared(self, resource: Resource, items: Iterable[Item], found: Compared) -> None:
        """Tell of resources that would be taken in."""
        counts = self._count(resource, items)
        counts['new'] += len(found.new) + len(found.back)
        counts['known'] += found.known
        counts['conflict'] += len(found.elsewhere)
        for each in found.elsewhere:
            self._in_another_pod(resource, each.item)

    def taken(self, resource: Resource, items: Iterable[Item], taken: Taken) -> None:
        """Tell of resources that were taken in."""
        items = list(items)
        counts = self._count(resource, items)
        counts['new'] += taken.new
        counts['moved'] += taken.moved
        counts['conflict'] += len(taken.conflicts)
        counts['known'] += len(items) - taken.new - taken.moved - len(taken.conflicts)
        by_id = {item['id']: item for item in items}
        for each in taken.conflicts:
            self._in_another_pod(resource, by_id[each])

    def unknown_owner(self, resource: Resource, project_id: str, count: int) -> None:
        counts = self.json['unknown_projects'].setdefault(project_id, {})
        counts[resource.collection] = counts.get(resource.collection, 0) + count

    def no_owner(self, resource: Resource, count: int) -> None:
        ownerless = self.json['ownerless']
        ownerless[resource.collection] = ownerless.get(resource.collection, 0) + count

    def projects_not_checked(self) -> None:
        self.json['are_projects_checked'] = False

    def _count(self, resource: Resource, items: Iterable[Item]) -> dict[str, int]:
        counts: dict[str, int] = self.json['resources'][resource.collection]
        counts['total'] += len(list(items))
        return counts

    def _in_another_pod(self, resource: Resource, item: Item) -> None:
        text = 'it is recorded in another pod, which has it, too, or cannot be asked'
        self._add('conflicts', resource.type, item['id'], str(item.get('name') or ''), text)

    def _add(self, rows: str, kind: str, key: str, name: str, text: str = '') -> None:
        if len(self.json[rows]) < MOST_ROWS:
            row = {'kind': kind, 'id': key, 'name': name}
            self.json[rows].append({**row, 'text': text} if text else row)


class Adoption:
    """One run of it."""

    def __init__(self, task: Task, pod: PodView, is_dry_run: bool) -> None:
        self._task = task
        self._runtime = task.runtime
        self._pod = pod
        self._is_dry_run = is_dry_run
        saved: Json = task.job.progress or {} if not is_dry_run else {}
        self._report = Report(is_dry_run, saved.get('report'))
        self._done: list[str] = saved.get('done', [])
        self._marker: str | None = saved.get('marker')
        self._started = datetime.fromisoformat(saved['started_at']) if saved else utcnow()
        self._is_project: dict[str, bool] = {}

    def run(self) -> Json:
        """:returns: the report
        :raises PodError: the pod did not tell what it has
        """
        if OBJECTS not in self._done:
            self._tell(OBJECTS)
            self._take_objects()
            self._finish(OBJECTS)
        for resource in ROUTED.values():
            if resource.service in self._pod.endpoints and resource.collection not in self._done:
                self._take(resource)
                self._finish(resource.collection)
        if not self._is_dry_run:
            db_pods.set_reconciled(self._runtime.db, self._pod.id, self._started)
            self._runtime.registry.refresh()
        return self._report.json

    def _take_objects(self) -> None:
        try:
            # Told before anything changes: one that takes over after a crash finds it the same.
            if not self._report.json['objects']:
                self._report.met(self._runtime.sync.survey(self._pod, self._task.check))
                self._tell(OBJECTS)
            if self._is_dry_run:
                return
            joined = self._runtime.sync.join(self._pod, self._task.check)
        except PodRefused as error:
            raise TryAgain(str(error)) from error
        if joined.behind:
            payload = {'pod_id': self._pod.id}
            self._runtime.jobs.submit('repair_replicas', self._pod.id, payload, request_id=self._task.job.request_id)

    def _take(self, resource: Resource) -> None:
        routes = Routes(self._task, self._pod, resource)
        if self._marker is None or resource.is_sliced:
            self._report.start(resource)
        self._tell(resource.collection)
        try:
            for page in routes.pages(self._marker):
                self._take_page(routes, page)
                if page:
                    self._marker = page[-1]['id']
                self._tell(resource.collection)
        except PodRefused as error:
            # What the marker named was deleted meanwhile, for one: this kind is begun anew.
            self._marker = None
            self._report.start(resource)
            self._tell(resource.collection)
            raise TryAgain(str(error)) from error

    def _take_page(self, routes: Routes, page: list[Item]) -> None:
        resource = routes.resource
        # Nova lists some that are just going.
        page, _deleted = split_deleted(page)
        if self._is_dry_run:
            self._report.compared(resource, page, routes.compare(page))
        else:
            self._report.taken(resource, page, routes.take(page))
        owners = Counter(resource.owner_of(item, '') for item in page)
        for project_id, count in owners.items():
            if not project_id:
                self._report.no_owner(resource, count)
            elif not self._is_known(project_id):
                self._report.unknown_owner(resource, project_id, count)

    def _is_known(self, project_id: str) -> bool:
        """Whether Keystone has a project, as far as it tells us."""
        if project_id not in self._is_project:
            try:
                self._is_project[project_id] = self._runtime.identity.has_project(project_id)
            except exception.ServiceUnavailable as error:
                LOG.warning('whether there is a project %s is not known: %s', project_id, error)
                self._report.projects_not_checked()
                self._is_project[project_id] = True
        return self._is_project[project_id]

    def _finish(self, step: str) -> None:
        self._done.append(step)
        self._marker = None
        self._tell(step)

    def _tell(self, step: str) -> None:
        progress: Mapping[str, Any] = {
            'step': step,
            'done': self._done,
            'marker': self._marker,
            'started_at': self._started.isoformat(),
            'report': self._report.json,
        }
        self._task.progress(**progress)
