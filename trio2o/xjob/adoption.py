# SPDX-License-Identifier: Apache-2.0
"""Adopt a pod that already has resources: replicate objects from and to it, and record its resources.

A dry run only reports. Otherwise everything without a conflict is recorded, one type after another and page by page.
The job's progress holds the position, so that another worker can continue where one died. Conflicts are reported, and
neither side of a conflict is changed.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from trio2o import exception, job_types
from trio2o.db import pods as db_pods
from trio2o.db.database import utcnow
from trio2o.pods.podapi import PodRefused
from trio2o.pods.registry import PodView
from trio2o.replication.pod_sync import CHANGED, CONFLICT, KNOWN, NEW, JoinResult
from trio2o.resources import ROUTED, Item, Resource
from trio2o.routing.inventory import Comparison, Inventory, Recorded, split_deleted
from trio2o.xjob.jobs.base import Task, TryAgain

LOG = logging.getLogger(__name__)

#: Most rows of new, changed or conflicting objects in the report; further ones are only counted.
MAX_ROWS = 500

OBJECTS = 'objects'

Json = dict[str, Any]


class Report:
    """The result for the operator. Plain JSON, so that the job's progress can hold it."""

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

    def add_objects(self, results: Iterable[JoinResult]) -> None:
        """Report how the replicated objects of the pod compare with those of Trio2o."""
        rows = {NEW: 'new', CHANGED: 'changes', CONFLICT: 'conflicts'}
        self.json['objects'] = {}
        for each in results:
            counts = self.json['objects'].setdefault(
                each.kind, dict.fromkeys(('total', NEW, KNOWN, CHANGED, CONFLICT), 0)
            )
            counts['total'] += 1
            counts[each.verdict] += 1
            if each.verdict in rows:
                self._add(rows[each.verdict], each.kind, each.key, each.found.name, each.text)

    def start(self, resource: Resource) -> None:
        """Reset the part of the report about a resource type."""
        names = ('total', 'new', 'known', 'moved', 'conflict')
        self.json['resources'][resource.collection] = dict.fromkeys(names, 0)
        self.json['ownerless'].pop(resource.collection, None)
        for project_id, counts in list(self.json['unknown_projects'].items()):
            counts.pop(resource.collection, None)
            if not counts:
                del self.json['unknown_projects'][project_id]

    def add_compared(self, resource: Resource, items: Iterable[Item], found: Comparison) -> None:
        """Report resources that would be recorded."""
        counts = self._count(resource, items)
        counts['new'] += len(found.new) + len(found.returned)
        counts['known'] += found.known
        counts['conflict'] += len(found.misplaced)
        for each in found.misplaced:
            self._add_conflict(resource, each.item)

    def add_recorded(self, resource: Resource, items: Iterable[Item], recorded: Recorded) -> None:
        """Report resources that were recorded."""
        items = list(items)
        counts = self._count(resource, items)
        counts['new'] += recorded.new
        counts['moved'] += recorded.moved
        counts['conflict'] += len(recorded.conflicts)
        counts['known'] += len(items) - recorded.new - recorded.moved - len(recorded.conflicts)
        by_id = {item['id']: item for item in items}
        for each in recorded.conflicts:
            self._add_conflict(resource, by_id[each])

    def add_unknown_owner(self, resource: Resource, project_id: str, count: int) -> None:
        counts = self.json['unknown_projects'].setdefault(project_id, {})
        counts[resource.collection] = counts.get(resource.collection, 0) + count

    def add_ownerless(self, resource: Resource, count: int) -> None:
        ownerless = self.json['ownerless']
        ownerless[resource.collection] = ownerless.get(resource.collection, 0) + count

    def mark_projects_unchecked(self) -> None:
        self.json['are_projects_checked'] = False

    def _count(self, resource: Resource, items: Iterable[Item]) -> dict[str, int]:
        counts: dict[str, int] = self.json['resources'][resource.collection]
        counts['total'] += len(list(items))
        return counts

    def _add_conflict(self, resource: Resource, item: Item) -> None:
        text = 'recorded in another pod, which also has it or cannot be called'
        self._add('conflicts', resource.type, item['id'], str(item.get('name') or ''), text)

    def _add(self, rows: str, kind: str, key: str, name: str, text: str = '') -> None:
        if len(self.json[rows]) < MAX_ROWS:
            row = {'kind': kind, 'id': key, 'name': name}
            self.json[rows].append({**row, 'text': text} if text else row)


class Adoption:
    """One run of the adoption of a pod."""

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
        """Adopt the pod, or compare it in a dry run.

        :returns: the report
        :raises PodError: the pod did not answer
        """
        if OBJECTS not in self._done:
            self._save(OBJECTS)
            self._adopt_objects()
            self._finish(OBJECTS)
        for resource in ROUTED.values():
            if resource.service in self._pod.endpoints and resource.collection not in self._done:
                self._adopt_resources(resource)
                self._finish(resource.collection)
        if not self._is_dry_run:
            db_pods.set_reconciled(self._runtime.db, self._pod.id, self._started)
            self._runtime.registry.refresh()
        return self._report.json

    def _adopt_objects(self) -> None:
        try:
            # Report before anything changes: after a crash, another worker could not find out which objects were new.
            if not self._report.json['objects']:
                self._report.add_objects(self._runtime.replicator.pods.survey(self._pod, self._task.check))
                self._save(OBJECTS)
            if self._is_dry_run:
                return
            joined = self._runtime.replicator.pods.join(self._pod, self._task.check, is_adopted=True)
        except PodRefused as error:
            raise TryAgain(str(error)) from error
        if joined.out_of_sync:
            payload = {'pod_id': self._pod.id}
            self._runtime.jobs.submit(
                job_types.REPAIR_REPLICAS, self._pod.id, payload, request_id=self._task.job.request_id
            )

    def _adopt_resources(self, resource: Resource) -> None:
        inventory = Inventory(self._runtime, self._pod, resource, check=self._task.check)
        if self._marker is None or resource.lists_by_offset:
            self._report.start(resource)
        self._save(resource.collection)
        try:
            for page in inventory.pages(self._marker):
                self._adopt_page(inventory, page)
                if page:
                    self._marker = page[-1]['id']
                self._save(resource.collection)
        except PodRefused as error:
            # For example, the resource of the marker was deleted meanwhile. The next run begins this type again.
            self._marker = None
            self._report.start(resource)
            self._save(resource.collection)
            raise TryAgain(str(error)) from error

    def _adopt_page(self, inventory: Inventory, page: list[Item]) -> None:
        resource = inventory.resource
        page, _deleted = split_deleted(page)
        if self._is_dry_run:
            self._report.add_compared(resource, page, inventory.compare(page))
        else:
            self._report.add_recorded(resource, page, inventory.record(page))
        owners = Counter(resource.owner_of(item, '') for item in page)
        for project_id, count in owners.items():
            if not project_id:
                self._report.add_ownerless(resource, count)
            elif not self._is_known(project_id):
                self._report.add_unknown_owner(resource, project_id, count)

    def _is_known(self, project_id: str) -> bool:
        """Whether Keystone has a project; True if Keystone does not answer."""
        if project_id not in self._is_project:
            try:
                self._is_project[project_id] = self._runtime.identity.has_project(project_id)
            except exception.ServiceUnavailable as error:
                LOG.warning('Failed to look up project %s in Keystone: %s', project_id, error)
                self._report.mark_projects_unchecked()
                self._is_project[project_id] = True
        return self._is_project[project_id]

    def _finish(self, step: str) -> None:
        self._done.append(step)
        self._marker = None
        self._save(step)

    def _save(self, step: str) -> None:
        progress: Mapping[str, Any] = {
            'step': step,
            'done': self._done,
            'marker': self._marker,
            'started_at': self._started.isoformat(),
            'report': self._report.json,
        }
        self._task.progress(**progress)
