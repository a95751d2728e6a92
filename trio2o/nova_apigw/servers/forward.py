# SPDX-License-Identifier: Apache-2.0
"""Calls about one server, forwarded to its pod."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from trio2o.gateway.handlers.forward import Forward
from trio2o.nova_apigw.server_groups import copies
from trio2o.nova_apigw.servers.unknown import unknown_server
from trio2o.pods.registry import PodView
from trio2o.resources import SERVER, Resource
from trio2o.routing.locator import Route
from trio2o.web import json_body
from trio2o.web.call import Answer, Call

#: Matches the body of a server that names a group. Servers show their groups from 2.71 on; most have none.
_GROUPS = re.compile(rb'"server_groups": ?\[\s*"')


@dataclass(frozen=True)
class ForwardServer(Forward):
    """Forward a call about a server to its pod."""

    resource: Resource = SERVER

    def translate(self, call: Call, pod: PodView, answer: Answer) -> Answer:
        """Replace the ids of server group copies by those of the groups."""
        if not _GROUPS.search(answer.body):
            return answer
        bottom_ids = [str(bottom_id) for bottom_id in json_body.at(answer.json, 'server', 'server_groups') or []]
        body = answer.body
        for bottom_id, top_id in copies.group_ids(call, pod, bottom_ids).items():
            body = body.replace(bottom_id.encode(), top_id.encode())
        return replace(answer, body=body)

    def fallback_answer(self, call: Call, route: Route) -> Answer | None:
        """Return the server with status ``UNKNOWN``."""
        return unknown_server(call, route)


class UpdateServer(ForwardServer):
    """Update a server, which may be pinned to a zone."""

    zone_path = ('server', 'pinned_availability_zone')

    def drop_zone(self, document: Any) -> None:
        if len(document['server']) > 1:
            del document['server']['pinned_availability_zone']
        else:
            # Nova refuses an update of nothing. In the pod there is no zone to pin the server to.
            document['server']['pinned_availability_zone'] = None
