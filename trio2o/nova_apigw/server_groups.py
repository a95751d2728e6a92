# SPDX-License-Identifier: Apache-2.0
"""Server groups. Each is in one pod, and draws every server that names it there."""

from __future__ import annotations

from trio2o.gateway.forward import Forward
from trio2o.gateway.kinds import SERVER_GROUP
from trio2o.gateway.place import Place
from trio2o.gateway.slices import Slices
from trio2o.nova_apigw import needs
from trio2o.nova_apigw.servers import is_full
from trio2o.web.operations import Operation

_FORWARD = Forward(SERVER_GROUP)

OPERATIONS = [
    Operation('server_groups.list', 'GET', '/os-server-groups', Slices(SERVER_GROUP)),
    Operation(
        'server_groups.create',
        'POST',
        '/os-server-groups',
        Place(SERVER_GROUP, unknown_zone='', is_full=is_full, zone_field='', needs=needs.of_server_group),
    ),
    Operation('server_groups.show', 'GET', '/os-server-groups/{id}', _FORWARD),
    Operation('server_groups.delete', 'DELETE', '/os-server-groups/{id}', _FORWARD),
]
