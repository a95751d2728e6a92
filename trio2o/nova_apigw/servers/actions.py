# SPDX-License-Identifier: Apache-2.0
"""Actions of servers."""

from __future__ import annotations

from dataclasses import dataclass, replace

from trio2o import exception
from trio2o.gateway.admin.ids import split_name
from trio2o.gateway.handlers.forward import Forward
from trio2o.nova_apigw.changes import CHANGES
from trio2o.nova_apigw.servers.forward import FORWARD
from trio2o.resources import SERVER
from trio2o.routing.locator import Route
from trio2o.web import json_body
from trio2o.web.call import Answer, Call
from trio2o.web.json_body import replaced
from trio2o.web.operations import Handler, Operation

Version = tuple[int, int]

ACTIONS = (
    'addFixedIp',
    'addFloatingIp',
    'addSecurityGroup',
    'changePassword',
    'confirmResize',
    'createBackup',
    'createImage',
    'evacuate',
    'forceDelete',
    'injectNetworkInfo',
    'lock',
    'migrate',
    'os-getConsoleOutput',
    'os-getSPICEConsole',
    'os-getSerialConsole',
    'os-getVNCConsole',
    'os-migrateLive',
    'os-resetState',
    'os-start',
    'os-stop',
    'pause',
    'reboot',
    'rebuild',
    'removeFixedIp',
    'removeFloatingIp',
    'removeSecurityGroup',
    'rescue',
    'resize',
    'restore',
    'resume',
    'revertResize',
    'shelve',
    'shelveOffload',
    'suspend',
    'trigger_crash_dump',
    'unlock',
    'unpause',
    'unrescue',
    'unshelve',
)


@dataclass(frozen=True)
class ForwardToHost:
    """Send an action that names a host to the pod of the server, which has to be the host's.

    :ivar place: of the host in the body
    """

    forward: Forward
    place: tuple[str, str]

    def __call__(self, call: Call) -> Answer:
        name = json_body.at(call.json, *self.place)
        pod, bare = split_name(call, name) if isinstance(name, str) else (None, '')
        if pod is not None:
            route: Route = call.runtime.locator.find(call, SERVER, call.id)
            if route.pod.id != pod.id:
                raise exception.PinsDisagree(f'Host {name} is not in the pod of server {call.id}.')
            call = call.with_body(replaced(call.json, self.place, bare))
        return self.forward(call)


#: Actions that did not always exist, or do not any more: first and last version.
_WINDOWS: dict[str, tuple[Version | None, Version | None]] = {
    'addFixedIp': (None, (2, 43)),
    'addFloatingIp': (None, (2, 43)),
    'os-getSPICEConsole': (None, (2, 5)),
    'os-getSerialConsole': (None, (2, 5)),
    'os-getVNCConsole': (None, (2, 5)),
    'removeFixedIp': (None, (2, 43)),
    'removeFloatingIp': (None, (2, 43)),
    'trigger_crash_dump': ((2, 17), None),
}


_HANDLERS: dict[str, Handler] = {
    key: ForwardToHost(FORWARD, (key, 'host')) for key in ('evacuate', 'migrate', 'os-migrateLive')
}
_HANDLERS |= {key: replace(FORWARD, change=change) for key, change in CHANGES.items()}
_HANDLERS['unshelve'] = ForwardToHost(Forward(SERVER, ('unshelve', 'availability_zone')), ('unshelve', 'host'))


def handler_of(key: str) -> Handler:
    """What serves an action."""
    return _HANDLERS.get(key, FORWARD)


def action(key: str) -> Operation:
    first, last = _WINDOWS.get(key, (None, None))
    return Operation(
        f'servers.action.{key}',
        'POST',
        '/servers/{id}/action',
        handler_of(key),
        action=key,
        min_version=first,
        max_version=last,
    )
