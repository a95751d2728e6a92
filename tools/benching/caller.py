# SPDX-License-Identifier: Apache-2.0
"""Send an exact number of requests to a server: wrk can only send requests for whole seconds."""

from __future__ import annotations

import itertools
import selectors
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

from load import Case, Failed

_READ = 1 << 18
_ANSWER_SECONDS = 60


class Caller:
    """Sends the requests of one case to one server.

    :ivar connections: number of requests under way at a time
    :ivar failed: number of requests that had another status than 2xx
    """

    def __init__(
        self, url: str, case: Case, token: str | Iterable[str], connections: int, may_fail: bool = False
    ) -> None:
        """:param token: for all requests, or one for each"""
        parts = urlsplit(url)
        self._address = (parts.hostname or '', parts.port or 80)
        self.connections = connections
        self.failed = 0
        self._may_fail = may_fail
        self._name = f'{case.name} at {url}'
        body = case.body.encode()
        head = (
            f'{case.method} {parts.path}%s HTTP/1.1\r\nHost: {parts.netloc}\r\nX-Auth-Token: %s\r\n'
            'Accept: application/json\r\n'
            + (f'Content-Type: application/json\r\nContent-Length: {len(body)}\r\n' if body else '')
            + '\r\n'
        )
        paths = itertools.cycle(case.paths)
        tokens = itertools.repeat(token) if isinstance(token, str) else token
        # As the time of this process does not count, each request is made anew.
        self._requests = ((head % pair).encode() + body for pair in zip(paths, tokens, strict=False))

    def call(self, count: int) -> None:
        """Send ``count`` requests over new connections, and wait for all answers.

        :raises Failed: an answer has another status than 2xx and none may fail, or none came
        """
        left = count
        with selectors.DefaultSelector() as selector:
            for _number in range(min(self.connections, count)):
                self._open(selector)
                left -= 1
            while selector.get_map():
                ready = selector.select(_ANSWER_SECONDS)
                if not ready:
                    raise Failed(f'{self._name}: no answer')
                for key, _events in ready:
                    connection = key.fileobj
                    assert isinstance(connection, socket.socket)
                    is_kept = self._read(connection, key.data)
                    if is_kept is None:
                        continue
                    key.data.clear()
                    if left and is_kept:
                        connection.sendall(next(self._requests))
                        left -= 1
                        continue
                    selector.unregister(connection)
                    connection.close()
                    if left:
                        self._open(selector)
                        left -= 1

    def _open(self, selector: selectors.BaseSelector) -> None:
        """Send the next request over a new connection."""
        connection = socket.create_connection(self._address, _ANSWER_SECONDS)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(connection, selectors.EVENT_READ, bytearray())
        connection.sendall(next(self._requests))

    def _read(self, connection: socket.socket, received: bytearray) -> bool | None:
        """Read what has arrived, and check the answer if it is complete.

        :returns: whether the server keeps the connection open; None while the answer is incomplete
        """
        some = connection.recv(_READ)
        if not some:
            raise Failed(f'{self._name}: the connection was closed before the answer')
        received += some
        head, blank, body = received.partition(b'\r\n\r\n')
        if not blank:
            return None
        first, *lines = head.lower().split(b'\r\n')
        is_failed = not first.split(b' ', 2)[1].startswith(b'2')
        if is_failed and not self._may_fail:
            raise Failed(f'{self._name}: {bytes(received[:500])!r}')
        length = next((line.partition(b':')[2] for line in lines if line.startswith(b'content-length:')), None)
        if length is None:
            raise Failed(f'{self._name}: an answer without Content-Length')
        if len(body) < int(length):
            return None
        self.failed += is_failed
        return b'connection: close' not in lines
