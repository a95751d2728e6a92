# SPDX-License-Identifier: Apache-2.0
"""The pods, read from the database every few seconds and kept in memory in between.

When the snapshot is too old, one request reads it again and the others go on with the old one. So each process uses
the new state of a pod from its first or second request after ``[pods] refresh_seconds``.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from oslo_config import cfg
from oslo_db import exception as db_exc

from trio2o.db import moved_resources
from trio2o.db import pod_usages as db_usages
from trio2o.db import pods as db_pods
from trio2o.db import replicas as db_replicas
from trio2o.db.records import Pod
from trio2o.db.session import Database
from trio2o.pods.endpoints import PodEndpoint
from trio2o.pods.usage import Usage
from trio2o.web.microversion import VersionRange

LOG = logging.getLogger(__name__)

#: Length of the database column.
GROUP_LENGTH = 255


@dataclass(frozen=True, eq=False)
class PodView:
    """One pod with all data that are needed to call and to schedule it.

    :ivar ids_up: id in this pod -> id that tenants see, where the two differ
    :ivar out_of_sync: number of replicated objects that are out of sync in this pod
    :ivar usages: capacity and use, by service, as read last
    """

    record: Pod
    endpoints: Mapping[str, PodEndpoint]
    ids_up: Mapping[str, str] = field(default_factory=dict)
    out_of_sync: int = 0
    usages: Mapping[str, Usage] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return self.record.pod_id

    @property
    def name(self) -> str:
        return self.record.pod_name

    @property
    def zone(self) -> str:
        return self.record.az_name

    def zone_in(self, service: str) -> str:
        """Return the name that the pod's zone has in one of its services; '' if the service gets no zone."""
        volume_zone = self.record.pod_volume_az_name
        return self.record.pod_az_name if service != 'volume' or volume_zone is None else volume_zone

    @cached_property
    def group(self) -> str:
        """Name of the pod's group: pods with the same resource affinity tag are a group."""
        return group_of(self.record.resource_affinity_tag)

    @property
    def in_maintenance(self) -> bool:
        """Whether no service calls the pod."""
        return self.record.state == 'maintenance'

    @property
    def is_enabled(self) -> bool:
        """Whether new resources may be created in the pod."""
        return self.record.state == 'enabled'


def group_of(tag: Mapping[str, Any] | None) -> str:
    """Name of the group of pods that have a tag, such as ``disk=ssd,gpu=true``; '' for pods without a tag."""
    name = ','.join(f'{key}={value}' for key, value in sorted((tag or {}).items()))
    if len(name) <= GROUP_LENGTH:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()
    return f'{name[: GROUP_LENGTH - 17]}#{digest[:16]}'


@dataclass(frozen=True)
class Snapshot:
    """All pods at one moment, ordered by number, without the top region.

    :ivar moved: id that tenants see -> id of the pod, for resources that have another id in their pod
    :ivar ids_up: id in the pod -> id that tenants see, for the same resources
    """

    pods: tuple[PodView, ...] = ()
    by_id: Mapping[str, PodView] = field(default_factory=dict)
    moved: Mapping[str, str] = field(default_factory=dict)
    ids_up: Mapping[str, str] = field(default_factory=dict)

    def serving(self, service: str) -> list[PodView]:
        """Return the pods that have the service and are not in maintenance."""
        return [pod for pod in self.pods if not pod.in_maintenance and service in pod.endpoints]

    @property
    def zones(self) -> list[str]:
        return sorted({pod.zone for pod in self.pods})


class Registry:
    """Holds the snapshot of a process, and reads it again when it is too old."""

    def __init__(self, conf: cfg.ConfigOpts, db: Database) -> None:
        self._db = db
        self._refresh_seconds = conf.pods.refresh_seconds
        self._snapshot: Snapshot | None = None
        self._read_at = 0.0
        self._lock = threading.Lock()
        self._counted: tuple[tuple[Any, ...], Mapping[str, int]] | None = None
        self._usages: tuple[Any, Mapping[str, Mapping[str, Usage]]] = ((), {})

    def snapshot(self) -> Snapshot:
        """The pods as read at most about ``[pods] refresh_seconds`` ago."""
        current = self._snapshot
        if current is not None and time.monotonic() - self._read_at < self._refresh_seconds:
            return current
        # Without any snapshot every request has to wait; later only the one that reads.
        if self._lock.acquire(blocking=current is None):
            try:
                if self._snapshot is current:
                    self.refresh()
            except db_exc.DBError:
                if current is None:
                    raise
                # While the database is unreachable, requests that do not need it can still be served.
                LOG.exception('Failed to read pods from the database; using those read before')
                self._read_at = time.monotonic()
            finally:
                self._lock.release()
        assert self._snapshot is not None
        return self._snapshot

    def refresh(self) -> Snapshot:
        """Read the pods from the database now."""
        records = db_pods.list_all(self._db)
        out_of_sync = self._out_of_sync(records)
        ids_up = db_replicas.id_map(self._db)
        usages = self._read_usages()
        moved = moved_resources.list_all(self._db)
        for each in moved:
            ids_up = {**ids_up, each.pod_id: {**ids_up.get(each.pod_id, {}), each.bottom_id: each.top_id}}
        views = [
            PodView(
                record,
                {name: PodEndpoint.from_json(data) for name, data in (record.endpoints or {}).items()},
                ids_up.get(record.pod_id, {}),
                out_of_sync.get(record.pod_id, 0),
                usages.get(record.pod_id, {}),
            )
            for record in records
            if not record.is_top
        ]
        views.sort(key=lambda view: view.record.number)
        self._snapshot = Snapshot(
            tuple(views),
            {view.id: view for view in views},
            {each.top_id: each.pod_id for each in moved},
            {each.bottom_id: each.top_id for each in moved},
        )
        self._read_at = time.monotonic()
        return self._snapshot

    def _out_of_sync(self, pods: Sequence[Pod]) -> Mapping[str, int]:
        """Number of objects out of sync in each pod; counted again only when something may have changed."""
        signature = (*(pod.pod_id for pod in pods), *db_replicas.signature(self._db))
        if self._counted is None or self._counted[0] != signature:
            self._counted = signature, db_replicas.count_out_of_sync(self._db)
        return self._counted[1]

    def _read_usages(self) -> Mapping[str, Mapping[str, Usage]]:
        """Usages by pod and service; read again only after a job collected new ones."""
        times = db_usages.times(self._db)
        if times != self._usages[0]:
            found: dict[str, dict[str, Usage]] = {}
            for row in db_usages.list_all(self._db):
                usage = Usage.from_json(row.data, row.collected_at)
                if usage is not None:
                    found.setdefault(row.pod_id, {})[row.service] = usage
            self._usages = times, found
        return self._usages[1]

    def versions(self, service: str, known: VersionRange) -> VersionRange:
        """The range of microversions that all pods have, except those in maintenance.

        A pod whose versions are not known does not narrow the range.

        :param known: the range that the gateway knows
        """
        low, high = known
        for pod in self.snapshot().serving(service):
            versions = pod.endpoints[service].range
            if versions is not None:
                low, high = max(low, versions[0]), min(high, versions[1])
        return VersionRange(low, max(low, high))
