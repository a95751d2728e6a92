# SPDX-License-Identifier: Apache-2.0
"""Operations on server groups."""

from __future__ import annotations

from trio2o.nova_apigw.server_groups.handlers import (
    CreateServerGroup,
    DeleteServerGroup,
    ServerGroupList,
    ShowServerGroup,
)
from trio2o.resources import SERVER_GROUP
from trio2o.web.operations import Operation

_PATH = '/os-server-groups'

OPERATIONS = [
    Operation('server_groups.list', 'GET', _PATH, ServerGroupList(SERVER_GROUP)),
    Operation('server_groups.create', 'POST', _PATH, CreateServerGroup()),
    Operation('server_groups.show', 'GET', _PATH + '/{id}', ShowServerGroup(SERVER_GROUP)),
    Operation('server_groups.delete', 'DELETE', _PATH + '/{id}', DeleteServerGroup(SERVER_GROUP)),
]
