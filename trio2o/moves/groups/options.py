# SPDX-License-Identifier: Apache-2.0
"""Options of a move group, and its window of time."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, time, timedelta
from typing import Any

STOP, CONTINUE, REVERT = ON_FAILURE = ('stop', 'continue', 'revert')
WINDOW = r'^([01][0-9]|2[0-3]):[0-5][0-9]-([01][0-9]|2[0-3]):[0-5][0-9]$'


@dataclass(frozen=True)
class Options:
    """How a group is carried out.

    :ivar on_failure: ``stop``: pause after the first failure; ``continue``: pause when more than ``max_failures``
        have failed; ``revert``: revert all
    :ivar parallel: most moves under way at a time
    :ivar canary: number of members of the first wave; 0: no wave of its own
    :ivar wave: number of members of each later wave; 0: all of them are one wave
    :ivar bytes_per_second: how much the moves copy on average at most; 0: any amount
    :ivar window: times of day in UTC between which moves begin, such as ``22:00-06:00``; '': always
    :ivar confirm_seconds: when the moves confirm themselves
    """

    on_failure: str
    max_failures: int
    parallel: int
    canary: int
    wave: int
    bytes_per_second: int
    window: str
    confirm_seconds: int

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Options:
        return cls(**{name: stored[name] for name in cls.__dataclass_fields__})

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def wave_of(self, position: int) -> int:
        """Return the wave of a member."""
        if position < self.canary:
            return 0
        later = (position - self.canary) // self.wave if self.wave else 0
        return later + (1 if self.canary else 0)


def seconds_until_open(window: str, now: datetime) -> float:
    """Return the seconds until moves may begin; 0 if they may now.

    :param window: as ``Options`` has it; one that ends when it begins is always open
    :param now: in UTC
    """
    if not window:
        return 0.0
    found = re.fullmatch(r'(\d\d):(\d\d)-(\d\d):(\d\d)', window)
    assert found is not None
    hours = [int(part) for part in found.groups()]
    opens, closes = time(hours[0], hours[1]), time(hours[2], hours[3])
    at = now.time()
    is_open = opens <= at < closes if opens < closes else at >= opens or at < closes
    if is_open:
        return 0.0
    next_open = datetime.combine(now.date(), opens)
    if next_open <= now:
        next_open += timedelta(days=1)
    return (next_open - now).total_seconds()
