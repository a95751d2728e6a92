# SPDX-License-Identifier: Apache-2.0
"""Put load on a server with wrk, and measure the cost in the processes of the server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass

SCRIPT = os.path.join(os.path.dirname(__file__), 'load.lua')
#: Answers for each connection that a figure needs, and the longest run for them.
ENOUGH = 4
MOST_SECONDS = 20
_PROCESS_CPU = 2


@dataclass(frozen=True)
class Case:
    """One kind of request.

    :ivar token: name of the token to send
    :ivar paths: below the endpoint's version, taken in turn
    :ivar service: the gateway's process that serves it: ``nova_apigw`` or ``cinder_apigw``
    """

    name: str
    token: str
    paths: tuple[str, ...]
    method: str = 'GET'
    body: str = ''
    service: str = 'nova_apigw'


@dataclass(frozen=True)
class Target:
    """A server to measure.

    :ivar url: URL of the endpoint, with the version
    :ivar pids: ids of its processes; their children count, too
    :ivar is_profiled: whether to send it SIGUSR1 when the warm-up is over
    """

    url: str
    pids: tuple[int, ...]
    is_profiled: bool = False

    def cpu_seconds(self) -> float:
        """Return the CPU time that all threads of its processes have used."""
        # clock_getcpuclockid(3): nanoseconds, where /proc/PID/stat has ticks of 10 ms.
        return sum(time.clock_gettime(~pid << 3 | _PROCESS_CPU) for pid in self._processes())

    def _processes(self) -> list[int]:
        found = list(self.pids)
        for pid in found:
            with open(f'/proc/{pid}/task/{pid}/children') as children:
                found += map(int, children.read().split())
        return found

    def reset_peak(self) -> None:
        """Reset the peak of its memory (proc(5), clear_refs)."""
        for pid in self._processes():
            with open(f'/proc/{pid}/clear_refs', 'w') as file:
                file.write('5')

    def peak_mib(self) -> float:
        """Return the sum of the peaks of its processes' memory in MiB."""
        return self._memory('VmHWM')

    def mib(self) -> float:
        """Return the sum of its processes' memory in MiB."""
        return self._memory('VmRSS')

    def _memory(self, name: str) -> float:
        kib = 0
        for pid in self._processes():
            with open(f'/proc/{pid}/status') as status:
                kib += next(int(line.split()[1]) for line in status if line.startswith(name))
        return kib / 1024


@dataclass(frozen=True)
class Measured:
    """The figures of one run.

    :ivar rate: requests per second
    :ivar cpu: milliseconds of CPU for a request
    :ivar p50: median of the milliseconds until the answer
    :ivar p99: 99th percentile of the milliseconds until the answer
    :ivar mib: peak of the memory in MiB
    :ivar failed: requests that did not succeed
    """

    rate: float
    cpu: float
    p50: float
    p99: float
    requests: int
    mib: float
    failed: int


class Failed(Exception):
    """A request failed, so the figures would be wrong."""


def measure(
    target: Target, case: Case, token: str, connections: int, seconds: float, may_fail: bool = False
) -> Measured:
    """Put load on a server for some seconds, after a second to warm up.

    :param may_fail: count requests that do not succeed
    :raises Failed: a request did not succeed, and none may fail
    """
    with tempfile.NamedTemporaryFile('w', suffix='.requests') as file:
        file.write(_script(target.url, [(case, token)]))
        file.flush()
        _wrk(target.url, file.name, connections, 1)
        if target.is_profiled:
            os.kill(target.pids[0], signal.SIGUSR1)
        found = {'requests': 0.0}
        # With fewer answers, the requests that are still open at the end would distort the figures.
        while found['requests'] < ENOUGH * connections and seconds <= MOST_SECONDS:
            target.reset_peak()
            before = target.cpu_seconds()
            found = _wrk(target.url, file.name, connections, seconds)
            cpu = target.cpu_seconds() - before
            seconds *= 3
    count = int(found['requests'])
    if not count or found['failed'] and not may_fail:
        raise Failed(f'{case.name} at {target.url}: {found["failed"]:.0f} of {count} failed')
    return Measured(
        count / found['seconds'],
        cpu * 1000 / count,
        found['p50'],
        found['p99'],
        count,
        target.peak_mib(),
        int(found['failed']),
    )


def put_load(
    url: str, cases: Sequence[tuple[Case, str]], connections: int, seconds: float, pause_ms: float = 0
) -> dict[str, float]:
    """Send requests of several cases in turn, in the order of the cases and their paths.

    :param url: URL of the endpoint, with the version
    :param cases: cases and the tokens to send
    :param pause_ms: milliseconds that each connection waits before a request
    :returns: ``requests``, those that ``failed`` among them, ``p50`` and ``p99`` in milliseconds
    """
    with tempfile.NamedTemporaryFile('w', suffix='.requests') as file:
        file.write(_script(url, cases))
        file.flush()
        return _wrk(url, file.name, connections, seconds, pause_ms)


def _script(url: str, cases: Sequence[tuple[Case, str]]) -> str:
    base = '/' + url.split('/', 3)[3]
    lines = []
    for case, token in cases:
        headers = [f'X-Auth-Token: {token}', 'Accept: application/json']
        if case.body:
            headers.append('Content-Type: application/json')
        lines += [case.method, case.body, *headers, '', *(base + path for path in case.paths), '']
    return '\n'.join(lines) + '\n'


def _wrk(url: str, file: str, connections: int, seconds: float, pause_ms: float = 0) -> dict[str, float]:
    command = ['wrk', '-t1', f'-c{connections}', f'-d{max(1, round(seconds))}', '--timeout', '30s', '-s', SCRIPT, url]
    arguments = [file, str(pause_ms)] if pause_ms else [file]
    ended = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
    if ended.returncode:
        raise Failed(f'wrk: {ended.stderr.strip() or ended.stdout.strip()}')
    found: dict[str, float] = json.loads(ended.stderr.splitlines()[-1])
    return found
