# SPDX-License-Identifier: Apache-2.0
"""HTTP requests as bytes: the interface under ``PodClient``, and its implementation with urllib3.

Failures are exceptions of the standard library, so that an implementation needs no other: ``ConnectionRefusedError``
when nothing was sent, ``TimeoutError`` or any other ``ConnectionError`` when the request was sent and no complete
answer came. The stage of the failure decides, and not its kind: a TLS handshake sends nothing of the request, and a
TLS error after it does not show what the pod did.
"""

from __future__ import annotations

import contextlib
import resource
import time
from typing import Any, Protocol

import urllib3
from oslo_config import cfg
from urllib3 import exceptions as errors
from urllib3.connection import HTTPConnection, HTTPSConnection

from trio2o.concurrency import Deadline

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


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection


class _TLSPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _TLSConnection


class PooledTransport:
    """Transport over urllib3: a pool of open connections, with TCP_NODELAY, for each endpoint."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        options = conf.pods
        tls = {'cert_reqs': 'CERT_NONE'} if options.insecure else {'ca_certs': options.cafile}
        self._connect_timeout = options.connect_timeout
        self._max_size = options.max_answer_size
        self._pools = urllib3.PoolManager(num_pools=max_endpoints(), maxsize=options.pool_size, block=False, **tls)
        self._pools.pool_classes_by_scheme = {'http': _Pool, 'https': _TLSPool}

    def request(
        self, method: str, url: str, headers: Headers, body: bytes | None, timeout: float
    ) -> tuple[int, Headers, bytes]:
        deadline = Deadline(timeout)
        limits = urllib3.Timeout(connect=min(self._connect_timeout, timeout), read=timeout)
        try:
            response = self._pools.urlopen(
                method,
                url,
                body=body,
                headers=urllib3.HTTPHeaderDict(headers),
                retries=False,
                redirect=False,
                timeout=limits,
                decode_content=False,
                preload_content=False,
            )
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


def max_endpoints() -> int:
    """Return the number of endpoints to which a process may keep connections open.

    It is a quarter of the files that the process may have open, for which it raises its soft limit to the hard one:
    1024, the usual soft limit, are too few for some hundred pods with three services each. Beyond that number, the
    connections to the endpoint that was used the longest time ago are closed.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(OSError, ValueError):  # a container may forbid it
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = _MOST_FILES if soft == resource.RLIM_INFINITY else min(soft, _MOST_FILES)
    return max(files // 4, 1)


#: Files that a process may have open as far as connections to pods are planned, if its limit is higher.
_MOST_FILES = 1 << 17

#: Errors of urllib3 before it has a connection: a URL without a host, a pool that another thread has just closed.
_NOT_SENT = (errors.LocationValueError, errors.ClosedPoolError)

#: A pod may close a connection just when a write is sent, and then its outcome is unknown. Servers close idle
#: connections, many of them after 5 seconds. Reads may be repeated, so they use any connection.
_IDLE_SECONDS = 2.0

_PIECE = 1 << 18


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
