# SPDX-License-Identifier: Apache-2.0
"""The compute hosts that pods had when they were last listed, for use while a pod does not answer."""

from __future__ import annotations

import logging
import threading

from cachetools import TTLCache
from oslo_db import exception as db_exc

from trio2o.db import errors, pod_hosts
from trio2o.db.database import Database
from trio2o.pods.registry import PodView

LOG = logging.getLogger(__name__)

#: Number of pods whose recorded hosts a process keeps in memory.
MAX_PODS = 1000
#: Seconds after which the same hosts are recorded again, as other processes may have recorded others meanwhile.
RECORD_AGAIN_SECONDS = 300.0


class ComputeHosts:
    """Records compute hosts in the database, and keeps them in memory to skip equal writes. One per process."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._recorded: TTLCache[str, list[str]] = TTLCache(MAX_PODS, RECORD_AGAIN_SECONDS)
        self._lock = threading.Lock()

    def record(self, pod: PodView, hosts: list[str]) -> None:
        """Record the hosts of a pod, unless this process did so recently. A failure is logged."""
        with self._lock:
            if self._recorded.get(pod.id) == hosts:
                return
        try:
            pod_hosts.set_(self._db, pod.id, hosts)
        except (db_exc.DBError, errors.RecordNotFound, ValueError):
            LOG.exception('Failed to record the compute hosts of pod %s', pod.name)
            return
        with self._lock:
            self._recorded[pod.id] = hosts

    def of(self, pod: PodView) -> list[str]:
        """Return the recorded hosts of a pod."""
        return pod_hosts.get(self._db, pod.id)
