# SPDX-License-Identifier: Apache-2.0
"""``Call`` and ``Answer``: the parameter and the result of a handler, without pecan and webob."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from http.client import responses
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote_to_bytes

import orjson

from trio2o.web.lookups import Lookups
from trio2o.web.microversion import response_headers

if TYPE_CHECKING:
    from trio2o.context import RequestContext
    from trio2o.pods.registry import Snapshot
    from trio2o.runtime import Runtime
    from trio2o.web.microversion import Version
    from trio2o.web.operations import Operation
    from trio2o.web.service import Service

JSON = ('Content-Type', 'application/json')


@dataclass(frozen=True)
class Call:
    """One request for one operation.

    :ivar path: path of the URL after the prefix
    :ivar prefix: the beginning of the path: the version, and the project id if the client sent one. Links in the
        answer get the same prefix
    :ivar base_url: scheme, authority and path prefix under which the client reaches this service
    :ivar headers: request headers by lower-case name
    :ivar version: negotiated microversion; None if the service, or the prefix, has none
    :ivar params: ids in the path, by the names in braces in the operation's path
    :ivar lookups: bounds on what pods are asked before the request itself is sent; shared with copies of the call
    """

    service: Service
    operation: Operation
    context: RequestContext
    method: str
    path: str
    prefix: str
    base_url: str
    query_string: str
    headers: dict[str, str]
    body: bytes
    version: Version | None
    params: dict[str, str]
    runtime: Runtime = field(repr=False, compare=False)
    lookups: Lookups = field(default_factory=Lookups, repr=False, compare=False)

    @cached_property
    def query(self) -> list[tuple[str, str]]:
        """Query parameters in order, with empty values kept."""
        return parse_qsl(self.query_string, keep_blank_values=True)

    @cached_property
    def snapshot(self) -> Snapshot:
        """The pods as this call first saw them.

        A list needs one view of all pods: which ids in them are those that tenants know, and which are hidden. With
        another view for its end, it would miss what has moved meanwhile, or have it twice.
        """
        return self.runtime.registry.snapshot()

    @property
    def has_readable_query(self) -> bool:
        """False if the query string is not valid UTF-8; ``query`` is then unreliable."""
        try:
            unquote_to_bytes(self.query_string).decode()
        except UnicodeDecodeError:
            return False
        return True

    @cached_property
    def json(self) -> Any:
        """The parsed body; None if it is empty or not JSON. A pod will refuse that.

        The parser is that of Nova and Cinder, so that a body which is passed on does not change: NaN, large integers.
        """
        try:
            return json.loads(self.body.decode()) if self.body else None
        except (ValueError, RecursionError):
            return None

    @property
    def media_type(self) -> str:
        """The media type of the body, in lower case; empty without a Content-Type."""
        return self.headers.get('content-type', '').partition(';')[0].strip().lower()

    @property
    def id(self) -> str:
        """The first id in the path."""
        return next(iter(self.params.values()), '')

    @property
    def version_headers(self) -> list[tuple[str, str]]:
        """The headers that name the microversion in an answer; none if the call has no microversion."""
        return [] if self.version is None else response_headers(self.service, self.version)

    def with_body(self, document: Any) -> Call:
        """Return the same call with another JSON body."""
        return replace(self, body=json.dumps(document).encode())


@dataclass(frozen=True)
class Answer:
    """Status, headers and body of an answer. Headers are a list, as some occur twice (Vary)."""

    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b''

    @classmethod
    def of(cls, document: Any, status: int = 200, headers: list[tuple[str, str]] | None = None) -> Answer:
        """Make an answer with a JSON document."""
        return cls(status, [JSON, *(headers or [])], dump_json(document))

    @property
    def status_line(self) -> str:
        return f'{self.status} {responses.get(self.status, "Unknown")}'

    @property
    def headers_to_send(self) -> list[tuple[str, str]]:
        """The headers with the length of the body, which an answer 204 without a body does not have."""
        headers = [(name, value) for name, value in self.headers if name.lower() != 'content-length']
        if self.status != 204 or self.body:
            headers.append(('Content-Length', str(len(self.body))))
        return headers

    def body_to_send(self, environ: dict[str, Any]) -> list[bytes]:
        """The body in the form of WSGI; a HEAD request gets none."""
        return [] if environ['REQUEST_METHOD'] == 'HEAD' else [self.body]

    def send(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        """Answer a WSGI request."""
        start_response(self.status_line, self.headers_to_send)
        return self.body_to_send(environ)

    @property
    def is_ok(self) -> bool:
        return 200 <= self.status < 300

    @cached_property
    def json(self) -> Any:
        """The parsed body; None if it is empty or not JSON."""
        return parse_json(self.body)

    def header(self, name: str) -> str | None:
        """Return the first value of a header, or None."""
        name = name.lower()
        return next((value for key, value in self.headers if key.lower() == name), None)


def parse_json(body: bytes) -> Any:
    """Parse a body; None if it is empty or not JSON."""
    if not body:
        return None
    try:
        return orjson.loads(body)
    except ValueError:
        pass
    try:
        # Nova and Cinder use the standard library, which accepts more: NaN, huge integers, lone surrogates.
        return json.loads(body.decode())
    except (ValueError, RecursionError):
        return None


def dump_json(document: Any) -> bytes:
    """Serialize a document, including those that only ``parse_json`` accepts."""
    try:
        return orjson.dumps(document)
    except TypeError:
        return json.dumps(document).encode()
