# SPDX-License-Identifier: Apache-2.0
"""Serve a WSGI application on the service's port with threads, until a signal stops it.

Runs inside the services' processes, and so imports nothing before it is called.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

THREADS = 16


def begin(program: str) -> None:
    """Prepare the process: a clean command line, and SQLite that threads can share."""
    sys.argv = [program]
    from trio2o.lab.real import sqlite

    sqlite.install()


def stop_on_signal(stop: Callable[[], None]) -> None:
    """Leave at once on a signal; what must survive is in the database by then."""

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
