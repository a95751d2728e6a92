# SPDX-License-Identifier: Apache-2.0
"""One HTTP service as a WSGI application.

The way in, outermost first, and why in this order:

1. ``FaultWrapper``: so that nothing, not even a fault in the layers below, reaches a client as a traceback.
2. oslo.middleware's ``HTTPProxyToWSGI``: before anybody reads scheme or host, which links are made of.
3. ``RequestId``: so that every answer, refusals included, carries an id.
4. ``Front``: version documents, health and metrics need no token; monitoring must work without Keystone.
5. ``BodyLimit``: before anybody reads a body.
6. ``AuthToken``: keystonemiddleware.
7. pecan and the operation table.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from oslo_config import cfg

from trio2o.web import authtoken, controller, faults, front, layers, policies

if TYPE_CHECKING:
    from trio2o.web.controller import Versions
    from trio2o.web.service import Service


def build_app(
    service: Service, conf: cfg.ConfigOpts, runtime: Any, versions: Versions, http_adapter: Any = None
) -> Callable[..., Any]:
    """Build the service's application.

    :param runtime: what the service's handlers need; handed to them with every call, not looked into here
    :param versions: gives the microversions that can be promised now
    :param http_adapter: a ``requests`` adapter that stands in for the network towards Keystone
    """
    dispatcher = controller.Dispatcher(service, policies.Policies(conf, service), versions, runtime)
    app: Any = controller.make_app(dispatcher)
    app = authtoken.AuthToken(app, conf, http_adapter)
    app = layers.BodyLimit(app, conf)
    app = front.Front(app, service, conf, versions)
    app = layers.RequestId(app, service.compat_request_id)
    app = layers.proxy_headers(app, conf)
    return faults.FaultWrapper(app, service)
