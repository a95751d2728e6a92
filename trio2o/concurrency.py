# SPDX-License-Identifier: Apache-2.0
"""The only module that uses eventlet: choice of the backend, thread pools, WSGI servers.

``init`` must run before any other import (the first lines of ``trio2o.cmd.*``). Without it, as under uWSGI or
gunicorn, everything runs on native threads. To leave eventlet, change ``DEFAULT_BACKEND`` and, later, delete the
eventlet branches here.
"""

from __future__ import annotations

import logging
import os
import sched
import signal
import socket
import threading
import time
import warnings
from collections.abc import Callable
from concurrent import futures
from typing import TYPE_CHECKING, Any

from trio2o import compat

if TYPE_CHECKING:
    from oslo_context import context

DEFAULT_BACKEND = 'eventlet'
BACKENDS = ('eventlet', 'threading')

#: Number of connections that the kernel holds until the server accepts them.
BACKLOG = 4096

LOG = logging.getLogger(__name__)

_backend = 'threading'


def init(backend: str = DEFAULT_BACKEND) -> None:
    """Choose the backend of this process; with ``eventlet`` the standard library is patched here.

    oslo.service and oslo.messaging choose their own backend when they are first imported, so this is set before.
    """
    global _backend

    # Libraries that only check whether eventlet is installed cause this warning, whatever backend is chosen.
    warnings.filterwarnings('ignore', r'\s*Eventlet is deprecated')
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
    """Runs functions on green or native threads, at once or later; at most ``size`` at a time."""

    def __init__(self, size: int) -> None:
        # Under eventlet the standard executor runs on green threads: its threading and queue are patched.
        self._pool = futures.ThreadPoolExecutor(max_workers=size, thread_name_prefix='trio2o')
        self._delayed = sched.scheduler()
        self._delayed_changed = threading.Condition()
        self._timer: threading.Thread | None = None
        self._is_shut_down = False

    def submit(self, function: Callable[..., Any], *args: Any) -> futures.Future[Any]:
        # Not imported at the top: before eventlet has patched, oslo.context would share data between green threads.
        from oslo_context import context

        return self._pool.submit(_as_part_of, context.get_current(), function, *args)

    def submit_after(self, seconds: float, function: Callable[..., Any], *args: Any) -> None:
        """Submit a function after some seconds, unless the process ends before. Its result is dropped."""
        with self._delayed_changed:
            if self._is_shut_down:
                return
            self._delayed.enter(seconds, 0, self.submit, (function, *args))
            if self._timer is None or not self._timer.is_alive():
                self._timer = threading.Thread(target=self._submit_delayed, name='trio2o-timer', daemon=True)
                self._timer.start()
            self._delayed_changed.notify()

    @property
    def delayed(self) -> int:
        """Number of functions that are still to be submitted."""
        return len(self._delayed.queue)

    def _submit_delayed(self) -> None:
        """Submit each function when it is due; one thread waits for all of them."""
        with self._delayed_changed:
            while not self._is_shut_down:
                self._delayed_changed.wait(self._delayed.run(blocking=False))

    def shutdown(self, wait_seconds: float = 0.0) -> None:
        """Start no more functions, delayed ones included.

        :param wait_seconds: how long to wait for the functions that are running
        """
        with self._delayed_changed:
            self._is_shut_down = True
            for event in self._delayed.queue:
                self._delayed.cancel(event)
            self._delayed_changed.notify()
        self._pool.shutdown(wait=False, cancel_futures=True)
        if wait_seconds:
            # A pool waits without a limit, so another thread does.
            waiting = threading.Thread(target=self._pool.shutdown, daemon=True)
            waiting.start()
            waiting.join(wait_seconds)


def _as_part_of(request: context.RequestContext | None, function: Callable[..., Any], *args: Any) -> Any:
    """Run a function with the context of a request, so that log lines carry its id."""
    if request is None:
        return function(*args)
    request.update_store()
    try:
        return function(*args)
    finally:
        compat.clear_current_context()


class Deadline:
    """A point in time that several waits share."""

    __slots__ = ('_at',)

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds

    def remaining(self) -> float:
        """Seconds left, never below zero."""
        return max(0.0, self._at - time.monotonic())

    def is_over(self) -> bool:
        return time.monotonic() >= self._at


def listen(host: str, port: int, backlog: int = BACKLOG) -> socket.socket:
    """Open a listening socket with TCP_NODELAY, which accepted connections inherit.

    Without it a response whose headers and body are written separately waits 40 ms for a delayed ACK.
    """
    family = socket.AF_INET6 if ':' in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        sock.bind((host, port))
        sock.listen(backlog)
    except OSError:
        sock.close()
        raise
    return sock


class Signals:
    """A queue of received signals: Python writes their numbers into a pipe.

    A handler function could not be used under eventlet: it may run in the hub, which must not wait.
    """

    def __init__(self, *numbers: int) -> None:
        self._reader, writer = os.pipe()
        os.set_blocking(writer, False)
        if _backend == 'eventlet':
            # Only then does eventlet's os.read wait in the hub instead of blocking all green threads.
            os.set_blocking(self._reader, False)
        self._numbers = numbers
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in numbers:
            signal.signal(number, _take_note)

    def wait(self) -> int:
        """Wait for the next signal and return its number."""
        while True:
            number = os.read(self._reader, 1)[0]
            if number in self._numbers:
                return number

    def restore(self) -> None:
        """Restore the default action of the signals, so that a second one ends the process at once."""
        for number in self._numbers:
            signal.signal(number, signal.SIG_DFL)


def _take_note(number: int, frame: object) -> None:
    """Handler that does nothing; without one Python does not write to the pipe."""


class WSGIServer:
    """Serves one WSGI application on one listening socket until stopped."""

    #: Highest number of open connections per process under eventlet, where an idle one needs hardly any memory.
    CONNECTIONS = 4096

    def __init__(
        self, sock: socket.socket, app: Callable[..., Any], *, threads: int, keepalive: float, timeout: float
    ) -> None:
        """
        :param threads: number of requests served concurrently
        :param keepalive: seconds after which an idle connection is closed
        :param timeout: seconds to wait for running requests when the server is stopped
        """
        self._sock = sock
        self._app = app
        self._threads = threads
        self._keepalive = keepalive
        self._timeout = timeout
        self._server: Any = None
        self._pool: Any = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        if _backend == 'eventlet':
            self._start_eventlet()
        else:
            self._start_threads()

    def stop(self) -> None:
        """Accept no new connections and wait for running requests."""
        if self._server is None:
            return
        server, self._server = self._server, None
        if _backend == 'eventlet':
            import eventlet

            with eventlet.Timeout(self._timeout, False):
                # When it is killed, the server waits for running requests.
                server.kill()
                self._pool.waitall()
        else:
            server.stop()

    def wait(self) -> None:
        """Wait until the server has stopped."""
        if self._thread is not None:
            self._thread.join()
        elif self._server is not None:
            self._server.wait()

    def _start_eventlet(self) -> None:
        import eventlet
        import eventlet.semaphore
        import eventlet.wsgi

        self._pool = eventlet.GreenPool(max(self.CONNECTIONS, self._threads))
        self._server = eventlet.spawn(
            eventlet.wsgi.server,
            self._sock,
            # The pool limits connections, idle ones included; the semaphore limits requests.
            _Limited(self._app, eventlet.semaphore.Semaphore(self._threads)),
            log=LOG,
            custom_pool=self._pool,
            log_output=False,
            keepalive=True,
            socket_timeout=self._keepalive,
            debug=False,
            minimum_chunk_size=65536,
            url_length_limit=16384,
        )

    def _start_threads(self) -> None:
        from cheroot import wsgi

        server: Any = wsgi.Server(
            self._sock.getsockname()[:2],
            self._app,
            numthreads=self._threads,
            timeout=int(self._keepalive),
            shutdown_timeout=int(self._timeout),
            request_queue_size=BACKLOG,
        )
        server.max_request_header_size = 65536
        server.error_log = _log_cheroot
        _adopt_socket(server, self._sock)
        server.prepare()
        # One connection wakes several processes and one gets it; accept() of the others must not block.
        self._sock.setblocking(False)
        self._server = server
        self._thread = threading.Thread(target=server.serve, daemon=True)
        self._thread.start()


class _Limited:
    """WSGI middleware for eventlet's server that limits the number of concurrent requests."""

    def __init__(self, app: Callable[..., Any], slots: Any) -> None:
        """:param slots: a semaphore of eventlet, which is fair; that of ``threading`` is not"""
        self._app = app
        self._slots = slots

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        if environ.get('HTTP_TRANSFER_ENCODING', '').lower() == 'chunked':
            # The server decodes the chunks; without this key webob would take the body for empty.
            environ['wsgi.input_terminated'] = True
        with self._slots:
            return self._app(environ, start_response)


def _log_cheroot(message: str = '', level: int = logging.INFO, traceback: bool = False) -> None:
    LOG.log(level, '%s', message, exc_info=traceback)


def _adopt_socket(server: Any, sock: socket.socket) -> None:
    """Make cheroot serve a socket that is already listening, which forked workers share."""

    def bind(family: int, type_: int, proto: int = 0) -> socket.socket:
        server.socket = sock
        return sock

    server.bind = bind
