# SPDX-License-Identifier: Apache-2.0
"""As much of an HTTP/1.1 server as an emulated service needs, on asyncio, with faults on the wire.

Answers in one write with TCP_NODELAY, keeps connections open, and can slow down, reset or cut
short any answer without a thread a connection: a bench with many connections measures the gateway,
not this.
"""

import asyncio
import socket
import struct
from typing import Any
from urllib import parse

from trio2o.lab.emulated import faults, wire
from trio2o.lab.emulated.service import Service

_RESET = struct.pack('ii', 1, 0)
_STATUS = {status: f'HTTP/1.1 {status} {reason}\r\n' for status, reason in wire.REASONS.items()}


class Connection(asyncio.Protocol):
    """One client's connection to one service."""

    def __init__(self, service: Service, open_connections: set['Connection']) -> None:
        self.service = service
        self.open = open_connections
        self.buffer = bytearray()
        self.busy = False
        self.asked_to_continue = False
        self.transport: Any = None

    # -- asyncio's side --

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.open.add(self)
        sock = transport.get_extra_info('socket')
        if sock is not None:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def connection_lost(self, exc: Exception | None) -> None:
        self.open.discard(self)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if not self.busy:
            self._serve()

    # -- one request after another --

    def _serve(self) -> None:
        while not self.busy and not self.transport.is_closing():
            end = self.buffer.find(b'\r\n\r\n')
            if end < 0:
                return
            lines = self.buffer[:end].decode('latin-1').split('\r\n')
            headers = {}
            for line in lines[1:]:
                name, _, value = line.partition(':')
                headers[name.lower()] = value.strip()
            body = self._body(headers, end + 4)
            if body is None:
                return
            self.asked_to_continue = False
            self._exchange(lines[0], headers, body)

    def _body(self, headers: dict[str, str], start: int) -> bytes | None:
        """The body, taken off the buffer with the head; None while it is incomplete."""
        if headers.get('expect', '').lower() == '100-continue' and not self.asked_to_continue:
            self.asked_to_continue = True
            self.transport.write(b'HTTP/1.1 100 Continue\r\n\r\n')
        if headers.get('transfer-encoding', '').lower() == 'chunked':
            return self._chunks(start)
        length = int(headers.get('content-length') or 0)
        if len(self.buffer) < start + length:
            return None
        body = bytes(self.buffer[start : start + length])
        del self.buffer[: start + length]
        return body

    def _chunks(self, at: int) -> bytes | None:
        parts = []
        while True:
            end = self.buffer.find(b'\r\n', at)
            if end < 0:
                return None
            size = int(self.buffer[at:end].split(b';')[0], 16)
            if len(self.buffer) < end + 2 + size + 2:
                return None
            parts.append(bytes(self.buffer[end + 2 : end + 2 + size]))
            at = end + 2 + size + 2
            if size == 0:
                del self.buffer[:at]
                return b''.join(parts)

    def _exchange(self, line: str, headers: dict[str, str], body: bytes) -> None:
        method, target, protocol = line.split(' ', 2)
        if not target.startswith('/'):
            target = parse.urlsplit(target)._replace(scheme='', netloc='').geturl()
        path, _, query = target.partition('?')
        if '%' in path:
            path = parse.unquote(path)
        response, manner = self.service.exchange(
            wire.Request(method, path, query, headers, body, 'http://' + headers.get('host', 'localhost'))
        )
        keep = headers.get('connection', '').lower() != 'close' and protocol == 'HTTP/1.1'
        if manner is faults.PLAIN:
            self._send(method, response, keep)
        else:
            self._suffer(method, response, keep, manner)

    def _head(self, response: wire.Response, keep: bool) -> bytes:
        parts = [_STATUS.get(response.status) or f'HTTP/1.1 {response.status} Unknown\r\n']
        parts += [f'{name}: {value}\r\n' for name, value in response.headers]
        parts.append(f'Content-Length: {len(response.body)}\r\n')
        parts.append('\r\n' if keep else 'Connection: close\r\n\r\n')
        return ''.join(parts).encode('latin-1')

    def _send(self, method: str, response: wire.Response, keep: bool) -> None:
        if self.transport.is_closing():
            return
        body = b'' if method == 'HEAD' else response.body
        self.transport.write(self._head(response, keep) + body)
        if not keep:
            self.transport.close()

    # -- faults --

    def _suffer(self, method: str, response: wire.Response, keep: bool, manner: faults.Manner) -> None:
        if manner.hung or manner.blackholed:
            self.busy = True  # for ever: the client's own deadline ends it
            return
        if manner.delay:
            self.busy = True
            asyncio.get_running_loop().call_later(manner.delay, self._late, method, response, keep, manner)
            return
        self._end(method, response, keep, manner)

    def _late(self, method: str, response: wire.Response, keep: bool, manner: faults.Manner) -> None:
        self.busy = False
        if self.transport.is_closing():
            return
        self._end(method, response, keep, manner)
        self._serve()

    def _end(self, method: str, response: wire.Response, keep: bool, manner: faults.Manner) -> None:
        if manner.refused or manner.dropped:
            self.reset()
        elif manner.cut_at is not None:
            self.transport.write(self._head(response, keep) + response.body[: manner.cut_at])
            if manner.reset:
                self.busy = True
                asyncio.get_running_loop().call_later(0.05, self.reset)
            else:
                self.transport.close()
        else:
            self._send(method, response, keep)

    def reset(self) -> None:
        """End the connection with RST."""
        sock = self.transport.get_extra_info('socket')
        if sock is not None and not self.transport.is_closing():
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.transport.abort()
