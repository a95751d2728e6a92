# SPDX-License-Identifier: Apache-2.0
"""HTTP requests as bytes: the interface under ``PodClient``, and its implementation with ``http.client``.

Failures are exceptions of the standard library, so that an implementation needs no other: ``ConnectionRefusedError``
when nothing was sent, ``TimeoutError`` or any other ``ConnectionError`` when the request was sent and no complete
answer came. The stage of the failure decides, and not its kind: a TLS handshake sends nothing of the request, and a
TLS error after it does not show what the pod did.
"""

from __future__ import annotations

import contextlib
import http.client
import re
import ssl
import threading
import time
from collections import OrderedDict, deque
from functools import cached_property, partial
from typing import Any, Protocol

from oslo_config import cfg
from urllib3.util import parse_url

from trio2o.concurrency import Deadline, has_input
from trio2o.pods import open_files

Headers = list[tuple[str, str]]


class Transport(Protocol):
    def request(
        self, method: str, url: str, headers: Headers, body: bytes | None, timeout: float
    ) -> tuple[int, Headers, bytes]:
        """:param timeout: seconds for the whole call, connecting included"""
        ...


class _NotConnected(Exception):
    """No connection was made. Nothing else handles it, so it comes out as it is."""


class _TooLarge(TimeoutError):
    """The answer is larger than ``[pods] max_answer_size``. As after a timeout, a read is not repeated."""


class _Connection:
    """A connection that separates failures to connect from those after, and sends no write after a pause."""

    def __init__(self, http_connection: http.client.HTTPConnection) -> None:
        self._http = http_connection
        self._used_at = 0.0

    @property
    def is_open(self) -> bool:
        return self._http.sock is not None

    def close(self) -> None:
        """Close it. The next request opens it again."""
        self._http.close()

    def exchange(
        self,
        method: str,
        target: str,
        headers: Headers,
        body: bytes | None,
        seconds: tuple[float, float],
        max_size: int,
    ) -> tuple[int, Headers, bytes]:
        """Send a request and read the answer. The connection stays open if the server lets it.

        :param seconds: those to connect, and those to wait for the answer or another piece of it
        :param max_size: bytes of the answer's body
        :raises _NotConnected: nothing was sent
        :raises TimeoutError, OSError, HTTPException: no complete answer came
        """
        deadline = Deadline(seconds[1])
        if self.is_open and self._must_open_again(method):
            self.close()
        if not self.is_open:
            self._connect(seconds[0])
        is_complete = False
        try:
            self._http.sock.settimeout(seconds[1])
            self._send(method, target, headers, body)
            with self._http.getresponse() as response:
                answer = response.status, _unfolded(response.getheaders()), _read(response, deadline, max_size)
            is_complete = True
        finally:
            if not is_complete:
                # What would be read next is unknown.
                self.close()
        self._used_at = time.monotonic()
        return answer

    def _must_open_again(self, method: str) -> bool:
        """Whether the server has closed the connection, or may do so just when a write is sent."""
        is_idle = time.monotonic() - self._used_at > _IDLE_SECONDS
        return (is_idle and method not in ('GET', 'HEAD')) or has_input(self._http.sock)

    def _connect(self, seconds: float) -> None:
        """Connect, with the TLS handshake if there is one.

        :raises _NotConnected: for any failure
        """
        self._http.timeout = seconds
        try:
            self._http.connect()
        except (OSError, ValueError) as error:
            # Errors of TLS are OSErrors, and a name that is none of a host is a ValueError.
            self.close()
            raise _NotConnected(type(error).__name__) from error

    def _send(self, method: str, target: str, headers: Headers, body: bytes | None) -> None:
        self._http.putrequest(method, target)
        for name, value in headers:
            self._http.putheader(name, value)
        if body or method in ('POST', 'PUT', 'PATCH'):
            self._http.putheader('Content-Length', str(len(body or b'')))
        # A server may answer, and close the connection, before it has read a large body.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._http.endheaders(body)


class _IdleConnections:
    """The idle connections of all pools together. Beyond a number, those are closed that were used longest ago."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._connections: OrderedDict[_Connection, None] = OrderedDict()
        # Held while a connection is closed, so that nobody takes it meanwhile.
        self._lock = threading.Lock()

    def add(self, connection: _Connection) -> None:
        """Note that a connection is idle from now on. It may be closed at any time until it is taken."""
        with self._lock:
            self._connections[connection] = None
            while len(self._connections) > self._most:
                self._connections.popitem(last=False)[0].close()

    def take(self, connection: _Connection) -> None:
        """Note that a connection is in use. If it was closed, its next request opens it again."""
        with self._lock:
            self._connections.pop(connection, None)


class _Pool:
    """The connections to one endpoint that are not in use. They count among the idle ones of all pools."""

    def __init__(self, connection: Any, most: int, idle: _IdleConnections) -> None:
        """
        :param connection: makes a connection of ``http.client``
        :param most: number of connections to keep
        """
        self._make = connection
        self._most = most
        self._idle = idle
        # Threads may append and pop without a lock.
        self._connections: deque[_Connection] = deque()

    def take(self) -> _Connection:
        """Return the connection that was used last, or a new one."""
        try:
            connection = self._connections.pop()
        except IndexError:
            return _Connection(self._make())
        self._idle.take(connection)
        return connection

    def give_back(self, connection: _Connection) -> None:
        if not connection.is_open:
            return
        if len(self._connections) >= self._most:
            connection.close()
            return
        # Before another thread can take it.
        self._idle.add(connection)
        self._connections.append(connection)


class PooledTransport:
    """Transport over ``http.client``: a pool of open connections, with TCP_NODELAY, for each endpoint."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._options = conf.pods
        self._connect_timeout = conf.pods.connect_timeout
        self._max_size = conf.pods.max_answer_size
        # Half of the files are for connections that are in use, and for all else.
        self._idle = _IdleConnections(max(open_files.limit() // 2, 1))
        # Start of a URL -> its pool. There is one for each endpoint, and pools are never dropped.
        self._pools: dict[str, _Pool] = {}

    def request(
        self, method: str, url: str, headers: Headers, body: bytes | None, timeout: float
    ) -> tuple[int, Headers, bytes]:
        seconds = min(self._connect_timeout, timeout), timeout
        try:
            pool, target = self._find(url)
        except (OSError, ValueError) as error:
            raise ConnectionRefusedError(type(error).__name__) from None
        connection = pool.take()
        try:
            answer = connection.exchange(method, target, headers, body, seconds, self._max_size)
        except _NotConnected as error:
            raise ConnectionRefusedError(str(error)) from None
        except TimeoutError as error:
            raise TimeoutError(type(error).__name__) from None
        except (http.client.HTTPException, OSError) as error:
            raise ConnectionResetError(type(error).__name__) from None
        finally:
            pool.give_back(connection)
        return answer

    def _find(self, url: str) -> tuple[_Pool, str]:
        """Return the pool for a URL, and what to ask the server for.

        :raises ValueError: the URL names no host
        :raises OSError: the CA certificates cannot be read
        """
        split = _PLAIN_URL.fullmatch(url)
        if split is not None and '/.' not in split[2]:
            start, target = split[1], split[2]
        else:
            parsed = parse_url(url)
            start, target = f'{parsed.scheme}://{parsed.netloc}', parsed.request_uri
        pool = self._pools.get(start)
        if pool is None:
            pool = self._pools.setdefault(start, self._new_pool(start))
        return pool, target

    def _new_pool(self, start: str) -> _Pool:
        parsed = parse_url(start)
        if parsed.scheme not in ('http', 'https') or not parsed.host:
            raise ValueError(start)
        host = parsed.host.removeprefix('[').removesuffix(']')
        make = (
            partial(http.client.HTTPSConnection, host, parsed.port or 443, context=self._tls)
            if parsed.scheme == 'https'
            else partial(http.client.HTTPConnection, host, parsed.port or 80)
        )
        return _Pool(make, self._options.pool_size, self._idle)

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self._options.cafile)
        if self._options.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


#: The start of a URL, and the rest if nothing in it has to be encoded. Other URLs are parsed, which takes longer.
_PLAIN_URL = re.compile(r"(https?://[^/?#@]+)(/(?:[\w/.~!$&'()*+,;=:@?-]|%[0-9A-F]{2})*)", re.ASCII)

#: A pod may close a connection just when a write is sent, and then its outcome is unknown. Servers close idle
#: connections, many of them after 5 seconds. Reads may be repeated, so they use any connection.
_IDLE_SECONDS = 2.0

_PIECE = 1 << 18

#: Where a header goes on in another line.
_FOLD = re.compile(r'\r\n[ \t]+')


def _unfolded(headers: Headers) -> Headers:
    """Return headers, each on one line: the standard library keeps the ends of lines in their values."""
    return [(name, _FOLD.sub(' ', value) if '\r\n' in value else value) for name, value in headers]


def _read(response: http.client.HTTPResponse, deadline: Deadline, max_size: int) -> bytes:
    """Read the body in pieces: the timeout of a socket is for each of them, the deadline for all together.

    :param max_size: bytes
    :raises TimeoutError: the deadline passed
    :raises _TooLarge: the body has more than ``max_size`` bytes
    :raises ConnectionResetError: the connection ended before the headers or the body did
    """
    parts, size = [], 0
    while piece := response.read1(_PIECE):
        parts.append(piece)
        size += len(piece)
        if size > max_size:
            raise _TooLarge
        if deadline.is_over():
            raise TimeoutError('the body took too long')
    # The standard library does not notice either.
    if response.length:
        raise ConnectionResetError('the body was not complete')
    if response.length is None and not response.chunked and not size:
        raise ConnectionResetError('the headers of the answer were not complete')
    return b''.join(parts)
