# SPDX-License-Identifier: Apache-2.0
"""Circuit breakers: calls to a service of a pod that keeps failing are refused for some seconds.

After the pause a single call tries the pod; if that succeeds the breaker closes. Modelled after swift's error limiter.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

Key = tuple[str, str]


@dataclass
class _State:
    failures: int = 0
    open_until: float = 0.0


class Breakers:
    """The breaker of every pod and service, as this process sees them."""

    def __init__(self, failures: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """
        :param failures: number of failures in a row after which a breaker opens
        :param seconds: how long it stays open
        """
        self._limit = failures
        self._seconds = seconds
        self._clock = clock
        self._states: dict[Key, _State] = {}
        self._lock = threading.Lock()

    def is_open(self, key: Key) -> bool:
        """Whether calls are refused now; does not count as a try."""
        state = self._states.get(key)
        return state is not None and state.failures >= self._limit and self._clock() < state.open_until

    def may_call(self, key: Key) -> bool:
        """Whether to make a call; after the pause one caller may, and the others are refused until it reports."""
        state = self._states.get(key)
        if state is None or state.failures < self._limit:
            return True
        with self._lock:
            now = self._clock()
            if now < state.open_until or state.failures < self._limit:
                return state.failures < self._limit
            # If that caller never reports, another one may try after the next pause.
            state.open_until = now + self._seconds
            return True

    def succeeded(self, key: Key) -> bool:
        """Record a success.

        :returns: whether the breaker closed
        """
        if key not in self._states:
            return False
        with self._lock:
            state = self._states.pop(key, None)
            return state is not None and state.failures >= self._limit

    def failed(self, key: Key) -> bool:
        """Record a failure.

        :returns: whether the breaker opened
        """
        with self._lock:
            state = self._states.setdefault(key, _State())
            state.failures += 1
            if state.failures >= self._limit:
                state.open_until = self._clock() + self._seconds
            return state.failures == self._limit
