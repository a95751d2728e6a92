# SPDX-License-Identifier: Apache-2.0
"""Requests, responses and routes of the emulated services.

This is a small layer of its own and not a framework, because in benchmarks it serves thousands of
requests a second. The services interpret requests; ``transport`` and ``server`` receive them.
"""

import dataclasses
import functools
import json
import re
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any
from urllib import parse

try:
    import orjson
except ImportError:  # only slower
    orjson = None  # type: ignore[assignment]

Headers = list[tuple[str, str]]
JSON = [('Content-Type', 'application/json')]
BARE = ('Content-Type', 'text/html; charset=UTF-8')
REASONS = {status.value: status.phrase for status in HTTPStatus}


def dumps(value: Any) -> bytes:
    """Serialize a value to JSON."""
    if orjson is not None:
        return orjson.dumps(value)
    return json.dumps(value, separators=(',', ':')).encode()


def loads(body: bytes) -> Any:
    """Parse JSON.

    :raises ValueError: it is not JSON
    """
    return orjson.loads(body) if orjson is not None else json.loads(body)


class Request:
    """One request as a service sees it. ``headers`` has lower-case names."""

    __slots__ = (
        'method',
        'path',
        'query',
        'headers',
        'body',
        'base',
        'args',
        'user',
        'minor',
        'project_in_path',
        'request_id',
        '_params',
        'prefix',
    )

    def __init__(self, method: str, path: str, query: str, headers: dict[str, str], body: bytes, base: str) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.body = body
        self.base = base  # scheme and host the caller used
        self.args: dict[str, str] = {}
        self.user: Any = None
        self.minor = 0  # microversion, without its major part
        self.project_in_path = ''
        self.request_id = ''
        self.prefix = ''  # beginning of links: base, version and the project if the path has one
        self._params: list[tuple[str, str]] | None = None

    @property
    def params(self) -> list[tuple[str, str]]:
        """Query parameters in the order given."""
        if self._params is None:
            self._params = parse.parse_qsl(self.query, keep_blank_values=True)
        return self._params

    def first(self, name: str, default: str | None = None) -> str | None:
        """Return the first value of a query parameter."""
        return next((value for key, value in self.params if key == name), default)

    def last(self, name: str, default: str | None = None) -> str | None:
        """Return the last value of a query parameter, as webob's ``GET[name]`` does."""
        return next((value for key, value in reversed(self.params) if key == name), default)

    def every(self, name: str) -> list[str]:
        """Return all values of a query parameter."""
        return [value for key, value in self.params if key == name]

    def has(self, name: str) -> bool:
        """Whether the query has a parameter, even an empty one."""
        return any(key == name for key, _ in self.params)

    @classmethod
    def from_environ(cls, environ: Mapping[str, Any]) -> 'Request':
        """Build a request from a WSGI environment."""
        headers = {
            key[5:].replace('_', '-').lower(): value for key, value in environ.items() if key.startswith('HTTP_')
        }
        if environ.get('CONTENT_TYPE'):
            headers['content-type'] = environ['CONTENT_TYPE']
        length = int(environ.get('CONTENT_LENGTH') or 0)
        body = environ['wsgi.input'].read(length) if length else b''
        host = headers.get('host') or f'{environ["SERVER_NAME"]}:{environ["SERVER_PORT"]}'
        path = (environ.get('SCRIPT_NAME', '') + environ.get('PATH_INFO', '')) or '/'
        return cls(
            environ['REQUEST_METHOD'],
            path.encode('latin-1').decode('utf-8', 'replace'),
            environ.get('QUERY_STRING', ''),
            headers,
            body,
            f'{environ.get("wsgi.url_scheme", "http")}://{host}',
        )


class Response:
    """A complete answer."""

    __slots__ = ('status', 'headers', 'body')

    def __init__(self, status: int, headers: Headers, body: bytes = b'') -> None:
        self.status = status
        self.headers = headers
        self.body = body


def reply(value: Any, status: int = 200, headers: Iterable[tuple[str, str]] = ()) -> Response:
    """Answer with JSON."""
    return Response(status, [*JSON, *headers], dumps(value))


def empty(status: int = 204, headers: Iterable[tuple[str, str]] = ()) -> Response:
    """Answer without a body, but with the content type that Nova and Cinder set."""
    return Response(status, [*JSON, *headers])


def bare(status: int, headers: Iterable[tuple[str, str]] = (), body: bytes = b'') -> Response:
    """Answer with webob's default content type, as handlers of Nova and Cinder that build their own response."""
    return Response(status, [BARE, *headers], body)


class Refusal(Exception):
    """An error answer that a handler raises and its service renders."""

    def __init__(self, status: int, message: str, headers: Headers | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers or []


class NoRoute(Exception):
    """No route has this path, or none with this method."""


Handler = Callable[[Any, Request], Response]


@dataclasses.dataclass(frozen=True)
class Route:
    """One row of a service's table; ``since`` and ``until`` are minor microversions."""

    method: str
    path: str
    handler: Handler
    since: int = 0
    until: int = 1 << 30


class _Node:
    __slots__ = ('literal', 'name', 'wild', 'routes')

    def __init__(self) -> None:
        self.literal: dict[str, _Node] = {}
        self.name = ''
        self.wild: _Node | None = None
        self.routes: dict[str, list[tuple[Route, tuple[str, ...]]]] = {}


class Router:
    """Finds the row for a method and a path; literal segments win over names."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._root = _Node()
        for route in routes:
            node, names = self._root, []
            for segment in self._split(route.path):
                if segment.startswith('{'):
                    names.append(segment[1:-1])
                    node.wild = node.wild or _Node()
                    node = node.wild
                else:
                    node = node.literal.setdefault(segment, _Node())
            node.routes.setdefault(route.method, []).append((route, tuple(names)))

    @staticmethod
    def _split(path: str) -> list[str]:
        return path[1:].split('/') if path != '/' else ['']

    def match(self, method: str, path: str, minor: int) -> tuple[Route | None, dict[str, str]]:
        """Return the route and its arguments; the route is None if only the microversion does not fit.

        :raises NoRoute: no route has this path and method
        """
        found = self._walk(self._root, self._split(path), 0, [])
        if found is None or method not in found[0].routes:
            raise NoRoute(path)
        node, values = found
        for route, names in node.routes[method]:
            if route.since <= minor <= route.until:
                return route, dict(zip(names, values, strict=True))
        return None, {}

    def _walk(self, node: _Node, segments: list[str], at: int, values: list[str]) -> tuple[_Node, list[str]] | None:
        if at == len(segments):
            return (node, values) if node.routes else None
        segment = segments[at]
        child = node.literal.get(segment)
        if child is not None:
            found = self._walk(child, segments, at + 1, values)
            if found is not None:
                return found
        if node.wild is not None and segment:
            return self._walk(node.wild, segments, at + 1, [*values, parse.unquote(segment)])
        return None


@functools.cache
def router_of(routes: tuple[Route, ...]) -> Router:
    """Return the router of these routes, which the services of all pods share."""
    return Router(routes)


PROJECT = re.compile(r'^/([0-9a-f-]+)(/.*)?$')
