# SPDX-License-Identifier: Apache-2.0
"""Bytes to a URL and bytes back: the seam under ``PodClient``.

Failures are told in the standard library's words, so that any transport can stand in:
``ConnectionRefusedError`` when nothing was sent, ``TimeoutError`` or any other ``ConnectionError`` when the
request went out and no complete answer came.
"""

from __future__ import annotations

import re
import socket
import ssl
from typing import Protocol
from urllib.parse import urlsplit

from oslo_config import cfg
from urllib3.util import parse_url

from trio2o.concurrency import Deadline
from trio2o.pods.http11 import Connection, Headers

#: What may stand in a request line as it is; anything else is looked at more closely.
_PLAIN = re.compile(r"/[A-Za-z0-9/_~:@!$&'()*+,;=?.-]*")

#: Requests of all other methods tell the length of their body even when there is none.
_BODILESS = frozenset({'GET', 'HEAD', 'DELETE', 'OPTIONS', 'TRACE'})


class Transport(Protocol):
    def request(
        self, method: str, url: str, headers: Headers, body: bytes | None, timeout: float
    ) -> tuple[int, Headers, bytes]:
        """:param timeout: seconds for the whole call, connecting included"""
        ...


class PooledTransport:
    """HTTP/1.1 on connections that are kept open, a pool of them for each server.

    A third of the CPU time of what urllib3 takes for the same, which was a third of all that a show took.
    """

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        options = conf.pods
        self._connect_timeout = options.connect_timeout
        self._size = options.pool_size
        self._pools: dict[str, _Pool] = {}
        self._tls = ssl.create_default_context(cafile=options.cafile)
        self._tls.set_alpn_protocols(['http/1.1'])
        if options.insecure:
            self._tls.check_hostname = False
            self._tls.verify_mode = ssl.CERT_NONE

    def request(
        self, method: str, url: str, headers: Headers, body: bytes | None, timeout: float
    ) -> tuple[int, Headers, bytes]:
        deadline = Deadline(timeout)
        scheme, _colon, rest = url.partition('://')
        authority, slash, target = rest.partition('/')
        pool = self._pools.get(f'{scheme}://{authority}')
        if pool is None:
            pool = self._pools.setdefault(f'{scheme}://{authority}', _Pool(scheme, authority, self._tls))
        message = _message(method, _target(url, slash + target), authority, headers, body)
        connection = pool.take()
        if connection is None:
            connection = pool.connect(min(self._connect_timeout, timeout))
        try:
            return connection.exchange(message, method, deadline)
        finally:
            pool.put_back(connection, self._size)


class _Pool:
    """Connections to one server that nobody uses now, the last one used on top."""

    def __init__(self, scheme: str, authority: str, tls: ssl.SSLContext) -> None:
        parts = urlsplit(f'{scheme}://{authority}')
        self.idle: list[Connection] = []
        self._tls = tls if scheme == 'https' else None
        self._host = parts.hostname or ''
        self._port = parts.port or (443 if self._tls else 80)

    def take(self) -> Connection | None:
        """A connection that the server has not closed, if there is one."""
        while True:
            try:
                connection = self.idle.pop()
            except IndexError:
                return None
            if connection.is_open():
                return connection
            connection.close()

    def put_back(self, connection: Connection, size: int) -> None:
        """Keep a connection, unless its last answer was not complete, or there are so many already."""
        if connection.may_be_kept and len(self.idle) < size:
            self.idle.append(connection)
        else:
            connection.close()

    def connect(self, seconds: float) -> Connection:
        """:raises ConnectionRefusedError: there is no connection"""
        sock: socket.socket | None = None
        try:
            sock = socket.create_connection((self._host, self._port), seconds)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_hostname=self._host)
        except (OSError, UnicodeError) as error:  # ssl's and the resolver's are OSErrors too
            if sock is not None:
                sock.close()
            raise ConnectionRefusedError(type(error).__name__) from None
        return Connection(sock)


def _target(url: str, target: str) -> str:
    """What stands in the request line: a path may hold what has to be quoted, and is not quoted twice."""
    if _PLAIN.fullmatch(target) and '/.' not in target:
        return target
    return parse_url(url).request_uri


def _message(method: str, target: str, authority: str, headers: Headers, body: bytes | None) -> bytes:
    """A whole request, to be sent at once.

    :raises ValueError: a header does not fit into one line
    """
    lines = [f'{method} {target} HTTP/1.1', f'Host: {authority}', 'Accept-Encoding: identity']
    lines += [f'{name}: {value}' for name, value in headers]
    if body is not None:
        lines.append(f'Content-Length: {len(body)}')
    elif method not in _BODILESS:
        lines.append('Content-Length: 0')
    text = '\r\n'.join(lines)
    if text.count('\r') != len(lines) - 1 or text.count('\n') != len(lines) - 1:
        raise ValueError('a header holds a line break')
    return f'{text}\r\n\r\n'.encode('latin-1') + (body or b'')
