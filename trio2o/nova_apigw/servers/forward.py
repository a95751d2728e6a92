# SPDX-License-Identifier: Apache-2.0
"""Calls about one server, forwarded to its pod."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from trio2o import exception
from trio2o.gateway.admin.ids import split_name
from trio2o.gateway.handlers.forward import Forward
from trio2o.nova_apigw.server_groups import copies
from trio2o.nova_apigw.servers.unknown import unknown_server
from trio2o.pods.registry import PodView
from trio2o.resources import SERVER, Resource
from trio2o.routing.locator import Route
from trio2o.web import json_body
from trio2o.web.call import Answer, Call
from trio2o.web.json_body import replaced

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


@dataclass(frozen=True)
class ForwardToHost(ForwardServer):
    """Forward an action whose body may name a host, which has to be in the pod of the server.

    :ivar host_path: keys that lead to the host in the body
    """

    host_path: tuple[str, ...] = ()

    def prepare(self, call: Call, route: Route) -> Call:
        """Give a host that is qualified with its pod the name that it has there.

        :raises RefsDisagree: the host is in another pod than the server
        """
        name = json_body.at(call.json, *self.host_path)
        pod, bare_name = split_name(call, name) if isinstance(name, str) else (None, '')
        if pod is None:
            return call
        if pod.id != route.pod.id:
            raise exception.RefsDisagree(f'Host {name} is not in the pod of server {call.id}.')
        return call.with_body(replaced(call.json, self.host_path, bare_name))
