# SPDX-License-Identifier: Apache-2.0
"""Scripted failures of a pod's service.

``pod.nova.faults.add(Slow(0.5, path=r'/servers', times=1))``: each fault says which requests it
hits and what happens to them. What that looks like on the wire is done by ``transport`` (in
process) and ``server`` (on ports), so one script serves both.
"""

import dataclasses
import re
import threading
from collections.abc import Callable, Iterator

from trio2o.lab.emulated import wire


@dataclasses.dataclass(frozen=True)
class Fault:
    """What all faults share.

    :param path: a regular expression searched in the path; empty hits every path
    :param method: only this method; empty hits all
    :param times: how many requests it hits before it wears off; None is for ever
    :param after: how many matching requests pass first
    """

    path: str = dataclasses.field(default='', kw_only=True)
    method: str = dataclasses.field(default='', kw_only=True)
    times: int | None = dataclasses.field(default=None, kw_only=True)
    after: int = dataclasses.field(default=0, kw_only=True)

    def hits(self, method: str, path: str) -> bool:
        """Whether this request is meant."""
        return (not self.method or self.method == method) and bool(re.search(self.path, path))


@dataclasses.dataclass(frozen=True)
class Slow(Fault):
    """Answer after so many seconds."""

    seconds: float = 1.0


@dataclasses.dataclass(frozen=True)
class Refuse(Fault):
    """Nobody listens: connection refused (on ports with a path: reset before reading on)."""


@dataclasses.dataclass(frozen=True)
class Blackhole(Fault):
    """Packets are lost: the connection is never made. On ports it is accepted and then ignored."""


@dataclasses.dataclass(frozen=True)
class Drop(Fault):
    """The connection dies before the request is worked on."""


@dataclasses.dataclass(frozen=True)
class DropAfter(Fault):
    """The request is worked on, and the connection dies before the answer."""


@dataclasses.dataclass(frozen=True)
class DropMidBody(Fault):
    """The connection is reset in the middle of the body."""


@dataclasses.dataclass(frozen=True)
class Truncate(Fault):
    """The body ends early and in good order: Content-Length promised more."""

    missing: int = 10


@dataclasses.dataclass(frozen=True)
class Hang(Fault):
    """The request is worked on, but no answer ever comes."""


@dataclasses.dataclass(frozen=True)
class Status(Fault):
    """Answer this status without doing anything, as a proxy before the service would."""

    status: int = 503
    body: bytes = b'<html><body>Service Unavailable</body></html>'
    headers: tuple[tuple[str, str], ...] = (('Content-Type', 'text/html'),)


@dataclasses.dataclass(frozen=True)
class Garbage(Fault):
    """A 200 that says it is JSON and is not. The request is not worked on."""

    body: bytes = b'{"servers": [{"id": \x00\xff'


@dataclasses.dataclass(frozen=True)
class WrongVersion(Fault):
    """Say 406 to any microversion above this minor, as an older release would."""

    minor: int = 1


@dataclasses.dataclass(frozen=True)
class Manner:
    """How an answer travels; made of the faults that hit the request."""

    delay: float = 0.0
    refused: bool = False
    blackholed: bool = False
    dropped: bool = False  # no byte of an answer is sent
    hung: bool = False
    cut_at: int | None = None  # so many bytes of the body are sent ...
    reset: bool = False  # ... and then RST (else an orderly close)


PLAIN = Manner()


class Faults:
    """The faults of one service, in the order they were added."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[list] = []  # [fault, hits so far]
        self._watchers: list[Callable[[], None]] = []

    def watch(self, changed: Callable[[], None]) -> None:
        """Call this after every change; a server opens and closes its port by it."""
        self._watchers.append(changed)

    def _changed(self) -> None:
        for changed in self._watchers:
            changed()

    def __bool__(self) -> bool:
        return bool(self._faults)

    def __iter__(self) -> Iterator[Fault]:
        return iter([fault for fault, _ in self._faults])

    def add(self, *faults: Fault) -> None:
        """Script more faults."""
        with self._lock:
            self._faults.extend([fault, 0] for fault in faults)
        self._changed()

    def clear(self) -> None:
        """The service is well again."""
        with self._lock:
            self._faults.clear()
        self._changed()

    def remove(self, fault: Fault) -> None:
        """Take one fault away."""
        with self._lock:
            self._faults = [row for row in self._faults if row[0] is not fault]
        self._changed()

    def down(self) -> bool:
        """Whether nobody listens at all, whatever is asked."""
        return any(
            isinstance(fault, Refuse)
            and not fault.path
            and not fault.method
            and fault.times is None
            and not fault.after
            for fault, _ in self._faults
        )

    def strike(self, method: str, path: str) -> list[Fault]:
        """Count a request and return the faults that hit it."""
        struck = []
        with self._lock:
            for row in self._faults:
                fault, count = row
                if not fault.hits(method, path):
                    continue
                if fault.times is not None and count >= fault.after + fault.times:
                    continue
                row[1] += 1
                if count >= fault.after:
                    struck.append(fault)
        return struck


def manner(struck: list[Fault], response: wire.Response | None) -> Manner:
    """Sum the faults up for the transport."""
    delay = sum(fault.seconds for fault in struck if isinstance(fault, Slow))
    length = len(response.body) if response else 0
    cut_at, reset = None, False
    for fault in struck:
        if isinstance(fault, DropMidBody):
            cut_at, reset = length // 2, True
        elif isinstance(fault, Truncate):
            cut_at = max(0, length - fault.missing)
    return Manner(
        delay=delay,
        cut_at=cut_at,
        reset=reset,
        refused=any(isinstance(fault, Refuse) for fault in struck),
        blackholed=any(isinstance(fault, Blackhole) for fault in struck),
        dropped=any(isinstance(fault, Drop | DropAfter) for fault in struck),
        hung=any(isinstance(fault, Hang) for fault in struck),
    )
