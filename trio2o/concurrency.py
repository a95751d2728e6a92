# SPDX-License-Identifier: Apache-2.0
"""The one module that knows eventlet: choosing a backend, running things at once, serving WSGI.

``init`` must run before anything else is imported (the first lines of ``trio2o.cmd.*``). Without it, as under
uWSGI or gunicorn, everything runs on native threads. Leaving eventlet means changing ``DEFAULT_BACKEND`` and,
later, deleting the eventlet branches here.
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

#: Connections the kernel holds until they are accepted.
BACKLOG = 4096

LOG = logging.getLogger(__name__)

_backend = 'threading'


def init(backend: str = DEFAULT_BACKEND) -> None:
    """Choose the backend of this process; with ``eventlet`` the standard library is patched here.

    oslo.service and oslo.messaging fix their own backend on first import, so they are told first.
    """
    global _backend

    # It is known here (see above), and a library that merely looks whether eventlet is there says it again.
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
        # Not before eventlet has patched: what it keeps for each thread would be one for all green ones.
        from oslo_context import context

        return self._pool.submit(_as_part_of, context.get_current(), function, *args)

    def submit_after(self, seconds: float, function: Callable[..., Any], *args: Any) -> None:
        """Submit a function after some seconds, unless the process ends before. Nobody gets its result."""
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
        """How many functions are still to be submitted."""
        return len(self._delayed.queue)

    def _submit_delayed(self) -> None:
        """Submit each function when it is due; one thread waits for all of them."""
        with self._delayed_changed:
            while not self._is_shut_down:
                self._delayed_changed.wait(self._delayed.run(blocking=False))

    def shutdown(self) -> None:
        """Start nothing any more, and end the thread that waits for what was to be run later."""
        with self._delayed_changed:
            self._is_shut_down = True
            for event in self._delayed.queue:
                self._delayed.cancel(event)
            self._delayed_changed.notify()
        self._pool.shutdown(wait=False, cancel_futures=True)


def _as_part_of(request: context.RequestContext | None, function: Callable[..., Any], *args: Any) -> Any:
    """Run a function in a thread whose log lines then carry the id of the request it is for."""
    if request is None:
        return function(*args)
    request.update_store()
    try:
        return function(*args)
    finally:
        compat.clear_current_context()


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


def listen(host: str, port: int, backlog: int = BACKLOG) -> socket.socket:
    """Open a listening socket with TCP_NODELAY, which accepted connections inherit.

    Without it a response whose head and body are written apart waits 40 ms for a delayed ACK.
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
    """Signals to wait for, as a queue; Python itself writes their numbers into a pipe as they come.

    A handler in Python would not do under eventlet: it may run in the hub, where nothing may wait.
    """

    def __init__(self, *numbers: int) -> None:
        self._reader, writer = os.pipe()
        os.set_blocking(writer, False)
        if _backend == 'eventlet':
            # Eventlet's os.read waits in the hub if the descriptor says that it would block.
            os.set_blocking(self._reader, False)
        self._numbers = numbers
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in numbers:
            signal.signal(number, _take_note)

    def wait(self) -> int:
        """The next signal that came."""
        while True:
            number = os.read(self._reader, 1)[0]
            if number in self._numbers:
                return number

    def restore(self) -> None:
        """Let signals do again what they do by default, so that an impatient operator is obeyed."""
        for number in self._numbers:
            signal.signal(number, signal.SIG_DFL)


def _take_note(number: int, frame: object) -> None:
    """Without a handler a signal would not be written to the pipe."""


class WSGIServer:
    """Serves one WSGI application on one listening socket until stopped."""

    #: Connections a process keeps at most under eventlet, where an idle one costs next to nothing.
    CONNECTIONS = 4096

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
        self._pool: Any = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        if _backend == 'eventlet':
            self._start_eventlet()
        else:
            self._start_threads()

    def stop(self) -> None:
        """Take no new connections and let running requests end."""
        if self._server is None:
            return
        server, self._server = self._server, None
        if _backend == 'eventlet':
            import eventlet

            with eventlet.Timeout(self._timeout, False):
                # The server's last act is to wait for the requests that run.
                server.kill()
                self._pool.waitall()
        else:
            server.stop()

    def wait(self) -> None:
        """Wait until it has been stopped."""
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
            # A slot of the pool is a connection, idle or not; what is limited is requests.
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
        # Of several processes that are woken for one connection only one gets it: the others must not wait.
        self._sock.setblocking(False)
        self._server = server
        self._thread = threading.Thread(target=server.serve, daemon=True)
        self._thread.start()


class _Limited:
    """An application under eventlet's server, of which only so many requests run at once."""

    def __init__(self, app: Callable[..., Any], slots: Any) -> None:
        """:param slots: eventlet's semaphore, which serves first who came first, as that of ``threading`` does not"""
        self._app = app
        self._slots = slots

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        if environ.get('HTTP_TRANSFER_ENCODING', '').lower() == 'chunked':
            # The server puts the chunks together but does not say so, and webob would see no body.
            environ['wsgi.input_terminated'] = True
        with self._slots:
            return self._app(environ, start_response)


def _log_cheroot(message: str = '', level: int = logging.INFO, traceback: bool = False) -> None:
    LOG.log(level, '%s', message, exc_info=traceback)


def _adopt_socket(server: Any, sock: socket.socket) -> None:
    """Let cheroot serve a socket that is already listening (shared by forked workers)."""

    def bind(family: int, type_: int, proto: int = 0) -> socket.socket:
        server.socket = sock
        return sock

    server.bind = bind
