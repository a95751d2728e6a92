# SPDX-License-Identifier: Apache-2.0
"""Compare the gateways of two source trees so closely that a difference of 3 % shows on a noisy machine.

Both gateways run all the time, on the same processor, in front of the same pods. They get the same number of requests
in turns of a few hundredths of a second, so that both turns of a pair see the same machine. The figure is the median
of the ratios of all pairs. Of two processes with the same code one can be a percent faster, by its layout in memory.
So both are started several times, and the medians of the starts show how far to trust the figure.
"""

from __future__ import annotations

import configparser
import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from caller import Caller
from load import Case, Target
from running import HERE, NotServing

#: Seconds that a gateway serves before the first turn; length of a turn, and the fewest requests in it.
WARM_SECONDS = 1.5
TURN_SECONDS = 0.03
LEAST_REQUESTS = 4


@dataclass(frozen=True)
class Comparison:
    """The figures of one case.

    :ivar ours: median of the milliseconds of CPU for a request to the gateway of this tree
    :ivar theirs: the same of the other tree
    :ivar ratio: median of the ratios ours / theirs
    :ivar quartiles: the first and the third of the ratios
    :ivar starts: median of the ratios for each start of the two gateways
    :ivar failed: requests to the gateway of this tree that did not succeed
    :ivar mib: memory of that gateway after the first requests, and after the last ones
    """

    case: str
    connections: int
    ours: float
    theirs: float
    ratio: float
    quartiles: tuple[float, float]
    starts: list[float]
    pairs: int
    failed: int
    mib: tuple[float, float]


class Side(Protocol):
    """One of two gateways that are compared."""

    def start(self, service: str) -> Target:
        """Start a service of the gateway, after stopping the one before."""
        ...


class Tree:
    """A source tree and its gateway."""

    def __init__(self, top: str, directory: str, settings: Mapping[str, Any], cpu: int) -> None:
        """:param settings: arguments of ``running.Gateway`` of that tree"""
        self.top = top
        os.makedirs(directory)
        file = os.path.join(directory, 'settings.json')
        with open(file, 'w') as output:
            json.dump(settings, output)
        script = os.path.join(HERE, 'one_tree.py')
        self._command = [sys.executable, script, directory, file, f'--cpu={cpu}']
        found = [top, os.path.join(top, 'tools', 'benching'), _metadata(top, directory)]
        # Nothing is left in the other tree. one_tree.py must not find the modules that are beside itself.
        self._environment = {
            **os.environ,
            'PYTHONPATH': os.pathsep.join(found),
            'PYTHONDONTWRITEBYTECODE': '1',
            'PYTHONSAFEPATH': '1',
        }

    def __str__(self) -> str:
        command = ['git', '-C', self.top, 'describe', '--always', '--dirty']
        described = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
        return f'{self.top} ({described or "not in git"})'

    def __enter__(self) -> Tree:
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=self.top, env=self._environment
        )
        return self

    def __exit__(self, *exception: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)

    def start(self, service: str) -> Target:
        """Start a service of the gateway, after stopping the one before."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f'{service}\n'.encode())
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise NotServing(f'the gateway of {self.top} did not start')
        started = json.loads(line)
        return Target(started['url'], (started['pid'],))


def _metadata(top: str, directory: str) -> str:
    """Make a directory with the entry points of a tree, which may not be those of the installed one."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(os.path.join(top, 'setup.cfg'))
    path = os.path.join(directory, 'metadata')
    package = os.path.join(path, 'trio2o-1.0.dist-info')
    os.makedirs(package)
    with open(os.path.join(package, 'METADATA'), 'w') as file:
        file.write('Metadata-Version: 2.1\nName: trio2o\nVersion: 1.0\n')
    with open(os.path.join(package, 'entry_points.txt'), 'w') as file:
        for group, rows in parser['entry_points'].items():
            file.write(f'[{group}]{rows}\n')
    return path


@contextlib.contextmanager
def processors() -> Iterator[int]:
    """Leave one processor to the gateways: this process and those that it starts use the others.

    :returns: the number of the processor for the gateways
    """
    known = os.sched_getaffinity(0)
    cpu = max(known)
    os.sched_setaffinity(0, known - {cpu} or known)
    try:
        yield cpu
    finally:
        os.sched_setaffinity(0, known)


def compare(
    sides: tuple[Side, Side],
    cases: Sequence[tuple[Case, str | Iterable[str], int]],
    rounds: int,
    starts: int,
    may_fail: bool = False,
) -> list[Comparison]:
    """Measure cases with both gateways.

    :param sides: this gateway and the other one
    :param cases: case, token or tokens, and number of connections
    :param rounds: pairs of turns for each case, all starts together
    :param may_fail: count requests that do not succeed
    :raises Failed: a request did not succeed, and none may fail
    """
    pairs: list[list[list[tuple[float, float]]]] = [[] for _case in cases]
    failed = [0] * len(cases)
    memory: list[list[float]] = [[] for _case in cases]
    for _start in range(starts):
        service = ''
        for at, (case, token, connections) in enumerate(cases):
            if case.service != service:
                service = case.service
                targets = tuple(side.start(service) for side in sides)
            callers = [Caller(target.url, case, token, connections, may_fail) for target in targets]
            count = _requests_of_turn(callers)
            memory[at].append(targets[0].mib())
            pairs[at].append(_turns(targets, callers, max(1, rounds // starts), count))
            memory[at].append(targets[0].mib())
            failed[at] += callers[0].failed
    return [
        _comparison(case.name, connections, found, bad, (mib[0], mib[-1]))
        for found, bad, mib, (case, _token, connections) in zip(pairs, failed, memory, cases, strict=True)
    ]


def _requests_of_turn(callers: Sequence[Caller]) -> int:
    return max(min(_warm(caller) for caller in callers), LEAST_REQUESTS * callers[0].connections)


def _turns(targets: Sequence[Target], callers: Sequence[Caller], rounds: int, count: int) -> list[tuple[float, float]]:
    """Return the milliseconds of CPU for a request in each pair of turns.

    :param count: requests of a turn
    """
    found = []
    for number in range(rounds):
        pair = [0.0, 0.0]
        # Each goes first in every second pair, so that a machine that becomes slower or faster favours neither.
        for at in (0, 1) if number % 2 else (1, 0):
            before = targets[at].cpu_seconds()
            callers[at].call(count)
            pair[at] = (targets[at].cpu_seconds() - before) * 1000 / count
        found.append((pair[0], pair[1]))
    return found


def _warm(caller: Caller) -> int:
    """Return how many requests make a turn."""
    count = 0
    started = time.monotonic()
    while (elapsed := time.monotonic() - started) < WARM_SECONDS:
        caller.call(20)
        count += 20
    return int(count * TURN_SECONDS / elapsed)


def _comparison(
    name: str,
    connections: int,
    starts: Sequence[Sequence[tuple[float, float]]],
    failed: int,
    mib: tuple[float, float],
) -> Comparison:
    pairs = [pair for start in starts for pair in start]
    ratios = [ours / theirs for ours, theirs in pairs]
    low, _middle, high = statistics.quantiles(ratios, n=4, method='inclusive') if len(ratios) > 1 else ratios * 3
    return Comparison(
        name,
        connections,
        statistics.median(ours for ours, _theirs in pairs),
        statistics.median(theirs for _ours, theirs in pairs),
        statistics.median(ratios),
        (low, high),
        [statistics.median(ours / theirs for ours, theirs in start) for start in starts],
        len(pairs),
        failed,
        mib,
    )
