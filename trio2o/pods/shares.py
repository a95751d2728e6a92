# SPDX-License-Identifier: Apache-2.0
"""Shares of pods: slow pods must not hold all the threads of a process, which other pods need as well."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

Key = tuple[str, str]


class ShareUsedUp(Exception):
    """A slow pod has as many calls under way as it may have, or all slow pods together."""


@dataclass
class _Calls:
    """Calls to one service of one pod that are under way.

    :ivar started: the time at which each of them started, and the id of the request that it is for
    :ivar answered_at: when the pod last answered one
    :ivar unanswered: number of calls that started since then
    :ivar slow_until: until this time the pod counts as slow
    """

    started: dict[int, tuple[float, str]] = field(default_factory=dict)
    answered_at: float = float('-inf')
    unanswered: int = 0
    slow_until: float = 0.0


class Shares:
    """Limits the calls of this process that are under way to each service of each pod.

    While a pod answers fast, calls beyond its share wait for their turn, as they do without a share when all threads
    are busy. If most calls of a full share last long, further calls are refused at once, and for some seconds the pod
    has only half of its share.

    Pods that have not answered for a second, or have not answered many calls since their last answer, have one share
    together: so many requests wait for them. A few calls to each pod are always allowed, so that it can show that it
    answers.
    """

    #: A call that has lasted for so many seconds is slow.
    SLOW_CALL_SECONDS = 3.0
    #: How long a pod counts as slow after its share was full of slow calls.
    SLOW_POD_SECONDS = 5.0
    #: How long a pod counts as answering after an answer, and how long calls wait for it to answer again.
    ANSWERING_SECONDS = 1.0
    #: Part of the share for calls since the last answer of a pod, and their least number, with which it counts as
    #: answering. Many calls start in the second in which a pod stops to answer.
    UNANSWERED, LEAST_UNANSWERED = 1 / 8, 4
    #: Part of the share that each pod may use although it does not answer.
    ALWAYS_ALLOWED = 1 / 16
    #: How often a waiting call looks whether the others have become slow.
    _LOOK_SECONDS = 0.1

    def __init__(self, limits: Mapping[str, int], clock: Callable[[], float] = time.monotonic) -> None:
        """:param limits: the greatest number of calls under way, by service type; the others have the highest limit"""
        self._limits = dict(limits)
        self._default = max(limits.values())
        self._clock = clock
        self._calls: dict[Key, _Calls] = {}
        self._under_way: Counter[str] = Counter()
        self._changed = threading.Condition()
        self._waiting = 0
        self._number = 0

    def enter(self, key: Key, seconds: float, request: str = '') -> int:
        """Begin a call, when the share has room for it.

        :param key: id of the pod and service type
        :param seconds: how long to wait for room
        :param request: id of the request that the call is for; one request waits for several calls at a time
        :returns: a number to end the call with
        :raises ShareUsedUp: the pod is slow, or the time is over
        """
        limit = self._limits.get(key[1], self._default)
        with self._changed:
            calls = self._calls.get(key)
            if calls is None:
                calls = self._calls[key] = _Calls()
            self._number += 1
            number = self._number
            request = request or str(number)
            if len(calls.started) >= limit // 2 or self._under_way[key[1]] >= limit:
                self._wait_for_room(key, limit, request, seconds)
            calls.started[number] = self._clock(), request
            calls.unanswered += 1
            self._under_way[key[1]] += 1
            return number

    def leave(self, key: Key, number: int, *, is_answered: bool) -> None:
        """End a call.

        :param is_answered: whether the pod has answered it
        """
        with self._changed:
            calls = self._calls[key]
            del calls.started[number]
            self._under_way[key[1]] -= 1
            if is_answered:
                calls.answered_at = self._clock()
                calls.unanswered = 0
            if self._waiting:
                self._changed.notify_all()

    def _wait_for_room(self, key: Key, limit: int, request: str, seconds: float) -> None:
        calls = self._calls[key]
        began = self._clock()
        while True:
            now = self._clock()
            share = max(1, limit // 2) if now < calls.slow_until else limit
            if len(calls.started) >= share:
                slow = sum(now - started >= self.SLOW_CALL_SECONDS for started, _request in calls.started.values())
                if 2 * slow >= share:
                    calls.slow_until = now + self.SLOW_POD_SECONDS
                is_refused = now < calls.slow_until
            elif self._is_answering(calls, limit, now) or self._has_room_for_hung(key, limit, request, now):
                return
            else:
                is_refused = now - began >= self.ANSWERING_SECONDS
            left = began + seconds - now
            if is_refused or left <= 0:
                raise ShareUsedUp
            self._waiting += 1
            self._changed.wait(min(left, self._LOOK_SECONDS))
            self._waiting -= 1

    def _is_answering(self, calls: _Calls, limit: int, now: float) -> bool:
        most = max(self.LEAST_UNANSWERED, limit * self.UNANSWERED)
        return calls.unanswered < most and now - calls.answered_at < self.ANSWERING_SECONDS

    def _has_room_for_hung(self, key: Key, limit: int, request: str, now: float) -> bool:
        """Return whether one more request may wait for a pod that does not answer."""
        if len(self._calls[key].started) < max(1, limit * self.ALWAYS_ALLOWED):
            return True
        waiting: set[str] = set()
        for (_pod, service), calls in self._calls.items():
            if service == key[1] and not self._is_answering(calls, limit, now):
                waiting.update(other for _started, other in calls.started.values())
        waiting.discard(request)
        return len(waiting) < limit
