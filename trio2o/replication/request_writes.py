# SPDX-License-Identifier: Apache-2.0
"""The steps around a request that writes a replicated object to its first pod: before it, after it, and if it fails.

``gateway.handlers.replicate`` sends the request and calls these in order: ``order_by_use``, ``lock``, ``prepare``,
then the request, then one of ``record``, ``record_later`` and ``record_if_unknown``.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from trio2o import exception, job_types
from trio2o.concurrency import Deadline
from trio2o.db import replicas
from trio2o.db.errors import NOT_RECORDED
from trio2o.db.records import ReplicatedObject
from trio2o.pods.fanout import ask_all
from trio2o.pods.podapi import PodRefused
from trio2o.pods.registry import PodView
from trio2o.replication import reconcile
from trio2o.replication.dependencies import Dependencies
from trio2o.replication.desired_state import DesiredState
from trio2o.replication.kinds import KEYPAIR, owner_of
from trio2o.replication.object_sync import ROUNDS, ObjectSync, record_write_key
from trio2o.replication.reconcile import Attributes, PodObject
from trio2o.replication.replica_store import is_current
from trio2o.resources import folded_name, normalized_id

LOG = logging.getLogger(__name__)

#: Seconds after which the pod has carried out a request that it did not answer, if it ever does.
UNKNOWN_OUTCOME_SECONDS = 10.0

_LOCKS = 64


@dataclass(frozen=True)
class Prepared:
    """An object in the first pod as it is before a write.

    :ivar generation: the generation that the pod has, 0 if the object is not recorded; None if its key is not known
    :ivar desired: its desired attributes; None if it is not recorded, or should not exist
    :ivar found: the object in the pod, if the record of the write needs it
    :ivar sent: attributes that the request gives the object, whatever the pod shows afterwards
    """

    generation: int | None = None
    desired: Attributes | None = None
    found: PodObject | None = None
    sent: Attributes = field(default_factory=dict)

    def as_sent(self, found: PodObject | None) -> PodObject | None:
        """Return an object that was read after the write, with the attributes that were sent."""
        if found is None or not self.sent:
            return found
        return replace(found, attributes={**found.attributes, **self.sent})


class RequestWrites:
    """Records the writes of requests."""

    def __init__(self, deps: Dependencies, objects: ObjectSync, desired: DesiredState) -> None:
        self._deps = deps
        self._db = deps.store.db
        self._objects = objects
        self._desired = desired
        self._locks = [threading.Lock() for _ in range(_LOCKS)]

    # -- before the request --

    def order_by_use(self, kind: str, key: str | None, pods: Sequence[PodView]) -> list[PodView]:
        """Put the pods that use an object first, as they may refuse a change that the others allow."""
        obj = replicas.get_object(self._db, kind, key) if key is not None else None
        if obj is None or not self._deps.access.adapters[kind].has_own_ids:
            return list(pods)
        rows = replicas.list_replicas(self._db, object_id=obj.id)
        bottom_ids = {row.pod_id: row.bottom_id for row in rows if row.bottom_id}

        def is_used(pod: PodView) -> bool:
            if pod.id not in bottom_ids:
                return False
            pod_objects = self._deps.access.objects(kind, pod, self._deps.timing.replicate_timeout)
            try:
                return pod_objects.is_used(bottom_ids[pod.id] or '')
            except (exception.Trio2oException, PodRefused):
                return False

        found = ask_all(self._deps.threads, pods, is_used, Deadline(self._deps.timing.replicate_timeout))
        return sorted(pods, key=lambda pod: found[pod] is not True)

    @contextlib.contextmanager
    def lock(self, kind: str, key: str | None) -> Iterator[None]:
        """Keep other writes of this process away from an object, as only one of several concurrent writes is recorded
        at once and the others are sent again.

        They wait for ``[pods] replicate_timeout`` at most: the first one may wait for a pod that does not answer, and
        other objects have the same lock.
        """
        if key is None:
            yield
            return
        lock = self._locks[hash((kind, folded_name(key))) % len(self._locks)]
        is_held = lock.acquire(timeout=self._deps.timing.replicate_timeout)
        try:
            yield
        finally:
            if is_held:
                lock.release()

    def stored_key(self, kind: str, key: str) -> str:
        """Return a key as it is recorded, if pods choose the ids of its kind: a UUID in lower case."""
        return normalized_id(key.rstrip(' ')) if self._deps.access.adapters[kind].has_own_ids else key

    def known_key(self, kind: str, key: str, pod: PodView) -> str:
        """Return the key of the recorded object that a pod takes a key for, and the same key if there is none.

        :raises PodNotReached: the pod cannot be read
        """
        alike = self._alike(kind, key)
        if not alike:
            return key
        try:
            shown = self._deps.access.objects(kind, pod, self._deps.timing.replicate_timeout).key_of(key)
        except (exception.Trio2oException, PodRefused) as error:
            raise exception.PodNotReached(pod.name, str(error)) from error
        return shown if shown is not None and shown in alike else key

    def _alike(self, kind: str, key: str) -> list[str]:
        """Return the keys of recorded objects for which a pod may take a key, if no object has exactly this one."""
        adapter = self._deps.access.adapters[kind]
        if adapter.has_own_ids or self._desired.get(kind, key) is not None:
            return []
        prefix = f'{owner_of(key)}/' if kind == KEYPAIR else ''
        folded = folded_name(key)
        objects = replicas.list_objects(self._db, kind, key_prefix=prefix)
        return [obj.key for obj in objects if folded_name(obj.key) == folded]

    def _written_key(self, kind: str, key: str, pod: PodView, is_delete: bool) -> str:
        """Return the key of the object that a request wrote in a pod, which may have taken its key for another one.

        Deleted is the one that the pod does not have any more.

        :raises PodError: the pod cannot be read
        """
        alike = self._alike(kind, key)
        if not alike:
            return key
        pod_objects = self._deps.access.objects(kind, pod, self._deps.timing.replicate_timeout)
        if is_delete:
            return next((each for each in alike if pod_objects.read(each, each) is None), key)
        shown = pod_objects.key_of(key)
        return shown if shown is not None and shown in alike else key

    def prepare(self, kind: str, key: str | None, pod: PodView, is_create: bool = False) -> Prepared:
        """Bring an object in a pod to its desired state, so that the request changes that and nothing older.

        :param key: None if it is not known before the pod answers
        :param is_create: whether the request creates the object
        :raises PodNotReached: the pod cannot be brought to the desired state, so the request has to go to another one
        """
        if key is None:
            return Prepared()
        obj = replicas.get_object(self._db, kind, key)
        try:
            if obj is None:
                return Prepared(0) if is_create else self._record_before_change(kind, key, pod)
            return self._sync_before_change(obj, pod)
        except (exception.Trio2oException, PodRefused) as error:
            raise exception.PodNotReached(pod.name, str(error)) from error

    def prepare_again(self, kind: str, key: str, pod: PodView, before: Prepared, is_create: bool) -> Prepared:
        """Prepare a write that is sent again, as another one was recorded while it was sent.

        :param before: the result of the first preparation
        :raises PodNotReached: the pod cannot be brought to the desired state
        """
        if is_create:
            self._withdraw(kind, key, pod)
        again = self.prepare(kind, key, pod, is_create)
        # Local keys that the first attempt changed are set already.
        return replace(again, found=before.found or again.found)

    def _record_before_change(self, kind: str, key: str, pod: PodView) -> Prepared:
        """Record an object that only pods have, as a deletion must also reach the pods that have it under its key."""
        found = self._deps.access.objects(kind, pod, self._deps.timing.replicate_timeout).read(key, key)
        generation = self._desired.record(kind, key, pod, found) if found is not None else 0
        return Prepared(generation, self._desired.get(kind, key), found)

    def _sync_before_change(self, obj: ReplicatedObject, pod: PodView) -> Prepared:
        kind, key, timeout = obj.kind, obj.key, self._deps.timing.replicate_timeout
        replica = self._deps.store.replica(obj, pod)
        if replica is None or not is_current(obj, replica):
            outcome = self._objects.sync(kind, key, pod, timeout)
            if not outcome.is_done:
                raise exception.PodNotReached(pod.name, f'{kind} {key} is out of sync: {outcome.error}')
            obj = replicas.get_object(self._db, kind, key) or obj
            replica = self._deps.store.replica(obj, pod)
        generation = replica.generation if replica is not None else obj.generation
        if obj.is_deleted:
            return Prepared(generation)
        bottom_id = replica.bottom_id if replica is not None else None
        found = None
        if self._deps.access.adapters[kind].shape.local and bottom_id:
            found = self._deps.access.objects(kind, pod, timeout).read(key, bottom_id)
        return Prepared(generation, reconcile.without_notes(obj.wanted), found)

    def _withdraw(self, kind: str, key: str, pod: PodView) -> None:
        """Delete an object that was just created in a pod, if another request created a different one elsewhere."""
        obj = replicas.get_object(self._db, kind, key)
        if obj is None or obj.is_deleted:
            return
        pod_objects = self._deps.access.objects(kind, pod, self._deps.timing.replicate_timeout)
        try:
            found = pod_objects.read(key, key)
            if found is not None and reconcile.contradictions(pod_objects.adapter.shape, obj.wanted, found.attributes):
                pod_objects.delete(found)
        except (exception.PodError, PodRefused) as error:
            raise exception.PodNotReached(pod.name, str(error)) from error

    def restore(self, kind: str, key: str, pod: PodView) -> bool:
        """Create an object again in a pod that answered that it has none.

        :returns: whether the pod has it now; False if it should not exist
        """
        if self._desired.get(kind, key) is None:
            return False
        return self._objects.sync(kind, key, pod, self._deps.timing.replicate_timeout).is_done

    # -- after the request --

    def record(
        self,
        kind: str,
        key: str,
        pod: PodView,
        *,
        prepared: Prepared,
        is_create: bool = False,
        is_delete: bool = False,
        request_id: str | None = None,
    ) -> str | None:
        """Record the state of an object in the first pod as the desired one.

        :param prepared: the result of ``prepare``
        :param is_delete: whether the request deleted the object, so that the pod does not have it any more
        :returns: the key of the object that was written; None if the pod or the database cannot be read, and a job
            will record the write and bring it to the other pods
        :raises Superseded: another write was recorded since the preparation. The pod may have lost this one to it, so
            it has to be sent again
        """
        try:
            if not is_create:
                key = self._written_key(kind, key, pod, is_delete)
            try:
                self.read_back(kind, key, pod, prepared, may_be_missing=is_delete)
            except replicas.Superseded:
                if not is_create or not self._is_in_sync(kind, key, pod):
                    raise
                # A comparison has recorded the new object.
                self.read_back(kind, key, pod, Prepared(), may_be_missing=is_delete)
        except (exception.Trio2oException, PodRefused) as error:
            LOG.warning('Could not read %s %s back from pod %s, leaving it to a job: %s', kind, key, pod.name, error)
            self._submit_record(kind, key, pod, prepared, request_id, is_delete=is_delete, is_done=True)
            return None
        except NOT_RECORDED:
            LOG.exception('Failed to record %s %s of pod %s; the next comparison records it', kind, key, pod.name)
            return None
        return key

    def _is_in_sync(self, kind: str, key: str, pod: PodView) -> bool:
        obj = replicas.get_object(self._db, kind, key)
        replica = self._deps.store.replica(obj, pod) if obj is not None else None
        return obj is not None and replica is not None and is_current(obj, replica)

    def record_later(
        self,
        kind: str,
        key: str | None,
        pod: PodView,
        prepared: Prepared,
        request_id: str | None = None,
        *,
        is_delete: bool = False,
    ) -> None:
        """Queue a delayed job to determine the outcome of a write that was not answered.

        :param key: None if it is not known, so that the job has to compare all objects of the pod
        :param prepared: the result of ``prepare``
        :param is_delete: whether the write deletes the object
        """
        if key is not None:
            self._submit_record(kind, key, pod, prepared, request_id, UNKNOWN_OUTCOME_SECONDS, is_delete=is_delete)
            return
        self._deps.jobs.submit(
            job_types.REPAIR_REPLICAS,
            f'{pod.id}/{kind}',  # beside a repair of the pod that is queued already
            {'pod_id': pod.id, 'created_kind': kind},
            delay_seconds=UNKNOWN_OUTCOME_SECONDS,
            request_id=request_id,
        )

    def record_if_unknown(self, kind: str, key: str, pod: PodView, request_id: str | None = None) -> None:
        """Queue a job to record an object of a pod if it is not recorded."""
        if replicas.get_object(self._db, kind, key) is None:
            self._submit_record(kind, key, pod, Prepared(0), request_id)

    def _submit_record(
        self,
        kind: str,
        key: str,
        pod: PodView,
        prepared: Prepared,
        request_id: str | None,
        delay_seconds: float = 0.0,
        *,
        is_delete: bool = False,
        is_done: bool = False,
    ) -> None:
        payload = {
            'kind': kind,
            'key': key,
            'pod_id': pod.id,
            'generation': prepared.generation or 0,
            'desired': prepared.desired,
            'sent': dict(prepared.sent),
            'is_delete': is_delete,
            'is_done': is_done,
        }
        self._deps.jobs.submit(
            job_types.RECORD_WRITE,
            record_write_key(kind, key, pod),
            payload,
            delay_seconds=delay_seconds,
            request_id=request_id,
        )

    # -- for jobs --

    def finish(
        self,
        kind: str,
        key: str,
        pod: PodView,
        prepared: Prepared,
        *,
        is_delete: bool = False,
        is_done: bool = False,
    ) -> None:
        """Record a write that its request could not record, and bring it to the other pods.

        If a newer write was recorded, what this write changed in its pod is added to it.

        :param prepared: the object before the write
        :param is_delete: whether the write deletes the object
        :param is_done: whether the pod answered that it carried out the write
        :raises PodError: the pod cannot be read, does not have what was written, or cannot be brought to the newer
            write
        """
        key = self._written_key(kind, key, pod, is_delete)
        for _ in range(ROUNDS):
            obj = replicas.get_object(self._db, kind, key)
            try:
                if obj is not None and obj.generation > (prepared.generation or 0):
                    self._merge(obj, pod, prepared)
                else:
                    known = replace(prepared, generation=obj.generation if obj is not None else 0)
                    # A create that was not answered may never have been carried out.
                    may_be_missing = is_delete or (obj is None and not is_done)
                    self.read_back(kind, key, pod, known, may_be_missing=may_be_missing)
            except replicas.Superseded:
                continue
            if not self._objects.sync(kind, key, pod, is_recorded=True).is_done:
                raise exception.PodNotReached(pod.name, f'{kind} {key} is still out of sync')
            self._objects.sync_everywhere(kind, key, pod)
            return
        raise exception.PodNotReached(pod.name, f'{kind} {key} changed during each attempt')

    def _merge(self, obj: ReplicatedObject, pod: PodView, prepared: Prepared) -> None:
        """Add what a write changed in its pod to the desired state that was recorded since.

        :raises Superseded: another write was recorded in the meantime
        :raises PodError: the pod cannot be read
        """
        replica = self._deps.store.replica(obj, pod)
        if obj.is_deleted or prepared.desired is None or replica is None or not replica.bottom_id:
            return
        if replica.generation > (prepared.generation or 0):
            return  # The pod was brought to the newer state, or the write is recorded.
        adapter = self._deps.access.adapters[obj.kind]
        found = self._deps.access.objects(obj.kind, pod, self._deps.timing.replicate_timeout).read(
            obj.key, replica.bottom_id
        )
        if found is None:
            return
        merged = reconcile.merge(adapter.shape, prepared.desired, found.attributes, obj.wanted)
        if merged != obj.wanted:
            replicas.upsert_object(self._db, obj.kind, obj.key, merged, expected=obj.generation)

    def read_back(
        self, kind: str, key: str, pod: PodView, prepared: Prepared, *, may_be_missing: bool = False
    ) -> None:
        """Read an object in one pod, and record its state there as the desired one.

        :param prepared: the result of ``prepare``
        :param may_be_missing: whether the pod may not have the object, so that no pod should have it
        :raises PodError: the pod cannot be read, or does not have an object that should exist
        :raises Superseded: another write was recorded since the preparation
        """
        pod_objects = self._deps.access.objects(kind, pod, self._deps.timing.replicate_timeout)
        obj = replicas.get_object(self._db, kind, key)
        replica = self._deps.store.replica(obj, pod) if obj is not None else None
        bottom_id = (replica.bottom_id if replica is not None else None) or key
        found = prepared.as_sent(pod_objects.read(key, bottom_id))
        before, generation = prepared.found, prepared.generation
        for at in range(ROUNDS):
            if found is None and not may_be_missing:
                if self._is_recorded_as_deleted(kind, key):
                    return  # by a later request
                raise exception.PodNoAnswer(pod.name, f'does not have {kind} {key}, which was written and not deleted')
            try:
                generation = self._desired.record(kind, key, pod, found, before, generation)
            except replicas.Superseded:
                if at:
                    return  # The newer state was made from this one.
                raise
            # Another write may have reached the pod between the read and the record. The last one to record reads it.
            again = prepared.as_sent(pod_objects.read(key, bottom_id))
            if (again and again.attributes) == (found and found.attributes):
                return
            before, found = found, again

    def _is_recorded_as_deleted(self, kind: str, key: str) -> bool:
        obj = replicas.get_object(self._db, kind, key)
        return obj is not None and obj.is_deleted
