# SPDX-License-Identifier: Apache-2.0
"""Calls about one server, sent to its pod."""

from __future__ import annotations

import re
from dataclasses import replace

from trio2o.gateway.claiming import SHRINKS
from trio2o.gateway.handlers.forward import Forward
from trio2o.nova_apigw.server_groups.limits import TWINNED
from trio2o.nova_apigw.servers.unknown import unknown_server
from trio2o.pods.registry import PodView
from trio2o.resources import SERVER
from trio2o.web import json_body
from trio2o.web.call import Answer, Call

#: Where a server names its groups: shown from 2.71 on, mostly empty.
_GROUPS = re.compile(rb'"server_groups": ?\[\s*"')


def groups_up(call: Call, pod: PodView, answer: Answer) -> Answer:
    """A pod's answer about a server with the ids of its groups that tenants know."""
    if not _GROUPS.search(answer.body):
        return answer
    group_ids = json_body.at(answer.json, 'server', 'server_groups')
    body = answer.body
    for bottom_id, top_id in TWINNED.ids_up(call, pod, [str(group_id) for group_id in group_ids or []]).items():
        body = body.replace(bottom_id.encode(), top_id.encode())
    return replace(answer, body=body)


FORWARD = Forward(SERVER, rename=groups_up, stand_in=unknown_server)
DELETE = replace(FORWARD, change=SHRINKS)
