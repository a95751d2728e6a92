# SPDX-License-Identifier: Apache-2.0
"""The pods as this process sees them: read from the database every few seconds, in memory in between.

A request never waits for that: one of those that find the picture too old reads it again, the others use it
as it is. So a change of state reaches every process within ``[pods] refresh_seconds`` and a request.
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
from trio2o.pods.endpoints import Endpoint
from trio2o.pods.usage import Usage
from trio2o.web.microversion import VersionRange

LOG = logging.getLogger(__name__)

#: What the database has room for.
GROUP_LENGTH = 255


@dataclass(frozen=True, eq=False)
class PodView:
    """One pod with what is needed to talk to it.

    :ivar ids_up: ids this pod chose -> the ids tenants see, where they differ
    :ivar behind: replicated objects that have not reached this pod yet
    :ivar usages: what it has and uses, by service, as it was read last
    """

    record: Pod
    endpoints: Mapping[str, Endpoint]
    ids_up: Mapping[str, str] = field(default_factory=dict)
    behind: int = 0
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

    @cached_property
    def group(self) -> str:
        """What it is for, as one text: pods with the same resource affinity tag are a group."""
        return group_of(self.record.resource_affinity_tag)

    @property
    def is_asked(self) -> bool:
        """Whether calls go to it at all."""
        return self.record.state != 'maintenance'

    @property
    def takes_new(self) -> bool:
        return self.record.state == 'enabled'


def group_of(tag: Mapping[str, Any] | None) -> str:
    """The name of the group of pods that have a tag: ``disk=ssd,gpu=true``; '' for pods without one."""
    name = ','.join(f'{key}={value}' for key, value in sorted((tag or {}).items()))
    if len(name) <= GROUP_LENGTH:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()
    return f'{name[: GROUP_LENGTH - 17]}#{digest[:16]}'


@dataclass(frozen=True)
class Snapshot:
    """All pods at one moment, by number, the top region left out.

    :ivar moved: of resources that are in their pod under another id than tenants see: that id -> the pod's id
    :ivar ids_up: the other id -> that id
    """

    pods: tuple[PodView, ...] = ()
    by_id: Mapping[str, PodView] = field(default_factory=dict)
    moved: Mapping[str, str] = field(default_factory=dict)
    ids_up: Mapping[str, str] = field(default_factory=dict)

    def asked(self, service: str) -> list[PodView]:
        """Pods that are asked and have the service."""
        return [pod for pod in self.pods if pod.is_asked and service in pod.endpoints]

    @property
    def zones(self) -> list[str]:
        return sorted({pod.zone for pod in self.pods})


class Registry:
    """Keeps the snapshot fresh."""

    def __init__(self, conf: cfg.ConfigOpts, db: Database) -> None:
        self._db = db
        self._refresh_seconds = conf.pods.refresh_seconds
        self._snapshot: Snapshot | None = None
        self._read_at = 0.0
        self._lock = threading.Lock()
        self._counted: tuple[tuple[Any, ...], Mapping[str, int]] | None = None
        self._usages: tuple[Any, Mapping[str, Mapping[str, Usage]]] = ((), {})

    def snapshot(self) -> Snapshot:
        current = self._snapshot
        if current is not None and time.monotonic() - self._read_at < self._refresh_seconds:
            return current
        # The first picture has to be waited for; a later one only by the request that reads it.
        if self._lock.acquire(blocking=current is None):
            try:
                if self._snapshot is current:
                    self.refresh()
            except db_exc.DBError:
                if current is None:
                    raise
                # A database that is away for a moment must not stop what needs no database.
                LOG.exception('pods could not be read; going on with those known')
                self._read_at = time.monotonic()
            finally:
                self._lock.release()
        assert self._snapshot is not None
        return self._snapshot

    def refresh(self) -> Snapshot:
        """Read the pods now."""
        records = db_pods.list_all(self._db)
        behind = self._behind(records)
        ids_up = db_replicas.id_map(self._db)
        usages = self._read_usages()
        moved = moved_resources.list_all(self._db)
        for each in moved:
            ids_up = {**ids_up, each.pod_id: {**ids_up.get(each.pod_id, {}), each.bottom_id: each.top_id}}
        views = [
            PodView(
                record,
                {name: Endpoint.from_json(data) for name, data in (record.endpoints or {}).items()},
                ids_up.get(record.pod_id, {}),
                behind.get(record.pod_id, 0),
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

    def _behind(self, pods: Sequence[Pod]) -> Mapping[str, int]:
        """How far each pod is behind: counted anew only when something may have changed."""
        signature = (*(pod.pod_id for pod in pods), *db_replicas.signature(self._db))
        if self._counted is None or self._counted[0] != signature:
            self._counted = signature, db_replicas.count_behind(self._db)
        return self._counted[1]

    def _read_usages(self) -> Mapping[str, Mapping[str, Usage]]:
        """By pod and service: read and parsed anew only when a job has collected them."""
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
        """What every pod that is asked can do, within what the gateway knows.

        A pod that never told its versions does not narrow the range.
        """
        low, high = known
        for pod in self.snapshot().asked(service):
            versions = pod.endpoints[service].range
            if versions is not None:
                low, high = max(low, versions[0]), min(high, versions[1])
        return VersionRange(low, max(low, high))
