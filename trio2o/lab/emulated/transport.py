# SPDX-License-Identifier: Apache-2.0
"""Calls to emulated clouds without a socket: directly, or as an adapter for ``requests``.

A fault raises the exception that a socket would raise. Nothing waits, unless ``real_time`` is set: a
delay above the caller's timeout raises the timeout at once, a shorter one returns the answer at once.
"""

import io
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib import parse

import requests
import urllib3

from trio2o.lab.emulated import faults, wire
from trio2o.lab.emulated.service import Service

Answer = tuple[int, wire.Headers, bytes]


class ConnectTimeoutError(ConnectionRefusedError):
    """The connection was not established in time, so nothing was sent."""


class CutShortError(ConnectionResetError):
    """The connection ended within the body; ``status``, ``headers`` and ``part`` have arrived."""

    def __init__(self, status: int, headers: wire.Headers, part: bytes, promised: int) -> None:
        super().__init__(f'body ended after {len(part)} of {promised} bytes')
        self.status = status
        self.headers = headers
        self.part = part


class WSGITransport:
    """Sends requests to applications by network location (``host:port``).

    An application is an emulated service or any other WSGI application, such as the gateway.
    """

    def __init__(
        self,
        apps: Mapping[str, Any] | None = None,
        real_time: bool = False,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.apps: dict[str, Any] = dict(apps or {})
        self.real_time = real_time
        self.sleep = sleep

    def request(
        self,
        method: str,
        url: str,
        headers: Iterable[tuple[str, str]] | Mapping[str, str] = (),
        body: bytes | None = None,
        timeout: float | None = None,
    ) -> Answer:
        """Send one request.

        :param timeout: seconds; none at all is an error, as in urllib3
        :raises ConnectionRefusedError: no application has that location, or a fault refuses the connection
        :raises ConnectTimeoutError: nothing was sent in time
        :raises TimeoutError: no answer in time; the request may have been processed
        :raises ConnectionResetError: the connection was reset; a ``CutShortError`` if a part of an answer arrived
        """
        if timeout is not None and timeout <= 0:
            raise ValueError(f'attempted to set the timeout to {timeout}, but it cannot be 0 or less')
        parts = parse.urlsplit(url)
        app = self.apps.get(parts.netloc)
        if app is None:
            raise ConnectionRefusedError(f'nothing listens at {parts.netloc}')
        pairs = list(headers.items()) if isinstance(headers, Mapping) else list(headers)
        if not isinstance(app, Service):
            return _call_wsgi(app, method, parts, pairs, body or b'')
        fields = {name.lower(): value for name, value in pairs}
        fields.setdefault('host', parts.netloc)
        response, delivery = app.exchange(
            wire.Request(
                method,
                parse.unquote(parts.path) or '/',
                parts.query,
                fields,
                body or b'',
                f'{parts.scheme}://{fields["host"]}',
            )
        )
        if delivery is not faults.PLAIN:
            self._deliver(delivery, response, timeout, parts.netloc)
        sent = b'' if method == 'HEAD' else response.body
        return response.status, [*response.headers, ('Content-Length', str(len(sent)))], sent

    def _deliver(self, delivery: faults.Delivery, response: wire.Response, timeout: float | None, where: str) -> None:
        if delivery.refused:
            raise ConnectionRefusedError(f'nothing listens at {where}')
        if delivery.blackholed:
            self._spend(timeout)
            raise ConnectTimeoutError(f'no connection to {where}')
        if delivery.hung or (timeout is not None and delivery.delay > timeout):
            self._spend(timeout)
            raise TimeoutError(f'no answer from {where}')
        self._spend(delivery.delay)
        if delivery.dropped:
            raise ConnectionResetError(f'{where} closed the connection')
        if delivery.cut_at is not None:
            raise CutShortError(
                response.status, response.headers, response.body[: delivery.cut_at], len(response.body)
            )

    def _spend(self, seconds: float | None) -> None:
        if self.real_time and seconds:
            self.sleep(seconds)


def _call_wsgi(app: Any, method: str, parts: parse.SplitResult, headers: list[tuple[str, str]], body: bytes) -> Answer:
    host, _, port = parts.netloc.partition(':')
    # Servers take what follows a '#', which clients do not send, as a part of the query.
    query = f'{parts.query}#{parts.fragment}' if parts.fragment else parts.query
    environ: dict[str, Any] = {
        'REQUEST_METHOD': method,
        'SCRIPT_NAME': '',
        'QUERY_STRING': query,
        'PATH_INFO': parse.unquote(parts.path).encode().decode('latin-1') or '/',
        'SERVER_NAME': host,
        'SERVER_PORT': port or '80',
        'SERVER_PROTOCOL': 'HTTP/1.1',
        'REMOTE_ADDR': '127.0.0.1',
        'HTTP_HOST': parts.netloc,
        'CONTENT_LENGTH': str(len(body)),
        'wsgi.version': (1, 0),
        'wsgi.url_scheme': parts.scheme,
        'wsgi.input': io.BytesIO(body),
        'wsgi.errors': io.StringIO(),
        'wsgi.multithread': True,
        'wsgi.multiprocess': False,
        'wsgi.run_once': False,
    }
    for name, value in headers:
        key = name.upper().replace('-', '_')
        if key == 'CONTENT_TYPE':
            environ[key] = value
        elif key != 'CONTENT_LENGTH':
            environ['HTTP_' + key] = value
    started: list[Any] = []

    def start_response(status: str, fields: wire.Headers, exc_info: Any = None) -> Callable:
        started[:] = [int(status.split()[0]), fields]
        return lambda data: None

    result = app(environ, start_response)
    try:
        payload = b''.join(result)
    finally:
        close = getattr(result, 'close', None)
        if close:
            close()
    return started[0], started[1], payload


class WSGIAdapter(requests.adapters.BaseAdapter):
    """A WSGITransport for ``requests``: ``keystoneauth1.session.Session.mount('http://', adapter)``."""

    def __init__(self, transport: WSGITransport) -> None:
        super().__init__()
        self.transport = transport

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Any = None,
    ) -> requests.Response:
        """Send a prepared request; errors are those of ``requests``."""
        wait = timeout[1] if isinstance(timeout, tuple) else timeout
        body = request.body.encode() if isinstance(request.body, str) else request.body
        try:
            status, headers, payload = self.transport.request(
                request.method or 'GET',
                request.url or '',
                list(request.headers.items()),
                body,
                getattr(wait, 'read_timeout', wait),
            )
        except ConnectTimeoutError as error:
            raise requests.exceptions.ConnectTimeout(error, request=request) from error
        except TimeoutError as error:
            raise requests.exceptions.ReadTimeout(error, request=request) from error
        except CutShortError as error:
            raise requests.exceptions.ChunkedEncodingError(error, request=request) from error
        except OSError as error:
            raise requests.exceptions.ConnectionError(error, request=request) from error
        return self._build(request, status, headers, payload)

    def _build(
        self, request: requests.PreparedRequest, status: int, headers: wire.Headers, payload: bytes
    ) -> requests.Response:
        response = requests.Response()
        response.status_code = status
        fields = urllib3.HTTPHeaderDict(headers)
        response.headers = requests.structures.CaseInsensitiveDict(fields)
        response.encoding = requests.utils.get_encoding_from_headers(response.headers)
        response.raw = urllib3.HTTPResponse(
            io.BytesIO(payload),
            headers=fields,
            status=status,
            preload_content=False,
            reason=wire.REASONS.get(status),
            request_method=request.method,
        )
        response.reason = wire.REASONS.get(status)
        response.url = request.url or ''
        response.request = request
        response.connection = self  # type: ignore[attr-defined]
        return response

    def close(self) -> None:
        """Do nothing: there is no socket to close."""
