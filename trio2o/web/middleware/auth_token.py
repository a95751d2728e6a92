# SPDX-License-Identifier: Apache-2.0
"""Validate tokens with keystonemiddleware, and cache the identity headers that it makes from them.

keystonemiddleware needs half a millisecond for the headers of a token it has cached; a look-up here takes a
microsecond. Headers are cached no longer than ``[keystone_authtoken] token_cache_time`` and than the token lives.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cachetools import TLRUCache
from keystonemiddleware import auth_token
from oslo_config import cfg
from oslo_utils import timeutils

from trio2o import compat
from trio2o.context import has_access_rules

if TYPE_CHECKING:
    from trio2o.web.service import Service

MAX_TOKENS = 10000

#: Keys in a WSGI environ that keystonemiddleware may set; what a client sends under these names is removed.
_IDENTITY_KEYS = frozenset('HTTP_' + name.upper().replace('-', '_') for name in compat.identity_headers())


class _AuthProtocol(auth_token.AuthProtocol):
    """keystonemiddleware for one service, which the access rules of application credentials may name by several types.

    ``[keystone_authtoken] service_type`` has no effect, as all services of Trio2o share that section. Neither has
    ``include_service_catalog``: no code here reads the catalog, which has the endpoints of all pods and is megabytes
    with a thousand of them. Nor have ``interface`` and ``region_name``, by which an endpoint would be found in it.
    """

    def __init__(self, app: Callable[..., Any], conf: cfg.ConfigOpts, service_types: tuple[str, ...]) -> None:
        options = {'service_type': service_types[0], 'include_service_catalog': False}
        super().__init__(app, {'oslo_config_config': conf, **options})
        compat.validate_where_tokens_are_given(self)
        self._service_types = service_types

    def validate_allowed_request(self, request: Any, token: dict[str, Any]) -> None:
        """Check a request by the access rules of its token, with one name for all types of the service.

        :raises InvalidToken: no rule allows the request
        """
        credential = token.get('application_credential') or {}
        rules = credential.get('access_rules')
        if rules is not None:
            named = {
                'application_credential': {
                    **credential,
                    'access_rules': [{**rule, 'service': self._name(rule['service'])} for rule in rules],
                },
                # keystonemiddleware wants to find the service there.
                'catalog': [{'type': self._service_types[0]}],
            }
            token = {**token, **named}
        super().validate_allowed_request(request, token)

    def _name(self, service_type: str) -> str:
        return self._service_types[0] if service_type in self._service_types else service_type


class AuthToken:
    """WSGI middleware: answers 401 without a valid token, and adds the identity headers of a valid one."""

    def __init__(
        self, app: Callable[..., Any], conf: cfg.ConfigOpts, service: Service, identity_transport: Any = None
    ) -> None:
        """:param identity_transport: see ``Runtime.identity_transport``"""
        self._app = app
        self._middleware = _AuthProtocol(self._validated, conf, service.catalog_types)
        if identity_transport is not None:
            compat.mount_on_auth_protocol(self._middleware, identity_transport)
        self._cache_seconds = conf.keystone_authtoken.token_cache_time
        # Values are (time at which they expire, identity headers). The cache itself is not safe for threads.
        self._cache: TLRUCache[bytes, tuple[float, dict[str, str]]] = TLRUCache(
            MAX_TOKENS, ttu=lambda _key, value, _now: value[0], timer=time.monotonic
        )
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        headers = self._cached_headers(environ)
        if headers is None:
            return self._middleware(environ, start_response)
        for name in _IDENTITY_KEYS:
            environ.pop(name, None)
        environ.update(headers)
        return self._app(environ, start_response)

    def _cached_headers(self, environ: dict[str, Any]) -> dict[str, str] | None:
        key = _key(environ)
        if key is None:
            return None
        with self._lock:
            try:
                return self._cache[key][1]
            except KeyError:
                return None

    def _validated(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        """Cache the identity headers and pass on the request, after keystonemiddleware found the token valid."""
        key, seconds = _key(environ), self._lifetime(environ)
        if key is not None and seconds > 0:
            headers = {name: environ[name] for name in _IDENTITY_KEYS if isinstance(environ.get(name), str)}
            with self._lock:
                self._cache[key] = time.monotonic() + seconds, headers
        return self._app(environ, start_response)

    def _lifetime(self, environ: dict[str, Any]) -> float:
        """Return for how many seconds headers may be cached; 0 for tokens that must be checked with each request."""
        seconds = float(self._cache_seconds)
        token = (environ.get('keystone.token_info') or {}).get('token', {})
        if has_access_rules(environ) or token.get('bind'):
            return 0.0
        auth = environ.get('keystone.token_auth')
        for access in (getattr(auth, 'user', None), getattr(auth, 'service', None)):
            if access is None:
                continue
            # Below zero, so not cached, if the user's token has expired and is valid only with a service token.
            seconds = min(seconds, (timeutils.normalize_time(access.expires) - timeutils.utcnow()).total_seconds())
        return seconds


def _key(environ: dict[str, Any]) -> bytes | None:
    token = environ.get('HTTP_X_AUTH_TOKEN')
    if not token:
        return None
    service_token = environ.get('HTTP_X_SERVICE_TOKEN', '')
    return hashlib.sha256(f'{token}\0{service_token}'.encode()).digest()
