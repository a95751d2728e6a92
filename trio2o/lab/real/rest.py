# SPDX-License-Identifier: Apache-2.0
"""A minimal OpenStack client to seed a lab: JSON over HTTP with a token."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any


class CallFailed(Exception):
    """A service answered with an error."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Client:
    """Calls services as one user of one project."""

    def __init__(self, auth_url: str, user: str, password: str, project: str) -> None:
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        self._headers: dict[str, str] = {}
        default = {'name': 'Default'}
        identity = {
            'methods': ['password'],
            'password': {'user': {'name': user, 'domain': default, 'password': password}},
        }
        scope = {'project': {'name': project, 'domain': default}}
        request = self._request('POST', f'{auth_url}/auth/tokens', {'auth': {'identity': identity, 'scope': scope}})
        with self._open(request) as response:
            self._headers['X-Auth-Token'] = response.headers['X-Subject-Token']

    def _request(self, method: str, url: str, body: Any) -> urllib.request.Request:
        content = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        kind = 'application/octet-stream' if isinstance(body, bytes) else 'application/json'
        headers = {**self._headers, 'Content-Type': kind}
        return urllib.request.Request(url, content, headers, method=method)

    def _open(self, request: urllib.request.Request) -> Any:
        try:
            return self._opener.open(request, timeout=60)
        except urllib.error.HTTPError as error:
            text = error.read().decode(errors='replace')
            raise CallFailed(
                error.code,
                f'{request.method} {request.full_url} answered {error.code}: {text[:500]}',
            ) from None

    def call(self, method: str, url: str, body: Any = None) -> Any:
        """Send a request and return the answer's JSON, or None."""
        with self._open(self._request(method, url, body)) as response:
            content = response.read()
        return json.loads(content) if content else None

    def ensure(self, url: str, noun: str, wanted: dict[str, Any], match: tuple[str, ...] = ('name',)) -> Any:
        """Return the object with the wanted values in ``match``; create it if there is none."""
        plural = url.rpartition('/')[2]
        for found in self.call('GET', url)[plural]:
            if all(found.get(name) == wanted[name] for name in match):
                return found
        return self.call('POST', url, {noun: wanted})[noun]
