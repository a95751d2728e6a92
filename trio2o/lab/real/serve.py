# SPDX-License-Identifier: Apache-2.0
"""Serve a WSGI application on the service's port with threads, until a signal stops it.

This module runs in the services' processes, so it imports nothing of them before a function is called.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

THREADS = 16
#: Objects that a process allocates between two collections of garbage: loading a service makes a million.
YOUNG_OBJECTS = 50_000


def begin(program: str) -> None:
    """Prepare the process: clear the command line, let threads share SQLite, and collect garbage less often."""
    gc.set_threshold(YOUNG_OBJECTS, 10, 10)
    sys.argv = [program]
    from trio2o.lab.real import sqlite

    sqlite.install()


def stop_on_signal(stop: Callable[[], None]) -> None:
    """Exit at once on a signal; the databases have all state that must be kept."""

    def leave(number: int, frame: Any) -> None:
        stop()
        os._exit(0)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, leave)


def serve(application: Any) -> None:
    """Serve until a signal arrives."""
    from cheroot import wsgi

    server = wsgi.Server(('127.0.0.1', int(os.environ['LAB_PORT'])), application, numthreads=THREADS, timeout=60)
    server.request_queue_size = 128
    stop_on_signal(lambda: None)
    server.start()
