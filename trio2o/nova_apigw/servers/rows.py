# SPDX-License-Identifier: Apache-2.0
"""The rows of servers and of everything below them."""

from __future__ import annotations

from trio2o.gateway.handlers.forward import BodyRef, Forward, ForwardToAny, QuotaEffect
from trio2o.nova_apigw.servers.actions import ACTIONS, Version, action
from trio2o.nova_apigw.servers.create import CreateServer
from trio2o.nova_apigw.servers.forward import ForwardServer, UpdateServer
from trio2o.nova_apigw.servers.instance_actions import ListActions, ShowAction
from trio2o.nova_apigw.servers.list import ServerList
from trio2o.resources import VOLUME
from trio2o.web.operations import Operation

_FORWARD = ForwardServer()
_ATTACH = ForwardServer(other=BodyRef(VOLUME, ('volumeAttachment', 'volumeId')))


def below(
    name: str, method: str, path: str, handler: Forward = _FORWARD, min_version: Version | None = None
) -> Operation:
    """Return a row for something below a server."""
    return Operation(name, method, '/servers/{server_id}' + path, handler, min_version=min_version)


OPERATIONS = [
    Operation('servers.list', 'GET', '/servers', ServerList('/servers', is_detailed=False)),
    Operation('servers.list_detail', 'GET', '/servers/detail', ServerList('/servers/detail', is_detailed=True)),
    Operation('servers.create', 'POST', '/servers', CreateServer()),
    Operation('servers.show', 'GET', '/servers/{id}', _FORWARD),
    Operation('servers.update', 'PUT', '/servers/{id}', UpdateServer()),
    Operation('servers.delete', 'DELETE', '/servers/{id}', ForwardServer(quota_effect=QuotaEffect.RELEASES)),
    *(action(key) for key in ACTIONS),
    # An unknown action is refused by a pod in Nova's words.
    Operation('servers.action', 'POST', '/servers/{id}/action', ForwardToAny()),
    below('server_diagnostics.show', 'GET', '/diagnostics'),
    below('server_ips.list', 'GET', '/ips'),
    below('server_ips.show', 'GET', '/ips/{id}'),
    below('server_metadata.list', 'GET', '/metadata'),
    below('server_metadata.create', 'POST', '/metadata'),
    below('server_metadata.replace', 'PUT', '/metadata'),
    below('server_metadata.show', 'GET', '/metadata/{id}'),
    below('server_metadata.update', 'PUT', '/metadata/{id}'),
    below('server_metadata.delete', 'DELETE', '/metadata/{id}'),
    below('instance_actions.list', 'GET', '/os-instance-actions', ListActions()),
    below('instance_actions.show', 'GET', '/os-instance-actions/{id}', ShowAction()),
    below('server_interfaces.list', 'GET', '/os-interface'),
    below('server_interfaces.create', 'POST', '/os-interface'),
    below('server_interfaces.show', 'GET', '/os-interface/{id}'),
    below('server_interfaces.delete', 'DELETE', '/os-interface/{id}'),
    below('server_password.show', 'GET', '/os-server-password'),
    below('server_password.clear', 'DELETE', '/os-server-password'),
    below('volume_attachments.list', 'GET', '/os-volume_attachments'),
    below('volume_attachments.create', 'POST', '/os-volume_attachments', _ATTACH),
    below('volume_attachments.show', 'GET', '/os-volume_attachments/{id}'),
    below('volume_attachments.update', 'PUT', '/os-volume_attachments/{id}', _ATTACH),
    below('volume_attachments.delete', 'DELETE', '/os-volume_attachments/{id}'),
    below('remote_consoles.create', 'POST', '/remote-consoles', min_version=(2, 6)),
    below('server_security_groups.list', 'GET', '/os-security-groups'),
    below('server_shares.list', 'GET', '/shares', min_version=(2, 97)),
    below('server_shares.create', 'POST', '/shares', min_version=(2, 97)),
    below('server_shares.show', 'GET', '/shares/{id}', min_version=(2, 97)),
    below('server_shares.delete', 'DELETE', '/shares/{id}', min_version=(2, 97)),
    below('server_tags.list', 'GET', '/tags', min_version=(2, 26)),
    below('server_tags.replace', 'PUT', '/tags', min_version=(2, 26)),
    below('server_tags.delete_all', 'DELETE', '/tags', min_version=(2, 26)),
    below('server_tags.show', 'GET', '/tags/{id}', min_version=(2, 26)),
    below('server_tags.update', 'PUT', '/tags/{id}', min_version=(2, 26)),
    below('server_tags.delete', 'DELETE', '/tags/{id}', min_version=(2, 26)),
    below('server_topology.show', 'GET', '/topology', min_version=(2, 78)),
]
