# SPDX-License-Identifier: Apache-2.0
"""Server groups. Each is made in one pod, and stands in those that have servers of it."""

from __future__ import annotations

from trio2o import exception
from trio2o.gateway.handlers.create import Create, Creation
from trio2o.gateway.handlers.forward import Forward
from trio2o.gateway.handlers.offset_list import Slices
from trio2o.gateway.requested import Requested
from trio2o.nova_apigw.server_groups.copies import TwinnedCreate, TwinnedDelete, TwinnedShow
from trio2o.nova_apigw.server_groups.limits import TWINNED
from trio2o.quota.claims import Refused
from trio2o.resources import SERVER_GROUP
from trio2o.web.operations import Operation

_FORWARD = Forward(SERVER_GROUP)


class CreateServerGroup(Create):
    """Create a server group in one pod; others get a copy when they get a server of it."""

    resource = SERVER_GROUP
    zone_field = ''

    def requested(self, creation: Creation) -> Requested:
        return Requested(quota={'server_groups': 1})

    def over_quota_error(self, refused: Refused) -> exception.Trio2oException:
        return exception.Forbidden('Quota exceeded, too many server groups.')


OPERATIONS = [
    Operation('server_groups.list', 'GET', '/os-server-groups', Slices(SERVER_GROUP, merged=TWINNED.merged)),
    Operation('server_groups.create', 'POST', '/os-server-groups', TwinnedCreate(TWINNED, CreateServerGroup())),
    Operation('server_groups.show', 'GET', '/os-server-groups/{id}', TwinnedShow(TWINNED, _FORWARD)),
    Operation('server_groups.delete', 'DELETE', '/os-server-groups/{id}', TwinnedDelete(TWINNED, _FORWARD)),
]
