# SPDX-License-Identifier: Apache-2.0
"""Ids that no pod has, remembered for some seconds so that pods are not asked for them again and again."""

from __future__ import annotations

import threading
import time
from collections.abc import Hashable

from cachetools import TTLCache
from oslo_config import cfg


class Misses:
    """Remembers what no pod had, for ``[pods] unknown_id_seconds``. One per process.

    Pods choose the ids of new resources, so no client knows an id before the resource exists.
    """

    MAX_SIZE = 10000

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._keys: TTLCache[Hashable, bool] = TTLCache(self.MAX_SIZE, conf.pods.unknown_id_seconds, time.monotonic)
        # A TTLCache changes its own order even when it is read.
        self._lock = threading.Lock()

    def add(self, key: Hashable) -> None:
        """Remember that no pod has what the key stands for."""
        with self._lock:
            self._keys[key] = True

    def __contains__(self, key: Hashable) -> bool:
        with self._lock:
            return key in self._keys
