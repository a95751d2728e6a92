# SPDX-License-Identifier: Apache-2.0
"""keystonemiddleware, with what it found about a token kept as WSGI headers for as long as it would itself.

Working out the headers of a cached token costs keystonemiddleware half a millisecond each time; here it is one
dictionary look-up. Nothing is kept longer than ``[keystone_authtoken] token_cache_time`` or than the token lives.
"""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from keystonemiddleware import auth_token
from keystonemiddleware.auth_token import _request
from oslo_config import cfg
from oslo_utils import timeutils

MAX_TOKENS = 10000

_PREFIX = 'HTTP_'
#: Everything keystonemiddleware may set; what a client sends under these names is never believed.
_IDENTITY_KEYS = frozenset(
    _PREFIX + name.upper().replace('-', '_')
    for name in [
        *_request._AuthTokenRequest({'REQUEST_METHOD': 'GET'})._all_auth_headers(),
        _request._AuthTokenRequest._SYSTEM_SCOPE_HEADER,
    ]
)
#: The catalog is large and nothing here reads it.
_KEPT_KEYS = _IDENTITY_KEYS - {'HTTP_X_SERVICE_CATALOG'}


class AuthToken:
    """WSGI middleware: 401 without a valid token, identity headers with one."""

    def __init__(self, app: Callable[..., Any], conf: cfg.ConfigOpts, http_adapter: Any = None) -> None:
        """:param http_adapter: a ``requests`` adapter that stands in for the network towards Keystone"""
        self._app = app
        self._middleware = auth_token.AuthProtocol(self._validated, {'oslo_config_config': conf})
        if http_adapter is not None:
            for scheme in ('http://', 'https://'):
                self._middleware._session.mount(scheme, http_adapter)
        self._cache_seconds = conf.keystone_authtoken.token_cache_time
        self._known: OrderedDict[bytes, tuple[float, dict[str, str]]] = OrderedDict()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        key = _key(environ)
        if key is not None:
            known = self._known.get(key)
            if known is not None:
                if known[0] > time.monotonic():
                    for name in _IDENTITY_KEYS:
                        environ.pop(name, None)
                    environ.update(known[1])
                    return self._app(environ, start_response)
                self._known.pop(key, None)
        environ['trio2o.token_key'] = key
        return self._middleware(environ, start_response)

    def _validated(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        """Called by keystonemiddleware once a token is good."""
        key = environ.pop('trio2o.token_key', None)
        seconds = self._lifetime(environ)
        if key is not None and seconds > 0:
            headers = {name: environ[name] for name in _KEPT_KEYS if isinstance(environ.get(name), str)}
            self._known[key] = (time.monotonic() + seconds, headers)
            while len(self._known) > MAX_TOKENS:
                self._known.popitem(last=False)
        return self._app(environ, start_response)

    def _lifetime(self, environ: dict[str, Any]) -> float:
        """Seconds the headers may be kept; 0 for tokens that are checked against each request."""
        seconds = float(self._cache_seconds)
        token = (environ.get('keystone.token_info') or {}).get('token', {})
        if (token.get('application_credential') or {}).get('access_rules') is not None or token.get('bind'):
            return 0.0
        auth = environ.get('keystone.token_auth')
        for access in (getattr(auth, 'user', None), getattr(auth, 'service', None)):
            if access is None:
                continue
            left = (timeutils.normalize_time(access.expires) - timeutils.utcnow()).total_seconds()
            # A user's expired token passes with a service token; that is not to be remembered.
            seconds = min(seconds, left)
        return seconds


def _key(environ: dict[str, Any]) -> bytes | None:
    token = environ.get('HTTP_X_AUTH_TOKEN')
    if not token:
        return None
    service_token = environ.get('HTTP_X_SERVICE_TOKEN', '')
    return hashlib.sha256(f'{token}\0{service_token}'.encode()).digest()
