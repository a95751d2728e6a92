# SPDX-License-Identifier: Apache-2.0
"""Ports for processes that are started a moment later.

Not those the kernel would give: it gives them to outgoing connections too, and one may be taken by such before the
process is there to listen.
"""

from __future__ import annotations

import random
import socket

#: Below net.ipv4.ip_local_port_range as Linux has it, and above the ports labs of real pods have.
_FIRST, _END = 20000, 32768


def free_ports(count: int) -> list[int]:
    """So many ports nobody listens on now."""
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
