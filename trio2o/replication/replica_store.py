# SPDX-License-Identifier: Apache-2.0
"""Replicated objects and their replicas in the pods, as they are recorded in the database."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from trio2o.db import replicas
from trio2o.db.database import Database
from trio2o.db.errors import RecordNotFound
from trio2o.db.records import Replica, ReplicatedObject
from trio2o.db.replicas import NewReplica
from trio2o.pods.registry import PodView
from trio2o.replication.reconcile import KnownObject

LOG = logging.getLogger(__name__)

#: Seconds a difference has to last before it counts: a write through the gateway is in its first pod for a moment
#: before it is recorded.
SETTLE_SECONDS = 2.0

_REPLICAS_PER_TRANSACTION = 500


@dataclass
class Timing:
    """How long the parts of a replicator wait.

    :ivar replicate_timeout: seconds that a request waits for the other pods
    :ivar settle_seconds: see SETTLE_SECONDS
    """

    replicate_timeout: float
    settle_seconds: float = SETTLE_SECONDS
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True)
class Outcome:
    """The result of bringing one object in one pod to its desired state.

    :ivar state: state of the replica
    :ivar generation: generation that the pod has now
    """

    state: str
    generation: int
    bottom_id: str | None = None
    error: str | None = None

    @property
    def is_done(self) -> bool:
        return self.state in ('in_sync', 'gone')


class ReplicaStore:
    """The queries that several parts of a replicator have in common."""

    def __init__(self, db: Database) -> None:
        self.db = db

    def replica(self, obj: ReplicatedObject, pod: PodView) -> Replica | None:
        found = replicas.list_replicas(self.db, object_id=obj.id, pod_id=pod.id)
        return found[0] if found else None

    def replicas_by_object(self, kind: str, pod: PodView) -> dict[int, Replica]:
        """Return the replicas of a kind in a pod by the ids of their objects."""
        rows = replicas.list_replicas(self.db, pod_id=pod.id, kind=kind)
        return {row.object_id: row for row in rows}

    def objects(self, kind: str) -> list[ReplicatedObject]:
        """Return all objects of a kind, with the deleted ones."""
        return replicas.list_objects(self.db, kind, with_deleted=True)

    def known_objects(self, kind: str, pod: PodView) -> list[KnownObject]:
        """Return all objects of a kind with their ids in a pod, as far as these are recorded."""
        rows = self.replicas_by_object(kind, pod)
        return [known_object(obj, rows.get(obj.id)) for obj in self.objects(kind)]

    def set_outcome(self, obj: ReplicatedObject, pod: PodView, outcome: Outcome) -> None:
        """Record the state of an object in a pod."""
        try:
            replicas.set_replica(
                self.db,
                obj.id,
                pod.id,
                bottom_id=outcome.bottom_id,
                generation=outcome.generation,
                state=outcome.state,
                error=outcome.error,
            )
        except RecordNotFound:
            _log_removed(obj, pod)
            return
        _log_error(obj, pod, outcome)

    def add_outcomes(self, pod: PodView, outcomes: Sequence[tuple[ReplicatedObject, Outcome]]) -> None:
        """Record the states of objects in a pod for which it has no record yet. What was recorded meanwhile stays."""
        for start in range(0, len(outcomes), _REPLICAS_PER_TRANSACTION):
            part = outcomes[start : start + _REPLICAS_PER_TRANSACTION]
            new = [NewReplica(obj.id, one.bottom_id, one.generation, one.state, one.error) for obj, one in part]
            try:
                replicas.add_replicas(self.db, pod.id, new)
            except RecordNotFound:
                # The pod, or one of the objects, was removed meanwhile.
                for (obj, outcome), replica in zip(part, new, strict=True):
                    self._add_outcome(pod, obj, outcome, replica)
            else:
                for obj, outcome in part:
                    _log_error(obj, pod, outcome)

    def _add_outcome(self, pod: PodView, obj: ReplicatedObject, outcome: Outcome, replica: NewReplica) -> None:
        try:
            replicas.add_replicas(self.db, pod.id, [replica])
        except RecordNotFound:
            _log_removed(obj, pod)
        else:
            _log_error(obj, pod, outcome)


def _log_removed(obj: ReplicatedObject, pod: PodView) -> None:
    LOG.info('Not recording %s %s in pod %s: the pod or the object was removed', obj.kind, obj.key, pod.name)


def _log_error(obj: ReplicatedObject, pod: PodView, outcome: Outcome) -> None:
    if outcome.error is not None:
        LOG.warning('%s %s is %s in pod %s: %s', obj.kind, obj.key, outcome.state, pod.name, outcome.error)


def known_object(obj: ReplicatedObject, replica: Replica | None) -> KnownObject:
    bottom_id = replica.bottom_id if replica is not None else None
    return KnownObject(obj.key, obj.wanted['name'], obj.is_deleted, bottom_id)


def is_current(obj: ReplicatedObject, replica: Replica) -> bool:
    """Return whether a pod has the latest generation of an object."""
    return replica.state in ('in_sync', 'gone') and replica.generation >= obj.generation
