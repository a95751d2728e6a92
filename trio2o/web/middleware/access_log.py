# SPDX-License-Identifier: Apache-2.0
"""Access log: one line for each request. The user is not in it, but in other lines with the same request id.

If a pod answered, the line also has the pod's request id, which is the one that the client sees.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, unquote

LOG = logging.getLogger(__name__)

#: Words in the names of query parameters whose values are secret.
_SECRET_WORDS = ('token', 'password', 'secret', 'signature', 'key_data')
#: The segment of a path after this one is a token.
_BEFORE_TOKEN = 'os-console-auth-tokens'
_MASK = '***'
#: Most characters of a path, and of a query, in a line.
_MAX_SHOWN = 1024
_ONE_WORD = re.compile(r'[^\w.:-]')
_SAFE = "/:@!$&'()*+,;=~-._"


class AccessLog:
    """WSGI middleware: logs method, path, status, length, seconds and request ids of each request at INFO.

    Requests for ``/healthcheck`` that are answered with 200 are logged at DEBUG: load balancers send one each second.
    """

    def __init__(self, app: Callable[..., Any]) -> None:
        self._app = app

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        if not LOG.isEnabledFor(logging.INFO):
            return self._app(environ, start_response)
        started = time.monotonic()
        method = environ.get('REQUEST_METHOD', '-')
        path = path_of(environ)
        head: list[str] = ['-', '-', '']

        def note(status: str, headers: list[tuple[str, str]], *args: Any) -> Any:
            head[0] = status.split(' ', 1)[0]
            named = {name.lower(): value for name, value in headers}
            head[1] = named.get('content-length', '-')
            head[2] = named.get('x-openstack-request-id', '')
            return start_response(status, headers, *args)

        result = self._app(environ, note)
        own = environ.get('openstack.request_id', '-')
        is_healthy = path == '/healthcheck' and head[0] == '200'
        LOG.log(
            logging.DEBUG if is_healthy else logging.INFO,
            '%s "%s %s" status: %s len: %s time: %.4f %s%s',
            environ.get('REMOTE_ADDR', '-'),
            method,
            path,
            head[0],
            head[1],
            time.monotonic() - started,
            own,
            f' pod: {_ONE_WORD.sub("", head[2])[:64]}' if head[2] not in ('', own) else '',
        )
        return result


def path_of(environ: dict[str, Any]) -> str:
    """Return path and query for a log: quoted, so that they are one line, without secrets, and shortened.

    Clients get here without a token, so the time has to be linear in the length.
    """
    path = _masked_path(environ.get('SCRIPT_NAME', '') + environ.get('PATH_INFO', ''))
    path = _shortened(quote(path, safe=_SAFE, encoding='latin-1'))
    query = environ.get('QUERY_STRING')
    if not query:
        return path
    shown = '&'.join(_masked(parameter) for parameter in query.split('&'))
    return f'{path}?{_shortened(quote(shown, safe=_SAFE + "%?*"))}'


def _masked(parameter: str) -> str:
    name, equals, _value = parameter.partition('=')
    words = unquote(name).lower()
    return f'{name}={_MASK}' if equals and any(word in words for word in _SECRET_WORDS) else parameter


def _masked_path(path: str) -> str:
    head, segment, rest = path.partition(f'/{_BEFORE_TOKEN}/')
    return f'{head}{segment}{_MASK}' if rest else path


def _shortened(text: str) -> str:
    return text if len(text) <= _MAX_SHOWN else f'{text[:_MAX_SHOWN]}...'
