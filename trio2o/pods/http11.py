# SPDX-License-Identifier: Apache-2.0
"""One connection to a pod: HTTP/1.1 as a client, a request and its answer at a time.

No more of it than the APIs of OpenStack and the proxies before them need. Redirects, compression and cookies
belong to the tenant's client, not to a gateway.
"""

from __future__ import annotations

import socket
import ssl

from trio2o.concurrency import Deadline

Headers = list[tuple[str, str]]

MAX_HEAD = 131072
_RECEIVE = 65536
_BODILESS = frozenset({204, 304})


class Connection:
    """A connected socket, and whether it may be used again."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._buffer = bytearray()
        self.may_be_kept = False

    def is_open(self) -> bool:
        """Whether the server has neither closed an idle connection nor said something unasked."""
        try:
            self._sock.setblocking(False)
            self._sock.recv(1)
        except (BlockingIOError, ssl.SSLWantReadError):
            # Both ways by this method: eventlet's TLS sockets do not take a timeout of 0 for the same.
            self._sock.setblocking(True)
            return True
        except OSError:
            return False
        return False

    def close(self) -> None:
        self._sock.close()

    def exchange(self, message: bytes, method: str, deadline: Deadline) -> tuple[int, Headers, bytes]:
        """Send a request and read the whole answer.

        :raises TimeoutError: the deadline passed
        :raises ConnectionResetError: no complete answer, or one that is not HTTP
        """
        self.may_be_kept = False
        try:
            self._sock.settimeout(_left(deadline))
            self._sock.sendall(message)
            status = 100
            while 100 <= status < 200:
                version, status, headers = self._head(deadline)
            body = self._body(method, version, status, headers, deadline)
        except TimeoutError as error:
            raise TimeoutError(type(error).__name__) from None
        except (OSError, ValueError) as error:
            raise ConnectionResetError(str(error) or type(error).__name__) from None
        return status, headers, body

    def _head(self, deadline: Deadline) -> tuple[str, int, Headers]:
        """:raises ValueError: it is not HTTP"""
        end = self._buffer.find(b'\r\n\r\n')
        while end < 0:
            start = max(0, len(self._buffer) - 3)
            self._more(deadline)
            end = self._buffer.find(b'\r\n\r\n', start)
            if end < 0 and len(self._buffer) > MAX_HEAD:
                raise ValueError('the head of the answer is too long')
        lines = self._buffer[:end].decode('latin-1').split('\r\n')
        del self._buffer[: end + 4]
        version, _space, rest = lines[0].partition(' ')
        if not version.startswith('HTTP/1.') or not rest[:3].isdecimal():
            raise ValueError('the answer is not HTTP/1')
        headers: Headers = []
        for line in lines[1:]:
            name, colon, value = line.partition(':')
            if line[:1] in (' ', '\t') and headers:
                headers[-1] = (headers[-1][0], f'{headers[-1][1]} {line.strip()}')
            elif colon:
                headers.append((name, value.strip()))
        return version, int(rest[:3]), headers

    def _body(self, method: str, version: str, status: int, headers: Headers, deadline: Deadline) -> bytes:
        """Read what follows the head, and see whether another answer may follow that."""
        fields = {name.lower(): value for name, value in headers}
        options = fields.get('connection', '').lower()
        stays = 'close' not in options if version == 'HTTP/1.1' else 'keep-alive' in options
        if method == 'HEAD' or status in _BODILESS:
            body = b''
        elif fields.get('transfer-encoding', '').lower().endswith('chunked'):
            body = self._chunks(deadline)
        elif 'content-length' in fields:
            body = self._exactly(int(fields['content-length']), deadline)
        else:
            stays = False
            body = self._rest(deadline)
        self.may_be_kept = stays and not self._buffer
        return body

    def _chunks(self, deadline: Deadline) -> bytes:
        parts = []
        while True:
            size = int(self._line(deadline).partition(b';')[0].strip(), 16)
            if size == 0:
                break
            parts.append(self._exactly(size, deadline))
            if self._line(deadline):
                raise ValueError('a chunk is longer than it says')
        while self._line(deadline):
            pass  # trailers
        return b''.join(parts)

    def _line(self, deadline: Deadline) -> bytes:
        end = self._buffer.find(b'\r\n')
        while end < 0:
            if len(self._buffer) > MAX_HEAD:
                raise ValueError('a line of the answer is too long')
            self._more(deadline)
            end = self._buffer.find(b'\r\n')
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line

    def _exactly(self, length: int, deadline: Deadline) -> bytes:
        if length < 0:
            raise ValueError('a length is negative')
        have = len(self._buffer)
        if have >= length:
            body = bytes(self._buffer[:length])
            del self._buffer[:length]
            return body
        parts = [bytes(self._buffer)]
        self._buffer.clear()
        while have < length:
            self._sock.settimeout(_left(deadline))
            part = self._sock.recv(min(length - have, _RECEIVE))
            if not part:
                raise ConnectionResetError(f'the answer ended {length - have} bytes early')
            parts.append(part)
            have += len(part)
        return b''.join(parts)

    def _rest(self, deadline: Deadline) -> bytes:
        parts = [bytes(self._buffer)]
        self._buffer.clear()
        while True:
            self._sock.settimeout(_left(deadline))
            part = self._sock.recv(_RECEIVE)
            if not part:
                return b''.join(parts)
            parts.append(part)

    def _more(self, deadline: Deadline) -> None:
        self._sock.settimeout(_left(deadline))
        part = self._sock.recv(_RECEIVE)
        if not part:
            raise ConnectionResetError('the connection was closed before the answer')
        self._buffer += part


def _left(deadline: Deadline) -> float:
    """:raises TimeoutError: the deadline is over"""
    seconds = deadline.remaining()
    if seconds <= 0:
        raise TimeoutError('no time left')
    return seconds
