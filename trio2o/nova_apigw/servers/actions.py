# SPDX-License-Identifier: Apache-2.0
"""Actions of servers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trio2o import exception
from trio2o.db import moves as db_moves
from trio2o.gateway.claiming import amounts_of
from trio2o.gateway.handlers.forward import QuotaEffect
from trio2o.gateway.read_object import read_object
from trio2o.gateway.requested import flavor, snapshot_amounts
from trio2o.nova_apigw.quota_errors import over_quota_error
from trio2o.nova_apigw.servers.forward import ForwardServer, ForwardToHost
from trio2o.nova_apigw.servers.migrate import EndMigration, MigrateServer
from trio2o.nova_apigw.servers.requested import flavor_amounts
from trio2o.quota.amounts import Amounts, growth, total
from trio2o.quota.claims import OverQuota
from trio2o.quota.usage import Flavor
from trio2o.resources import SERVER, VOLUME, Item
from trio2o.routing.locator import Route
from trio2o.web import json_body, pod_failures
from trio2o.web.call import Call
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
class GrowServer(ForwardServer):
    """An action after which the server, or the project, uses more quota."""

    quota_effect: QuotaEffect = QuotaEffect.GROWS

    def over_quota_error(self, error: OverQuota) -> exception.Trio2oException:
        return over_quota_error(error)


class ResizeServer(GrowServer):
    """Resize a server. Until the resize is confirmed or reverted, the larger of both flavors counts."""

    def quota_growth(self, call: Call, route: Route, counted: Amounts) -> Mapping[str, int]:
        found = _flavor_in_pod(call, route, json_body.at(call.json, 'resize', 'flavorRef'))
        if found is None or not counted:
            return {}
        grown = growth(counted, flavor_amounts(found))
        return {name: amount for name, amount in grown.items() if name != 'instances'}


class RestoreServer(GrowServer):
    """Restore a soft-deleted server, which uses no quota."""

    def quota_growth(self, call: Call, route: Route, counted: Amounts) -> Mapping[str, int]:
        if counted:
            return {}
        found = _flavor_in_pod(call, route, json_body.at(_shown(call, route), 'flavor', 'id'))
        return flavor_amounts(found) if found is not None else {'instances': 1}


class SnapshotServer(GrowServer):
    """Create an image of a server. If it boots from a volume, Nova creates a snapshot of each of its volumes."""

    def quota_growth(self, call: Call, route: Route, counted: Amounts) -> Mapping[str, int]:
        server = _shown(call, route)
        attached = (server or {}).get('os-extended-volumes:volumes_attached')
        if server is None or server.get('image') or not isinstance(attached, list):
            return {}
        return total(snapshot_amounts(amounts_of(call, VOLUME, each.get('id'))) for each in attached)


def _flavor_in_pod(call: Call, route: Route, reference: Any) -> Flavor | None:
    try:
        return flavor(call, reference, [route.pod])
    except exception.NotFound:
        return None  # the pod refuses it in Nova's words


def _shown(call: Call, route: Route) -> Item | None:
    """Return the server as its pod shows it; None if the pod does not have it.

    :raises ServiceUnavailable: the pod does not show it now, so what the action uses is unknown
    """
    try:
        found = read_object(call, SERVER.service, f'{SERVER.path}/{route.bottom_id}', SERVER.member, [route.pod])
    except exception.NotFound:
        return None
    if found is None:
        raise pod_failures.unreachable(f'{SERVER.title} {route.top_id}', route.pod.zone)
    return found


class UnshelveServer(ForwardToHost):
    """Unshelve a server, perhaps in a zone or on a host."""

    zone_path = ('unshelve', 'availability_zone')

    def drop_zone(self, document: Any) -> None:
        del document['unshelve']['availability_zone']
        if not document['unshelve']:
            document['unshelve'] = None  # Nova refuses {"unshelve": {}} and accepts {"unshelve": null}


#: First and last microversion of the actions that not all microversions have.
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


_FORWARD = ForwardServer()
_READ = ForwardServer(is_read=True)
_RELEASE = ForwardServer(quota_effect=QuotaEffect.RELEASES)

#: Handlers of the actions that are not merely forwarded.
_HANDLERS: dict[str, Handler] = {
    'confirmResize': EndMigration(quota_effect=QuotaEffect.RELEASES, verb=db_moves.confirm, status=204),
    'createBackup': SnapshotServer(),
    'createImage': SnapshotServer(),
    'evacuate': ForwardToHost(host_path=('evacuate', 'host')),
    'forceDelete': _RELEASE,
    'migrate': MigrateServer(),
    'os-getConsoleOutput': _READ,
    'os-migrateLive': ForwardToHost(host_path=('os-migrateLive', 'host')),
    'resize': ResizeServer(),
    'restore': RestoreServer(),
    'revertResize': EndMigration(quota_effect=QuotaEffect.RELEASES, verb=db_moves.revert, status=202),
    'unshelve': UnshelveServer(host_path=('unshelve', 'host')),
}


def handler_of(key: str) -> Handler:
    """Return the handler of an action."""
    return _HANDLERS.get(key, _FORWARD)


def action(key: str) -> Operation:
    """Return the row of an action."""
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
