# SPDX-License-Identifier: Apache-2.0
"""An HTTP/1.1 server for the emulated services, on asyncio, that can delay, reset or cut answers.

It answers in one write with TCP_NODELAY, keeps connections open and has no thread for each
connection, so that a benchmark with many connections measures the gateway and not this server.
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

    # -- called by asyncio --

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

    # -- requests, one after another --

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
        """Take head and body from the buffer and return the body; None while it is incomplete."""
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
        response, delivery = self.service.exchange(
            wire.Request(method, path, query, headers, body, 'http://' + headers.get('host', 'localhost'))
        )
        keep = headers.get('connection', '').lower() != 'close' and protocol == 'HTTP/1.1'
        if delivery is faults.PLAIN:
            self._send(method, response, keep)
        else:
            self._deliver(method, response, keep, delivery)

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

    def _deliver(self, method: str, response: wire.Response, keep: bool, delivery: faults.Delivery) -> None:
        if delivery.hung or delivery.blackholed:
            self.busy = True  # until the client gives up
            return
        if delivery.delay:
            self.busy = True
            asyncio.get_running_loop().call_later(delivery.delay, self._late, method, response, keep, delivery)
            return
        self._end(method, response, keep, delivery)

    def _late(self, method: str, response: wire.Response, keep: bool, delivery: faults.Delivery) -> None:
        self.busy = False
        if self.transport.is_closing():
            return
        self._end(method, response, keep, delivery)
        self._serve()

    def _end(self, method: str, response: wire.Response, keep: bool, delivery: faults.Delivery) -> None:
        if delivery.refused or delivery.dropped:
            self.reset()
        elif delivery.cut_at is not None:
            self.transport.write(self._head(response, keep) + response.body[: delivery.cut_at])
            if delivery.reset:
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
