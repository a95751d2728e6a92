# SPDX-License-Identifier: Apache-2.0
"""HTTP requests as bytes: the interface under ``PodClient``, and its implementation with urllib3.

Failures are exceptions of the standard library, so that an implementation needs no other: ``ConnectionRefusedError``
when nothing was sent, ``TimeoutError`` or any other ``ConnectionError`` when the request was sent and no complete
answer came. The stage of the failure decides, and not its kind: a TLS handshake sends nothing of the request, and a
TLS error after it does not show what the pod did.
"""

from __future__ import annotations

import re
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Protocol

import urllib3
from oslo_config import cfg
from urllib3 import exceptions as errors
from urllib3.connection import HTTPConnection, HTTPSConnection

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
    """No connection was made. It is none of the errors that urllib3 translates, so it comes out as it is."""


class _TooLarge(TimeoutError):
    """The answer is larger than ``[pods] max_answer_size``. As after a timeout, a read is not repeated."""


class _Connection(HTTPConnection):
    """A connection that separates failures to connect from those after, and sends no write after a pause."""

    _used_at = 0.0

    def connect(self) -> None:
        """Connect, with the TLS handshake if there is one.

        :raises _NotConnected: for any failure
        """
        try:
            super().connect()
        except (errors.HTTPError, OSError, ValueError) as error:
            # Errors of TLS are OSErrors, and a certificate for another host is a ValueError.
            raise _NotConnected(type(error).__name__) from error
        self._used_at = time.monotonic()

    @property
    def is_connected(self) -> bool:
        """Whether the connection is open. The pool asks this before each request."""
        return self.sock is not None and not has_input(self.sock)

    def request(self, method: str, *args: Any, **kwargs: Any) -> None:
        """Send a request; a write over a new connection if this one was not used lately."""
        is_idle = time.monotonic() - self._used_at > _IDLE_SECONDS
        if self.sock is not None and is_idle and method not in ('GET', 'HEAD'):
            self.close()  # the request opens it again
        super().request(method, *args, **kwargs)

    def getresponse(self) -> urllib3.HTTPResponse:  # type: ignore[override]
        response = super().getresponse()
        self._used_at = time.monotonic()
        return response


class _TLSConnection(_Connection, HTTPSConnection):
    pass


class _IdleConnections:
    """The idle connections of all pools together. Beyond a number, those are closed that were used longest ago."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._connections: OrderedDict[Any, None] = OrderedDict()
        # Held while a connection is closed, so that nobody takes it meanwhile.
        self._lock = threading.Lock()

    def add(self, connection: Any) -> None:
        """Note that a connection is idle from now on. It may be closed at any time until it is taken."""
        with self._lock:
            self._connections[connection] = None
            while len(self._connections) > self._most:
                self._connections.popitem(last=False)[0].close()

    def take(self, connection: Any) -> None:
        """Note that a connection is in use. If it was closed, its next request opens it again."""
        with self._lock:
            self._connections.pop(connection, None)


class _Pool(urllib3.HTTPConnectionPool):
    """A pool whose idle connections count among those of all pools."""

    ConnectionCls: Any = _Connection
    idle: _IdleConnections

    def _get_conn(self, timeout: float | None = None) -> Any:
        connection = super()._get_conn(timeout)
        self.idle.take(connection)
        return connection

    def _put_conn(self, connection: Any) -> None:
        # Before another thread can get it from the pool.
        if connection is not None and connection.sock is not None:
            self.idle.add(connection)
        super()._put_conn(connection)


class _TLSPool(_Pool, urllib3.HTTPSConnectionPool):
    ConnectionCls = _TLSConnection


class PooledTransport:
    """Transport over urllib3: a pool of open connections, with TCP_NODELAY, for each endpoint."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        options = conf.pods
        tls = {'cert_reqs': 'CERT_NONE'} if options.insecure else {'ca_certs': options.cafile}
        self._connect_timeout = options.connect_timeout
        self._max_size = options.max_answer_size
        # Half of the files are for connections that are in use, and for all else.
        idle = {'idle': _IdleConnections(max(open_files.limit() // 2, 1))}
        self._pools = urllib3.PoolManager(num_pools=_MOST_POOLS, maxsize=options.pool_size, block=False, **tls)
        self._pools.pool_classes_by_scheme = {
            'http': type('_Pool', (_Pool,), idle),
            'https': type('_TLSPool', (_TLSPool,), idle),
        }
        # Start of a URL -> its pool. There is one for each endpoint, and pools are never closed.
        self._pool_of: dict[str, urllib3.HTTPConnectionPool] = {}

    def request(
        self, method: str, url: str, headers: Headers, body: bytes | None, timeout: float
    ) -> tuple[int, Headers, bytes]:
        deadline = Deadline(timeout)
        limits = urllib3.Timeout(connect=min(self._connect_timeout, timeout), read=timeout)
        try:
            pool, target = self._find(url)
            response = pool.urlopen(method, target, body, _mapping(headers), timeout=limits, **_AS_IS)
            answer = response.status, list(response.headers.items()), _read(response, deadline, self._max_size)
            if not answer[2] and _is_cut_short(method, response):
                raise ConnectionResetError('the headers of the answer were not complete')
            return answer
        except _NotConnected as error:
            raise ConnectionRefusedError(str(error)) from None
        except _NOT_SENT as error:
            raise ConnectionRefusedError(type(error).__name__) from None
        except (errors.TimeoutError, TimeoutError) as error:
            raise TimeoutError(type(error).__name__) from None
        except (errors.HTTPError, OSError) as error:
            raise ConnectionResetError(type(error).__name__) from None

    def _find(self, url: str) -> tuple[urllib3.HTTPConnectionPool, str]:
        """Return the pool for a URL, and what to ask the server for.

        They are those of ``PoolManager.urlopen``, which parses each URL and takes longer.

        :raises LocationValueError: the URL has no host
        """
        split = _PLAIN_URL.fullmatch(url)
        if split is not None and '/.' not in split[2]:
            pool = self._pool_of.get(split[1])
            if pool is None:
                pool = self._pool_of[split[1]] = self._pools.connection_from_url(split[1])
            return pool, split[2]
        parsed = urllib3.util.parse_url(url)
        return self._pools.connection_from_host(parsed.host, parsed.port, parsed.scheme), parsed.request_uri


#: Options of urllib3 with which a request is sent once, and its answer comes as it is.
_AS_IS: dict[str, Any] = dict.fromkeys(
    ('retries', 'redirect', 'assert_same_host', 'decode_content', 'preload_content'), False
)

#: The start of a URL, and the rest if nothing in it has to be encoded.
_PLAIN_URL = re.compile(r"(https?://[^/?#@]+)(/(?:[\w/.~!$&'()*+,;=:@?-]|%[0-9A-F]{2})*)", re.ASCII)

#: Pools are small. If there were fewer than endpoints, urllib3 would close all connections of the one used least.
_MOST_POOLS = 1 << 17

#: Errors of urllib3 before it has a connection: a URL without a host, a pool that another thread has just closed.
_NOT_SENT = (errors.LocationValueError, errors.ClosedPoolError)

#: A pod may close a connection just when a write is sent, and then its outcome is unknown. Servers close idle
#: connections, many of them after 5 seconds. Reads may be repeated, so they use any connection.
_IDLE_SECONDS = 2.0

_PIECE = 1 << 18


def _mapping(headers: Headers) -> Mapping[str, str]:
    """Return headers as urllib3 takes them. Its own class keeps repeated ones, and takes ten times as long."""
    found = dict(headers)
    return found if len(found) == len(headers) else urllib3.HTTPHeaderDict(headers)


def _is_cut_short(method: str, response: urllib3.BaseHTTPResponse) -> bool:
    """Whether the connection ended within the headers, which the standard library does not notice."""
    if method == 'HEAD' or response.status in (204, 304):
        return False
    return 'content-length' not in response.headers and 'transfer-encoding' not in response.headers


def _read(response: urllib3.BaseHTTPResponse, deadline: Deadline, max_size: int) -> bytes:
    """Read the body in pieces: urllib3's timeout is for each of them, the deadline for all together.

    :param max_size: bytes
    :raises TimeoutError: the deadline passed; the connection is closed
    :raises _TooLarge: the body has more than ``max_size`` bytes; the connection is closed
    """
    parts, size = [], 0
    while piece := response.read1(_PIECE):
        parts.append(piece)
        size += len(piece)
        if size > max_size:
            response.close()
            raise _TooLarge
        if deadline.is_over():
            response.close()
            raise TimeoutError('the body took too long')
    response.release_conn()
    return b''.join(parts)
