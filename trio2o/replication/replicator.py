# SPDX-License-Identifier: Apache-2.0
"""The replicator: puts the parts of replication together. A process has one, in its runtime."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping

from oslo_config import cfg

from trio2o.db import replicas
from trio2o.db.database import Database
from trio2o.db.records import ReplicatedObject
from trio2o.jobqueue import JobQueue
from trio2o.pods.client import PodClient
from trio2o.pods.fanout import PodThreads
from trio2o.pods.identity import Identity
from trio2o.pods.registry import PodView, Registry
from trio2o.replication.adapters import ADAPTERS
from trio2o.replication.adapters.base import Adapter
from trio2o.replication.dependencies import Dependencies
from trio2o.replication.desired_state import DesiredState
from trio2o.replication.kinds import KEYPAIR, keypair_key, owner_of
from trio2o.replication.object_sync import ObjectSync
from trio2o.replication.pod_limits import PodLimits
from trio2o.replication.pod_objects import PodAccess
from trio2o.replication.pod_sync import PodSync
from trio2o.replication.replica_store import ReplicaStore, Timing
from trio2o.replication.request_writes import RequestWrites
from trio2o.resources import folded_name

#: A kind with a key, an id or a name.
ObjectRef = tuple[str, str]


class Replicator:
    """
    :ivar objects: brings one object to its desired state
    :ivar desired: reads and records the desired state
    :ivar writes: the steps around a request that writes an object
    :ivar pods: joins and repairs pods
    :ivar limits: raises limits of pods to unlimited
    """

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        db: Database,
        registry: Registry,
        client: PodClient,
        identity: Identity,
        threads: PodThreads,
        jobs: JobQueue,
        *,
        adapters: Iterable[Adapter] = ADAPTERS,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._db = db
        self._registry = registry
        self.timing = Timing(conf.pods.replicate_timeout, sleep=sleep)
        access = PodAccess(db, client, identity, adapters)
        store = ReplicaStore(db)
        deps = Dependencies(access, store, self.timing, registry, threads, jobs)
        self.objects = ObjectSync(deps)
        self.desired = DesiredState(deps, self.objects)
        self.writes = RequestWrites(deps, self.objects, self.desired)
        self.pods = PodSync(deps, self.objects, self.desired)
        self.limits = PodLimits(access, self.objects, self.desired, identity)

    def ensure(self, pod: PodView, refs: Collection[ObjectRef], user_id: str) -> PodView:
        """Write to a pod those objects that a request to it refers to and that are out of sync there.

        Failures are ignored here: the pod will refuse the request.

        :param refs: of key pairs, with their names
        :param user_id: owner of the key pairs
        :returns: the pod, with the ids of the new objects
        """
        if not pod.out_of_sync or not refs:
            return pod
        referred = _with_keys(refs, user_id)
        is_changed = False
        # The pod decides whether it takes another name for that of an object, which it may lack now.
        folded = {(kind, folded_name(name)) for kind, name in referred}
        for obj, _replica in replicas.out_of_sync(self._db, pod.id, _key_prefixes(referred)):
            if not obj.is_deleted and any((obj.kind, folded_name(name)) in folded for name in _names(obj)):
                self.objects.sync(obj.kind, obj.key, pod, self.timing.replicate_timeout)
                is_changed = True
        return self._registry.refresh().by_id.get(pod.id, pod) if is_changed else pod

    def unusable(self, refs: Collection[ObjectRef], user_id: str) -> dict[str, str]:
        """Return the pods where an object that a request refers to is in conflict, or was refused.

        :param refs: of key pairs, with their names
        :param user_id: owner of the key pairs
        :returns: id of the pod -> reason
        """
        pod_ids = [pod.id for pod in self._registry.snapshot().pods if pod.out_of_sync]
        if not refs or not pod_ids:
            return {}
        referred = _with_keys(refs, user_id)
        return {
            replica.pod_id: f'{obj.kind.replace("_", " ")} {obj.wanted["name"]}: {replica.error}'
            for obj, replica in replicas.failed(self._db, pod_ids, _key_prefixes(referred))
            if any((obj.kind, name) in referred for name in _names(obj))
        }


def _with_keys(refs: Collection[ObjectRef], user_id: str) -> set[ObjectRef]:
    """Replace the names of key pairs by their keys."""
    return {(kind, keypair_key(user_id, name) if kind == KEYPAIR else name) for kind, name in refs}


def _key_prefixes(referred: Collection[ObjectRef]) -> Mapping[str, str]:
    """Return what the keys of referred objects begin with: the user of key pairs, of which there are many."""
    return {kind: f'{owner_of(key)}/' if kind == KEYPAIR else '' for kind, key in referred}


def _names(obj: ReplicatedObject) -> Collection[str]:
    """Return what requests can name an object by."""
    return (obj.key,) if obj.kind == KEYPAIR else {obj.key, obj.top_id or obj.key, obj.wanted['name']}
