# SPDX-License-Identifier: Apache-2.0
"""The number of files that a process may have open, which bounds its open connections to pods."""

from __future__ import annotations

import contextlib
import resource

#: Files that a process may have open as far as connections to pods are planned, if its limit is higher or none.
_MOST = 1 << 17

#: Files for everything but connections to pods: clients, the database, logs.
_OTHERS = 512
#: Files for each endpoint of a pod: as many connections are used at a time as are kept for the next request.
_OF_ENDPOINT = 4


def limit() -> int:
    """Return the number of files that this process may have open, after raising its soft limit to the hard one.

    1024, the usual soft limit, are too few for some hundred pods with three services each.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(OSError, ValueError):  # a container may forbid it
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST if soft == resource.RLIM_INFINITY else min(soft, _MOST)


def needed(endpoints: int) -> int:
    """Return the number of files that a process needs to keep a connection open to each of so many endpoints."""
    return _OTHERS + _OF_ENDPOINT * endpoints


def warning(endpoints: int) -> str:
    """Return a text for operators if this process may not open enough files for so many endpoints; else ''."""
    here, wanted = limit(), min(needed(endpoints), _MOST)
    if here >= wanted:
        return ''
    return (
        f'This process may open {here} files, and needs {wanted} for {endpoints} endpoints of pods. It will open '
        f'connections to them again and again. Raise its hard limit of open files to {wanted} or more (LimitNOFILE of '
        'systemd, ulimit -Hn).'
    )
