# SPDX-License-Identifier: Apache-2.0
"""Server groups. Each is made in one pod, and stands in those that have servers of it."""

from __future__ import annotations

from collections.abc import Sequence

from trio2o import exception
from trio2o.gateway.call_pods import PodAnswers
from trio2o.gateway.handlers.create import Create, Creation
from trio2o.gateway.handlers.forward import Forward
from trio2o.gateway.handlers.offset_list import Found, OffsetList
from trio2o.gateway.requested import Requested
from trio2o.nova_apigw.server_groups.copies import TwinnedCreate, TwinnedDelete, TwinnedShow
from trio2o.nova_apigw.server_groups.limits import TWINNED
from trio2o.quota.claims import OverQuota
from trio2o.resources import SERVER_GROUP
from trio2o.web.call import Call
from trio2o.web.operations import Operation


class ServerGroupList(OffsetList):
    """``GET /os-server-groups``."""

    def merge_items(self, call: Call, answers: PodAnswers, found: Sequence[Found]) -> Sequence[Found]:
        """Make one group of a group and its copies."""
        return TWINNED.merged(call, answers, found)


_FORWARD = Forward(SERVER_GROUP)


class CreateServerGroup(Create):
    """Create a server group in one pod; others get a copy when they get a server of it."""

    resource = SERVER_GROUP
    zone_field = ''

    def requested(self, creation: Creation) -> Requested:
        return Requested(quota={'server_groups': 1})

    def over_quota_error(self, refused: OverQuota) -> exception.Trio2oException:
        return exception.Forbidden('Quota exceeded, too many server groups.')


OPERATIONS = [
    Operation('server_groups.list', 'GET', '/os-server-groups', ServerGroupList(SERVER_GROUP)),
    Operation('server_groups.create', 'POST', '/os-server-groups', TwinnedCreate(TWINNED, CreateServerGroup())),
    Operation('server_groups.show', 'GET', '/os-server-groups/{id}', TwinnedShow(TWINNED, _FORWARD)),
    Operation('server_groups.delete', 'DELETE', '/os-server-groups/{id}', TwinnedDelete(TWINNED, _FORWARD)),
]
