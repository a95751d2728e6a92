# SPDX-License-Identifier: Apache-2.0
"""The resources of one type in one pod, compared with the routings of that pod.

Three users share the comparison: jobs that reconcile or adopt a pod record every difference, quota settlement records
what changes the usage of one project, and the locator records resources of a tenant's list that have no routing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from trio2o import exception
from trio2o.concurrency import Deadline
from trio2o.db import quotas, routings
from trio2o.db.database import Database
from trio2o.db.records import NewRouting, Routing
from trio2o.pods.podapi import PodApi, PodRefused
from trio2o.pods.registry import PodView
from trio2o.quota.usage import VERSIONS, Measured, deltas_of, measure, user_of
from trio2o.resources import Item, Resource
from trio2o.routing import pod_lists
from trio2o.routing.unfinished import without_unfinished
from trio2o.web import json_body

if TYPE_CHECKING:
    from trio2o.runtime import Runtime

LOG = logging.getLogger(__name__)

_PAGE = 500
#: So many routings of resources that a pod does not show may end without an operator. If it had many, so may a share.
_MAX_MISSING = 10
_MAX_MISSING_SHARE = 0.1
#: Volume lists cannot be filtered by time, so new volumes are read in small pages until an old one appears.
_RECENT_PAGE = 20
_DELETED = 'DELETED'


@dataclass(frozen=True)
class Span:
    """The resources that were created after one time and until another.

    :ivar after: None: also the oldest ones, and those whose time is not known
    :ivar until: None: also the newest ones
    """

    after: datetime | None = None
    until: datetime | None = None


ALL_TIMES = Span()


@dataclass(frozen=True)
class Misplaced:
    """A resource in this pod whose routing names another pod."""

    routing: Routing
    item: Item


@dataclass
class Comparison:
    """Result of comparing resources of a pod with their routings.

    :ivar known: number of resources whose live routing names this pod; ``uncounted``, ``changed`` and ``unsettled``
        are among them
    :ivar new: resources without a routing
    :ivar ownerless: ids of those resources without a routing whose owner the pod does not show
    :ivar uncounted: amounts for routings that have none yet
    :ivar changed: routings with the columns to update
    :ivar unsettled: routings of resources whose usage is about to change
    :ivar returned: deleted routings of resources that exist
    :ivar misplaced: resources whose routing names another pod
    """

    known: int = 0
    new: list[NewRouting] = field(default_factory=list)
    ownerless: list[str] = field(default_factory=list)
    uncounted: list[NewRouting] = field(default_factory=list)
    changed: list[tuple[Routing, dict[str, Any]]] = field(default_factory=list)
    unsettled: list[Routing] = field(default_factory=list)
    returned: list[tuple[Routing, Item]] = field(default_factory=list)
    misplaced: list[Misplaced] = field(default_factory=list)


@dataclass
class Recorded:
    """Result of recording resources of a pod.

    :ivar new: number of new routings
    :ivar moved: number of routings that name this pod now and named another one before
    :ivar conflicts: ids of resources whose routing names another pod that has them too, or did not answer
    """

    new: int = 0
    moved: int = 0
    conflicts: list[str] = field(default_factory=list)

    def add(self, other: Recorded) -> None:
        self.new += other.new
        self.moved += other.moved
        self.conflicts += other.conflicts


class Inventory:
    """The resources of one type in one pod."""

    def __init__(
        self,
        runtime: Runtime,
        pod: PodView,
        resource: Resource,
        project_id: str | None = None,
        check: Callable[[], None] | None = None,
        timeout: float | None = None,
    ) -> None:
        """
        :param project_id: leave out the resources of other projects; None: all projects
        :param check: called between pages of the pod's list; may raise to interrupt the work. None: as in a request, a
            list may take ``[pods] read_timeout``
        :param timeout: seconds for each request to the pod; ``[pods] read_timeout`` if None
        """
        self._timeout = timeout
        self._runtime = runtime
        self._db = runtime.db
        self.pod = pod
        self.resource = resource
        self._project_id = project_id
        self._check = check or self._check_time
        self._deadline = Deadline(runtime.conf.pods.read_timeout)
        self._shows_all: set[str] = set()

    def _check_time(self) -> None:
        if self._deadline.is_over():
            reason = f'its list of {self.resource.collection} takes too long'
            raise exception.PodNoAnswer(self.pod.name, reason, is_down=False)

    # -- resources in the pod --

    def pages(self, marker: str | None = None, **query: Any) -> Iterator[list[Item]]:
        """Yield the resources in the pod, the newest first.

        :param marker: id of the last resource to skip
        :raises PodError: the pod did not answer
        :raises PodRefused: the pod answered 4xx, for example as it has no resource with the marker's id
        """
        if self._project_id is not None:
            query['project_id'] = self._project_id
        # Only the ids of the last page are kept, as a pod may have millions.
        last: set[str] = set()
        for page in pod_lists.pages(self._db, self._api(self.pod), self.resource, marker=marker, **query):
            self._check()
            yield [item for item in page if item['id'] not in last and self._is_wanted(item)]
            last = {item['id'] for item in page}

    def _is_wanted(self, item: Item) -> bool:
        return self._project_id is None or self.resource.owner_of(item, self._project_id) == self._project_id

    def pages_since(self, since: datetime) -> Iterator[list[Item]]:
        """Yield the resources created since a time; in Compute also those changed or deleted since then."""
        if self.resource.service == 'compute':
            yield from self.pages(**{'changes-since': f'{since:%Y-%m-%dT%H:%M:%SZ}'})
            return
        for page in self.pages(limit=_RECENT_PAGE):
            recent = [item for item in page if (self.resource.created_at(item) or since) >= since]
            yield recent
            if len(recent) < len(page):
                return

    def items(self) -> Iterator[Item]:
        """Yield the resources in the pod, one by one.

        :raises PodError: the pod did not answer
        :raises PodRefused: the pod answered 4xx
        """
        for page in self.pages():
            yield from page

    def show(self, bottom_id: str) -> Item | None:
        """Return one resource as the pod shows it; None if the pod does not have it.

        :raises PodError: the pod did not answer, or not with such a resource
        :raises PodRefused: the pod answered 4xx, 404 apart; or it hides resources from Trio2o's user
        """
        return self._show_in(self.pod, bottom_id)

    def _show_in(self, pod: PodView, bottom_id: str) -> Item | None:
        path = f'{self.resource.path}/{quote(bottom_id, safe="")}'
        document = self._api(pod).get(path, VERSIONS[self.resource.service])
        if document is None:
            self._check_shows_all(pod)
            return None
        item = json_body.object_at(document, self.resource.member)
        if item is None:
            raise exception.PodNoAnswer(pod.name, f'the answer is not a {self.resource.type}')
        return item

    def _check_shows_all(self, pod: PodView) -> None:
        """Check that the pod takes Trio2o's user for an administrator: it answers 404 to others also if it has them.

        :raises PodError: the pod did not answer
        :raises PodRefused: it does not
        """
        if pod.id not in self._shows_all:
            self._api(pod).check_is_admin()
            self._shows_all.add(pod.id)

    # -- compare with the routings --

    def compare(self, items: Iterable[Item]) -> Comparison:
        """Compare resources of the pod with their routings. Changes nothing."""
        found = Comparison()
        by_id = {item['id']: item for item in items}
        if not by_id:
            return found
        moving = self._runtime.registry.snapshot().moving
        by_id = {item_id: item for item_id, item in by_id.items() if moving.hidden.get(item_id) != self.pod.id}
        recorded = match_routings(self._db, self.resource.type, self.pod.id, by_id)
        unknown = [item for bottom_id, item in by_id.items() if bottom_id not in recorded]
        for item in without_unfinished(self._db, moving, self.resource, self.pod.id, unknown):
            self._add_new(found, item)
        for bottom_id, item in by_id.items():
            routing = recorded.get(bottom_id)
            if routing is None:
                continue
            if not routing.is_live:
                found.returned.append((routing, item))
            elif routing.pod_id != self.pod.id:
                found.misplaced.append(Misplaced(routing, item))
            else:
                self._add_known(found, routing, item)
        return found

    def _add_new(self, found: Comparison, item: Item) -> None:
        owner = self._owner_of(item)
        if owner:
            found.new.append(new_routing(self._db, self.resource, self.pod.id, item, owner))
        else:
            found.ownerless.append(item['id'])

    def _add_known(self, found: Comparison, routing: Routing, item: Item) -> None:
        found.known += 1
        measured = measure(self._db, self.resource.type, item)
        if measured is not None and routing.deltas is None:
            found.uncounted.append(
                NewRouting(
                    self.resource.type,
                    routing.top_id,
                    self.pod.id,
                    routing.project_id,
                    routing.bottom_id,
                    self.resource.created_at(item),
                    measured.deltas,
                    user_id=user_of(item),
                )
            )
        elif measured is not None and not measured.is_settled:
            found.unsettled.append(routing)
        now = {
            'created_at': self.resource.created_at(item),
            'deltas': self._changed_deltas(routing, measured),
            'project_id': self._owner_of(item) or None,
            'user_id': None if routing.user_id else user_of(item) or None,
        }
        changes = {name: value for name, value in now.items() if value is not None and value != getattr(routing, name)}
        if changes:
            found.changed.append((routing, changes))

    def _changed_deltas(self, routing: Routing, measured: Measured | None) -> Mapping[str, int] | None:
        """Return the amounts that a resource uses if they differ from its routing, else None.

        Also None for a resource that is about to change or has an open claim, as its usage is corrected later.
        """
        if measured is None or routing.deltas is None or not measured.is_settled:
            return None
        deltas = measured.counted_after(routing.deltas)
        if deltas == routing.deltas or quotas.list_claims_on(self._db, [routing.top_id]):
            return None
        return deltas

    def _owner_of(self, item: Item) -> str:
        return self.resource.owner_of(item, self._project_id or '')

    # -- record --

    def record(self, items: Iterable[Item]) -> Recorded:
        """Make the routings agree with resources of the pod."""
        found = self.compare(items)
        recorded = Recorded(new=self.record_new(found))
        self.record_returned(found)
        self.record_changes(found)
        for each in found.misplaced:
            self._move(each, recorded)
        return recorded

    def record_new(self, found: Comparison, claim_id: str | None = None) -> int:
        """Record new resources, and the amounts of those whose routing has none.

        :param claim_id: see ``routings.record_many``
        :returns: number of new routings
        """
        return routings.record_many(self._db, [*found.new, *found.uncounted], claim_id)

    def record_returned(self, found: Comparison) -> None:
        """Make the routings live again of resources that exist though they were marked deleted."""
        for routing, item in found.returned:
            # It may have been deleted after the pod listed it.
            if self.show(item['id']) is not None:
                self._restore(routing, item)

    def record_changes(self, found: Comparison) -> None:
        """Update the routings of resources that changed in the pod."""
        for routing, changes in found.changed:
            if 'deltas' in changes:
                LOG.info(
                    'Correcting the usage of %s %s from %s to %s',
                    routing.resource_type,
                    routing.top_id,
                    routing.deltas,
                    changes['deltas'],
                )
            routings.update(self._db, routing.id, **changes)
            self._forget(routing)

    def _restore(self, routing: Routing, item: Item) -> None:
        """Record that a resource exists which was marked deleted, as after a restore of the pod's database."""
        new = NewRouting(
            self.resource.type,
            routing.top_id,
            self.pod.id,
            self.resource.owner_of(item, routing.project_id),
            item['id'],
            self.resource.created_at(item),
            deltas_of(self._db, self.resource.type, item),
            user_id=user_of(item),
        )
        routings.record(self._db, new)
        self._forget(routing)

    def _move(self, each: Misplaced, recorded: Recorded) -> None:
        """Move a routing to this pod, but only if the pod that it names answers that it does not have the resource."""
        routing, item_id, resource_type = each.routing, each.item['id'], self.resource.type
        other = self._runtime.registry.snapshot().by_id.get(routing.pod_id)
        name = other.name if other is not None else routing.pod_id
        try:
            is_there = other is None or other.in_maintenance or self._show_in(other, routing.bottom_id) is not None
        except (exception.PodError, PodRefused) as error:
            LOG.warning('Failed to ask pod %s whether it still has %s %s: %s', name, resource_type, item_id, error)
            is_there = True
        if is_there:
            LOG.warning(
                '%s %s is in pod %s, but its routing names pod %s, which also has it or cannot be called',
                resource_type,
                item_id,
                self.pod.name,
                name,
            )
            recorded.conflicts.append(item_id)
            return
        LOG.info('%s %s moved from pod %s to pod %s', resource_type, routing.top_id, name, self.pod.name)
        created_at = self.resource.created_at(each.item)
        routings.update(self._db, routing.id, pod_id=self.pod.id, bottom_id=item_id, created_at=created_at)
        self._forget(routing)
        recorded.moved += 1

    # -- mark as deleted --

    def end_deleted(self, items: Iterable[Item]) -> int:
        """Mark the routings of resources deleted that the pod's list shows as deleted.

        :returns: number of routings marked
        """
        ids = [item['id'] for item in items]
        recorded = match_routings(self._db, self.resource.type, self.pod.id, ids)
        return sum(self.end(routing) for routing in recorded.values() if routing.pod_id == self.pod.id)

    def end_missing(
        self, seen: Collection[str], before: datetime, *, span: Span = ALL_TIMES, may_be_many: bool = False
    ) -> int:
        """Mark routings deleted whose resources were not in the pod's list, once the pod answers 404 for each.

        :param seen: ids of the resources in the list
        :param before: when the list was begun; a routing recorded later may be of a resource that is not in it
        :param span: the part of the list that was read
        :param may_be_many: whether it is known why many resources may be gone
        :returns: number of routings marked
        :raises TooManyMissing: many resources are missing for no known reason; no routing is marked
        :raises PodError: the pod did not answer
        :raises PodRefused: the pod answered 4xx, 404 apart; or it hides resources from Trio2o's user
        """
        if not may_be_many:
            self._check_number_missing(seen, before, span)
        ended = 0
        for routing in self._missing(seen, before, span):
            self._check()
            if self.show(routing.bottom_id) is None:
                ended += self.end(routing)
        return ended

    def _missing(self, seen: Collection[str], before: datetime, span: Span) -> Iterator[Routing]:
        for page in self._live_routings(span):
            for routing in page:
                if routing.bottom_id not in seen and routing.recorded_at < before:
                    yield routing

    def _check_number_missing(self, seen: Collection[str], before: datetime, span: Span) -> None:
        """Count the missing resources, but not those that a request is deleting or changing.

        Something else may answer in place of the pod, such as another cloud after a change of DNS, or the pod's
        database may have been lost. Then nearly everything is missing.

        :raises TooManyMissing: there are too many
        """
        count = 0
        missing = self._missing(seen, before, span)
        while ids := [routing.top_id for routing in islice(missing, _PAGE)]:
            self._check()
            count += len(set(ids) - {claim.resource_id for claim in quotas.list_claims_on(self._db, ids)})
        if count <= _MAX_MISSING:
            return
        if span == ALL_TIMES:
            known = routings.count_by_pod(self._db, self.pod.id, [self.resource.type])
        else:
            known = sum(map(len, self._live_routings(span)))
        if count > known * _MAX_MISSING_SHARE:
            raise exception.TooManyMissing(
                self.pod.name,
                f'{count} of {known} {self.resource.collection} are missing. Check that the pod itself answers and '
                'has its data. If they are gone, run "openstack trio2o pod reconcile --end-missing".',
            )

    def end(self, routing: Routing) -> bool:
        """Mark a routing deleted. :returns: False if it already was, or names another pod or id by now"""
        if not routing.is_live or not routings.mark_deleted(
            self._db, self.resource.type, routing.top_id, routing.pod_id, routing.bottom_id
        ):
            return False
        LOG.info('%s %s is gone from pod %s', self.resource.type, routing.top_id, self.pod.name)
        self._forget(routing)
        return True

    def _live_routings(self, span: Span) -> Iterator[list[Routing]]:
        yield from routings.pages_for_pod(
            self._db, self.resource.type, self.pod.id, self._project_id, after=span.after, until=span.until
        )

    def _forget(self, routing: Routing) -> None:
        self._runtime.locator.forget(routing.resource_type, routing.top_id)

    def _api(self, pod: PodView) -> PodApi:
        return PodApi(self._runtime.client, self._runtime.identity, pod, self.resource.service, self._timeout)


def match_routings(db: Database, resource_type: str, pod_id: str, bottom_ids: Collection[str]) -> dict[str, Routing]:
    """Return the routings of resources of a pod by their id in the pod. Only moved resources have another top id.

    A resource that has come back to a pod has another id there than before. What the pod lists under the former id is
    not this resource, even if the former id is the one that tenants use.
    """
    by_top_id = routings.get_many(db, resource_type, bottom_ids)
    known = {
        top_id: routing
        for top_id, routing in by_top_id.items()
        if routing.pod_id != pod_id or routing.bottom_id == top_id
    }
    others = [each for each in bottom_ids if each not in known or known[each].bottom_id != each]
    if others:
        filters = {'pod_id': pod_id, 'resource_type': resource_type, 'bottom_id': others}
        known |= {routing.bottom_id: routing for routing in routings.list_(db, filters=filters)}
    return known


def new_routing(db: Database, resource: Resource, pod_id: str, item: Mapping[str, Any], project_id: str) -> NewRouting:
    """Describe the routing of a resource that has none, with its quota usage if the item shows it."""
    return NewRouting(
        resource.type,
        item['id'],
        pod_id,
        project_id,
        created_at=resource.created_at(item),
        deltas=deltas_of(db, resource.type, item),
        user_id=user_of(item),
    )


def split_deleted(items: Iterable[Item]) -> tuple[list[Item], list[Item]]:
    """Split the resources of a list into existing and deleted ones: Nova also lists servers it has just deleted."""
    existing: list[Item] = []
    deleted: list[Item] = []
    for item in items:
        (deleted if item.get('status') == _DELETED else existing).append(item)
    return existing, deleted
