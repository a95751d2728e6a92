# SPDX-License-Identifier: Apache-2.0
"""Metrics read from the database: jobs, quota claims, moves, replicas out of sync, capacity and use of pods.

All processes export the same values, so a query takes their maximum, not their sum. A thread reads them, at most once
per ``[metrics] database_seconds``. So a slow or unreachable database delays a scrape only by ``MAX_WAIT_SECONDS``; the
scrape then gets the values read last, or only ``trio2o_database_up 0``.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from oslo_config import cfg
from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from trio2o.db import jobs, move_groups, moves, quotas
from trio2o.db.database import Database, utcnow
from trio2o.db.errors import UNREACHABLE
from trio2o.db.records import GROUP_ACTIVE_STATUSES, JOB_STATES, MOVE_ACTIVE_STATUSES
from trio2o.pods.registry import PodView, Registry

LOG = logging.getLogger(__name__)

#: Seconds for which a scrape waits for new values; if they come later, the next scrape gets them.
MAX_WAIT_SECONDS = 2.0

#: Values older than this number of intervals between reads are no longer exported.
_TOO_OLD = 10


@dataclass(frozen=True)
class _Read:
    """Values read from the database at one time.

    :ivar at: the time, of the monotonic clock
    """

    at: float
    jobs: Mapping[str, int]
    waiting_seconds: float
    claims: Mapping[str, int]
    moves: Mapping[str, int]
    move_groups: Mapping[str, int]
    pods: tuple[PodView, ...]


class DatabaseMetrics:
    """A collector for Prometheus."""

    def __init__(
        self, conf: cfg.ConfigOpts, db: Database, registry: Registry, max_wait: float = MAX_WAIT_SECONDS
    ) -> None:
        self._db = db
        self._registry = registry
        self._seconds = conf.metrics.database_seconds
        self._max_wait = max_wait
        self._lock = threading.Lock()
        self._last: _Read | None = None
        self._tried_at = -conf.metrics.database_seconds
        self._is_up = False
        self._ready: threading.Event | None = None

    def describe(self) -> Iterable[Metric]:
        """The families without samples; without this method the registry would collect when it is made."""
        return _families().values()

    def collect(self) -> Iterable[Metric]:
        last, is_up = self._current()
        families = _families()
        families['up'].add_metric([], float(is_up))
        if last is not None:
            _fill(families, last)
        return families.values()

    def is_called(self, pod_name: str) -> bool:
        """Whether a pod existed and was not in maintenance at the last read; True before the first read."""
        last = self._last
        return last is None or any(pod.name == pod_name and not pod.in_maintenance for pod in last.pods)

    def _current(self) -> tuple[_Read | None, bool]:
        with self._lock:
            now = time.monotonic()
            if self._ready is None and now - self._tried_at >= self._seconds:
                self._tried_at = now
                self._ready = threading.Event()
                threading.Thread(target=self._read, args=(self._ready,), daemon=True).start()
            ready, max_wait = self._ready, self._max_wait - (now - self._tried_at)
        is_late = ready is not None and not ready.wait(max(0.0, max_wait))
        last = self._last
        if last is not None and time.monotonic() - last.at > _TOO_OLD * self._seconds + self._max_wait:
            last = None
        return last, self._is_up and not is_late

    def _read(self, ready: threading.Event) -> None:
        try:
            self._last = self._read_all()
            self._is_up = True
        except UNREACHABLE as error:
            if self._is_up or self._last is None:
                LOG.warning('Metrics could not be read from the database: %s', type(error).__name__)
            self._is_up = False
        finally:
            self._ready = None
            ready.set()

    def _read_all(self) -> _Read:
        due = jobs.longest_due(self._db)
        return _Read(
            jobs=jobs.count_by_state(self._db),
            waiting_seconds=max(0.0, (utcnow() - due).total_seconds()) if due else 0.0,
            claims=quotas.count_claims_by_state(self._db),
            moves=moves.count_active_by_status(self._db),
            move_groups=move_groups.count_active_by_status(self._db),
            # The snapshot would stay the same while the database is unreachable, as requests go on using it.
            pods=self._registry.refresh().pods,
            at=time.monotonic(),
        )


def _families() -> dict[str, GaugeMetricFamily]:
    family = GaugeMetricFamily
    pod = ['pod', 'zone']
    return {
        'up': family('trio2o_database_up', 'Whether the database answered at the last read'),
        'jobs': family('trio2o_jobs', 'Jobs in the table, by state', labels=['state']),
        'waiting': family('trio2o_jobs_waiting_seconds', 'Seconds since the oldest waiting job became due'),
        'claims': family('trio2o_quota_claims', 'Quota claims, by state', labels=['state']),
        'moves': family('trio2o_moves', 'Moves that have not ended, by status', labels=['status']),
        'move_groups': family('trio2o_move_groups', 'Move groups that have not ended, by status', labels=['status']),
        'state': family('trio2o_pod_state', 'Always 1; the state is a label', labels=[*pod, 'state']),
        'out_of_sync': family(
            'trio2o_pod_replicas_out_of_sync', 'Replicated objects that are out of sync in a pod', labels=pod
        ),
        'usage': family(
            'trio2o_pod_usage_timestamp_seconds',
            'Unix time at which capacity and use of a pod were read last',
            labels=[*pod, 'service'],
        ),
        'capacity': family(
            'trio2o_pod_capacity', 'Capacity of a pod, by resource', labels=[*pod, 'service', 'resource']
        ),
        'used': family('trio2o_pod_used', 'Used capacity of a pod, by resource', labels=[*pod, 'service', 'resource']),
    }


def _fill(families: Mapping[str, GaugeMetricFamily], last: _Read) -> None:
    for state in JOB_STATES:
        families['jobs'].add_metric([state], last.jobs.get(state, 0))
    families['waiting'].add_metric([], last.waiting_seconds)
    for state, count in {'open': 0, **last.claims}.items():
        families['claims'].add_metric([state], count)
    for status in MOVE_ACTIVE_STATUSES:
        families['moves'].add_metric([status], last.moves.get(status, 0))
    for status in GROUP_ACTIVE_STATUSES:
        families['move_groups'].add_metric([status], last.move_groups.get(status, 0))
    for pod in last.pods:
        families['state'].add_metric([pod.name, pod.zone, pod.record.state], 1)
        families['out_of_sync'].add_metric([pod.name, pod.zone], pod.out_of_sync)
        for service, usage in pod.usages.items():
            families['usage'].add_metric([pod.name, pod.zone, service], _timestamp(usage.collected_at))
            for resource, amount in usage.amounts.items():
                families['used'].add_metric([pod.name, pod.zone, service, resource], amount.used)
                if amount.capacity is not None:
                    families['capacity'].add_metric([pod.name, pod.zone, service, resource], amount.capacity)


def _timestamp(when: datetime) -> float:
    return when.replace(tzinfo=UTC).timestamp()
