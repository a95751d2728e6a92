# SPDX-License-Identifier: Apache-2.0
"""Bounds on what the gateway may ask pods about the things that one request refers to.

A body can name thousands of ids and names that nobody knows. Each of them would be asked of the pods, before the quota
of the project or a pod refuses the request.
"""

from __future__ import annotations

from trio2o.concurrency import Deadline


class Lookups:
    """The look-ups in pods of one request: all share one deadline, and a few that find nothing end them.

    A pod refuses a request that refers to something that does not exist. So nothing is lost if the other things that
    the request refers to are not looked up.
    """

    #: Look-ups that may find nothing. More than a request of a client with a mistake or two has.
    MAX_MISSES = 8

    __slots__ = ('_deadline', 'misses_left')

    def __init__(self) -> None:
        self._deadline: Deadline | None = None
        self.misses_left = self.MAX_MISSES

    def seconds_left(self, seconds: float) -> float:
        """Return the seconds until the deadline. The first call sets it.

        :param seconds: from the first look-up to the deadline
        """
        if self._deadline is None:
            self._deadline = Deadline(seconds)
        return self._deadline.remaining()

    def missed(self) -> None:
        """Count a look-up that found nothing."""
        self.misses_left -= 1
