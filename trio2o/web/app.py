# SPDX-License-Identifier: Apache-2.0
"""One HTTP service as a WSGI application.

The layers a request passes, outermost first, and why in this order (``AccessLog``, the very first, is added by what
serves the application):

1. ``RequestMetrics``: so that every answer counts, whichever layer gives it.
2. oslo.middleware's ``CORS``: so that every answer has the headers that browsers want, also an answer 401, and a
   browser's preflight request needs no token.
3. ``RequestId``: so that every answer carries an id, those to faults included.
4. ``FaultWrapper``: turns every exception of the layers below into an answer; nothing else does.
5. oslo.middleware's ``HTTPProxyToWSGI``: before any layer reads scheme or host, which links are made of.
6. ``PublicPaths``: version documents, health and metrics need no token; monitoring must work without Keystone.
7. ``BodyLimit``: before any layer reads a body.
8. ``AuthToken``: keystonemiddleware.
9. pecan with ``Dispatcher``: the operation table, microversions, policy, and then the handler of the row.

``RequestState`` holds what one layer finds out for another.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import webob
from oslo_config import cfg
from oslo_middleware.cors import CORS
from oslo_middleware.http_proxy_to_wsgi import HTTPProxyToWSGI

from trio2o.web import dispatch
from trio2o.web.middleware.auth_token import AuthToken
from trio2o.web.middleware.body_limit import BodyLimit
from trio2o.web.middleware.fault_wrapper import FaultWrapper
from trio2o.web.middleware.public_paths import PublicPaths
from trio2o.web.middleware.request_id import RequestId
from trio2o.web.middleware.request_metrics import RequestMetrics
from trio2o.web.policies import Policies

if TYPE_CHECKING:
    from trio2o.runtime import Runtime
    from trio2o.web.service import Service


class _ProxyHeaders:
    """oslo.middleware's ``HTTPProxyToWSGI`` without its response, which adds a host to a ``Location`` without one."""

    def __init__(self, app: Callable[..., Any], conf: cfg.ConfigOpts) -> None:
        self._app = app
        self._middleware = HTTPProxyToWSGI(None, conf)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        self._middleware.process_request(webob.Request(environ))
        return self._app(environ, start_response)


def build_app(service: Service, runtime: Runtime) -> Callable[..., Any]:
    """Build the WSGI application of a service."""
    conf = runtime.conf
    app: Any = dispatch.make_app(dispatch.Dispatcher(service, Policies(conf, service), runtime))
    app = AuthToken(app, conf, service, runtime.identity_transport)
    app = BodyLimit(app, conf)
    app = PublicPaths(app, service, runtime)
    if conf.oslo_middleware.enable_proxy_headers_parsing:
        app = _ProxyHeaders(app, conf)
    app = FaultWrapper(app, service)
    app = RequestId(app, service.compat_request_id)
    with_cors = CORS(app, conf)
    if with_cors.allowed_origins:
        # Otherwise it changes nothing, and makes a webob request and response for that, too.
        app = with_cors
    return RequestMetrics(app, service.name)
