# SPDX-License-Identifier: Apache-2.0
"""The only module that uses eventlet: choice of the backend, thread pools, WSGI servers.

``init`` must run before any other import (the first lines of ``trio2o.cmd.*``). Without it, as under uWSGI or
gunicorn, everything runs on native threads. To leave eventlet, change ``DEFAULT_BACKEND`` and, later, delete the
eventlet branches here.
"""

from __future__ import annotations

import contextlib
import functools
import io
import logging
import os
import re
import sched
import select
import signal
import socket
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
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
    # It imports modules that eventlet has to patch first.
    from trio2o import http_headers

    http_headers.install()


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


def has_input(sock: socket.socket) -> bool:
    """Return at once whether a socket has data to read, or its peer has closed it.

    On eventlet, ``select`` would first let other green threads run, which takes twenty times as long.
    """
    poll = _select().poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))


@functools.cache
def _select() -> Any:
    """Return the module ``select`` of the standard library, which eventlet replaces."""
    if _backend != 'eventlet':
        return select
    import eventlet

    return eventlet.patcher.original('select')


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
        self,
        sock: socket.socket,
        app: Callable[..., Any],
        *,
        threads: int,
        keepalive: float,
        timeout: float,
        body_seconds: float = 30.0,
        max_body: int = 114688,
    ) -> None:
        """
        :param threads: number of requests served concurrently
        :param keepalive: seconds after which an idle connection is closed
        :param timeout: seconds to wait for running requests when the server is stopped
        :param body_seconds: seconds within which a client has to send the body of a request
        :param max_body: greatest length of a body that is read before the application is called
        """
        self._body_limits = body_seconds, max_body
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

        # A token in a cookie or a header can be longer than eventlet expects; all headers together have a limit, too.
        eventlet.wsgi.MAX_HEADER_LINE = eventlet.wsgi.MAX_TOTAL_HEADER_SIZE

        class Protocol(eventlet.wsgi.HttpProtocol):
            rfile: Any

            def parse_request(self) -> bool:
                lines = self.rfile = _HeaderLines(self.rfile)  # the server restores it
                if not super().parse_request():
                    return False
                # The parser of the standard library takes a header that it does not understand for the end of them.
                if self.headers.defects or lines.problem or _framing_problem(self.headers.raw_items()):
                    self.wfile.write(b'HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n')
                    self.close_connection = True
                    return False
                return True

            def get_environ(self) -> dict[str, Any]:
                return {**super().get_environ(), _CONNECTION: self}

        self._pool = eventlet.GreenPool(max(self.CONNECTIONS, self._threads))
        self._server = eventlet.spawn(
            eventlet.wsgi.server,
            self._sock,
            # The pool limits connections, idle ones included; the semaphore limits requests.
            _BodyFirst(self._app, eventlet.semaphore.Semaphore(self._threads), *self._body_limits),
            protocol=Protocol,
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
        from cheroot import server as cheroot_server
        from cheroot import wsgi

        class HeaderReader(cheroot_server.HeaderReader):
            def __call__(self, rfile: Any, hdict: Any = None) -> Any:
                found = _Headers()
                lines = _HeaderLines(rfile)
                super().__call__(lines, found)
                problem = lines.problem or _framing_problem(found.of_framing)
                if problem:
                    raise ValueError(problem)  # answered with 400
                hdict.update(found)
                return hdict

            def _transform_key(self, key_name: bytes) -> bytes:
                if key_name != key_name.strip():
                    raise ValueError('A header has a blank in its name.')
                return key_name.title()

            def _allow_header(self, key_name: bytes) -> bool:
                # As in eventlet: X_Name would have the same key in the environ as X-Name.
                return b'_' not in key_name

        class Request(cheroot_server.HTTPRequest):
            header_reader = HeaderReader()

        class Connection(cheroot_server.HTTPConnection):
            RequestHandlerClass = Request

        class Gateway(wsgi.Gateway_10):
            def get_environ(self) -> dict[str, Any]:  # type: ignore[override]
                return {**super().get_environ(), _CONNECTION: self.req}

        server: Any = wsgi.Server(
            self._sock.getsockname()[:2],
            _BodyFirst(self._app, threading.BoundedSemaphore(self._threads), *self._body_limits),
            # The others read bodies.
            numthreads=self._threads + max(8, self._threads // 2),
            timeout=int(self._keepalive),
            shutdown_timeout=int(self._timeout),
            request_queue_size=BACKLOG,
        )
        server.gateway = Gateway
        server.ConnectionClass = Connection
        server.max_request_header_size = 65536
        server.error_log = _log_cheroot
        _adopt_socket(server, self._sock)
        server.prepare()
        # One connection wakes several processes and one gets it; accept() of the others must not block.
        self._sock.setblocking(False)
        self._server = server
        self._thread = threading.Thread(target=server.serve, daemon=True)
        self._thread.start()


class _HeaderLines:
    """Reads the lines of the headers of a request.

    :ivar problem: why a proxy in front may read one of these lines otherwise than this server; empty if it may not
    """

    _CONTROLS = bytes([*range(9), *range(10, 32), 127])
    _OTHERS = bytes(set(range(256)) - set(_CONTROLS))

    def __init__(self, rfile: Any) -> None:
        self._rfile = rfile
        self.problem = ''

    def readline(self, *limit: int) -> bytes:
        line: bytes = self._rfile.readline(*limit)
        # A return within a line ends the header for some; a line that begins with a blank continues the one before.
        controls = line.translate(None, self._OTHERS)
        if (
            controls not in (b'\r\n', b'\n', b'')
            or not line.endswith(controls)
            or line.startswith((b' ', b'\t', b':'))
        ):
            self.problem = 'A header is folded, has no name or has a control character.'
        return line


class _Headers(dict[bytes, bytes]):
    """The headers of a request for cheroot, which keeps the last of those with one name.

    :ivar of_framing: all names and values of the headers that ``_framing_problem`` is about
    """

    def __init__(self) -> None:
        super().__init__()
        self.of_framing: list[tuple[str, str]] = []

    def __setitem__(self, name: bytes, value: bytes) -> None:
        super().__setitem__(name, value)
        if name in _SINGLE_TITLES:
            self.of_framing.append((name.decode('latin-1'), value.decode('latin-1')))


def _framing_problem(headers: Iterable[tuple[str, str]]) -> str:
    """Return why it is not certain where a request ends or to which host it goes; empty if it is certain.

    A proxy in front may read such headers otherwise than this server. Then one client could send something that the
    proxy takes for a body, and the server for the request of another client.
    """
    found: dict[str, str] = {}
    for name, value in headers:
        key = name.lower()
        if key in _SINGLE:
            if key in found:
                return f'There are several headers {name}.'
            found[key] = value
    length = found.get('content-length')
    if length is not None and not (length.isascii() and length.isdigit()):
        return 'Content-Length is not a number.'
    if length is not None and 'transfer-encoding' in found:
        return 'Content-Length and Transfer-Encoding are not allowed together.'
    if found.get('transfer-encoding', 'chunked').strip(' \t').lower() != 'chunked':
        return 'Transfer-Encoding is not chunked.'
    return ''


#: Headers of which a request may have one.
_SINGLE = frozenset({'content-length', 'host', 'transfer-encoding'})
_SINGLE_TITLES = frozenset(name.title().encode() for name in _SINGLE)


class _BodyFirst:
    """WSGI application around that of a service: reads the body of a request, then waits for a slot and calls it.

    So a client that sends its body slowly holds no slot, and a kept connection has no unread body before the next
    request. A body that does not arrive in time is answered with 408; one that is too long is left to the application.
    """

    _TIMED_OUT = b'The body of the request did not arrive in time.\n'

    def __init__(self, app: Callable[..., Any], slots: Any, body_seconds: float, max_body: int) -> None:
        """:param slots: a semaphore; that of eventlet is fair, that of ``threading`` is not"""
        self._app = app
        self._slots = slots
        self._seconds = body_seconds
        self._max_body = max_body

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        # The handler of the server for this request. It closes the connection after the answer if this is set.
        connection = environ.pop(_CONNECTION)
        is_chunked = _is_chunked(environ['wsgi.input'], connection)
        length = environ.get('CONTENT_LENGTH') or ''
        if is_chunked or length not in ('', '0'):
            try:
                body = self._read(environ, connection, length, is_chunked)
            except TimeoutError:
                connection.close_connection = True
                headers = [('Content-Type', 'text/plain'), ('Content-Length', str(len(self._TIMED_OUT)))]
                start_response('408 Request Timeout', headers)
                return [self._TIMED_OUT]
            except (OSError, ValueError):
                connection.close_connection = True
                body = b''
                if is_chunked:
                    # Decoding failed. The application finds a body that ends early, and answers 400.
                    environ['CONTENT_LENGTH'] = '1'
            if body is not None:
                environ['wsgi.input'] = io.BytesIO(body)
                if is_chunked and len(body) <= self._max_body:
                    environ.setdefault('CONTENT_LENGTH', str(len(body)))
                    del environ['HTTP_TRANSFER_ENCODING']
            if is_chunked:
                # Without this key webob would take the body for empty.
                environ['wsgi.input_terminated'] = True
        with self._slots:
            return self._app(environ, start_response)

    def _read(self, environ: dict[str, Any], connection: Any, length: str, is_chunked: bool) -> bytes | None:
        """Return the body, or enough of it to see that it is too long; None if its length is invalid or too long.

        :raises TimeoutError: it did not arrive in time
        :raises ValueError, OSError: its encoding is wrong, or the connection ended
        """
        stream = environ['wsgi.input']
        body: bytes
        if is_chunked:
            with _deadline_for(connection, self._seconds):
                body = _read_chunks(stream, self._max_body)
            if len(body) > self._max_body:
                connection.close_connection = True
            return body
        if not (length.isascii() and length.isdigit() and len(length) < 10) or int(length) > self._max_body:
            connection.close_connection = True
            return None
        with _deadline_for(connection, self._seconds):
            body = stream.read(int(length))
        if len(body) < int(length):
            connection.close_connection = True
        return body


def _is_chunked(stream: Any, connection: Any) -> bool:
    """Return whether the server takes the body of a request for one in chunks."""
    return bool(stream.chunked_input if _backend == 'eventlet' else connection.chunked_read)


_CHUNK = re.compile(rb'([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]*)?\r\n')
#: Most bytes of the line before a chunk, and of a trailer.
_CHUNK_LINE = 4096
_TRAILERS = 100


def _read_chunks(stream: Any, max_body: int) -> bytes:
    """Read a body in chunks from below the server's own reader, and the trailers after it, which are not used.

    eventlet's reader keeps lines of any length in memory. That of cheroot keeps chunks of any length, and takes
    trailers for the next request.

    :param stream: ``wsgi.input``
    :returns: the body; if it is longer than ``max_body``, that many bytes and one more
    :raises ValueError: its encoding is wrong, or the connection ended
    """
    stream.read(0)  # eventlet tells a client that expects it to go on
    stream.chunk_length = 0  # eventlet would read the rest of the body after the answer
    raw = stream.rfile
    body = bytearray()
    while True:
        found = _CHUNK.fullmatch(raw.readline(_CHUNK_LINE))
        if found is None:
            raise ValueError('a chunk begins without its length')
        length = int(found[1], 16)
        if length == 0:
            break
        body += raw.read(min(length, max_body + 1 - len(body)))
        if len(body) > max_body:
            return bytes(body)
        if raw.read(2) != b'\r\n':
            raise ValueError('a chunk is longer or shorter than its length')
    for _ in range(_TRAILERS):
        line = raw.readline(_CHUNK_LINE)
        if line == b'\r\n':
            return bytes(body)
        if not line.endswith(b'\r\n'):
            break
    raise ValueError('the trailers do not end')


#: Key in a WSGI environ, from the server to ``_BodyFirst``: the handler of the server for the request.
_CONNECTION = 'trio2o.connection'


@contextlib.contextmanager
def _deadline_for(connection: Any, seconds: float) -> Iterator[None]:
    """Context manager within which reading from a client may take some seconds in all.

    :raises TimeoutError: it took longer
    """
    if _backend == 'eventlet':
        import eventlet

        with eventlet.Timeout(seconds, TimeoutError('the client is too slow')):
            yield
        return
    deadline = Deadline(seconds)
    socket_ = connection.conn.socket
    number = _SLOW_READS.begin(deadline, socket_)
    try:
        yield
    except (OSError, ValueError):
        if not deadline.is_over():
            raise
    finally:
        _SLOW_READS.end(number)
    if deadline.is_over():
        raise TimeoutError('the client is too slow')


class _SlowReads:
    """Ends reads on native threads. The timeout of a socket is for each packet, so one thread watches all reads."""

    _LOOK_SECONDS = 0.25

    def __init__(self) -> None:
        self._reads: dict[int, tuple[Deadline, socket.socket]] = {}
        self._lock = threading.Lock()
        self._number = 0
        self._thread: threading.Thread | None = None

    def begin(self, deadline: Deadline, socket_: socket.socket) -> int:
        """Watch a read. :returns: a number to end the watch with"""
        with self._lock:
            self._number += 1
            self._reads[self._number] = deadline, socket_
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name='trio2o-slow-reads', daemon=True)
                self._thread.start()
            return self._number

    def end(self, number: int) -> None:
        with self._lock:
            self._reads.pop(number, None)

    def _watch(self) -> None:
        while True:
            time.sleep(self._LOOK_SECONDS)
            with self._lock:
                for deadline, socket_ in self._reads.values():
                    if deadline.is_over():
                        with contextlib.suppress(OSError):
                            socket_.shutdown(socket.SHUT_RD)


_SLOW_READS = _SlowReads()


def _log_cheroot(message: str = '', level: int = logging.INFO, traceback: bool = False) -> None:
    LOG.log(level, '%s', message, exc_info=traceback)


def _adopt_socket(server: Any, sock: socket.socket) -> None:
    """Make cheroot serve a socket that is already listening, which forked workers share."""

    def bind(family: int, type_: int, proto: int = 0) -> socket.socket:
        server.socket = sock
        return sock

    server.bind = bind
