# SPDX-License-Identifier: Apache-2.0
"""Server groups. Each is made in one pod, and stands in those that have servers of it."""

from __future__ import annotations

from collections.abc import Sequence

from trio2o.gateway.call_pods import PodAnswers
from trio2o.gateway.handlers.create import Place
from trio2o.gateway.handlers.forward import Forward
from trio2o.gateway.handlers.offset_list import Found, OffsetList
from trio2o.nova_apigw import needs
from trio2o.nova_apigw.refusals import too_many_groups
from trio2o.nova_apigw.server_groups.copies import TwinnedCreate, TwinnedDelete, TwinnedShow
from trio2o.nova_apigw.server_groups.limits import TWINNED
from trio2o.nova_apigw.servers.create import is_full
from trio2o.resources import SERVER_GROUP
from trio2o.web.call import Call
from trio2o.web.operations import Operation


class ServerGroupList(OffsetList):
    """``GET /os-server-groups``."""

    def merge_items(self, call: Call, answers: PodAnswers, found: Sequence[Found]) -> Sequence[Found]:
        """Make one group of a group and its copies."""
        return TWINNED.merged(call, answers, found)


_FORWARD = Forward(SERVER_GROUP)
_PLACE = Place(
    SERVER_GROUP,
    unknown_zone='',
    is_full=is_full,
    zone_field='',
    needs=needs.of_server_group,
    refuse=too_many_groups,
)

OPERATIONS = [
    Operation('server_groups.list', 'GET', '/os-server-groups', ServerGroupList(SERVER_GROUP)),
    Operation('server_groups.create', 'POST', '/os-server-groups', TwinnedCreate(TWINNED, _PLACE)),
    Operation('server_groups.show', 'GET', '/os-server-groups/{id}', TwinnedShow(TWINNED, _FORWARD)),
    Operation('server_groups.delete', 'DELETE', '/os-server-groups/{id}', TwinnedDelete(TWINNED, _FORWARD)),
]
