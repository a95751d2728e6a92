# SPDX-License-Identifier: Apache-2.0
"""The pods, kept in memory and compared with the database every few seconds.

When the snapshot is too old, one request looks for changes and the others go on with the old one. So each process uses
the new state of a pod from its first or second request after ``[pods] refresh_seconds``. Each table that is kept has a
version (``db.versions``), so that looking for changes takes one query, and what did not change is not read again.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from oslo_config import cfg
from oslo_db import exception as db_exc

from trio2o.db import moved_resources
from trio2o.db import moves as db_moves
from trio2o.db import pod_usages as db_usages
from trio2o.db import pods as db_pods
from trio2o.db import replicas as db_replicas
from trio2o.db import versions as db_versions
from trio2o.db.database import Database
from trio2o.db.records import ITEM_PLANNED, MADE, SENT, MovedResource, MoveItem, Pod
from trio2o.pods import open_files
from trio2o.pods.endpoints import PodEndpoint
from trio2o.pods.usage import Usage
from trio2o.resources import Resource
from trio2o.web.microversion import VersionRange

LOG = logging.getLogger(__name__)

#: Length of the database column.
GROUP_LENGTH = 255
#: A service of a release without versions of tables, or an operator with SQL, changes tables and no version.
READ_ALL_SECONDS = 300.0
#: After changes of more objects, all replicas are read.
MAX_CHANGED_OBJECTS = 2000
#: Desired states of replicated objects that a snapshot keeps.
_MOST_WANTED = 2000
#: The changes of a pod have not been read for long after so many intervals, and at least so many seconds.
_LATE_INTERVALS, LATE_SECONDS = 5, 900.0


@dataclass(frozen=True, eq=False)
class PodView:
    """One pod with all data that are needed to call and to schedule it.

    :ivar ids_up: id in this pod -> id that tenants see, where the two differ
    :ivar out_of_sync: number of replicated objects that are out of sync in this pod, or have no row for it yet
    :ivar usages: capacity and use, by service, as read last
    """

    record: Pod
    endpoints: Mapping[str, PodEndpoint]
    ids_up: Mapping[str, str] = field(default_factory=dict)
    out_of_sync: int = 0
    usages: Mapping[str, Usage] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return self.record.pod_id

    @property
    def name(self) -> str:
        return self.record.pod_name

    @property
    def zone(self) -> str:
        return self.record.az_name

    def zone_in(self, service: str) -> str:
        """Return the name that the pod's zone has in one of its services; '' if the service gets no zone."""
        volume_zone = self.record.pod_volume_az_name
        return self.record.pod_az_name if service != 'volume' or volume_zone is None else volume_zone

    @cached_property
    def ids_down(self) -> Mapping[str, str]:
        """The id that tenants see, in lower case -> id in this pod, where the two differ."""
        return {top_id.lower(): bottom_id for bottom_id, top_id in self.ids_up.items()}

    @cached_property
    def registered_at(self) -> float:
        """When the pod was registered, as a Unix time that differs between all pods."""
        return self.record.created_at.timestamp() + self.record.number * 1e-6

    @cached_property
    def group(self) -> str:
        """Name of the pod's group: pods with the same resource affinity tag are a group."""
        return group_of(self.record.resource_affinity_tag)

    @property
    def in_maintenance(self) -> bool:
        """Whether no service calls the pod."""
        return self.record.state == 'maintenance'

    @property
    def is_enabled(self) -> bool:
        """Whether new resources may be created in the pod."""
        return self.record.state == 'enabled'


def late_seconds(conf: cfg.ConfigOpts) -> float:
    """Return the seconds after which the changes of a pod have not been read for long."""
    return max(LATE_SECONDS, _LATE_INTERVALS * float(conf.xjob.reconcile_interval))


def group_of(tag: Mapping[str, Any] | None) -> str:
    """Name of the group of pods that have a tag, such as ``disk=ssd,gpu=true``; '' for pods without a tag."""
    name = ','.join(f'{key}={value}' for key, value in sorted((tag or {}).items()))
    if len(name) <= GROUP_LENGTH:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()
    return f'{name[: GROUP_LENGTH - 17]}#{digest[:16]}'


@dataclass(frozen=True)
class Moving:
    """The moves that have not ended, and what abandoned ones have left in the pods.

    :ivar locked: id that tenants see -> id of the move, for resources that nobody may change now
    :ivar hidden: id in a pod -> id of the pod, for resources that tenants do not see there: those in the source of a
        move that has switched, those in the target of one that has not, and those that an abandoned move has left
    :ivar switched: id that tenants see -> id of the move, for resources whose move can still be reverted
    :ivar running: id of the move -> id of its source, for moves that no operator has to resume
    :ivar left: id of the move -> id of its source, for abandoned moves of which something is left
    :ivar unmade: (pod id, type, project id, name) of resources whose creation has not been answered yet, or not begun.
        Tenants see no resource of this name that has no routing, as it may be that of the move
    :ivar temporary: names of what moves make for themselves, as snapshots of volumes. It gets no routing
    """

    locked: Mapping[str, str] = field(default_factory=dict)
    hidden: Mapping[str, str] = field(default_factory=dict)
    unmade: Set[tuple[str, str, str, str]] = frozenset()
    switched: Mapping[str, str] = field(default_factory=dict)
    running: Mapping[str, str] = field(default_factory=dict)
    left: Mapping[str, str] = field(default_factory=dict)
    temporary: Set[str] = frozenset()

    @classmethod
    def of(cls, moves: Sequence[tuple[db_moves.OpenMove, list[MoveItem]]]) -> Moving:
        locked: dict[str, str] = {}
        hidden: dict[str, str] = {}
        switched: dict[str, str] = {}
        unmade: set[tuple[str, str, str, str]] = set()
        abandoned = {move.id: move.source_pod_id for move, _items in moves if move.is_abandoned}
        running = {move.id: move.source_pod_id for move, _items in moves if not move.hold and move.id not in abandoned}
        for move, items in moves:
            if move.is_abandoned:
                for item in db_moves.left(move, items):
                    if item.top_id and item.state == MADE:
                        hidden[item.bottom_id] = item.pod_id
                    elif item.top_id:
                        unmade.add((item.pod_id, item.resource_type, move.project_id, item.name))
                continue
            for item in items:
                is_source = item.active_key is not None
                if is_source and not move.is_switched:
                    locked[item.top_id] = move.id
                    continue
                if is_source:
                    switched[item.top_id] = move.id
                if is_source or (item.top_id and item.state == MADE and not move.is_switched):
                    hidden[item.bottom_id] = item.pod_id
                elif item.top_id and item.state in (ITEM_PLANNED, SENT):
                    # A process may still use the snapshot of the time before the request was sent.
                    unmade.add((item.pod_id, item.resource_type, move.project_id, item.name))
        temporary = {item.marker for _move, items in moves for item in items if not item.top_id}
        return cls(locked, hidden, unmade, switched, running, abandoned, temporary)

    def makes(self, pod_id: str, resource_type: str) -> bool:
        """Whether a move is going to make a resource of a type in a pod."""
        return any(each[:2] == (pod_id, resource_type) for each in self.unmade)

    def has_hidden(self, pod_id: str, resource: Resource, item: Mapping[str, Any]) -> bool:
        """Whether tenants must not see a resource, as it or what it is a part of is known to be a copy.

        :param item: the resource as the pod shows it
        """
        return any(self.hidden.get(str(item.get(name))) == pod_id for name in ('id', resource.part_of) if name)

    def hides(self, pod_id: str, resource: Resource, item: Mapping[str, Any]) -> bool:
        """Whether tenants must not see a resource that has no routing under the id that it has in its pod.

        :param item: the resource as the pod shows it
        """
        if self.has_hidden(pod_id, resource, item):
            return True
        name = str(item.get(resource.name) or '')
        if name in self.temporary:
            return True
        # An item that does not show its project is in a list of one project, which may be that of the move.
        return any(made == (pod_id, resource.type, resource.owner_of(item, made[2]), name) for made in self.unmade)


@dataclass(frozen=True)
class Snapshot:
    """All pods at one moment, ordered by number, without the top region.

    :ivar moved: id that tenants see -> id of the pod, for resources that have another id in their pod
    :ivar ids_up: id in the pod -> id that tenants see, for the same resources
    :ivar shown: id that tenants see -> the fields that they see in place of those of the pod, for moved resources
    :ivar moving: the moves that have not ended
    :ivar wanted: the desired states of replicated objects that ``Registry.wanted`` has read
    """

    pods: tuple[PodView, ...] = ()
    by_id: Mapping[str, PodView] = field(default_factory=dict)
    moved: Mapping[str, str] = field(default_factory=dict)
    ids_up: Mapping[str, str] = field(default_factory=dict)
    shown: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    moving: Moving = field(default_factory=Moving)
    wanted: dict[tuple[str, str, bool], Any] = field(default_factory=dict, compare=False)

    def serving(self, service: str) -> list[PodView]:
        """Return the pods that have the service and are not in maintenance."""
        return [pod for pod in self.pods if not pod.in_maintenance and service in pod.endpoints]

    @cached_property
    def by_zone(self) -> Mapping[str, Sequence[PodView]]:
        found: dict[str, list[PodView]] = {}
        for pod in self.pods:
            found.setdefault(pod.zone, []).append(pod)
        return found

    @cached_property
    def by_number(self) -> Mapping[int, PodView]:
        return {pod.record.number: pod for pod in self.pods}

    @cached_property
    def by_changes_read(self) -> Sequence[PodView]:
        """All pods, those that have not been reconciled first, then those whose changes were read the longest ago."""

        def key(pod: PodView) -> tuple[bool, datetime]:
            return pod.record.is_reconciled, pod.record.followed_at or datetime.min

        return sorted(self.pods, key=key)

    @cached_property
    def zones(self) -> list[str]:
        return sorted(self.by_zone)

    @cached_property
    def versions(self) -> Mapping[str, VersionRange]:
        """By service, the range of microversions that all pods have, except those in maintenance.

        A pod whose versions are not known does not narrow the range. The maximum is below the minimum if the pods have
        no microversion in common.
        """
        found: dict[str, VersionRange] = {}
        for pod in self.pods:
            for service, endpoint in pod.endpoints.items():
                versions = endpoint.range
                if versions is not None and not pod.in_maintenance:
                    low, high = found.get(service, versions)
                    found[service] = VersionRange(max(low, versions[0]), min(high, versions[1]))
        return found


class _Replicas:
    """What a process keeps in memory of the replicas: which are out of sync, and the ids that pods chose."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._version = 0
        self._out_of_sync: dict[str, set[int]] = {}
        self._own_ids: dict[str, dict[int, db_replicas.OwnId]] = {}

    def out_of_sync(self, pod_id: str) -> int:
        """Return the number of objects that are out of sync in a pod."""
        return len(self._out_of_sync.get(pod_id, ()))

    def ids_up(self, pod_id: str) -> dict[str, str]:
        """Map the ids that a pod chose for objects to those that tenants see."""
        return {own.bottom_id: own.top_id for own in self._own_ids.get(pod_id, {}).values()}

    def read_all(self, version: int) -> None:
        self._out_of_sync, self._own_ids = {}, {}
        self._add()
        self._version = version

    def read_changes(self, version: int, new_pods: Collection[str] = ()) -> set[str] | None:
        """Read what was changed since the last version.

        :param new_pods: pods in which objects are out of sync that did not change
        :returns: the pods for which something may have changed; None: all
        """
        objects = set(db_replicas.changed_since(self._db, self._version))
        pairs = db_replicas.replicas_changed_since(self._db, self._version)
        known = {object_id for ids in self._out_of_sync.values() for object_id in ids}
        if version < self._version or len(pairs) + len(objects) + len(known) > MAX_CHANGED_OBJECTS:
            self.read_all(version)
            return None
        pods = {*new_pods, *(pod_id for pod_id, _object_id in pairs)}
        # An object that was dropped is out of sync nowhere any more.
        dropped = known - db_replicas.existing(self._db, known) if known else set()
        if objects or dropped:
            self._forget(objects | dropped)
            self._add(object_ids=objects)
        if pods:
            # A pod has a replica of each object, which are few; many pods may have changed.
            for pod_id in pods:
                self._out_of_sync.pop(pod_id, None)
                self._own_ids.pop(pod_id, None)
            self._add(pod_ids=pods)
        self._version = version
        return None if objects or dropped else pods

    def forget_pods(self, kept: Collection[str]) -> None:
        """Forget the pods that were deleted."""
        for known in (self._out_of_sync, self._own_ids):
            for pod_id in known.keys() - set(kept):
                del known[pod_id]

    def _forget(self, object_ids: Collection[int]) -> None:
        for ids in self._out_of_sync.values():
            ids.difference_update(object_ids)
        for own in self._own_ids.values():
            for object_id in own.keys() & set(object_ids):
                del own[object_id]

    def _add(self, object_ids: Collection[int] | None = None, pod_ids: Collection[str] | None = None) -> None:
        if object_ids is not None and not object_ids:
            return
        for pod_id, object_id in db_replicas.pods_out_of_sync(self._db, object_ids, pod_ids):
            self._out_of_sync.setdefault(pod_id, set()).add(object_id)
        for own in db_replicas.own_ids(self._db, object_ids, pod_ids):
            self._own_ids.setdefault(own.pod_id, {})[own.object_id] = own


def _union(first: set[str] | None, second: set[str] | None) -> set[str] | None:
    """Return the union of two sets of pods, of which None has all."""
    return None if first is None or second is None else first | second


class Registry:
    """Holds the snapshot of a process, and reads it again after changes."""

    def __init__(self, conf: cfg.ConfigOpts, db: Database) -> None:
        self._db = db
        self._refresh_seconds = conf.pods.refresh_seconds
        self._snapshot: Snapshot | None = None
        self._read_at = 0.0
        self._lock = threading.RLock()
        # All below is only used with the lock.
        self._all_read_at = 0.0
        self._versions: Mapping[str, int] = {}
        self._records: dict[str, Pod] = {}
        self._views: dict[str, PodView] = {}
        self._moved: list[MovedResource] = []
        self._moving = Moving()
        self._usages: Mapping[str, Mapping[str, Usage]] = {}
        self._replicas = _Replicas(db)
        self._is_warned_of_files = False

    def snapshot(self) -> Snapshot:
        """The pods as read at most about ``[pods] refresh_seconds`` ago."""
        current = self._snapshot
        if current is not None and time.monotonic() - self._read_at < self._refresh_seconds:
            return current
        # Without any snapshot every request has to wait; later only the one that reads.
        if self._lock.acquire(blocking=current is None):
            try:
                if self._snapshot is current:
                    self.refresh()
            except db_exc.DBError:
                if current is None:
                    raise
                # While the database is unreachable, requests that do not need it can still be served.
                LOG.exception('Failed to read pods from the database; using those read before')
                self._read_at = time.monotonic()
            finally:
                self._lock.release()
        assert self._snapshot is not None
        return self._snapshot

    def refresh(self) -> Snapshot:
        """Read what has changed in the database until now.

        :returns: the pods with all changes that were committed before the call
        """
        # One at a time, so that no snapshot replaces one that was read later.
        with self._lock:
            started = time.monotonic()
            read_all = self._snapshot is None or started - self._all_read_at >= READ_ALL_SECONDS
            versions = db_versions.read(self._db)
            changed = {name for name in db_versions.TABLES if read_all or versions[name] != self._versions[name]}
            if changed or self._snapshot is None:
                pods = self._read(changed, versions, read_all)
                if db_versions.MOVES in changed:
                    moved = self._read_switches(versions[db_versions.MOVED])
                    if moved != versions[db_versions.MOVED]:
                        pods, versions = None, {**versions, db_versions.MOVED: moved}
                self._snapshot = self._make_snapshot(pods)
                self._versions = versions
            if read_all:
                self._all_read_at = started
            self._read_at = time.monotonic()
            return self._snapshot

    def _read(self, changed: Set[str], versions: Mapping[str, int], read_all: bool) -> set[str] | None:
        """Read what was changed.

        :returns: the pods for which something may have changed; None: all
        """
        pods: set[str] | None = (
            set() if changed <= {db_versions.PODS, db_versions.MOVES, db_versions.REPLICAS} else None
        )
        before = self._records.keys()
        if db_versions.PODS in changed:
            since = 0 if read_all else self._versions[db_versions.PODS]
            pods = _union(pods, self._read_pods(since, versions[db_versions.PODS]))
        if db_versions.MOVED in changed:
            self._moved = moved_resources.list_all(self._db)
        if db_versions.MOVES in changed:
            self._moving = Moving.of(db_moves.list_open(self._db))
        if db_versions.USAGES in changed:
            self._usages = self._read_usages()
        new = self._records.keys() - before
        if read_all:
            self._replicas.read_all(versions[db_versions.REPLICAS])
            return None
        if new or db_versions.REPLICAS in changed:
            pods = _union(pods, self._replicas.read_changes(versions[db_versions.REPLICAS], new))
        return pods

    def _read_switches(self, version: int) -> int:
        """Read the moves and the moved resources again until no switch has come between the two.

        A switch changes both. With one read before it and the other after it, tenants would see the id in the pod.

        :param version: of the moved resources, as they were read
        :returns: their version now
        """
        while (current := db_versions.read(self._db)[db_versions.MOVED]) != version:
            version = current
            self._moved = moved_resources.list_all(self._db)
            self._moving = Moving.of(db_moves.list_open(self._db))
        return version

    def _read_pods(self, since: int, version: int) -> set[str] | None:
        """:returns: the pods that were changed; None: all, or some were deleted"""
        if since and version >= since:
            found, count = db_pods.changed_since(self._db, since)
            records = self._records | {record.pod_id: record for record in found}
            # During an upgrade, a service of an older release changes pods and only the version of the table.
            if found and len(records) == count:
                self._records = records
                return {record.pod_id for record in found}
        self._records = {record.pod_id: record for record in db_pods.list_all(self._db)}
        self._replicas.forget_pods(self._records)
        return None

    def _make_snapshot(self, pods: Collection[str] | None) -> Snapshot:
        """:param pods: those for which something may have changed; None: all"""
        moved: dict[str, dict[str, str]] = {}
        for each in self._moved:
            moved.setdefault(each.pod_id, {})[each.bottom_id] = each.top_id
        kept = {} if pods is None else {pod_id: view for pod_id, view in self._views.items() if pod_id not in pods}
        self._views = kept | {
            pod_id: PodView(
                record,
                {name: PodEndpoint.from_json(data) for name, data in (record.endpoints or {}).items()},
                self._replicas.ids_up(pod_id) | moved.get(pod_id, {}),
                self._replicas.out_of_sync(pod_id),
                self._usages.get(pod_id, {}),
            )
            for pod_id, record in self._records.items()
            if not record.is_top and pod_id not in kept
        }
        views = sorted(self._views.values(), key=lambda view: view.record.number)
        self._warn_of_few_files(sum(len(view.endpoints) for view in views))
        return Snapshot(
            tuple(views),
            {view.id: view for view in views},
            {each.top_id: each.pod_id for each in self._moved},
            {each.bottom_id: each.top_id for each in self._moved},
            {each.top_id: each.shown for each in self._moved if each.shown},
            self._moving,
        )

    def _warn_of_few_files(self, endpoints: int) -> None:
        """Log once that this process may open too few files, when it starts or when there are more pods."""
        text = '' if self._is_warned_of_files else open_files.warning(endpoints)
        if text:
            LOG.warning(text)
            self._is_warned_of_files = True

    def _read_usages(self) -> Mapping[str, Mapping[str, Usage]]:
        """Usages by pod and service."""
        found: dict[str, dict[str, Usage]] = {}
        for row in db_usages.list_all(self._db):
            usage = Usage.from_json(row.data, row.collected_at)
            if usage is not None:
                found.setdefault(row.pod_id, {})[row.service] = usage
        return found

    def wanted(self, kind: str, key: str, by_name: bool = False) -> Any:
        """Return the desired state of a replicated object, as ``db.replicas.find_wanted`` does.

        It is as old as the snapshot: each change of a replicated object leads to a new one, in the process that
        writes it at once.
        """
        known = self.snapshot().wanted
        asked = kind, key, by_name
        if asked in known:
            return known[asked]
        found = db_replicas.find_wanted(self._db, kind, key, by_name)
        # Clients choose the keys.
        if len(known) < _MOST_WANTED:
            known[asked] = found
        return found

    def versions(self, service: str, known: VersionRange) -> VersionRange:
        """The range of microversions that the gateway and all pods have, except those in maintenance.

        :param known: the range that the gateway knows
        """
        low, high = known
        versions = self.snapshot().versions.get(service)
        if versions is not None:
            low, high = max(low, versions.min), min(high, versions.max)
        return VersionRange(low, max(low, high))
