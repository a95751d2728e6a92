# SPDX-License-Identifier: Apache-2.0
"""A write of a request: through one pod, recorded as what is wanted, brought to the others."""

from __future__ import annotations

import contextlib
import hashlib
import logging
from collections.abc import Sequence
from concurrent import futures
from contextlib import AbstractContextManager
from typing import Any

from trio2o import exception
from trio2o.concurrency import Deadline
from trio2o.db import quotas as db_quotas
from trio2o.db import replicas
from trio2o.db.records import Replica, ReplicatedObject
from trio2o.pods.podapi import PodRefused
from trio2o.pods.registry import PodView
from trio2o.quota.amounts import TYPED
from trio2o.replication import reconcile
from trio2o.replication.converge import ROUNDS, Converger, Outcome, is_current
from trio2o.replication.kinds import (
    DEFAULT_TYPE,
    KEYPAIR,
    QOS_SPEC,
    VOLUME_QUOTA,
    VOLUME_QUOTA_CLASS,
    VOLUME_TYPE,
    Adapter,
)
from trio2o.replication.reconcile import Found, Notes, Object

LOG = logging.getLogger(__name__)

REPAIR = 'repair_replicas'
RECORD = 'record_write'

#: Seconds after which a request that was never answered has had its effect, if it has any.
UNKNOWN_SECONDS = 10.0

#: Seconds between two looks at whether it is recorded.
WAIT_SECONDS = 0.05


class Writer(Converger):
    """Keeps a write and what comes after it together."""

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
            if replica is None or not is_current(obj, replica):
                outcome = self.converge(kind, key, pod, self._replicate_timeout)
                if not outcome.is_done:
                    text = f'{kind} {key} is behind: {outcome.error}'
                    raise exception.PodNotReached(pod.name, text)
                replica = self._replica(obj, pod)
            bottom_id = replica.bottom_id if replica is not None else None
            if obj.is_deleted or not adapter.shape.local or not bottom_id:
                return None
            return adapter.read(api, key, bottom_id)
        except (exception.Trio2oException, PodRefused) as error:
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
            except (exception.Trio2oException, PodRefused):
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
        except (exception.Trio2oException, PodRefused) as error:
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
        for _ in range(ROUNDS):
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
        db_quotas.rename(self._db, {f'{name}_{old}': f'{name}_{new}' for name in TYPED})
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
