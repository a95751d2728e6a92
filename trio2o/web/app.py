# SPDX-License-Identifier: Apache-2.0
"""One HTTP service as a WSGI application.

The way in, outermost first, and why in this order:

1. ``Counted``: so that every answer counts, those of the layers below as well.
2. ``FaultWrapper``: so that nothing, not even a fault in the layers below, reaches a client as a traceback.
3. oslo.middleware's ``HTTPProxyToWSGI``: before anybody reads scheme or host, which links are made of.
4. ``RequestId``: so that every answer, refusals included, carries an id.
5. ``Front``: version documents, health and metrics need no token; monitoring must work without Keystone.
6. ``BodyLimit``: before anybody reads a body.
7. ``AuthToken``: keystonemiddleware.
8. pecan and the operation table.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from oslo_config import cfg

from trio2o.web import dispatch, faults, policies
from trio2o.web.middleware import auth_token, layers, public_paths, request_metrics

if TYPE_CHECKING:
    from trio2o.runtime import Runtime
    from trio2o.web.dispatch import Versions
    from trio2o.web.service import Service


def build_app(
    service: Service, conf: cfg.ConfigOpts, runtime: Runtime, versions: Versions, http_adapter: Any = None
) -> Callable[..., Any]:
    """Build the service's application.

    :param runtime: what the service's handlers need; handed to them with every call; here only for its figures
    :param versions: gives the microversions that can be promised now
    :param http_adapter: a ``requests`` adapter that stands in for the network towards Keystone
    """
    dispatcher = dispatch.Dispatcher(service, policies.Policies(conf, service), versions, runtime)
    app: Any = dispatch.make_app(dispatcher)
    app = auth_token.AuthToken(app, conf, http_adapter)
    app = layers.BodyLimit(app, conf)
    app = public_paths.Front(app, service, conf, versions, runtime)
    app = layers.RequestId(app, service.compat_request_id)
    app = layers.proxy_headers(app, conf)
    return request_metrics.Counted(faults.FaultWrapper(app, service), service.name)
