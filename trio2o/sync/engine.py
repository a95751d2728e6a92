# SPDX-License-Identifier: Apache-2.0
"""Brings pods to what is wanted, and records what is wanted.

Whatever changes a pod here reads it first, and looks afterwards whether something newer is wanted
by now; so of any number that work on one object at once, the last one leaves it as it is wanted.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent import futures
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from oslo_config import cfg

from trio2o import exception
from trio2o.concurrency import Deadline, Executor
from trio2o.db import jobs as db_jobs
from trio2o.db import replicas
from trio2o.db.errors import NotFound
from trio2o.db.records import JOB_ACTIVE_STATES, Replica, ReplicatedObject
from trio2o.db.session import Database, utcnow
from trio2o.jobqueue import JobQueue
from trio2o.pods.client import PodClient
from trio2o.pods.endpoints import COMPUTE, VOLUME
from trio2o.pods.identity import Identity
from trio2o.pods.registry import PodView, Registry
from trio2o.sync import reconcile
from trio2o.sync.default_types import DefaultTypes
from trio2o.sync.flavors import Flavors
from trio2o.sync.group_types import GroupTypes
from trio2o.sync.keypairs import Keypairs
from trio2o.sync.kinds import (
    DEFAULT_TYPE,
    KEYPAIR,
    QOS_SPEC,
    QUOTA_CLASS,
    QUOTA_SET,
    VOLUME_QUOTA,
    VOLUME_QUOTA_CLASS,
    VOLUME_TYPE,
    Adapter,
    owner_of,
)
from trio2o.sync.podapi import PodApi, Refused
from trio2o.sync.qos_specs import QosSpecs
from trio2o.sync.quotas import Quotas
from trio2o.sync.reconcile import Found, Notes, Object
from trio2o.sync.volume_types import VolumeTypes

LOG = logging.getLogger(__name__)

#: What refers to others comes after them.
ADAPTERS: tuple[Adapter, ...] = (
    Flavors(),
    Keypairs(),
    VolumeTypes(),
    QosSpecs(),
    GroupTypes(),
    DefaultTypes(),
    # The newest version that shows every limit Nova still keeps.
    Quotas(QUOTA_SET, COMPUTE, '/os-quota-sets', 'quota_set', '2.56', is_forced=True),
    Quotas(QUOTA_CLASS, COMPUTE, '/os-quota-class-sets', 'quota_class_set', '2.56'),
    Quotas(VOLUME_QUOTA, VOLUME, '/os-quota-sets', 'quota_set', '3.0'),
    Quotas(VOLUME_QUOTA_CLASS, VOLUME, '/os-quota-class-sets', 'quota_class_set', '3.0'),
)

REPAIR = 'repair_replicas'
RECORD = 'record_write'

#: Seconds a difference has to last before it counts: a write that passes the gateway is in its
#: first pod a moment before it is recorded.
SETTLE_SECONDS = 2.0

#: Seconds after which a request that was never answered has had its effect, if it has any.
UNKNOWN_SECONDS = 10.0

#: Seconds between two looks at whether it is recorded.
WAIT_SECONDS = 0.05

_ROUNDS = 8
_LOCKS = 64

#: Called between two objects of many; raises what it likes to end the work there.
Check = Callable[[], None]


def _go_on() -> None:
    pass


@dataclass(frozen=True)
class Outcome:
    """How far one pod got with one object.

    :ivar generation: which generation the pod has now
    """

    state: str
    generation: int
    bottom_id: str | None = None
    error: str | None = None

    @property
    def is_done(self) -> bool:
        return self.state in ('in_sync', 'gone')


@dataclass(frozen=True)
class Repaired:
    """What a repair came to.

    :ivar behind: could not be brought there now; ``failed``: refused, or in conflict
    """

    mended: int = 0
    behind: int = 0
    failed: int = 0
    imported: int = 0


@dataclass(frozen=True)
class Drift:
    """Where a pod is not as it is recorded.

    :ivar changed: keys by kind; ``unknown``: what nobody recorded
    """

    changed: frozenset[tuple[str, str]]
    unknown: Mapping[tuple[str, str], Found]

    def __bool__(self) -> bool:
        return bool(self.changed or self.unknown)


class _Guarded:
    """An adapter whose pods may answer anything: what it cannot understand is no answer."""

    def __init__(self, adapter: Adapter) -> None:
        self._adapter = adapter

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._adapter, name)
        if not callable(value) or name == 'owners':
            return value

        def guarded(api: PodApi, *args: Any) -> Any:
            try:
                return value(api, *args)
            except (LookupError, TypeError, AttributeError, ValueError) as error:
                raise exception.PodNoAnswer(api.pod.name, f'answered what is not understood: {error!r}') from error

        return guarded


class Engine:
    """One a process."""

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        db: Database,
        registry: Registry,
        client: PodClient,
        identity: Identity,
        executor: Executor,
        jobs: JobQueue,
        *,
        adapters: Iterable[Adapter] = ADAPTERS,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """:param sleep: how the drift check waits between its two looks"""
        self._db = db
        self._registry = registry
        self._client = client
        self._identity = identity
        self._executor = executor
        self._jobs = jobs
        self._adapters = {adapter.kind: cast(Adapter, _Guarded(adapter)) for adapter in adapters}
        self._sleep = sleep
        self._settle_seconds = SETTLE_SECONDS
        self._replicate_timeout = conf.pods.replicate_timeout
        self._locks = [threading.Lock() for _ in range(_LOCKS)]

    # -- one object in one pod --

    def converge(self, kind: str, key: str, pod: PodView, timeout: float | None = None) -> Outcome:
        """Bring one object in one pod to what is wanted, and record how that went.

        :param timeout: seconds for each call to the pod
        """
        adapter = self._adapters[kind]
        for _ in range(_ROUNDS):
            obj = replicas.get_object(self._db, kind, key)
            if obj is None:
                return Outcome('gone', 0)
            outcome = self._bring(adapter, obj, pod, timeout)
            self._set(obj, pod, outcome)
            latest = replicas.get_object(self._db, kind, key)
            if not outcome.is_done or latest is None or latest.generation == obj.generation:
                return outcome
        return Outcome('behind', outcome.generation, error='it keeps changing')

    def _bring(self, adapter: Adapter, obj: ReplicatedObject, pod: PodView, timeout: float | None) -> Outcome:
        replica = self._replica(obj, pod)
        has = replica.generation if replica is not None else 0
        if adapter.service not in pod.endpoints:
            return Outcome('gone', obj.generation)  # nothing to bring it to
        api = self._api(adapter, pod, timeout)
        try:
            try:
                return self._apply(adapter, api, obj, replica)
            except Refused as error:
                if error.status not in (404, 409):
                    raise
                # Somebody else did the same step at this moment; what is left to do shows now.
                return self._apply(adapter, api, obj, replica)
        except Refused as error:
            return Outcome('failed', has, error=error.text)
        except exception.Trio2oException as error:
            return Outcome('behind', has, error=error.message)

    def _apply(self, adapter: Adapter, api: PodApi, obj: ReplicatedObject, replica: Replica | None) -> Outcome:
        found = self._locate(adapter, api, obj, replica)
        is_ours = replica is not None and replica.bottom_id is not None
        has = replica.generation if replica is not None and is_ours else 0
        other = reconcile.differences(adapter.shape, obj.wanted, found.wanted) if found else ()
        if obj.is_deleted:
            if found is not None and (is_ours or not other):
                adapter.remove(api, found)
            return Outcome('gone', obj.generation)
        if found is not None and other:
            if not is_ours or has >= Notes.of(obj.wanted).born:
                return Outcome('failed', has, error=_clash(obj, found, other))
            adapter.remove(api, found)
            found = None
        seen: int | None = has if is_ours else None
        if found is None:
            seen = obj.generation
            bottom_id = adapter.create(api, obj.wanted)
            found = adapter.read(api, obj.key, bottom_id)
            if found is None:
                return Outcome('behind', 0, error='it was gone again as soon as it was made')
        for step in reconcile.plan(adapter.shape, obj.wanted, found.wanted, seen):
            adapter.carry_out(api, found, step)
        return Outcome('in_sync', obj.generation, found.bottom_id)

    def _locate(self, adapter: Adapter, api: PodApi, obj: ReplicatedObject, replica: Replica | None) -> Found | None:
        """What the pod has of an object."""
        if not adapter.has_own_ids:
            return adapter.read(api, obj.key, obj.top_id or '')
        if replica is not None and replica.bottom_id:
            found = adapter.read(api, obj.key, replica.bottom_id)
            if found is not None:
                return found
        if obj.is_deleted:
            return None
        known = [one for one in self._known(adapter, api.pod) if one.key != obj.key and one.bottom_id is not None]
        taken = {one.bottom_id for one in known}
        name = obj.wanted['name']
        return next(
            (found for found in adapter.list_all(api, ()) if found.name == name and found.bottom_id not in taken),
            None,
        )

    def _set(self, obj: ReplicatedObject, pod: PodView, outcome: Outcome) -> None:
        try:
            replicas.set_replica(
                self._db,
                obj.id,
                pod.id,
                bottom_id=outcome.bottom_id,
                generation=outcome.generation,
                state=outcome.state,
                error=outcome.error,
            )
        except NotFound:
            LOG.info('%s %s: pod %s was removed meanwhile', obj.kind, obj.key, pod.name)
            return
        if outcome.error is not None:
            LOG.warning(
                '%s %s is %s in pod %s: %s',
                obj.kind,
                obj.key,
                outcome.state,
                pod.name,
                outcome.error,
            )

    def _replica(self, obj: ReplicatedObject, pod: PodView) -> Replica | None:
        found = replicas.list_replicas(self._db, object_id=obj.id, pod_id=pod.id)
        return found[0] if found else None

    def _api(self, adapter: Adapter, pod: PodView, timeout: float | None) -> PodApi:
        return PodApi(
            self._client,
            self._identity,
            pod,
            adapter.service,
            timeout,
            lambda: replicas.id_map(self._db).get(pod.id, {}),
        )

    # -- a write through one pod --

    def prepare(self, kind: str, key: str | None, pod: PodView, is_made: bool = False) -> Found | None:
        """Make a pod fit to be written to first: what is wanted is there before the change comes.

        :param is_made: the write is to make the object
        :returns: what it has of the object before the write, where that matters
        :raises PodError: the pod could not be brought there, so another has to be first
        """
        if key is None:
            return None
        adapter = self._adapters[kind]
        api = self._api(adapter, pod, self._replicate_timeout)
        obj = replicas.get_object(self._db, kind, key)
        try:
            if obj is None:
                # Recorded before it changes: nobody would know what to delete elsewhere.
                found = None if is_made else adapter.read(api, key, key)
                if found is not None:
                    self._record(adapter, key, pod, found, None)
                return found
            obj, replica = self._when_settled(obj, pod)
            if replica is None or not _is_current(obj, replica):
                outcome = self.converge(kind, key, pod, self._replicate_timeout)
                if not outcome.is_done:
                    text = f'{kind} {key} is behind: {outcome.error}'
                    raise exception.PodNotReached(pod.name, text)
                replica = self._replica(obj, pod)
            bottom_id = replica.bottom_id if replica is not None else None
            if obj.is_deleted or not adapter.shape.local or not bottom_id:
                return None
            return adapter.read(api, key, bottom_id)
        except (exception.Trio2oException, Refused) as error:
            raise exception.PodNotReached(pod.name, str(error)) from error

    def alone(self, kind: str, key: str | None) -> AbstractContextManager[Any]:
        """Keep other writes of this process away from an object.

        Those of other processes are kept right by what they read and record, but may undo each
        other's part where they meet within a moment.
        """
        if key is None:
            return contextlib.nullcontext()
        return self._locks[hash((kind, key)) % len(self._locks)]

    def _when_settled(self, obj: ReplicatedObject, pod: PodView) -> tuple[ReplicatedObject, Replica | None]:
        """Wait until nobody is between writing to this pod and noting that it has what is new."""
        replica = self._replica(obj, pod)
        while self._is_under_way(obj, replica):
            self._sleep(WAIT_SECONDS)
            obj = replicas.get_object(self._db, obj.kind, obj.key) or obj
            replica = self._replica(obj, pod)
        return obj, replica

    def _is_under_way(self, obj: ReplicatedObject, replica: Replica | None) -> bool:
        """Whether the pod seems behind only because a write in it is being recorded right now.

        To bring it there then would undo the next write, which may be in the pod already.
        """
        if replica is None or replica.state != 'in_sync' or replica.generation >= obj.generation:
            return False
        age = utcnow() - (obj.updated_at or obj.created_at)
        return age.total_seconds() < self._settle_seconds

    def users_first(self, kind: str, key: str | None, pods: Sequence[PodView]) -> list[PodView]:
        """Pods where the object is used first: they may refuse what the others would allow."""
        obj = replicas.get_object(self._db, kind, key) if key is not None else None
        adapter = self._adapters[kind]
        if obj is None or not adapter.has_own_ids:
            return list(pods)
        found = replicas.list_replicas(self._db, object_id=obj.id)
        bottom_ids = {row.pod_id: row.bottom_id for row in found if row.bottom_id}

        def is_used(pod: PodView) -> bool:
            if pod.id not in bottom_ids:
                return False
            api = self._api(adapter, pod, self._replicate_timeout)
            try:
                return adapter.is_used(api, bottom_ids[pod.id] or '')
            except (exception.Trio2oException, Refused):
                return False

        with_use = {pod.id: self._executor.submit(is_used, pod) for pod in pods}
        deadline = Deadline(self._replicate_timeout)
        futures.wait(with_use.values(), timeout=deadline.remaining())
        used = {pod_id for pod_id, future in with_use.items() if future.done() and future.result()}
        return sorted(pods, key=lambda pod: pod.id not in used)

    def wrote(
        self,
        kind: str,
        key: str,
        pod: PodView,
        *,
        before: Found | None = None,
        request_id: str | None = None,
    ) -> bool:
        """Record what a write in one pod made of an object.

        :param before: what ``prepare`` gave
        :returns: whether it can be spread; if not, a job does both
        """
        try:
            self.record(kind, key, pod, before)
        except (exception.Trio2oException, Refused) as error:
            LOG.warning('%s %s could not be read back from pod %s: %s', kind, key, pod.name, error)
            self._record_later(kind, key, pod, request_id)
            return False
        return True

    def want(self, kind: str, key: str, wanted: Object | None, request_id: str | None = None) -> None:
        """Record what a request says is wanted, where no pod could tell, and bring it to all pods.

        :param wanted: None: nothing of the kind
        """
        replicas.upsert_object(self._db, kind, key, dict(wanted or {'name': key}), key)
        if wanted is None:
            replicas.mark_object_deleted(self._db, kind, key)
        self.spread(kind, key, request_id=request_id)

    def wanted(self, kind: str, key: str) -> Object | None:
        """What is recorded of an object, if it is wanted."""
        obj = replicas.get_object(self._db, kind, key)
        return None if obj is None or obj.is_deleted else obj.wanted

    def restore(self, kind: str, key: str, pod: PodView) -> bool:
        """Bring an object back to a pod that says it has none; false if it is not wanted there."""
        obj = replicas.get_object(self._db, kind, key)
        if obj is None or obj.is_deleted:
            return False
        return self.converge(kind, key, pod, self._replicate_timeout).is_done

    def find_out(self, kind: str, key: str | None, pod: PodView, request_id: str | None = None) -> None:
        """Have it looked at, in a while, what became of a write that was never answered."""
        if key is None:
            self._jobs.submit(
                REPAIR,
                pod.id,
                {'pod_id': pod.id},
                delay_seconds=UNKNOWN_SECONDS,
                request_id=request_id,
            )
        else:
            self._record_later(kind, key, pod, request_id, UNKNOWN_SECONDS)

    def adopt(self, kind: str, key: str, pod: PodView, request_id: str | None = None) -> None:
        """Have an object recorded that a pod has, if nobody knows of it."""
        if replicas.get_object(self._db, kind, key) is None:
            self._record_later(kind, key, pod, request_id)

    def _record_later(
        self,
        kind: str,
        key: str,
        pod: PodView,
        request_id: str | None,
        delay_seconds: float = 0.0,
    ) -> None:
        obj = replicas.get_object(self._db, kind, key)
        generation = obj.generation if obj is not None else 0
        payload = {'kind': kind, 'key': key, 'pod_id': pod.id, 'generation': generation}
        # Keys may be longer than what identifies a job.
        resource_key = hashlib.sha256(f'{kind}/{key}'.encode()).hexdigest()
        self._jobs.submit(RECORD, resource_key, payload, delay_seconds=delay_seconds, request_id=request_id)

    def record_late(self, kind: str, key: str, pod: PodView, generation: int) -> None:
        """Record what a write made of an object in one pod, unless a newer one was recorded since.

        :param generation: that was known when the write went out
        :raises PodError: the pod did not tell
        """
        obj = replicas.get_object(self._db, kind, key)
        if obj is None or obj.generation <= generation:
            self.record(kind, key, pod)
            self.spread(kind, key, pod)
        elif not self.converge(kind, key, pod).is_done:
            raise exception.PodNotReached(pod.name, f'{kind} {key} is still behind')

    def record(self, kind: str, key: str, pod: PodView, before: Found | None = None) -> None:
        """Make the state of an object in one pod the wanted one.

        :raises PodError: the pod did not tell
        """
        adapter = self._adapters[kind]
        api = self._api(adapter, pod, self._replicate_timeout)
        obj = replicas.get_object(self._db, kind, key)
        replica = self._replica(obj, pod) if obj is not None else None
        bottom_id = (replica.bottom_id if replica is not None else None) or key
        found = adapter.read(api, key, bottom_id)
        for _ in range(_ROUNDS):
            self._record(adapter, key, pod, found, before)
            # Another write may have passed between our reading and our recording; whoever records
            # last sees it.
            again = adapter.read(api, key, bottom_id)
            if (again and again.wanted) == (found and found.wanted):
                return
            before, found = found, again

    def _record(self, adapter: Adapter, key: str, pod: PodView, found: Found | None, before: Found | None) -> None:
        kind = adapter.kind
        old = replicas.get_object(self._db, kind, key)
        if found is None:
            gone = replicas.mark_object_deleted(self._db, kind, key)
            if gone is not None:
                self._set(gone, pod, Outcome('gone', gone.generation))
            if kind == VOLUME_TYPE:
                self._type_is_gone(key)
            return
        if kind == VOLUME_TYPE and old is not None and old.wanted['name'] != found.name:
            self._type_was_renamed(old.wanted['name'], found.name)
        wanted = self._wanted(adapter, old, found, before)
        top_id = None if kind == KEYPAIR else key
        obj = replicas.upsert_object(self._db, kind, key, wanted, top_id)
        self._set(obj, pod, Outcome('in_sync', obj.generation, found.bottom_id))

    def _type_is_gone(self, type_id: str) -> None:
        """What named a volume type that was deleted does so no more."""
        for obj in replicas.list_objects(self._db, QOS_SPEC):
            if type_id in obj.wanted['types']:
                types = [each for each in obj.wanted['types'] if each != type_id]
                replicas.upsert_object(self._db, obj.kind, obj.key, {**obj.wanted, 'types': types})
                self.spread(obj.kind, obj.key)
        for obj in replicas.list_objects(self._db, DEFAULT_TYPE):
            if obj.wanted['volume_type'] == type_id:
                replicas.mark_object_deleted(self._db, obj.kind, obj.key)
                self.spread(obj.kind, obj.key)

    def _type_was_renamed(self, old: str, new: str) -> None:
        """The limits of a volume type have its name, and are renamed with it by every pod."""
        for kind in (VOLUME_QUOTA, VOLUME_QUOTA_CLASS):
            for obj in replicas.list_objects(self._db, kind):
                limits = {
                    f'{name.removesuffix(old)}{new}' if name.endswith(f'_{old}') else name: value
                    for name, value in obj.wanted['limits'].items()
                }
                if limits != obj.wanted['limits']:
                    replicas.upsert_object(self._db, kind, obj.key, {**obj.wanted, 'limits': limits})
                    self.spread(kind, obj.key)

    def _wanted(self, adapter: Adapter, old: ReplicatedObject | None, found: Found, before: Found | None) -> Object:
        if old is None:
            return found.wanted
        if old.is_deleted:
            return Notes(born=old.generation).on(found.wanted)
        shape, notes = adapter.shape, Notes.of(old.wanted)
        changes = {} if before is None else reconcile.changed_items(shape, before.wanted, found.wanted)
        pushed = {**notes.pushed, **dict.fromkeys(changes, old.generation + 1)}
        wanted = reconcile.merge_local(shape, old.wanted, found.wanted, changes)
        return Notes(notes.born, pushed).on(wanted)

    def spread(self, kind: str, key: str, origin: PodView | None = None, request_id: str | None = None) -> None:
        """Bring an object to all pods but one, within the time a request may take for it.

        What was not done by then is left to jobs.
        """
        service = self._adapters[kind].service
        without = origin.id if origin is not None else None
        pods = [pod for pod in self._registry.snapshot().asked(service) if pod.id != without]
        timeout = self._replicate_timeout
        pending = {pod: self._executor.submit(self.converge, kind, key, pod, timeout) for pod in pods}
        futures.wait(pending.values(), timeout=timeout)
        for pod, future in pending.items():
            if not (future.done() and future.result().is_done):
                self._jobs.submit(REPAIR, pod.id, {'pod_id': pod.id}, request_id=request_id)
        self._registry.refresh()

    # -- a pod as a whole --

    def ensure(self, pod: PodView, refs: Collection[tuple[str, str]]) -> None:
        """Bring what a request refers to to the pod it is about to go to, if it is behind there.

        What fails is left to the pod to say.

        :param refs: kind and key, id or name
        """
        if not pod.behind or not refs:
            return
        wanted = set(refs)
        for obj, _replica in replicas.behind(self._db, pod.id):
            names = (obj.key, obj.top_id, obj.wanted['name'])
            if not obj.is_deleted and any((obj.kind, name) in wanted for name in names):
                self.converge(obj.kind, obj.key, pod, self._replicate_timeout)

    def join(self, pod: PodView, check: Check = _go_on) -> Repaired:
        """Take a pod in: record what only it has, and bring it everything that is wanted.

        :param check: called between two objects
        :raises PodError: it did not tell what it has
        """
        imported = 0
        for adapter in self._present(pod):
            owners = adapter.owners(self._identity)
            found = adapter.list_all(self._api(adapter, pod, None), owners)
            known = self._known(adapter, pod)
            pairs, unknown = reconcile.pair(known, found, adapter.has_own_ids)
            self._meet(adapter, pod, pairs)
            imported += self._import(pod, {(adapter.kind, each.key): each for each in unknown})
        self._registry.refresh()
        repaired = self._mend_behind(pod, check)
        return Repaired(repaired.mended, repaired.behind, repaired.failed, imported)

    def _meet(self, adapter: Adapter, pod: PodView, pairs: Mapping[str, Found]) -> None:
        """Note what a pod that joins has of what is wanted, so that it is brought there next."""
        rows = self._by_object(adapter, pod)
        for obj in self._objects(adapter):
            row = rows.get(obj.id)
            if obj.is_deleted or (row is not None and row.state != 'gone'):
                continue
            there = pairs.get(obj.key) if adapter.has_own_ids else None
            bottom_id = there.bottom_id if there is not None else None
            generation = obj.generation if there is not None else 0
            self._set(obj, pod, Outcome('behind', generation, bottom_id))

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
                [_known(obj, synced.get(obj.id)) for obj in objects], found, adapter.has_own_ids
            )
            for obj in objects:
                replica = synced.get(obj.id)
                if replica is None or not _is_current(obj, replica) or obj.is_deleted:
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
            LOG.info('%s %s is taken over from pod %s', kind, found.name, pod.name)
            adapter = self._adapters[kind]
            self._record(adapter, key, pod, found, None)
            if adapter.has_own_ids and self._was_faster(adapter, key, found.name):
                continue
            imported += 1
        if imported:
            for other in others:
                self._jobs.submit(REPAIR, other.id, {'pod_id': other.id})
        return imported

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

    def _present(self, pod: PodView) -> list[Adapter]:
        return [each for each in self._adapters.values() if each.service in pod.endpoints]

    def _objects(self, adapter: Adapter) -> list[ReplicatedObject]:
        return replicas.list_objects(self._db, adapter.kind, with_deleted=True)

    def _by_object(self, adapter: Adapter, pod: PodView) -> dict[int, Replica]:
        rows = replicas.list_replicas(self._db, pod_id=pod.id, kind=adapter.kind)
        return {row.object_id: row for row in rows}

    def _known(self, adapter: Adapter, pod: PodView) -> list[reconcile.Known]:
        rows = self._by_object(adapter, pod)
        return [_known(obj, rows.get(obj.id)) for obj in self._objects(adapter)]

    def _being_recorded(self) -> set[tuple[str, str]]:
        """Objects whose last write could not be read back yet: what is recorded of them is old."""
        rows = db_jobs.list_(self._db, filters={'type': RECORD, 'state': JOB_ACTIVE_STATES})
        return {(row.payload['kind'], row.payload['key']) for row in rows}


def _known(obj: ReplicatedObject, replica: Replica | None) -> reconcile.Known:
    bottom_id = replica.bottom_id if replica is not None else None
    return reconcile.Known(obj.key, obj.wanted['name'], obj.is_deleted, bottom_id)


def _is_current(obj: ReplicatedObject, replica: Replica) -> bool:
    return replica.state in ('in_sync', 'gone') and replica.generation >= obj.generation


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


def _clash(obj: ReplicatedObject, found: Found, names: Sequence[str]) -> str:
    details = ', '.join(
        f'{name} is {found.wanted[name]!r} and should be {obj.wanted.get(name)!r}'
        for name in names
        if name != 'public_key'
    )
    what = f'there is another {obj.kind.replace("_", " ")} of this id'
    return f'{what}: {details}' if details else f'{what}, with another public key'
