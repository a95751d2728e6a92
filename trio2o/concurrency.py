# SPDX-License-Identifier: Apache-2.0
"""The one module that knows eventlet: choosing a backend, running things at once, serving WSGI.

``init`` must run before anything else is imported (the first lines of ``trio2o.cmd.*``). Without it, as under
uWSGI or gunicorn, everything runs on native threads. Leaving eventlet means changing ``DEFAULT_BACKEND`` and,
later, deleting the eventlet branches here.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable
from concurrent import futures
from typing import Any

DEFAULT_BACKEND = 'eventlet'
BACKENDS = ('eventlet', 'threading')

LOG = logging.getLogger(__name__)

_backend = 'threading'


def init(backend: str = DEFAULT_BACKEND) -> None:
    """Choose the backend of this process; with ``eventlet`` the standard library is patched here.

    oslo.service and oslo.messaging fix their own backend on first import, so they are told first.
    """
    global _backend
    from oslo_service import backend as oslo_backend

    _backend = backend
    if backend == 'eventlet':
        import eventlet

        eventlet.monkey_patch()
        oslo_backend.init_backend(oslo_backend.BackendType.EVENTLET)
    else:
        oslo_backend.init_backend(oslo_backend.BackendType.THREADING)


def backend() -> str:
    """Name of the backend this process runs on."""
    return _backend


class Executor:
    """Runs functions at once on green or native threads; at most ``size`` at a time."""

    def __init__(self, size: int) -> None:
        # Under eventlet the standard executor runs on green threads: its threading and queue are patched.
        self._pool = futures.ThreadPoolExecutor(max_workers=size, thread_name_prefix='trio2o')

    def submit(self, function: Callable[..., Any], *args: Any) -> futures.Future[Any]:
        return self._pool.submit(function, *args)

    def shutdown(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


def spawn(function: Callable[..., Any], *args: Any) -> None:
    """Run a function in the background, as a daemon."""
    threading.Thread(target=function, args=args, daemon=True).start()


class Deadline:
    """A moment by which something has to be over, shared by all that works towards it."""

    __slots__ = ('_at',)

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds

    def remaining(self) -> float:
        """Seconds left, never below zero."""
        return max(0.0, self._at - time.monotonic())

    def is_over(self) -> bool:
        return time.monotonic() >= self._at


def listen(host: str, port: int, backlog: int = 4096) -> socket.socket:
    """Open a listening socket with TCP_NODELAY, which accepted connections inherit.

    Without it a response whose head and body are written apart waits 40 ms for a delayed ACK.
    """
    family = socket.AF_INET6 if ':' in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.bind((host, port))
    sock.listen(backlog)
    return sock


class WSGIServer:
    """Serves one WSGI application on one listening socket until stopped."""

    def __init__(
        self, sock: socket.socket, app: Callable[..., Any], *, threads: int, keepalive: float, timeout: float
    ) -> None:
        """:param threads: requests served at once; :param keepalive: idle seconds a connection is kept;
        :param timeout: seconds to wait for running requests when stopping.
        """
        self._sock = sock
        self._app = app
        self._threads = threads
        self._keepalive = keepalive
        self._timeout = timeout
        self._server: Any = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        if _backend == 'eventlet':
            import eventlet
            import eventlet.wsgi

            pool = eventlet.GreenPool(self._threads)
            self._pool = pool
            self._server = eventlet.spawn(
                eventlet.wsgi.server,
                self._sock,
                self._app,
                custom_pool=pool,
                log_output=False,
                keepalive=True,
                socket_timeout=self._keepalive,
                debug=False,
                minimum_chunk_size=65536,
                url_length_limit=16384,
            )
            return
        from cheroot import wsgi

        server = wsgi.Server(
            ('', 0), self._app, numthreads=self._threads, timeout=self._keepalive, shutdown_timeout=self._timeout
        )
        server.bind_addr = self._sock.getsockname()[:2]
        _adopt_socket(server, self._sock)
        server.prepare()
        self._server = server
        self._thread = threading.Thread(target=server.serve, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Take no new connections and let running requests end."""
        if self._server is None:
            return
        if _backend == 'eventlet':
            import eventlet

            self._server.kill()
            with eventlet.Timeout(self._timeout, False):
                self._pool.waitall()
        else:
            self._server.stop()
        self._server = None

    def wait(self) -> None:
        if self._thread is not None:
            self._thread.join()


def _adopt_socket(server: Any, sock: socket.socket) -> None:
    """Let cheroot serve a socket that is already listening (shared by forked workers)."""

    def bind(family: int, type_: int, proto: int = 0) -> socket.socket:
        server.socket = sock
        return sock

    server.bind = bind
