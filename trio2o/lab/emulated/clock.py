# SPDX-License-Identifier: Apache-2.0
"""The clock of an emulated cloud, which tests can set instead of waiting."""

import datetime


class Clock:
    """The real time, in UTC and without a zone, as OpenStack's databases keep it."""

    def now(self) -> datetime.datetime:
        """The current time."""
        return datetime.datetime.now(datetime.UTC).replace(tzinfo=None)


class SetClock(Clock):
    """A clock that shows the same time until a test moves it."""

    def __init__(self, start: datetime.datetime | None = None) -> None:
        self._now = start or datetime.datetime(2026, 1, 1)

    def now(self) -> datetime.datetime:
        return self._now

    def advance(self, seconds: float) -> None:
        """Move forward (or back, to make a skewed pod)."""
        self._now += datetime.timedelta(seconds=seconds)


def zulu(when: datetime.datetime | None) -> str | None:
    """Format a time as Nova does: whole seconds and a Z."""
    return when.strftime('%Y-%m-%dT%H:%M:%SZ') if when else None


def micro(when: datetime.datetime | None) -> str | None:
    """Format a time as Cinder does: microseconds and no time zone."""
    return when.strftime('%Y-%m-%dT%H:%M:%S.%f') if when else None


def parse_time(text: str) -> datetime.datetime:
    """Parse an ISO 8601 time into UTC without a time zone.

    :raises ValueError: the text is not a time
    """
    when = datetime.datetime.fromisoformat(text.strip().replace(' ', '+', 1) if text.count(':') > 2 else text.strip())
    if when.tzinfo is not None:
        when = when.astimezone(datetime.UTC).replace(tzinfo=None)
    return when
