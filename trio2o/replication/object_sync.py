# SPDX-License-Identifier: Apache-2.0
"""Brings one object to its desired state, in one pod or in all, and records the result.

A sync reads the object in the pod before it changes it, and looks for a newer desired state afterwards. So of any
number of concurrent syncs of one object, the last one leaves it in its desired state.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from concurrent import futures
from typing import Any

from trio2o import exception, job_types
from trio2o.db import jobs as db_jobs
from trio2o.db import replicas
from trio2o.db.records import Replica, ReplicatedObject
from trio2o.pods.podapi import PodRefused
from trio2o.pods.registry import PodView
from trio2o.replication import reconcile
from trio2o.replication.adapters.base import Adapter
from trio2o.replication.dependencies import Dependencies
from trio2o.replication.pod_objects import PodObjects
from trio2o.replication.reconcile import Attributes, Notes, PodObject, Step
from trio2o.replication.replica_store import Outcome, is_current

LOG = logging.getLogger(__name__)

#: How often a sync, or a record of a write, is repeated because the object changed in the meantime.
ROUNDS = 8


class ObjectSync:
    """Brings one object to its desired state."""

    def __init__(self, deps: Dependencies) -> None:
        self._deps = deps

    def sync(
        self, kind: str, key: str, pod: PodView, timeout: float | None = None, *, is_recorded: bool = False
    ) -> Outcome:
        """Bring an object in one pod to its desired state, and record the outcome.

        The object is left alone while a job has still to record a write in this pod: the sync would undo that write.

        :param timeout: seconds for each call to the pod
        :param is_recorded: whether the caller has recorded such a write
        """
        for _ in range(ROUNDS):
            obj = replicas.get_object(self._deps.store.db, kind, key)
            if obj is None:
                return Outcome('gone', 0)
            outcome = self._try(obj, pod, timeout, is_recorded)
            self._deps.store.set_outcome(obj, pod, outcome)
            latest = replicas.get_object(self._deps.store.db, kind, key)
            if not outcome.is_done or latest is None or latest.generation == obj.generation:
                return outcome
        return Outcome('out_of_sync', outcome.generation, error='it changed during each attempt')

    def sync_everywhere(
        self, kind: str, key: str, origin: PodView | None = None, request_id: str | None = None
    ) -> None:
        """Bring an object to its desired state in all pods, within the time a request may take for it.

        Pods that are not done by then are left to jobs.

        :param origin: a pod that is in sync already
        """
        service = self._deps.access.adapters[kind].service
        pods = [
            pod for pod in self._deps.registry.snapshot().serving(service) if origin is None or pod.id != origin.id
        ]
        timeout = self._deps.timing.replicate_timeout
        pending = {pod: self._deps.threads.submit(pod, self.sync, kind, key, pod, timeout) for pod in pods}
        futures.wait(pending.values(), timeout=timeout)
        for pod, future in pending.items():
            if not (future.done() and future.result().is_done):
                self._deps.jobs.submit(job_types.REPAIR_REPLICAS, pod.id, {'pod_id': pod.id}, request_id=request_id)
        self._deps.registry.refresh()

    def _try(self, obj: ReplicatedObject, pod: PodView, timeout: float | None, is_recorded: bool) -> Outcome:
        replica = self._deps.store.replica(obj, pod)
        generation = replica.generation if replica is not None else 0
        if self._deps.access.adapters[obj.kind].service not in pod.endpoints:
            return Outcome('gone', obj.generation)  # A pod without the API needs no replica.
        if not is_recorded and self._has_unrecorded_write(obj, pod):
            return Outcome('out_of_sync', generation, error='a write in this pod is not recorded yet')
        pod_objects = self._deps.access.objects(obj.kind, pod, timeout)
        try:
            try:
                return self._reach_desired_state(pod_objects, obj, replica)
            except PodRefused as error:
                if error.status not in (404, 409):
                    raise
                # A concurrent sync took the same step. Look again for the steps that are left.
                return self._reach_desired_state(pod_objects, obj, replica)
        except PodRefused as error:
            return self._refused(obj, generation, error)
        except exception.Trio2oException as error:
            return Outcome('out_of_sync', generation, error=error.message)

    def _refused(self, obj: ReplicatedObject, generation: int, error: PodRefused) -> Outcome:
        """Return the outcome of a refusal. Limits of a project that Keystone has deleted need not exist any more."""
        try:
            is_over = error.status in (400, 404) and self._deps.access.is_of_deleted_project(obj.kind, obj.key)
        except exception.Trio2oException as unknown:
            return Outcome('out_of_sync', generation, error=unknown.message)
        if not is_over:
            return Outcome('failed', generation, error=error.text)
        LOG.warning('%s %s is deleted, as Keystone has deleted the project', obj.kind, obj.key)
        try:
            replicas.mark_object_deleted(self._deps.store.db, obj.kind, obj.key, expected=obj.generation)
        except replicas.Superseded:
            return Outcome('out_of_sync', generation, error='it changed in the meantime')
        return Outcome('gone', obj.generation + 1)

    def _has_unrecorded_write(self, obj: ReplicatedObject, pod: PodView) -> bool:
        key = record_write_key(obj.kind, obj.key, pod)
        return db_jobs.is_active(self._deps.store.db, job_types.RECORD_WRITE, key)

    def _reach_desired_state(self, pod_objects: PodObjects, obj: ReplicatedObject, replica: Replica | None) -> Outcome:
        """Create, change or delete an object in a pod, unless the pod has a different one in its place."""
        adapter, found = pod_objects.adapter, self._find(pod_objects, obj, replica)
        if replica is None or not is_current(obj, replica):
            latest = self._deps.store.replica(obj, pod_objects.pod)
            if latest is not None and is_current(obj, latest):
                # Another sync was faster. The pod may have the next write already, and these steps would undo it.
                return Outcome(latest.state, latest.generation, latest.bottom_id)
        is_ours = replica is not None and replica.bottom_id is not None
        generation = replica.generation if replica is not None and is_ours else 0
        differences = reconcile.fixed_differences(adapter.shape, obj.wanted, found.attributes) if found else ()
        if found is not None and replica is not None and replica.state == 'failed' and not is_ours:
            # The pod had an object with other defining values before it joined. An operator has to settle that.
            differences = reconcile.contradictions(adapter.shape, obj.wanted, found.attributes)
        if obj.is_deleted:
            if found is not None and (is_ours or not differences):
                pod_objects.delete(found)
            return Outcome('gone', obj.generation)
        if found is not None and differences:
            if not is_ours or generation >= Notes.of(obj.wanted).first_generation:
                return Outcome('failed', generation, error=describe_conflict(adapter, obj, found, differences))
            # The pod still has the predecessor of the same id, which was deleted.
            pod_objects.delete(found)
            found = None
        seen: int | None = generation if is_ours else None
        if found is None:
            seen = obj.generation
            bottom_id = pod_objects.create(obj.wanted)
            found = pod_objects.read(obj.key, bottom_id)
            if found is None:
                return Outcome('out_of_sync', 0, error='it was deleted right after it was created')
        steps = reconcile.plan(adapter.shape, obj.wanted, found.attributes, seen)
        if reconcile.has_spellings(adapter.shape, obj.wanted):
            return self._apply_spellings(pod_objects, obj, found, steps, replica)
        for step in steps:
            pod_objects.apply(found, step)
        return Outcome('in_sync', obj.generation, found.bottom_id)

    def _apply_spellings(
        self,
        pod_objects: PodObjects,
        obj: ReplicatedObject,
        found: PodObject,
        steps: Sequence[Step],
        replica: Replica | None,
    ) -> Outcome:
        """Apply steps to an object with keys that a pod may take for one.

        If the pod does, that is a conflict, and later repairs leave the keys alone: each would undo the one before.
        """
        shape, generation = pod_objects.adapter.shape, replica.generation if replica is not None else 0
        error = describe_spellings(reconcile.keys_taken_for_one(shape, obj.wanted, found.attributes))
        if error and replica is not None and replica.error == error:
            return Outcome('failed', generation, found.bottom_id, error)
        refused: exception.PodNoAnswer | None = None
        try:
            for step in steps:
                pod_objects.apply(found, step)
        except exception.PodNoAnswer as no_answer:
            refused = no_answer  # Nova answers 500 if its database has the key in another case.
        after = pod_objects.read(obj.key, found.bottom_id)
        lacking = reconcile.keys_taken_for_one(shape, obj.wanted, after.attributes) if after is not None else ()
        if lacking:
            return Outcome('failed', generation, found.bottom_id, describe_spellings(lacking))
        if refused is not None:
            raise refused
        return Outcome('in_sync', obj.generation, found.bottom_id)

    def _find(self, pod_objects: PodObjects, obj: ReplicatedObject, replica: Replica | None) -> PodObject | None:
        """Read an object in a pod, which may have it under an id that is not recorded."""
        if not pod_objects.adapter.has_own_ids:
            return pod_objects.read(obj.key, obj.top_id or '')
        if replica is not None and replica.bottom_id:
            found = pod_objects.read(obj.key, replica.bottom_id)
            if found is not None:
                return found
        if obj.is_deleted:
            return None
        known = self._deps.store.known_objects(obj.kind, pod_objects.pod)
        ids_of_others = {one.bottom_id for one in known if one.key != obj.key and one.bottom_id is not None}
        name = obj.wanted['name']
        return next(
            (found for found in pod_objects.list_all() if found.name == name and found.bottom_id not in ids_of_others),
            None,
        )


def record_write_key(kind: str, key: str, pod: PodView) -> str:
    """Return the resource key of the job that records a write of an object in a pod.

    Keys of objects may be longer than the resource key of a job.
    """
    return hashlib.sha256(f'{pod.id}/{kind}/{key}'.encode('utf-8', 'surrogatepass')).hexdigest()


def describe_conflict(adapter: Adapter, obj: ReplicatedObject, found: PodObject, names: Sequence[str]) -> str:
    """Describe to an operator how a pod's object of the same name or id differs.

    :param names: what differs: see ``reconcile.contradictions``
    """
    details = ', '.join(
        f'{name} is {_value(found.attributes, name)!r} and should be {_value(obj.wanted, name)!r}'
        for name in names
        if name != 'public_key'
    )
    text = f'there is another {obj.kind.replace("_", " ")} of this {"name" if adapter.has_own_ids else "id"}'
    return f'{text}: {details}' if details else f'{text}, with another public key'


def describe_spellings(keys: Sequence[str]) -> str:
    """Describe to an operator the keys that a pod cannot have, as it has another spelling. :returns: '' without any"""
    if not keys:
        return ''
    return f'this pod takes keys that differ only in case for one, so it has no room for {", ".join(keys)}'


def _value(attributes: Attributes, name: str) -> Any:
    """Return the value of a field, or of an item of a map (``map: key``)."""
    field, _, key = name.partition(': ')
    value = attributes.get(field)
    return (value or {}).get(key) if key else value
