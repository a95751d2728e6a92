# SPDX-License-Identifier: Apache-2.0
"""Run the Nova API-GW with a sampling profiler, which writes its samples to a file on SIGUSR2.

It takes samples by CPU time, at the kernel's ticks, of the green thread that runs. Of the native threads it samples
only the main one, so the profile says little with ``concurrency_backend = threading``.
"""

from __future__ import annotations

import collections
import os
import signal
import sys
from types import FrameType

SECONDS = 0.001
ROWS = 70


class Sampler:
    """Counts samples by function: those in the function itself, and those in it and all that it calls."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._samples = 0
        self._own: collections.Counter[str] = collections.Counter()
        self._all: collections.Counter[str] = collections.Counter()

    def start(self) -> None:
        signal.signal(signal.SIGPROF, self._take)
        signal.siginterrupt(signal.SIGPROF, False)
        signal.setitimer(signal.ITIMER_PROF, SECONDS, SECONDS)
        signal.signal(signal.SIGUSR1, lambda *_: self._reset())
        signal.signal(signal.SIGUSR2, lambda *_: self._write())

    def _reset(self) -> None:
        """Drop the samples of the start and the warm-up."""
        self._samples = 0
        self._own.clear()
        self._all.clear()

    def _take(self, _number: int, frame: FrameType | None) -> None:
        self._samples += 1
        if frame is not None:
            self._own[_name(frame)] += 1
        seen = set()
        while frame is not None:
            seen.add(_name(frame))
            frame = frame.f_back
        self._all.update(seen)

    def _write(self) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        with open(f'{self._path}.new', 'w') as file:
            for title, counter in (('in the function and all that it calls', self._all), ('in itself', self._own)):
                file.write(f'{self._samples} samples: {title}\n')
                for name, count in counter.most_common(ROWS):
                    file.write(f'{100 * count / max(1, self._samples):6.1f}%  {name}\n')
        os.rename(f'{self._path}.new', self._path)


def _name(frame: FrameType) -> str:
    code = frame.f_code
    file = code.co_filename.partition('site-packages/')[2] or os.path.relpath(code.co_filename)
    return f'{file}:{code.co_firstlineno} {code.co_qualname}'


def main() -> int:
    sampler = Sampler(sys.argv.pop(1))
    from trio2o.cmd import nova_apigw

    sampler.start()
    return nova_apigw.main()


if __name__ == '__main__':
    sys.exit(main())
