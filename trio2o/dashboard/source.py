# SPDX-License-Identifier: Apache-2.0
"""Asks the Admin API in this process, as a client with a token would."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from trio2o.web import json_body
from trio2o.web.call import parse_json
from trio2o.web.request_state import KEY, RequestState

Json = dict[str, Any]

_PREFIX = '/v1.0'

#: Variables of the browser's request that are copied into requests to the Admin API.
_KEPT = (
    'REMOTE_ADDR',
    'SERVER_NAME',
    'SERVER_PORT',
    'SERVER_PROTOCOL',
    'openstack.request_id',
    'wsgi.errors',
    'wsgi.multiprocess',
    'wsgi.multithread',
    'wsgi.run_once',
    'wsgi.url_scheme',
    'wsgi.version',
)


class NotSignedIn(Exception):
    """There is no token, or it is no longer valid."""


class Denied(Exception):
    """The policy does not let this user look."""


class NotThere(Exception):
    """There is no such thing."""


class ApiError(Exception):
    """Any other error, in the API's own words."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Source:
    """The Admin API as one user sees it.

    :ivar user: name of the user, after the first request; ``project`` likewise
    :ivar is_admin: whether the user has the role ``admin``, after the first request
    """

    def __init__(self, api: Callable[..., Any], environ: dict[str, Any], token: str) -> None:
        self._api = api
        self._environ = {name: environ[name] for name in _KEPT if name in environ}
        self._base_url = RequestState.of(environ).base_url
        self._token = token
        self.user = ''
        self.project = ''
        self.is_admin = False

    def get(self, path: str, **query: str) -> Json:
        """:raises NotSignedIn, Denied, NotThere, ApiError: the API answered with an error"""
        return self._ask('GET', path, query)

    def post(self, path: str) -> Json:
        """Send a request without a body. It raises what ``get`` does."""
        return self._ask('POST', path, {})

    def _ask(self, method: str, path: str, query: dict[str, str]) -> Json:
        if not self._token:
            raise NotSignedIn()
        environ = {
            **self._environ,
            'REQUEST_METHOD': method,
            'SCRIPT_NAME': '',
            'PATH_INFO': f'{_PREFIX}{path}',
            'QUERY_STRING': urlencode(query),
            'HTTP_ACCEPT': 'application/json',
            'HTTP_X_AUTH_TOKEN': self._token,
            'wsgi.input': io.BytesIO(),
            KEY: RequestState(base_url=self._base_url),
        }
        status: list[int] = []

        def start(line: str, headers: list[tuple[str, str]], *args: Any) -> None:
            status.append(int(line[:3]))

        body = b''.join(self._api(environ, start))
        self.user = environ.get('HTTP_X_USER_NAME') or self.user
        self.project = environ.get('HTTP_X_PROJECT_NAME') or self.project
        self.is_admin = 'admin' in environ.get('HTTP_X_ROLES', '').split(',')
        return _checked(status[0], parse_json(body))


def _checked(status: int, document: Any) -> Json:
    if status == 401:
        raise NotSignedIn()
    if status == 403:
        raise Denied(json_body.error_message(document))
    if status == 404:
        raise NotThere(json_body.error_message(document))
    if status >= 400 or not isinstance(document, dict):
        raise ApiError(status, json_body.error_message(document))
    return document


def next_marker(document: Json, collection: str) -> str:
    """Where the next page of a list begins; '' on the last one."""
    for link in document.get(f'{collection}_links', []):
        if link.get('rel') == 'next':
            return parse_qs(urlsplit(link['href']).query).get('marker', [''])[0]
    return ''
