# SPDX-License-Identifier: Apache-2.0
"""What a pod has, beside what is recorded of it: read page by page, compared, and recorded.

For the jobs that follow what happens in a pod without passing the gateway, and for those that take a pod in.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote

from trio2o import exception
from trio2o.db import quotas, routings
from trio2o.db.records import NewRouting, Routing
from trio2o.pods.podapi import PodApi, PodRefused
from trio2o.pods.registry import PodView
from trio2o.quota.usage import VERSIONS, deltas_of, measure, user_of
from trio2o.resources import Item, Resource
from trio2o.routing import pod_lists
from trio2o.xjob.jobs.base import Task

LOG = logging.getLogger(__name__)

PAGE = 500
_LIVE = ('creating', 'active', 'deleting')
_GONE = 'DELETED'


@dataclass(frozen=True)
class Elsewhere:
    """What this pod has and another one, too, or so it is recorded."""

    routing: Routing
    item: Item


@dataclass
class Compared:
    """Some of a pod's resources beside their routings.

    :ivar new: nothing is recorded of them; ``ownerless``: nor does the pod tell whose they are
    :ivar back: they had gone
    :ivar changed: what is recorded lacks something or is old, and what it is to be
    """

    known: int = 0
    new: list[NewRouting] = field(default_factory=list)
    ownerless: list[str] = field(default_factory=list)
    back: list[tuple[Routing, Item]] = field(default_factory=list)
    changed: list[tuple[Routing, dict[str, Any]]] = field(default_factory=list)
    elsewhere: list[Elsewhere] = field(default_factory=list)


@dataclass
class Taken:
    """What recording some of them came to.

    :ivar conflicts: recorded in another pod that has them, too, or cannot be asked
    """

    new: int = 0
    moved: int = 0
    conflicts: list[str] = field(default_factory=list)


class Routes:
    """One pod's resources of one kind."""

    def __init__(self, task: Task, pod: PodView, resource: Resource) -> None:
        self._task = task
        self._runtime = task.runtime
        self._db = task.runtime.db
        self.pod = pod
        self.resource = resource
        self._version = VERSIONS[resource.service]

    # -- what the pod has --

    def pages(self, marker: str | None = None, **query: Any) -> Iterator[list[Item]]:
        """All that it has, the newest first.

        :param marker: id of the last of what need not be read
        :raises PodRefused: there is no such marker, for one
        """
        seen: set[str] = set()
        for page in pod_lists.pages(self._db, self._api(self.pod), self.resource, marker=marker, **query):
            self._task.check()
            yield [item for item in page if item['id'] not in seen]
            seen.update(item['id'] for item in page)

    def pages_since(self, since: datetime) -> Iterator[list[Item]]:
        """What was made since a time, and where the API tells it, what was changed or deleted."""
        if self.resource.service == 'compute':
            yield from self.pages(**{'changes-since': f'{since:%Y-%m-%dT%H:%M:%SZ}'})
            return
        for page in self.pages(limit=100):
            young = [item for item in page if (self.resource.created_at(item) or since) >= since]
            yield young
            if len(young) < len(page):
                return

    def has(self, bottom_id: str, pod: PodView | None = None) -> bool:
        """Whether a pod has it; this one, if no other is named.

        :raises PodError: it does not tell
        """
        path = f'{self.resource.path}/{quote(bottom_id, safe="")}'
        return self._api(pod or self.pod).get(path, self._version) is not None

    # -- beside what is recorded --

    def compare(self, items: Iterable[Item]) -> Compared:
        by_id = {item['id']: item for item in items}
        recorded = self._recorded(by_id)
        found = Compared()
        for bottom_id, item in by_id.items():
            routing = recorded.get(bottom_id)
            if routing is None:
                self._add_new(found, bottom_id, item)
            elif routing.is_live and routing.pod_id != self.pod.id:
                found.elsewhere.append(Elsewhere(routing, item))
            elif not routing.is_live:
                found.back.append((routing, item))
            else:
                found.known += 1
                changes = self._changes(routing, item)
                if changes:
                    found.changed.append((routing, changes))
        return found

    def _add_new(self, found: Compared, bottom_id: str, item: Item) -> None:
        owner = self.resource.owner_of(item, '')
        if not owner:
            found.ownerless.append(bottom_id)
            return
        found.new.append(
            NewRouting(
                self.resource.type,
                bottom_id,
                self.pod.id,
                owner,
                created_at=self.resource.created_at(item),
                deltas=deltas_of(self._db, self.resource.type, item),
                user_id=user_of(item),
            )
        )

    def _changes(self, routing: Routing, item: Item) -> dict[str, Any]:
        now = {
            'created_at': self.resource.created_at(item) if routing.created_at is None else None,
            'deltas': self._deltas(routing, item),
            'project_id': self.resource.owner_of(item, '') or None,
            'user_id': None if routing.user_id else user_of(item) or None,
        }
        return {name: value for name, value in now.items() if value is not None and value != getattr(routing, name)}

    def _deltas(self, routing: Routing, item: Item) -> Mapping[str, int] | None:
        """What it counts for by now; None while that is about to change, as then it is looked at anyway."""
        found = measure(self._db, self.resource.type, item)
        if found is None or routing.deltas is None:
            return found.deltas if found is not None else None
        deltas = found.over(routing.deltas)
        if deltas == routing.deltas or not found.is_settled or quotas.claims_on(self._db, [routing.top_id]):
            return None
        return deltas

    def _recorded(self, bottom_ids: Mapping[str, Item]) -> dict[str, Routing]:
        """Routings by the id in the pod; only what was moved has another one at the top."""
        ids = list(bottom_ids)
        known = routings.get_many(self._db, self.resource.type, ids)
        rest = [each for each in ids if each not in known or known[each].bottom_id != each]
        if rest:
            filters = {'pod_id': self.pod.id, 'resource_type': self.resource.type, 'bottom_id': rest}
            known |= {routing.bottom_id: routing for routing in routings.list_(self._db, filters=filters)}
        return known

    # -- recorded --

    def take(self, items: Iterable[Item]) -> Taken:
        """Record what the pod has."""
        found = self.compare(items)
        taken = Taken(new=routings.record_many(self._db, found.new))
        for routing, item in found.back:
            # Gone once and there again, as after a restore, or taken for gone too early.
            self._record(routing, item)
        for routing, changes in found.changed:
            routings.update(self._db, routing.id, **changes)
            self._runtime.locator.forget(self.resource.type, routing.top_id)
        for each in found.elsewhere:
            self._take_moved(each, taken)
        return taken

    def _record(self, routing: Routing, item: Item) -> None:
        routings.record(
            self._db,
            resource_type=self.resource.type,
            top_id=routing.top_id,
            bottom_id=item['id'],
            pod_id=self.pod.id,
            project_id=self.resource.owner_of(item, routing.project_id),
            created_at=self.resource.created_at(item),
            deltas=deltas_of(self._db, self.resource.type, item),
            user_id=user_of(item),
        )
        self._runtime.locator.forget(self.resource.type, routing.top_id)

    def _take_moved(self, each: Elsewhere, taken: Taken) -> None:
        """Only the word of the pod it is recorded in that it has it no more makes it this one's."""
        routing, kind = each.routing, self.resource.type
        other = self._runtime.registry.snapshot().by_id.get(routing.pod_id)
        name = other.name if other is not None else routing.pod_id
        try:
            is_there = other is None or not other.is_asked or self.has(routing.bottom_id, other)
        except (exception.PodError, PodRefused) as error:
            LOG.warning('%s %s: whether it is still in pod %s is not known: %s', kind, routing.top_id, name, error)
            is_there = True
        if is_there:
            LOG.warning('%s %s is in pod %s and recorded in pod %s', kind, each.item['id'], self.pod.name, name)
            taken.conflicts.append(each.item['id'])
            return
        LOG.info('%s %s moved from pod %s to pod %s', kind, routing.top_id, name, self.pod.name)
        routings.update(self._db, routing.id, pod_id=self.pod.id, bottom_id=each.item['id'])
        self._runtime.locator.forget(kind, routing.top_id)
        taken.moved += 1

    # -- and ended --

    def end_deleted(self, items: Iterable[Item]) -> int:
        """End the routings of what the pod says is deleted. :returns: how many"""
        recorded = self._recorded({item['id']: item for item in items})
        return sum(self._end(routing) for routing in recorded.values() if routing.pod_id == self.pod.id)

    def end_gone(self, seen: set[str], before: datetime) -> int:
        """End the routings recorded before a time of what was not seen, if the pod has it no more.

        :returns: how many
        """
        gone = 0
        for routing in self._live():
            if routing.bottom_id in seen or routing.recorded_at >= before:
                continue
            self._task.check()
            if not self.has(routing.bottom_id):
                gone += self._end(routing)
        return gone

    def _end(self, routing: Routing) -> int:
        if not routing.is_live or not routings.mark_deleted(self._db, self.resource.type, routing.top_id):
            return 0
        LOG.info('%s %s is gone from pod %s', self.resource.type, routing.top_id, self.pod.name)
        self._runtime.locator.forget(self.resource.type, routing.top_id)
        return 1

    def _live(self) -> Iterator[Routing]:
        filters = {'pod_id': self.pod.id, 'resource_type': self.resource.type, 'state': _LIVE}
        marker = None
        while True:
            page = routings.list_(self._db, filters=filters, limit=PAGE, marker=marker)
            yield from page
            if len(page) < PAGE:
                return
            marker = page[-1].id

    def _api(self, pod: PodView) -> PodApi:
        return PodApi(self._runtime.client, self._runtime.identity, pod, self.resource.service)


def split_deleted(items: Sequence[Item]) -> tuple[list[Item], list[Item]]:
    """Those that are there, and those that a list of changes shows as deleted."""
    there = [item for item in items if item.get('status') != _GONE]
    return there, [item for item in items if item.get('status') == _GONE]
