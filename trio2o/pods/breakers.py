# SPDX-License-Identifier: Apache-2.0
"""Circuit breakers: calls to a service of a pod that keeps failing are refused for some seconds.

After the pause a single call tries the pod; if that succeeds the breaker closes. Modelled after swift's error limiter.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

Key = tuple[str, str]


@dataclass
class _State:
    """What is known of one service of a pod since its last success.

    :ivar failures: number of failures in a row
    :ivar sources: the projects whose requests failed, if the failures may be due to the requests
    :ivar is_certain: whether the pod is the cause of the failures: it was not reached, or requests of several projects
        failed
    :ivar is_tripped: whether calls are refused until one succeeds
    :ivar tripped_at: when that began
    :ivar open_until: end of the pause
    :ivar trial_until: until when other callers wait for the call that tries the pod
    :ivar is_being_checked: whether a caller is finding out if the pod answers at all
    """

    failures: int = 0
    sources: set[str] = field(default_factory=set)
    is_certain: bool = False
    is_tripped: bool = False
    tripped_at: float = 0.0
    open_until: float = 0.0
    trial_until: float = 0.0
    is_being_checked: bool = False


class Breakers:
    """The breaker of every pod and service, as this process sees them."""

    #: How long other callers wait for the call that tries a pod after the pause.
    TRIAL_SECONDS = 1.0
    #: How many callers wait so, for all pods together. They hold threads that other pods need as well.
    MOST_WAITING = 16

    def __init__(self, failures: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """
        :param failures: number of failures in a row after which a breaker opens
        :param seconds: how long it stays open
        """
        self._limit = failures
        self._seconds = seconds
        self._clock = clock
        self._states: dict[Key, _State] = {}
        self._changed = threading.Condition()
        self._waiting = 0

    def is_open(self, key: Key) -> bool:
        """Whether calls are refused now; does not count as a try."""
        state = self._states.get(key)
        return state is not None and state.is_tripped and state.trial_until <= self._clock() < state.open_until

    def open_pods(self, service: str) -> set[str]:
        """Return the ids of the pods to whose service calls are refused now."""
        return {key[0] for key in list(self._states) if key[1] == service and self.is_open(key)}

    def seconds_tripped(self, key: Key) -> float:
        """Return for how many seconds no call has succeeded since the breaker opened; 0 if it is closed."""
        state = self._states.get(key)
        return self._clock() - state.tripped_at if state is not None and state.is_tripped else 0.0

    def may_call(self, key: Key, seconds: float = 0.0) -> bool:
        """Whether to make a call.

        After the pause one caller may. Some others wait for it for a moment, and are refused then until it reports.
        Further ones are refused at once.

        :param seconds: how long the caller can wait
        """
        state = self._states.get(key)
        if state is None or not state.is_tripped:
            return True
        deadline = self._clock() + seconds
        with self._changed:
            while True:
                state, now = self._states.get(key), self._clock()
                if state is None or not state.is_tripped:
                    return True
                if now >= state.open_until:
                    # If that caller never reports, another one may try after the next pause.
                    state.open_until, state.trial_until = now + self._seconds, now + self.TRIAL_SECONDS
                    return True
                until = min(state.trial_until, deadline)
                if now >= until or self._waiting >= self.MOST_WAITING:
                    return False
                self._waiting += 1
                try:
                    self._changed.wait(until - now)
                finally:
                    self._waiting -= 1

    def succeeded(self, key: Key) -> bool:
        """Record a success.

        :returns: whether the breaker closed
        """
        if key not in self._states:
            return False
        with self._changed:
            state = self._states.pop(key, None)
            self._changed.notify_all()
            return state is not None and state.is_tripped

    def failed(self, key: Key, source: str | None = None) -> bool:
        """Record a failure.

        :param source: the project whose request failed, if that may be due to the request; such failures open the
            breaker if they are of several projects
        :returns: whether the breaker opened
        """
        with self._changed:
            state = self._states.setdefault(key, _State())
            state.failures += 1
            if source is None:
                state.is_certain = True
            else:
                state.sources.add(source)
                state.is_certain = state.is_certain or len(state.sources) > 1
            was_tripped = state.is_tripped
            if was_tripped or (state.failures >= self._limit and state.is_certain):
                now = self._clock()
                state.is_tripped = True
                state.open_until, state.trial_until = now + self._seconds, 0.0
                if not was_tripped:
                    state.tripped_at = now
                self._changed.notify_all()
            return state.is_tripped and not was_tripped

    def is_suspect(self, key: Key) -> bool:
        """Whether the caller has to find out if the pod works: enough requests failed, and all are of one project.

        It has to report what it finds.
        """
        state = self._states.get(key)
        if state is None or state.is_tripped or state.failures < self._limit:
            return False
        with self._changed:
            was_being_checked, state.is_being_checked = state.is_being_checked, True
            return not was_being_checked
