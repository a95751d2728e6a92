# SPDX-License-Identifier: Apache-2.0
"""Shares of pods: one slow pod must not hold all the threads of a process, which other pods need as well."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

Key = tuple[str, str]


class ShareUsedUp(Exception):
    """A slow pod has as many calls under way as it may have."""


@dataclass
class _Calls:
    """Calls to one service of one pod that are under way.

    :ivar started: the time at which each of them started, the oldest first
    :ivar slow_until: until this time the pod counts as slow
    """

    started: dict[int, float] = field(default_factory=dict)
    slow_until: float = 0.0


class Shares:
    """Limits the calls of this process that are under way to each service of each pod.

    While a pod answers fast, calls beyond its share wait for their turn, as they do without a share when all threads
    are busy. If most calls of a full share last long, further calls are refused at once, and for some seconds the pod
    has only half of its share.
    """

    #: A call that has lasted for so many seconds is slow.
    SLOW_CALL_SECONDS = 3.0
    #: How long a pod counts as slow after its share was full of slow calls.
    SLOW_POD_SECONDS = 5.0
    #: How often a waiting call looks whether the others have become slow.
    _LOOK_SECONDS = 0.1

    def __init__(self, limits: Mapping[str, int], clock: Callable[[], float] = time.monotonic) -> None:
        """:param limits: the greatest number of calls under way, by service type; the others have the highest limit"""
        self._limits = dict(limits)
        self._default = max(limits.values())
        self._clock = clock
        self._calls: dict[Key, _Calls] = {}
        self._changed = threading.Condition()
        self._waiting = 0
        self._number = 0

    def enter(self, key: Key, seconds: float) -> int:
        """Begin a call, when the share has room for it.

        :param key: id of the pod and service type
        :param seconds: how long to wait for room
        :returns: a number to end the call with
        :raises ShareUsedUp: the pod is slow, or the time is over
        """
        limit = self._limits.get(key[1], self._default)
        with self._changed:
            calls = self._calls.get(key)
            if calls is None:
                calls = self._calls[key] = _Calls()
            if len(calls.started) >= limit // 2:
                self._wait_for_room(calls, limit, self._clock() + seconds)
            self._number += 1
            calls.started[self._number] = self._clock()
            return self._number

    def leave(self, key: Key, number: int) -> None:
        """End a call."""
        with self._changed:
            del self._calls[key].started[number]
            if self._waiting:
                self._changed.notify_all()

    def _wait_for_room(self, calls: _Calls, limit: int, deadline: float) -> None:
        while True:
            now = self._clock()
            if now < calls.slow_until:
                limit = max(1, limit // 2)
            if len(calls.started) < limit:
                return
            slow = sum(now - started >= self.SLOW_CALL_SECONDS for started in calls.started.values())
            if 2 * slow >= limit:
                calls.slow_until = now + self.SLOW_POD_SECONDS
            if now < calls.slow_until or now >= deadline:
                raise ShareUsedUp
            self._waiting += 1
            self._changed.wait(min(deadline - now, self._LOOK_SECONDS))
            self._waiting -= 1
