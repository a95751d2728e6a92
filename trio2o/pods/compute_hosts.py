# SPDX-License-Identifier: Apache-2.0
"""The compute hosts that pods had when they were last listed, for use while a pod does not answer."""

from __future__ import annotations

import logging
import threading

from cachetools import TTLCache
from oslo_db import exception as db_exc

from trio2o.db import errors, pod_hosts
from trio2o.db.session import Database
from trio2o.pods.registry import PodView

LOG = logging.getLogger(__name__)

#: Pods to remember what this process recorded of.
MAX_PODS = 1000
#: Seconds after which the same hosts are recorded again, as other processes may have recorded others meanwhile.
RECORD_AGAIN_SECONDS = 300.0


class ComputeHosts:
    """Records compute hosts in the database. One a process, as it keeps what it has recorded."""

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
            LOG.exception('the compute hosts of pod %s could not be recorded', pod.name)
            return
        with self._lock:
            self._recorded[pod.id] = hosts

    def of(self, pod: PodView) -> list[str]:
        """Return the hosts that were recorded last, by any process."""
        return pod_hosts.get(self._db, pod.id)
