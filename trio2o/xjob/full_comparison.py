# SPDX-License-Identifier: Apache-2.0
"""The comparison of all resources of a pod with the routings, which goes on where an earlier run has ended.

Pods list the newest resources first. After each section of such a list, the routings of missing resources of that time
end, and the place in the list is saved in the progress of the job. So a pod with millions of resources is compared in
several runs, each of which has some thousand of them in memory. The section of a pod with fewer is its whole list.

A section ends once another one of that length was read: what is left of the list is often short, and then belongs to
the section before. In a short section, a few missing resources would be too many.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from trio2o import exception
from trio2o.pods.podapi import PodRefused
from trio2o.pods.registry import PodView
from trio2o.resources import Item, Resource
from trio2o.routing.inventory import Inventory, Span, split_deleted
from trio2o.xjob.jobs.base import Task, TryAgain

#: Resources of a section, at least.
SECTION = 20_000

#: A comparison that began longer ago begins again.
MAX_AGE = timedelta(days=1)

#: Name of the place in the progress of the job.
_PLACE = 'place'

_ALMOST_A_SECOND = timedelta(microseconds=999999)


@dataclass(frozen=True)
class Place:
    """How far a comparison is.

    :ivar started: when it began
    :ivar done: collections that are compared
    :ivar collection: the one that is being compared; '' between two of them
    :ivar marker: id of the last resource that was read
    :ivar until: resources that were created until this time are still to be compared
    :ivar read: ids of those of them that were read already
    """

    started: datetime
    done: tuple[str, ...] = ()
    collection: str = ''
    marker: str | None = None
    until: datetime | None = None
    read: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        until = self.until.isoformat() if self.until else None
        return {**asdict(self), 'started': self.started.isoformat(), 'until': until}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Place:
        return cls(
            datetime.fromisoformat(data['started']),
            tuple(data['done']),
            data['collection'],
            data['marker'],
            datetime.fromisoformat(data['until']) if data['until'] else None,
            tuple(data['read']),
        )


class FullComparison:
    """One run of a comparison.

    :ivar counts: numbers of resources that were read, new, gone, moved and in conflict, in all runs
    """

    def __init__(self, task: Task, pod: PodView, now: datetime) -> None:
        progress = task.job.progress if isinstance(task.job.progress, dict) else {}
        place = Place.from_json(progress[_PLACE]) if progress.get(_PLACE) else None
        if place is None or place.started + MAX_AGE < now:
            place, progress = Place(now), {}
        self._task = task
        self._pod = pod
        self._place = place
        self._may_be_many = bool(task.job.payload.get('end_missing'))
        self.counts: Counter[str] = Counter({name: n for name, n in progress.items() if isinstance(n, int)})

    @property
    def started(self) -> datetime:
        """When the comparison began, maybe in an earlier run."""
        return self._place.started

    def run(self, resources: Iterable[Resource], **progress: Any) -> list[str]:
        """Compare the resources of some types.

        :param progress: further values for the progress of the job
        :returns: for each type of which too many are missing, a text that says so; no routing of it has ended in that
            section and those after it
        :raises PodError: the pod did not answer
        :raises TryAgain: the pod answered 4xx
        """
        missing: list[str] = []
        place = self._place
        for resource in resources:
            if resource.collection in place.done:
                continue
            inventory = Inventory(self._task.runtime, self._pod, resource, check=self._task.check)
            at = place if place.collection == resource.collection else Place(place.started, place.done)
            section = _Section(self, inventory, at, is_saved=not missing, progress=progress)
            try:
                section.compare_all()
            except exception.TooManyMissing as error:
                missing.append(error.reason)
            except PodRefused as error:
                # For example, the resource of the marker was deleted meanwhile. The next run begins again.
                self._task.progress(**self.counts, **progress)
                raise TryAgain(str(error)) from error
            place = Place(place.started, (*place.done, resource.collection))
            if not missing:
                self.save(place, self.counts, progress)
        return missing

    def save(self, place: Place, counts: Counter[str], progress: dict[str, Any]) -> None:
        """Save a place, with the ``counts`` up to there."""
        self._place = place
        self._task.progress(**counts, **progress, **{_PLACE: place.to_json()})

    def end_missing(self, inventory: Inventory, read: set[str], span: Span) -> int:
        """:raises TooManyMissing: many resources of the span are missing for no known reason"""
        ended = inventory.end_missing(read, self.started, span=span, may_be_many=self._may_be_many)
        self.counts[f'gone_{inventory.resource.collection}'] += ended
        return ended


@dataclass(frozen=True)
class _Read:
    """A section that was read to its end.

    :ivar ids: of its resources
    :ivar marker: id of the last of them
    :ivar of_second: ids of those of the second in which it ends
    :ivar counts: as in ``FullComparison``, up to the end of this section
    """

    ids: set[str]
    span: Span
    marker: str
    of_second: tuple[str, ...]
    counts: Counter[str]


class _Section:
    """The section of the list of one type that is being read, and the one before it."""

    def __init__(
        self, comparison: FullComparison, inventory: Inventory, place: Place, is_saved: bool, progress: dict[str, Any]
    ) -> None:
        self._comparison = comparison
        self._inventory = inventory
        self._resource = inventory.resource
        self._place = place
        self._is_saved = is_saved
        self._progress = progress
        self._read = set(place.read)
        self._until = place.until
        self._second = place.until.replace(microsecond=0) if place.until else None
        self._of_second = list(place.read)
        self._before: _Read | None = None
        self._is_sorted = True
        self._error: exception.TooManyMissing | None = None

    def compare_all(self) -> None:
        """Compare the rest of the list.

        :raises TooManyMissing: after the list is read and recorded to its end
        """
        for page in self._inventory.pages(self._place.marker):
            self._record(page)
            self._note_times(page)
            if page and self._is_sorted and self._second is not None and len(self._read) >= SECTION:
                self._begin_next(self._second + _ALMOST_A_SECOND, page[-1]['id'])
        if self._before is None:
            self._end_missing(self._read, Span(None, self._until))
        else:
            self._end_missing(self._before.ids | self._read, Span(None, self._before.span.until))
        if self._error is not None:
            raise self._error

    def _record(self, page: list[Item]) -> None:
        existing, deleted = split_deleted(page)
        self._read.update(item['id'] for item in existing)
        recorded = self._inventory.record(existing)
        ended = self._inventory.end_deleted(deleted)
        name, counts = self._resource.collection, self._comparison.counts
        counts.update({name: len(existing), f'new_{name}': recorded.new, f'gone_{name}': ended})
        if recorded.moved:
            counts[f'moved_{name}'] += recorded.moved
        if recorded.conflicts:
            counts[f'conflicts_{name}'] += len(recorded.conflicts)

    def _note_times(self, page: list[Item]) -> None:
        """Note the second of the oldest resource so far, and which resources are of that second.

        Databases may store whole seconds only, so that a section ends between two of them.
        """
        for item in page:
            created = self._resource.created_at(item)
            second = created.replace(microsecond=0) if created is not None else None
            if second is None or (self._second is not None and second > self._second):
                # The pod does not sort, so its whole list is one section.
                self._is_sorted = False
                return
            if second != self._second:
                self._second, self._of_second = second, []
            self._of_second.append(item['id'])

    def _begin_next(self, until: datetime, marker: str) -> None:
        """Begin the next section. The one before this one ends."""
        if self._before is not None:
            self._end(self._before)
        counts = self._comparison.counts.copy()
        self._before = _Read(self._read, Span(until, self._until), marker, tuple(self._of_second), counts)
        self._until, self._read = until, set(self._of_second)

    def _end(self, section: _Read) -> None:
        section.counts[f'gone_{self._resource.collection}'] += self._end_missing(section.ids, section.span)
        if self._is_saved and self._error is None:
            place = Place(
                self._place.started,
                self._place.done,
                self._resource.collection,
                section.marker,
                section.span.after,
                section.of_second,
            )
            self._comparison.save(place, section.counts, self._progress)

    def _end_missing(self, read: set[str], span: Span) -> int:
        """:returns: number of routings that ended"""
        if self._error is None:
            try:
                return self._comparison.end_missing(self._inventory, read, span)
            except exception.TooManyMissing as error:
                self._error = error
        return 0
