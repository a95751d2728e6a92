# SPDX-License-Identifier: Apache-2.0
"""The steps around a request that writes a replicated object to its first pod: before it, after it, and if it fails.

``gateway.handlers.replicate`` sends the request and calls these in order: ``order_by_use``, ``lock``, ``prepare``,
then the request, then one of ``record``, ``record_later`` and ``record_if_unknown``.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from trio2o import exception, job_types
from trio2o.concurrency import Deadline
from trio2o.db import replicas
from trio2o.db.errors import NOT_RECORDED
from trio2o.db.records import Replica, ReplicatedObject
from trio2o.pods.fanout import ask_all
from trio2o.pods.podapi import PodRefused
from trio2o.pods.registry import PodView
from trio2o.replication.dependencies import Dependencies
from trio2o.replication.desired_state import DesiredState
from trio2o.replication.object_sync import ROUNDS, ObjectSync
from trio2o.replication.reconcile import PodObject
from trio2o.replication.replica_store import is_current

LOG = logging.getLogger(__name__)

#: Seconds after which the pod has carried out a request that it did not answer, if it ever does.
UNKNOWN_OUTCOME_SECONDS = 10.0

#: Seconds between two looks at whether another write is recorded.
POLL_SECONDS = 0.05

_LOCKS = 64


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

        found = ask_all(self._deps.executor, pods, is_used, Deadline(self._deps.timing.replicate_timeout))
        return sorted(pods, key=lambda pod: found[pod] is not True)

    def lock(self, kind: str, key: str | None) -> AbstractContextManager[Any]:
        """Keep other writes of this process away from an object.

        Writes of other processes cannot corrupt the record, since each reads the object back. But two concurrent
        writes may undo each other's change.
        """
        if key is None:
            return contextlib.nullcontext()
        return self._locks[hash((kind, key)) % len(self._locks)]

    def prepare(self, kind: str, key: str | None, pod: PodView, is_create: bool = False) -> PodObject | None:
        """Bring an object in a pod to its desired state, so that the request changes that and nothing older.

        :param key: None if it is not known before the pod answers
        :param is_create: whether the request creates the object
        :returns: the object in the pod before the request, if the record will need it
        :raises PodNotReached: the pod cannot be brought to the desired state, so the request has to go to another one
        """
        if key is None:
            return None
        obj = replicas.get_object(self._db, kind, key)
        try:
            if obj is None:
                return None if is_create else self._record_before_change(kind, key, pod)
            return self._sync_before_change(obj, pod)
        except (exception.Trio2oException, PodRefused) as error:
            raise exception.PodNotReached(pod.name, str(error)) from error

    def _record_before_change(self, kind: str, key: str, pod: PodView) -> PodObject | None:
        """Record an object that only pods have, as a deletion must also reach the pods that have it under its key."""
        found = self._deps.access.objects(kind, pod, self._deps.timing.replicate_timeout).read(key, key)
        if found is not None:
            self._desired.record(kind, key, pod, found)
        return found

    def _sync_before_change(self, obj: ReplicatedObject, pod: PodView) -> PodObject | None:
        kind, key, timeout = obj.kind, obj.key, self._deps.timing.replicate_timeout
        obj, replica = self._wait_for_other_writes(obj, pod)
        if replica is None or not is_current(obj, replica):
            outcome = self._objects.sync(kind, key, pod, timeout)
            if not outcome.is_done:
                raise exception.PodNotReached(pod.name, f'{kind} {key} is out of sync: {outcome.error}')
            replica = self._deps.store.replica(obj, pod)
        bottom_id = replica.bottom_id if replica is not None else None
        has_local_items = bool(self._deps.access.adapters[kind].shape.local)
        if obj.is_deleted or not has_local_items or not bottom_id:
            return None
        return self._deps.access.objects(kind, pod, timeout).read(key, bottom_id)

    def _wait_for_other_writes(self, obj: ReplicatedObject, pod: PodView) -> tuple[ReplicatedObject, Replica | None]:
        """Wait while another write is between its change of this pod and the record that the pod has it."""
        replica = self._deps.store.replica(obj, pod)
        while self._deps.store.is_write_in_progress(obj, replica):
            self._deps.timing.sleep(POLL_SECONDS)
            obj = replicas.get_object(self._db, obj.kind, obj.key) or obj
            replica = self._deps.store.replica(obj, pod)
        return obj, replica

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
        before: PodObject | None = None,
        is_delete: bool = False,
        request_id: str | None = None,
    ) -> bool:
        """Record the state of an object in the first pod as the desired one.

        :param before: the result of ``prepare``
        :param is_delete: whether the request deleted the object, so that the pod does not have it any more
        :returns: False if the pod or the database cannot be read, and a job will record the write and bring it to the
            other pods
        """
        try:
            self.read_back(kind, key, pod, before, may_be_missing=is_delete)
        except (exception.Trio2oException, PodRefused) as error:
            LOG.warning('Could not read %s %s back from pod %s, leaving it to a job: %s', kind, key, pod.name, error)
            self._submit_record(kind, key, pod, request_id, is_delete=is_delete, is_done=True)
            return False
        except NOT_RECORDED:
            LOG.exception('Failed to record %s %s of pod %s; the next comparison records it', kind, key, pod.name)
            return False
        return True

    def record_later(
        self, kind: str, key: str | None, pod: PodView, request_id: str | None = None, *, is_delete: bool = False
    ) -> None:
        """Queue a delayed job to determine the outcome of a write that was not answered.

        :param key: None if it is not known, so that the job has to compare all objects of the pod
        :param is_delete: whether the write deletes the object
        """
        if key is not None:
            self._submit_record(kind, key, pod, request_id, UNKNOWN_OUTCOME_SECONDS, is_delete=is_delete)
            return
        self._deps.jobs.submit(
            job_types.REPAIR_REPLICAS,
            pod.id,
            {'pod_id': pod.id},
            delay_seconds=UNKNOWN_OUTCOME_SECONDS,
            request_id=request_id,
        )

    def record_if_unknown(self, kind: str, key: str, pod: PodView, request_id: str | None = None) -> None:
        """Queue a job to record an object of a pod if it is not recorded."""
        if replicas.get_object(self._db, kind, key) is None:
            self._submit_record(kind, key, pod, request_id)

    def _submit_record(
        self,
        kind: str,
        key: str,
        pod: PodView,
        request_id: str | None,
        delay_seconds: float = 0.0,
        *,
        is_delete: bool = False,
        is_done: bool = False,
    ) -> None:
        obj = replicas.get_object(self._db, kind, key)
        generation = obj.generation if obj is not None else 0
        payload = {
            'kind': kind,
            'key': key,
            'pod_id': pod.id,
            'generation': generation,
            'is_delete': is_delete,
            'is_done': is_done,
        }
        # Keys may be longer than the resource key of a job.
        resource_key = hashlib.sha256(f'{kind}/{key}'.encode()).hexdigest()
        self._deps.jobs.submit(
            job_types.RECORD_WRITE, resource_key, payload, delay_seconds=delay_seconds, request_id=request_id
        )

    # -- for jobs --

    def finish(
        self,
        kind: str,
        key: str,
        pod: PodView,
        generation: int,
        *,
        is_delete: bool = False,
        is_done: bool = False,
    ) -> None:
        """Record a write that its request could not record, and bring it to the other pods.

        If a newer write was recorded, the pod is brought to that one instead.

        :param generation: generation of the object when the request was sent
        :param is_delete: whether the write deletes the object
        :param is_done: whether the pod answered that it carried out the write
        :raises PodError: the pod cannot be read, does not have what was written, or cannot be brought to the newer
            write
        """
        obj = replicas.get_object(self._db, kind, key)
        if obj is None or obj.generation <= generation:
            # A create that was not answered may never have been carried out.
            self.read_back(kind, key, pod, may_be_missing=is_delete or (obj is None and not is_done))
            self._objects.sync_everywhere(kind, key, pod)
        elif not self._objects.sync(kind, key, pod).is_done:
            raise exception.PodNotReached(pod.name, f'{kind} {key} is still out of sync')

    def read_back(
        self, kind: str, key: str, pod: PodView, before: PodObject | None = None, *, may_be_missing: bool = False
    ) -> None:
        """Read an object in one pod, and record its state there as the desired one.

        :param before: the result of ``prepare``
        :param may_be_missing: whether the pod may not have the object, so that no pod should have it
        :raises PodError: the pod cannot be read, or does not have an object that should exist
        """
        pod_objects = self._deps.access.objects(kind, pod, self._deps.timing.replicate_timeout)
        obj = replicas.get_object(self._db, kind, key)
        replica = self._deps.store.replica(obj, pod) if obj is not None else None
        bottom_id = (replica.bottom_id if replica is not None else None) or key
        found = pod_objects.read(key, bottom_id)
        for _ in range(ROUNDS):
            if found is None and not may_be_missing:
                if self._is_recorded_as_deleted(kind, key):
                    return  # by a later request
                raise exception.PodNoAnswer(pod.name, f'does not have {kind} {key}, which was written and not deleted')
            self._desired.record(kind, key, pod, found, before)
            # Another write may have reached the pod between the read and the record. The last one to record reads it.
            again = pod_objects.read(key, bottom_id)
            if (again and again.attributes) == (found and found.attributes):
                return
            before, found = found, again

    def _is_recorded_as_deleted(self, kind: str, key: str) -> bool:
        obj = replicas.get_object(self._db, kind, key)
        return obj is not None and obj.is_deleted
