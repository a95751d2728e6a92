# SPDX-License-Identifier: Apache-2.0
"""The limit of ``[oslo_middleware] max_request_body_size``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from oslo_config import cfg
from oslo_middleware import sizelimit

from trio2o.web.numbers import parse_number

#: A longer Content-Length is beyond any limit.
MAX_DIGITS = 18


class BodyLimit:
    """WSGI middleware: passes on requests whose declared length is within the limit.

    All others go through oslo.middleware's ``RequestBodySizeLimiter``, which refuses them or counts while the body
    is read. It makes a webob request and response each time, which most requests do not need.
    """

    def __init__(self, app: Callable[..., Any], conf: cfg.ConfigOpts) -> None:
        self._app = app
        self._limiter = sizelimit.RequestBodySizeLimiter(app, conf)
        self._limit: int = conf.oslo_middleware.max_request_body_size

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        length = environ.get('CONTENT_LENGTH')
        if length:
            number = parse_number(length, MAX_DIGITS)
            is_within_limit = number is not None and number <= self._limit
        else:
            is_within_limit = 'HTTP_TRANSFER_ENCODING' not in environ and not environ.get('wsgi.input_terminated')
        return (self._app if is_within_limit else self._limiter)(environ, start_response)
