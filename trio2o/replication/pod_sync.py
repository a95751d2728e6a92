# SPDX-License-Identifier: Apache-2.0
"""All replicated objects of one pod: compare them when it joins, repair those that are out of sync, find drift."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from trio2o import job_types
from trio2o.db import jobs as db_jobs
from trio2o.db import pods as db_pods
from trio2o.db import replicas
from trio2o.db.database import utcnow
from trio2o.db.records import JOB_ACTIVE_STATES, Replica, ReplicatedObject
from trio2o.pods.registry import PodView
from trio2o.replication import reconcile
from trio2o.replication.adapters.base import Adapter
from trio2o.replication.dependencies import Dependencies
from trio2o.replication.desired_state import DesiredState
from trio2o.replication.kinds import FLAVOR, KEYPAIR, owner_of
from trio2o.replication.object_sync import ObjectSync, describe_conflict
from trio2o.replication.reconcile import PodObject
from trio2o.replication.replica_store import Outcome, is_current, known_object

LOG = logging.getLogger(__name__)

#: Names of unknown objects in the result of a repair; all of them are logged.
MAX_UNKNOWN = 100

#: Users whose key pairs, and projects whose limits, a turn compares: one or two requests to the pod for each.
OWNERS_OF_TURN = 50

#: Called between two objects of many; raises any exception to end the work there.
Check = Callable[[], None]


def _no_check() -> None:
    pass


#: How an object of a pod that joins compares with the desired state: it is not recorded, it is the same, it will be
#: changed to be the same, or it is a different object, and both stay as they are.
NEW, KNOWN, CHANGED, CONFLICT = 'new', 'known', 'changed', 'conflict'


@dataclass(frozen=True)
class JoinResult:
    """What becomes of one object of a pod that joins.

    :ivar verdict: NEW, KNOWN, CHANGED or CONFLICT
    :ivar text: for operators: the change in the pod, or the reason why the object is not recorded
    :ivar obj: the record of the object; None if it has none
    :ivar replica: the record of the object in the pod; None if it has none
    """

    kind: str
    found: PodObject
    key: str
    verdict: str
    text: str = ''
    obj: ReplicatedObject | None = None
    replica: Replica | None = None


@dataclass(frozen=True)
class RepairResult:
    """Numbers of objects after a join or a repair.

    :ivar repaired: in sync now; ``out_of_sync``: cannot be brought to the pod now
    :ivar failed: refused by the pod, or in conflict
    :ivar imported: recorded from the pod
    :ivar unknown: kinds and names of objects that only this pod has and that were not recorded, at most
        ``MAX_UNKNOWN``
    """

    repaired: int = 0
    out_of_sync: int = 0
    failed: int = 0
    imported: int = 0
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True)
class Drift:
    """How a pod differs from its record.

    :ivar changed: kinds and keys of the objects that differ, or are missing
    :ivar unknown: objects that are not recorded, by kind and key
    """

    changed: frozenset[tuple[str, str]]
    unknown: Mapping[tuple[str, str], PodObject]

    def __bool__(self) -> bool:
        return bool(self.changed or self.unknown)


class PodSync:
    """Brings a pod to the desired state of all objects, and records those that only the pod has."""

    def __init__(self, deps: Dependencies, objects: ObjectSync, desired: DesiredState) -> None:
        self._deps = deps
        self._db = deps.store.db
        self._objects = objects
        self._desired = desired

    # -- a pod that joins --

    def join(self, pod: PodView, check: Check = _no_check, *, is_adopted: bool) -> RepairResult:
        """Write all objects of the desired state to a pod, and record the objects that only this pod has.

        :param check: called between two objects
        :param is_adopted: whether to record them. An operator decides that when the pod is registered or adopted. A
            pod that joins again after maintenance must not give its objects to the other pods
        :raises PodError: the pod's objects cannot be listed
        """
        imported, unknown = 0, list[str]()
        for adapter in self._deps.access.adapters_of(pod):
            check()
            results = self._compare(adapter, pod, {})
            self._record_replicas(adapter, pod, results)
            new = {(adapter.kind, each.key): each.found for each in results if each.verdict == NEW}
            if is_adopted:
                imported += self._import(pod, new)
            else:
                unknown += self._report(pod, new)
        if is_adopted:
            db_pods.set_adopted(self._db, pod.id, utcnow())
        self._deps.registry.refresh()
        repair = self._repair_out_of_sync(pod, check)
        return replace(repair, imported=imported, unknown=tuple(unknown[:MAX_UNKNOWN]))

    def survey(self, pod: PodView, check: Check = _no_check) -> list[JoinResult]:
        """Return what ``join`` would do with each object of a pod, without a change in the pod or the record.

        :param check: called between two kinds of objects
        :raises PodError: the pod's objects cannot be listed
        """
        new_ids: dict[str, str] = {}
        results: list[JoinResult] = []
        for adapter in self._deps.access.adapters_of(pod):
            check()
            of_kind = self._compare(adapter, pod, new_ids)
            new_ids |= {each.found.bottom_id: each.key for each in of_kind}
            results += of_kind
        return results

    def _compare(self, adapter: Adapter, pod: PodView, new_ids: Mapping[str, str]) -> list[JoinResult]:
        """Compare the objects of one kind in a pod that joins with their desired state.

        :param new_ids: the pod's ids of objects that are not recorded, with those that tenants will see
        """
        pod_objects = self._deps.access.objects(adapter.kind, pod, new_ids=new_ids)
        found = pod_objects.list_all(self._deps.access.owners(adapter))
        objects = {obj.key: obj for obj in self._deps.store.objects(adapter.kind)}
        rows = self._deps.store.replicas_by_object(adapter.kind, pod)
        known = [known_object(obj, rows.get(obj.id)) for obj in objects.values()]
        pairs, unknown = reconcile.pair(known, found, adapter.has_own_ids)
        results = [_join_result(adapter, objects[key], rows.get(objects[key].id), each) for key, each in pairs.items()]
        keys = {obj.wanted['name']: obj.key for obj in objects.values() if not obj.is_deleted}
        for each in unknown:
            if adapter.kind == FLAVOR and each.name in keys:
                text = f'there is another flavor of this name, with the id {keys[each.name]}'
                results.append(JoinResult(adapter.kind, each, each.key, CONFLICT, text))
            else:
                results.append(JoinResult(adapter.kind, each, each.key, NEW))
        return results

    def _record_replicas(self, adapter: Adapter, pod: PodView, results: Iterable[JoinResult]) -> None:
        """Record which objects of the desired state a pod that joins has. The rest is brought there next."""
        new: list[tuple[ReplicatedObject, Outcome]] = []
        for each in results:
            obj, row = each.obj, each.replica
            if obj is None or obj.is_deleted or (row is not None and row.state != 'gone'):
                continue
            bottom_id = each.found.bottom_id if adapter.has_own_ids else None
            if each.verdict == CONFLICT:
                outcome = Outcome('failed', 0, error=each.text)
            elif each.verdict == KNOWN and row is None:
                outcome = Outcome('in_sync', obj.generation, each.found.bottom_id)
            else:
                outcome = Outcome('out_of_sync', obj.generation if bottom_id else 0, bottom_id)
            if row is None:
                new.append((obj, outcome))
            else:
                self._deps.store.set_outcome(obj, pod, outcome)
        self._deps.store.add_outcomes(pod, new)

    # -- repair --

    def repair(
        self, pod: PodView, check: Check = _no_check, created_kind: str | None = None, turn: int | None = None
    ) -> RepairResult:
        """Write all objects that are out of sync in a pod to it, and repair drift.

        Objects that only this pod has are reported and not recorded: else whoever can write to one pod could bring a
        key pair or a flavor to all of them.

        :param check: called between two objects
        :param created_kind: a request that creates an object of this kind was sent to the pod and not answered, so
            that new objects of the kind are recorded
        :param turn: number of this run; see ``find_drift``
        :raises PodError: the pod's objects cannot be listed
        """
        result = self._repair_out_of_sync(pod, check)
        if result.out_of_sync:
            return result
        drift = self.find_drift(pod, created_kind, turn)
        if drift:
            self._deps.timing.sleep(self._deps.timing.settle_seconds)
            drift = _lasting(drift, self.find_drift(pod, created_kind, turn))
        repaired, failed = result.repaired, result.failed
        for kind, key in sorted(drift.changed):
            check()
            LOG.warning('%s %s was changed in pod %s and not through Trio2o, repairing it', kind, key, pod.name)
            if self._objects.sync(kind, key, pod).is_done:
                repaired += 1
            else:
                failed += 1
        created = {name: found for name, found in drift.unknown.items() if name[0] == created_kind}
        others = {name: found for name, found in drift.unknown.items() if name[0] != created_kind}
        imported = self._import(pod, created)
        return RepairResult(repaired, 0, failed, imported, tuple(self._report(pod, others)[:MAX_UNKNOWN]))

    def find_drift(self, pod: PodView, whole_kind: str | None = None, turn: int | None = None) -> Drift:
        """Compare the objects of a pod with its record, without a change.

        A pod lists the key pairs of one user, and the limits of one project, at a time. So each turn compares those of
        ``OWNERS_OF_TURN`` owners, and all owners have theirs after some turns.

        :param whole_kind: compare the objects of this kind of all owners
        :param turn: number of the turn; None: compare the objects of all owners
        :raises PodError: the pod's objects cannot be listed
        """
        changed: set[tuple[str, str]] = set()
        unknown: dict[tuple[str, str], PodObject] = {}
        being_recorded = self._being_recorded()
        for adapter in self._deps.access.adapters_of(pod):
            kind = adapter.kind
            owners: Collection[str] = ()
            if adapter.has_owners:
                owners = {owner_of(obj.key) for obj in self._deps.store.objects(kind)}
                if turn is not None and kind != whole_kind:
                    owners = owners_of_turn(owners, turn)
            found = self._deps.access.objects(kind, pod).list_all(owners)
            # The records are read after the list, to include objects recorded in the meantime.
            objects = self._deps.store.objects(kind)
            if adapter.has_owners:
                objects = [obj for obj in objects if owner_of(obj.key) in owners]
            rows = self._deps.store.replicas_by_object(kind, pod)
            known = [known_object(obj, rows.get(obj.id)) for obj in objects]
            pairs, rest = reconcile.pair(known, found, adapter.has_own_ids)
            for obj in objects:
                replica = rows.get(obj.id)
                if replica is None or not is_current(obj, replica) or obj.is_deleted:
                    continue
                paired = pairs.get(obj.key)
                if paired is None or not _is_in_desired_state(adapter, obj, replica, paired):
                    changed.add((kind, obj.key))
            unknown.update({(kind, each.key): each for each in rest})
        return Drift(
            frozenset(changed - being_recorded),
            {name: each for name, each in unknown.items() if name not in being_recorded},
        )

    def _repair_out_of_sync(self, pod: PodView, check: Check) -> RepairResult:
        repaired = out_of_sync = failed = 0
        unreachable: set[str] = set()
        is_user_deleted = functools.cache(self._deps.access.is_user_deleted)
        ranks = {kind: rank for rank, kind in enumerate(self._deps.access.adapters)}
        missing = replicas.out_of_sync(self._db, pod.id)
        # Deletions come first: a pod that ignores case has no place for a name beside the old one.
        for obj, _replica in sorted(missing, key=lambda row: (ranks.get(row[0].kind, 0), not row[0].is_deleted)):
            adapter = self._deps.access.adapters.get(obj.kind)
            if adapter is None:
                continue
            check()
            if adapter.service in unreachable:
                out_of_sync += 1
                continue
            if obj.kind == KEYPAIR and not obj.is_deleted and is_user_deleted(owner_of(obj.key)):
                # Nobody can use it or delete it, and pods that join would get it for ever.
                LOG.warning('%s %s is deleted, as Keystone has deleted the user', obj.kind, obj.key)
                self._desired.delete(obj.kind, obj.key)
                repaired += 1
                continue
            outcome = self._objects.sync(obj.kind, obj.key, pod)
            if outcome.is_done:
                repaired += 1
            elif outcome.state == 'failed':
                failed += 1
            else:
                out_of_sync += 1
                unreachable.add(adapter.service)
        return RepairResult(repaired, out_of_sync, failed)

    def _being_recorded(self) -> set[tuple[str, str]]:
        """Return the objects whose last write could not be read back yet, so that their record is old."""
        rows = db_jobs.list_(self._db, filters={'type': job_types.RECORD_WRITE, 'state': JOB_ACTIVE_STATES})
        return {(row.payload['kind'], row.payload['key']) for row in rows}

    # -- objects that only a pod has --

    def _report(self, pod: PodView, unknown: Mapping[tuple[str, str], PodObject]) -> list[str]:
        """Log objects that only one pod has and that are not recorded. :returns: their kinds and names"""
        names = sorted(f'{kind} {found.name}' for (kind, _key), found in unknown.items())
        for name in names:
            LOG.warning('%r is only in pod %s. Adopt the pod to bring it to all pods, or delete it', name, pod.name)
        return names

    def _import(self, pod: PodView, unknown: Mapping[tuple[str, str], PodObject]) -> int:
        """Record objects that only one pod has, and queue jobs that bring them to the other pods.

        :returns: how many were recorded
        """
        others = [other for other in self._deps.registry.snapshot().pods if other.id != pod.id]
        imported = 0
        for (kind, key), found in unknown.items():
            if kind == FLAVOR and self._has_name(kind, found.name):
                LOG.warning(
                    'Not recording flavor %s of pod %s: there is another flavor of the name %s',
                    key,
                    pod.name,
                    found.name,
                )
                continue
            LOG.info('Recording %s %s from pod %s', kind, found.name, pod.name)
            self._desired.record(kind, key, pod, found)
            if self._deps.access.adapters[kind].has_own_ids and self._withdraw_duplicate(kind, key, found.name):
                continue
            imported += 1
        if imported:
            for other in others:
                self._deps.jobs.submit(job_types.REPAIR_REPLICAS, other.id, {'pod_id': other.id})
        return imported

    def _has_name(self, kind: str, name: str) -> bool:
        objects = replicas.list_objects(self._db, kind)
        return any(obj.wanted['name'] == name and not obj.is_deleted for obj in objects)

    def _withdraw_duplicate(self, kind: str, key: str, name: str) -> bool:
        """Remove an object just recorded if one of its name was recorded from another pod at the same moment.

        Both record first and look afterwards, so the later of the two sees the other.

        :returns: whether there was another
        """
        same = [obj for obj in replicas.list_objects(self._db, kind) if obj.wanted['name'] == name]
        if not same or same[0].key == key:
            return False
        for obj in same[1:]:
            if obj.key == key:
                replicas.drop_object(self._db, obj)
        return True


def _join_result(adapter: Adapter, obj: ReplicatedObject, replica: Replica | None, found: PodObject) -> JoinResult:
    """Compare an object of a pod that joins with its desired state."""

    def result(verdict: str, text: str = '') -> JoinResult:
        return JoinResult(adapter.kind, found, obj.key, verdict, text, obj, replica)

    if obj.is_deleted:
        name = f'{obj.kind.replace("_", " ")} {found.name}'
        return result(CONFLICT, f'{name} was deleted everywhere else a short while ago')
    is_ours = replica is not None and replica.bottom_id is not None and replica.state != 'gone'
    names = () if is_ours else reconcile.contradictions(adapter.shape, obj.wanted, found.attributes)
    if names:
        return result(CONFLICT, describe_conflict(adapter, obj, found, names))
    seen = replica.generation if is_ours and replica else None
    steps = reconcile.plan(adapter.shape, obj.wanted, found.attributes, seen)
    if not steps:
        return result(KNOWN)
    return result(CHANGED, '; '.join(reconcile.describe(step) for step in steps))


def _is_in_desired_state(adapter: Adapter, obj: ReplicatedObject, replica: Replica, found: PodObject) -> bool:
    if reconcile.fixed_differences(adapter.shape, obj.wanted, found.attributes):
        return False
    return not reconcile.plan(adapter.shape, obj.wanted, found.attributes, replica.generation)


def owners_of_turn(owners: Collection[str], turn: int) -> set[str]:
    """Return the owners whose objects a turn compares: ``OWNERS_OF_TURN`` at most, all of them in a round of turns."""
    turns = -(-len(owners) // OWNERS_OF_TURN)
    return set(sorted(owners)[turn % turns :: turns]) if turns else set()


def _lasting(first: Drift, second: Drift) -> Drift:
    """Return the drift that both comparisons found."""
    return Drift(
        first.changed & second.changed,
        {name: each for name, each in second.unknown.items() if name in first.unknown},
    )
