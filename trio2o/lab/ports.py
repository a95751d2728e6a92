# SPDX-License-Identifier: Apache-2.0
"""Free ports for processes that start a moment later.

The kernel's choice (port 0) is not used: the kernel gives the same ports to outgoing connections, so one could be in
use before the process listens.
"""

from __future__ import annotations

import random
import socket

#: Below Linux's default net.ipv4.ip_local_port_range, and above the default ports of real pods.
_FIRST, _END = 20000, 32768


def free_ports(count: int) -> list[int]:
    """Return ``count`` ports on which no process listens now."""
    found: list[int] = []
    for port in random.SystemRandom().sample(range(_FIRST, _END), _END - _FIRST):
        if len(found) == count:
            break
        if _is_free(port):
            found.append(port)
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(('127.0.0.1', port))
        except OSError:
            return False
    return True
