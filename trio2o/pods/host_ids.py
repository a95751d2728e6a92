# SPDX-License-Identifier: Apache-2.0
"""Tell hosts of one name in several pods apart.

``hostId`` of a server is a hash of its project and of the name of its host, so it is the same for hosts of one name in
two pods, and tenants take them for one host. The gateway sees the names of hosts only in answers to admins, but it can
see that two pods give the same hash.
"""

from __future__ import annotations

import hashlib
import threading

#: Number of hashes that a process remembers.
MAX_HASHES = 100_000


class HostIds:
    """The pod that gave a hash first, which keeps it; the other pods get another hash. One per process."""

    def __init__(self) -> None:
        self._first: dict[str, str] = {}
        self._lock = threading.Lock()

    def up(self, pod_id: str, host_id: str) -> str:
        """Return the hash of a host for tenants, given the one in its pod."""
        # A list has many items, and nearly all of their hashes are known: they are read without the lock.
        first = self._first.get(host_id) or self._remember(pod_id, host_id)
        if first == pod_id:
            return host_id
        return hashlib.sha224(f'{pod_id}{host_id}'.encode()).hexdigest()

    def _remember(self, pod_id: str, host_id: str) -> str:
        """Return the id of the first pod that gave a hash, which is this one unless another was faster."""
        with self._lock:
            if len(self._first) >= MAX_HASHES:
                del self._first[next(iter(self._first))]
            return self._first.setdefault(host_id, pod_id)
