# SPDX-License-Identifier: Apache-2.0
"""One object in one pod: brought to what is wanted, and recorded how that went.

Whatever changes a pod here reads it first, and looks afterwards whether something newer is wanted
by now; so of any number that work on one object at once, the last one leaves it as it is wanted.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from oslo_config import cfg

from trio2o import exception
from trio2o.concurrency import Executor
from trio2o.db import replicas
from trio2o.db.errors import NotFound
from trio2o.db.records import Replica, ReplicatedObject
from trio2o.db.session import Database, utcnow
from trio2o.jobqueue import JobQueue
from trio2o.pods.client import PodClient
from trio2o.pods.identity import Identity
from trio2o.pods.podapi import PodApi, PodRefused
from trio2o.pods.registry import PodView, Registry
from trio2o.replication import reconcile
from trio2o.replication.adapters import ADAPTERS, Guarded
from trio2o.replication.kinds import Adapter
from trio2o.replication.reconcile import Found, Notes, Object

LOG = logging.getLogger(__name__)

#: Seconds a difference has to last before it counts: a write that passes the gateway is in its
#: first pod a moment before it is recorded.
SETTLE_SECONDS = 2.0

ROUNDS = 8
_LOCKS = 64


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


class Converger:
    """What everything else here is built on."""

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
        self._adapters = {adapter.kind: cast(Adapter, Guarded(adapter)) for adapter in adapters}
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
        for _ in range(ROUNDS):
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
            except PodRefused as error:
                if error.status not in (404, 409):
                    raise
                # Somebody else did the same step at this moment; what is left to do shows now.
                return self._apply(adapter, api, obj, replica)
        except PodRefused as error:
            return Outcome('failed', has, error=error.text)
        except exception.Trio2oException as error:
            return Outcome('behind', has, error=error.message)

    def _apply(self, adapter: Adapter, api: PodApi, obj: ReplicatedObject, replica: Replica | None) -> Outcome:
        found = self._locate(adapter, api, obj, replica)
        is_ours = replica is not None and replica.bottom_id is not None
        has = replica.generation if replica is not None and is_ours else 0
        other = reconcile.differences(adapter.shape, obj.wanted, found.wanted) if found else ()
        if found is not None and replica is not None and replica.state == 'failed' and not is_ours:
            # The pod had it before it came here, and it meant something else: that is for an operator to settle.
            other = reconcile.contradictions(adapter.shape, obj.wanted, found.wanted)
        if obj.is_deleted:
            if found is not None and (is_ours or not other):
                adapter.remove(api, found)
            return Outcome('gone', obj.generation)
        if found is not None and other:
            if not is_ours or has >= Notes.of(obj.wanted).born:
                return Outcome('failed', has, error=clash(adapter, obj, found, other))
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

    def _api(
        self, adapter: Adapter, pod: PodView, timeout: float | None, ids: Mapping[str, str] | None = None
    ) -> PodApi:
        return PodApi(
            self._client,
            self._identity,
            pod,
            adapter.service,
            timeout,
            lambda: {**replicas.id_map(self._db).get(pod.id, {}), **(ids or {})},
        )

    def _is_under_way(self, obj: ReplicatedObject, replica: Replica | None) -> bool:
        """Whether the pod seems behind only because a write in it is being recorded right now.

        To bring it there then would undo the next write, which may be in the pod already.
        """
        if replica is None or replica.state != 'in_sync' or replica.generation >= obj.generation:
            return False
        age = utcnow() - (obj.updated_at or obj.created_at)
        return age.total_seconds() < self._settle_seconds

    def _present(self, pod: PodView) -> list[Adapter]:
        return [each for each in self._adapters.values() if each.service in pod.endpoints]

    def _objects(self, adapter: Adapter) -> list[ReplicatedObject]:
        return replicas.list_objects(self._db, adapter.kind, with_deleted=True)

    def _by_object(self, adapter: Adapter, pod: PodView) -> dict[int, Replica]:
        rows = replicas.list_replicas(self._db, pod_id=pod.id, kind=adapter.kind)
        return {row.object_id: row for row in rows}

    def _known(self, adapter: Adapter, pod: PodView) -> list[reconcile.Known]:
        rows = self._by_object(adapter, pod)
        return [known_of(obj, rows.get(obj.id)) for obj in self._objects(adapter)]


def known_of(obj: ReplicatedObject, replica: Replica | None) -> reconcile.Known:
    bottom_id = replica.bottom_id if replica is not None else None
    return reconcile.Known(obj.key, obj.wanted['name'], obj.is_deleted, bottom_id)


def is_current(obj: ReplicatedObject, replica: Replica) -> bool:
    return replica.state in ('in_sync', 'gone') and replica.generation >= obj.generation


def clash(adapter: Adapter, obj: ReplicatedObject, found: Found, names: Sequence[str]) -> str:
    """What an operator is told where a pod has something else under the same name or id."""
    details = ', '.join(
        f'{name} is {_said(found.wanted, name)!r} and should be {_said(obj.wanted, name)!r}'
        for name in names
        if name != 'public_key'
    )
    what = f'there is another {obj.kind.replace("_", " ")} of this {"name" if adapter.has_own_ids else "id"}'
    return f'{what}: {details}' if details else f'{what}, with another public key'


def _said(wanted: Object, name: str) -> Any:
    """The value of a field, or of an item of a map (``map: key``)."""
    field, _, key = name.partition(': ')
    value = wanted.get(field)
    return (value or {}).get(key) if key else value
