# SPDX-License-Identifier: Apache-2.0
"""The processes that a bench has started, and the processors that they may use."""

from __future__ import annotations

import os
from collections.abc import Iterator, Set

import running
from load import Target

#: Command -> name in tables.
_SERVERS = {'mariadbd': 'database', 'postgres': 'database'}


def others(pods: running.Pods) -> dict[str, Target]:
    """Return the emulated pods and the database server, if there is one."""
    found = {'pods': Target('', tuple(pods.cloud['pids']))}
    for pid in _children(os.getpid()):
        with open(f'/proc/{pid}/comm') as file:
            name = _SERVERS.get(file.read().strip())
        if name:
            found[name] = Target('', (pid,))
    return found


def confine(cpus: Set[int]) -> None:
    """Let this process and all that it has started use these processors only."""
    for pid in _tree(os.getpid()):
        for thread in os.listdir(f'/proc/{pid}/task'):
            os.sched_setaffinity(int(thread), cpus)


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for child in _children(pid):
        yield from _tree(child)


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for thread in os.listdir(f'/proc/{pid}/task'):
        with open(f'/proc/{pid}/task/{thread}/children') as file:
            found += map(int, file.read().split())
    return found
