# SPDX-License-Identifier: Apache-2.0
"""Wake the listeners of the transport ``fake://`` when a message arrives.

The driver of oslo.messaging looks for messages 20 times a second for each listener. That is a percent of a core for
each service that waits, and delays each call between services. This module imports nothing of the services.
"""

from __future__ import annotations

import threading
import time
import types
from typing import Any

#: Longest pause of a listener, which then checks whether it was stopped.
IDLE_SECONDS = 1.0
#: Pause of the driver, unless the time that a listener waits at most ends before.
DRIVER_SECONDS = 0.05


class Arrivals:
    """Counts the messages that have arrived in this process."""

    def __init__(self) -> None:
        self._count = 0
        self._changed = threading.Condition()
        self._seen = threading.local()

    def add(self) -> None:
        with self._changed:
            self._count += 1
            self._changed.notify_all()

    def sleep(self, seconds: float) -> None:
        """Sleep until a message arrives; not at all if one has arrived since this thread slept last."""
        with self._changed:
            if getattr(self._seen, 'count', None) == self._count:
                self._changed.wait(seconds if seconds < DRIVER_SECONDS else IDLE_SECONDS)
            self._seen.count = self._count


def install() -> None:
    """Change the driver. To be called once, after a service has chosen its concurrency backend."""
    from oslo_messaging._drivers import impl_fake

    arrivals = Arrivals()
    deliver = impl_fake.FakeExchange.deliver_message

    def deliver_and_wake(self: Any, *args: Any, **kwargs: Any) -> None:
        deliver(self, *args, **kwargs)
        arrivals.add()

    impl_fake.FakeExchange.deliver_message = deliver_and_wake
    impl_fake.time = types.SimpleNamespace(time=time.time, sleep=arrivals.sleep)
