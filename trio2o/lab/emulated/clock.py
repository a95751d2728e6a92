# SPDX-License-Identifier: Apache-2.0
"""Time as the emulated clouds see it, so that tests set it instead of waiting for it."""

import datetime


class Clock:
    """The real time, in UTC and without a zone, as OpenStack's databases keep it."""

    def now(self) -> datetime.datetime:
        """The current time."""
        return datetime.datetime.now(datetime.UTC).replace(tzinfo=None)


class SetClock(Clock):
    """A clock that stands still until it is moved."""

    def __init__(self, start: datetime.datetime | None = None) -> None:
        self._now = start or datetime.datetime(2026, 1, 1)

    def now(self) -> datetime.datetime:
        return self._now

    def advance(self, seconds: float) -> None:
        """Move forward (or back, to make a skewed pod)."""
        self._now += datetime.timedelta(seconds=seconds)


def zulu(when: datetime.datetime | None) -> str | None:
    """Print as Nova does: whole seconds and a Z."""
    return when.strftime('%Y-%m-%dT%H:%M:%SZ') if when else None


def micro(when: datetime.datetime | None) -> str | None:
    """Print as Cinder does: microseconds and no zone."""
    return when.strftime('%Y-%m-%dT%H:%M:%S.%f') if when else None


def parse_time(text: str) -> datetime.datetime:
    """Read an ISO 8601 time into UTC without a zone; raises ValueError."""
    when = datetime.datetime.fromisoformat(text.strip().replace(' ', '+', 1) if text.count(':') > 2 else text.strip())
    if when.tzinfo is not None:
        when = when.astimezone(datetime.UTC).replace(tzinfo=None)
    return when
