# SPDX-License-Identifier: Apache-2.0
"""``os-volumes_boot``: another path for servers, up to 2.102.

It has only the actions that Nova's own controller of servers defines.
"""

from __future__ import annotations

from trio2o.gateway.handlers.forward import ForwardToAny, QuotaEffect
from trio2o.nova_apigw.servers.actions import handler_of
from trio2o.nova_apigw.servers.create import CreateServer
from trio2o.nova_apigw.servers.forward import ForwardServer
from trio2o.nova_apigw.servers.list import ServerList
from trio2o.web.operations import Handler, Operation

_PATH = '/os-volumes_boot'
_LAST = (2, 102)
_ACTIONS = (
    'confirmResize',
    'createImage',
    'os-start',
    'os-stop',
    'reboot',
    'rebuild',
    'resize',
    'revertResize',
    'trigger_crash_dump',
)


def _row(name: str, method: str, path: str, handler: Handler) -> Operation:
    return Operation(f'volumes_boot.{name}', method, _PATH + path, handler, max_version=_LAST)


OPERATIONS = [
    _row('list', 'GET', '', ServerList('/servers', is_detailed=False)),
    _row('list_detail', 'GET', '/detail', ServerList('/servers', is_detailed=True)),
    _row('create', 'POST', '', CreateServer()),
    _row('show', 'GET', '/{id}', ForwardServer()),
    _row('update', 'PUT', '/{id}', ForwardServer()),
    _row('delete', 'DELETE', '/{id}', ForwardServer(quota_effect=QuotaEffect.RELEASES)),
    _row('action', 'POST', '/{id}/action', ForwardToAny()),
    *(
        Operation(
            f'volumes_boot.action.{key}',
            'POST',
            _PATH + '/{id}/action',
            handler_of(key),
            action=key,
            min_version=(2, 17) if key == 'trigger_crash_dump' else None,
            max_version=_LAST,
        )
        for key in _ACTIONS
    ),
]
