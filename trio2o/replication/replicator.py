# SPDX-License-Identifier: Apache-2.0
"""A pod as a whole: taken in, kept in step, looked over; over ``converge`` and ``writes``."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from trio2o import job_types
from trio2o.db import jobs as db_jobs
from trio2o.db import replicas
from trio2o.db.records import JOB_ACTIVE_STATES, Replica, ReplicatedObject
from trio2o.pods.registry import PodView
from trio2o.quota.amounts import UNLIMITED
from trio2o.replication import reconcile
from trio2o.replication.adapters.quotas import limited
from trio2o.replication.converge import Outcome, clash, is_current, known_of
from trio2o.replication.kinds import FLAVOR, KEYPAIR, QUOTA_SET, VOLUME_QUOTA, Adapter, owner_of
from trio2o.replication.reconcile import Found
from trio2o.replication.writes import Writer

LOG = logging.getLogger(__name__)

#: Called between two objects of many; raises what it likes to end the work there.
Check = Callable[[], None]


def _go_on() -> None:
    pass


#: How what a pod that joins has relates to what is wanted: nobody else has it, it is the same, it becomes the same,
#: or it is something else, and both stay as they are.
NEW, KNOWN, CHANGED, CONFLICT = 'new', 'known', 'changed', 'conflict'


@dataclass(frozen=True)
class Meeting:
    """One object of a pod that joins.

    :ivar text: for operators: what changes in the pod, or why it cannot be taken in
    """

    adapter: Adapter
    found: Found
    key: str
    verdict: str
    text: str = ''


@dataclass(frozen=True)
class Repaired:
    """What a repair came to.

    :ivar behind: could not be brought there now; ``failed``: refused, or in conflict
    :ivar meetings: of a pod that joined
    """

    mended: int = 0
    behind: int = 0
    failed: int = 0
    imported: int = 0
    meetings: tuple[Meeting, ...] = ()


@dataclass(frozen=True)
class Drift:
    """Where a pod is not as it is recorded.

    :ivar changed: keys by kind; ``unknown``: what nobody recorded
    """

    changed: frozenset[tuple[str, str]]
    unknown: Mapping[tuple[str, str], Found]

    def __bool__(self) -> bool:
        return bool(self.changed or self.unknown)


class Replicator(Writer):
    """One a process."""

    def ensure(self, pod: PodView, refs: Collection[tuple[str, str]]) -> PodView:
        """Bring what a request refers to to the pod it is about to go to, if it is behind there.

        What fails is left to the pod to say.

        :param refs: kind and key, id or name
        :returns: the pod with the ids it has given to what it got
        """
        if not pod.behind or not refs:
            return pod
        wanted = set(refs)
        for obj, _replica in replicas.behind(self._db, pod.id):
            names = (obj.key, obj.top_id, obj.wanted['name'])
            if not obj.is_deleted and any((obj.kind, name) in wanted for name in names):
                self.converge(obj.kind, obj.key, pod, self._replicate_timeout)
        return self._registry.refresh().by_id.get(pod.id, pod)

    def unusable(self, refs: Collection[tuple[str, str]], user_id: str) -> dict[str, str]:
        """The pods where something of what a request refers to is in conflict, or was refused.

        :param refs: kind and key, id or name; key pairs by their names
        :param user_id: whose key pairs they are
        :returns: why, by the ids of the pods
        """
        pods = [pod for pod in self._registry.snapshot().pods if pod.behind] if refs else []
        wanted = {(kind, f'{user_id}/{name}' if kind == KEYPAIR else name) for kind, name in refs}
        found = {}
        for pod in pods:
            for obj, replica in replicas.behind(self._db, pod.id):
                if obj.is_deleted or replica is None or replica.state != 'failed':
                    continue
                names = (obj.key,) if obj.kind == KEYPAIR else (obj.key, obj.top_id, obj.wanted['name'])
                if any((obj.kind, name) in wanted for name in names):
                    found[pod.id] = f'{obj.kind.replace("_", " ")} {obj.wanted["name"]}: {replica.error}'
        return found

    def join(self, pod: PodView, check: Check = _go_on) -> Repaired:
        """Take a pod in: record what only it has, and bring it everything that is wanted.

        :param check: called between two objects
        :raises PodError: it did not tell what it has
        """
        imported = 0
        meetings: list[Meeting] = []
        for adapter in self._present(pod):
            check()
            met = self._look(adapter, pod, {})
            self._meet(adapter, pod, met)
            imported += self._import(
                pod, {(adapter.kind, each.key): each.found for each in met if each.verdict == NEW}
            )
            meetings += met
        self._registry.refresh()
        repaired = self._mend_behind(pod, check)
        return Repaired(repaired.mended, repaired.behind, repaired.failed, imported, tuple(meetings))

    def survey(self, pod: PodView, check: Check = _go_on) -> list[Meeting]:
        """What would become of all that a pod has if it joined now; nothing is changed or recorded.

        :raises PodError: it did not tell what it has
        """
        ids: dict[str, str] = {}
        meetings: list[Meeting] = []
        for adapter in self._present(pod):
            check()
            met = self._look(adapter, pod, ids)
            ids |= {each.found.bottom_id: each.key for each in met}
            meetings += met
        return meetings

    def _look(self, adapter: Adapter, pod: PodView, ids: Mapping[str, str]) -> list[Meeting]:
        """What a pod that joins has of one kind.

        :param ids: those of the pod, with those that tenants will see, beyond what is recorded
        """
        api = self._api(adapter, pod, None, ids)
        found = adapter.list_all(api, adapter.owners(self._identity))
        objects = {obj.key: obj for obj in self._objects(adapter)}
        rows = self._by_object(adapter, pod)
        known = [known_of(obj, rows.get(obj.id)) for obj in objects.values()]
        pairs, unknown = reconcile.pair(known, found, adapter.has_own_ids)
        met = [_meeting(adapter, objects[key], rows.get(objects[key].id), each) for key, each in pairs.items()]
        names = {obj.wanted['name']: obj.key for obj in objects.values() if not obj.is_deleted}
        for each in unknown:
            if adapter.kind == FLAVOR and each.name in names:
                text = f'there is another flavor of this name, with the id {names[each.name]}'
                met.append(Meeting(adapter, each, each.key, CONFLICT, text))
            else:
                met.append(Meeting(adapter, each, each.key, NEW))
        return met

    def _meet(self, adapter: Adapter, pod: PodView, met: Iterable[Meeting]) -> None:
        """Note what a pod that joins has of what is wanted, so that it is brought there next."""
        pairs = {each.key: each for each in met}
        rows = self._by_object(adapter, pod)
        for obj in self._objects(adapter):
            row = rows.get(obj.id)
            if obj.is_deleted or (row is not None and row.state != 'gone'):
                continue
            each = pairs.get(obj.key)
            if each is not None and each.verdict == CONFLICT:
                outcome = Outcome('failed', 0, error=each.text)
            elif each is not None and adapter.has_own_ids:
                outcome = Outcome('behind', obj.generation, each.found.bottom_id)
            else:
                outcome = Outcome('behind', 0)
            self._set(obj, pod, outcome)

    def repair(self, pod: PodView, check: Check = _go_on) -> Repaired:
        """Bring a pod what it is behind with, and mend where it drifted.

        :param check: called between two objects
        :raises PodError: it did not tell what it has
        """
        repaired = self._mend_behind(pod, check)
        if repaired.behind:
            return repaired
        drift = self.check(pod)
        if drift:
            self._sleep(self._settle_seconds)
            drift = _lasting(drift, self.check(pod))
        mended, failed = repaired.mended, repaired.failed
        for kind, key in sorted(drift.changed):
            check()
            LOG.warning('%s %s drifted in pod %s', kind, key, pod.name)
            if self.converge(kind, key, pod).is_done:
                mended += 1
            else:
                failed += 1
        return Repaired(mended, 0, failed, self._import(pod, drift.unknown))

    def lift(self, pod: PodView, project_id: str, user_ids: Collection[str]) -> dict[str, dict[str, int]]:
        """Have a pod limit a project, and users in it, in nothing that is limited at the top.

        :returns: the limits that it had: of the project and of ``project:user``, by service
        :raises PodError: it did not answer
        :raises Refused: it does not want to
        """
        lifted: dict[str, dict[str, int]] = {}
        for kind in (QUOTA_SET, VOLUME_QUOTA):
            adapter = self._adapters[kind]
            if adapter.service not in pod.endpoints:
                continue
            api = self._api(adapter, pod, None)
            users = user_ids if kind == QUOTA_SET else ()
            for key in (project_id, *(f'{project_id}:{user_id}' for user_id in users)):
                found = adapter.read(api, key, key)
                low = limited(adapter.service, found)
                if found is None or not low:
                    continue
                self._want_no_more(kind, key, low)
                adapter.carry_out(api, found, reconcile.SetItems('limits', dict.fromkeys(low, UNLIMITED)))
                if limited(adapter.service, adapter.read(api, key, key)):
                    LOG.warning('pod %s keeps limits of %s %s: %s', pod.name, adapter.service, key, low)
                    continue
                LOG.warning(
                    'pod %s had limits of %s %s of its own, which are lifted: %s', pod.name, adapter.service, key, low
                )
                lifted[f'{adapter.service} {key}'] = low
        return lifted

    def _want_no_more(self, kind: str, key: str, names: Collection[str]) -> None:
        """Have limits not brought back that are wanted from when they were not counted over all pods."""
        wanted = self.wanted(kind, key)
        old = {name for name in names if (wanted or {}).get('limits', {}).get(name, UNLIMITED) >= 0}
        if wanted is not None and old:
            self.want(kind, key, {**wanted, 'limits': {**wanted['limits'], **dict.fromkeys(old, UNLIMITED)}})

    def check(self, pod: PodView) -> Drift:
        """Compare what a pod has with what is recorded of it; changes nothing.

        :raises PodError: it did not tell what it has
        """
        changed: set[tuple[str, str]] = set()
        unknown: dict[tuple[str, str], Found] = {}
        busy = self._being_recorded()
        for adapter in self._present(pod):
            kind = adapter.kind
            api = self._api(adapter, pod, None)
            owners = {owner_of(obj.key) for obj in self._objects(adapter)} if adapter.has_owners else ()
            found = adapter.list_all(api, owners)
            # Read after the list: what was recorded while it was made counts.
            objects = self._objects(adapter)
            synced = self._by_object(adapter, pod)
            pairs, rest = reconcile.pair(
                [known_of(obj, synced.get(obj.id)) for obj in objects], found, adapter.has_own_ids
            )
            for obj in objects:
                replica = synced.get(obj.id)
                if replica is None or not is_current(obj, replica) or obj.is_deleted:
                    continue
                there = pairs.get(obj.key)
                if there is None or not _is_as_wanted(adapter, obj, replica, there):
                    changed.add((kind, obj.key))
            unknown.update({(kind, each.key): each for each in rest})
        return Drift(
            frozenset(changed - busy),
            {name: each for name, each in unknown.items() if name not in busy},
        )

    def forget_gone(self, older_than: datetime) -> int:
        """Drop the records of what was deleted before a time and is gone in all pods.

        :returns: how many went
        """
        dropped = 0
        for adapter in self._adapters.values():
            for obj in self._objects(adapter):
                if not obj.is_deleted or (obj.updated_at or obj.created_at) >= older_than:
                    continue
                rows = replicas.list_replicas(self._db, object_id=obj.id)
                if all(row.state == 'gone' for row in rows):
                    dropped += replicas.drop_object(self._db, obj.id)
        return dropped

    def _mend_behind(self, pod: PodView, check: Check) -> Repaired:
        mended = behind = failed = 0
        silent: set[str] = set()
        ranks = {kind: rank for rank, kind in enumerate(self._adapters)}
        missing = replicas.behind(self._db, pod.id)
        for obj, replica in sorted(missing, key=lambda row: ranks.get(row[0].kind, 0)):
            adapter = self._adapters.get(obj.kind)
            if adapter is None:
                continue
            check()
            if adapter.service in silent or self._is_under_way(obj, replica):
                behind += 1
                continue
            outcome = self.converge(obj.kind, obj.key, pod)
            if outcome.is_done:
                mended += 1
            elif outcome.state == 'failed':
                failed += 1
            else:
                behind += 1
                silent.add(adapter.service)
        return Repaired(mended, behind, failed)

    def _import(self, pod: PodView, unknown: Mapping[tuple[str, str], Found]) -> int:
        """Record what a pod has and nobody knew of, and have it brought to the others."""
        others = [other for other in self._registry.snapshot().pods if other.id != pod.id]
        imported = 0
        for (kind, key), found in unknown.items():
            if kind == FLAVOR and self._has_name(kind, found.name):
                LOG.warning('flavor %s of pod %s stays its own: another has its name, %s', key, pod.name, found.name)
                continue
            LOG.info('%s %s is taken over from pod %s', kind, found.name, pod.name)
            adapter = self._adapters[kind]
            self._record(adapter, key, pod, found, None)
            if adapter.has_own_ids and self._was_faster(adapter, key, found.name):
                continue
            imported += 1
        if imported:
            for other in others:
                self._jobs.submit(job_types.REPAIR_REPLICAS, other.id, {'pod_id': other.id})
        return imported

    def _has_name(self, kind: str, name: str) -> bool:
        objects = replicas.list_objects(self._db, kind)
        return any(obj.wanted['name'] == name and not obj.is_deleted for obj in objects)

    def _was_faster(self, adapter: Adapter, key: str, name: str) -> bool:
        """Whether an object of this name was taken over from another pod at the same moment.

        Both record first and look afterwards, so the later of the two sees the other, and withdraws.
        """
        same = [obj for obj in replicas.list_objects(self._db, adapter.kind) if obj.wanted['name'] == name]
        if not same or same[0].key == key:
            return False
        for obj in same[1:]:
            if obj.key == key:
                replicas.drop_object(self._db, obj.id)
        return True

    def _being_recorded(self) -> set[tuple[str, str]]:
        """Objects whose last write could not be read back yet: what is recorded of them is old."""
        rows = db_jobs.list_(self._db, filters={'type': job_types.RECORD_WRITE, 'state': JOB_ACTIVE_STATES})
        return {(row.payload['kind'], row.payload['key']) for row in rows}


def _meeting(adapter: Adapter, obj: ReplicatedObject, replica: Replica | None, found: Found) -> Meeting:
    """How one object of a pod that joins relates to the one that is wanted."""
    if obj.is_deleted:
        text = f'{obj.kind.replace("_", " ")} {found.name} was deleted everywhere else a short while ago'
        return Meeting(adapter, found, obj.key, CONFLICT, text)
    is_ours = replica is not None and replica.bottom_id is not None and replica.state != 'gone'
    other = () if is_ours else reconcile.contradictions(adapter.shape, obj.wanted, found.wanted)
    if other:
        return Meeting(adapter, found, obj.key, CONFLICT, clash(adapter, obj, found, other))
    steps = reconcile.plan(
        adapter.shape, obj.wanted, found.wanted, replica.generation if is_ours and replica else None
    )
    if not steps:
        return Meeting(adapter, found, obj.key, KNOWN)
    return Meeting(adapter, found, obj.key, CHANGED, '; '.join(reconcile.told(step) for step in steps))


def _is_as_wanted(adapter: Adapter, obj: ReplicatedObject, replica: Replica, found: Found) -> bool:
    if reconcile.differences(adapter.shape, obj.wanted, found.wanted):
        return False
    return not reconcile.plan(adapter.shape, obj.wanted, found.wanted, replica.generation)


def _lasting(first: Drift, second: Drift) -> Drift:
    """What both looks saw."""
    return Drift(
        first.changed & second.changed,
        {name: each for name, each in second.unknown.items() if name in first.unknown},
    )
