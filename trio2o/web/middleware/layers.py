# SPDX-License-Identifier: Apache-2.0
"""oslo.middleware's layers, without a webob request and response of their own where those change nothing.

Each such pair costs a twentieth of a millisecond in every request. What is out of the ordinary still goes the
library's way.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from oslo_config import cfg
from oslo_context import context
from oslo_middleware import http_proxy_to_wsgi, request_id, sizelimit

from trio2o.context import forget

WSGIApp = Callable[..., Any]
Headers = list[tuple[str, str]]

_INBOUND_KEY = 'HTTP_' + request_id.INBOUND_HEADER.upper().replace('-', '_')
_COMPAT_HEADER = 'x-compute-request-id'
_ID = re.compile(request_id.ID_FORMAT)


def proxy_headers(app: WSGIApp, conf: cfg.ConfigOpts) -> WSGIApp:
    """HTTPProxyToWSGI, which does nothing unless it is enabled."""
    layer = http_proxy_to_wsgi.HTTPProxyToWSGI(app, conf)
    return layer if conf.oslo_middleware.enable_proxy_headers_parsing else app


class RequestId:
    """Gives every answer an id; one that a pod made stays."""

    def __init__(self, app: WSGIApp, has_compat_header: bool) -> None:
        """:param has_compat_header: also under the name Nova and Cinder gave the header first"""
        self._app = app
        names = [request_id.HTTP_RESP_HEADER_REQUEST_ID, _COMPAT_HEADER]
        self._names = names if has_compat_header else names[:1]

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        # Until it is known who asks, log lines must not carry the id of the request this thread served before.
        forget()
        given = environ.get(_INBOUND_KEY, '')
        if _ID.match(given):
            environ[request_id.GLOBAL_REQ_ID] = given
        made = environ[request_id.ENV_REQUEST_ID] = context.generate_request_id()

        def start(status: str, headers: Headers, *args: Any) -> Any:
            have = {name.lower() for name, _value in headers}
            more = [(name, made) for name in self._names if name not in have]
            return start_response(status, [*headers, *more], *args)

        return self._app(environ, start)


class BodyLimit:
    """RequestBodySizeLimiter, asked only about requests whose body is too long or of unknown length."""

    def __init__(self, app: WSGIApp, conf: cfg.ConfigOpts) -> None:
        self._app = app
        self._limiter = sizelimit.RequestBodySizeLimiter(app, conf)
        self._most: int = conf.oslo_middleware.max_request_body_size

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        length = environ.get('CONTENT_LENGTH')
        if length:
            is_plain = length.isdecimal() and int(length) <= self._most
        else:
            is_plain = 'HTTP_TRANSFER_ENCODING' not in environ and not environ.get('wsgi.input_terminated')
        return (self._app if is_plain else self._limiter)(environ, start_response)
