# SPDX-License-Identifier: Apache-2.0
"""Partial records of servers whose pod does not answer, as Nova shows servers of a cell that is down (from 2.69)."""

from __future__ import annotations

from trio2o.db import routings
from trio2o.gateway.call_pods import merged_headers
from trio2o.nova_apigw.hypervisors import UNKNOWN_FROM
from trio2o.resources import SERVER, Item
from trio2o.routing.locator import Route
from trio2o.web.call import Answer, Call, dump_json

#: The text that Nova shows instead of unknown values.
UNKNOWN = 'UNKNOWN'


def _links(call: Call, server_id: str) -> list[dict[str, str]]:
    project = call.prefix.removeprefix(call.service.prefix)
    return [
        {'rel': 'self', 'href': f'{call.base_url}{call.prefix}/servers/{server_id}'},
        {'rel': 'bookmark', 'href': f'{call.base_url}{project}/servers/{server_id}'},
    ]


def unknown_brief(call: Call, route: Route) -> Item:
    """Return the record of a server in a list without details."""
    return {'id': route.top_id, 'status': UNKNOWN, 'links': _links(call, route.top_id)}


def unknown_detail(call: Call, route: Route) -> Item:
    """Return the record of a server in a list with details."""
    created = route.created_at.strftime('%Y-%m-%dT%H:%M:%SZ') if route.created_at else None
    return {
        'id': route.top_id,
        'status': UNKNOWN,
        'tenant_id': route.project_id,
        'created': created,
        'links': _links(call, route.top_id),
    }


def unknown_server(call: Call, route: Route) -> Answer | None:
    """Return the record of one server; None in versions in which Nova shows none.

    Flavor and image are only in the pod. They get the form that clients expect, with the amounts in the routing.
    """
    if call.version is None or call.version < UNKNOWN_FROM:
        return None
    routing = routings.get(call.runtime.db, SERVER.type, route.top_id)
    counted = (routing.deltas if routing is not None else None) or {}
    flavor = {'vcpus': counted.get('cores', 0), 'ram': counted.get('ram', 0), 'disk': 0, 'ephemeral': 0, 'swap': 0}
    server = {
        **unknown_detail(call, route),
        'image': {'id': UNKNOWN, 'links': []},
        'flavor': {'original_name': UNKNOWN, **flavor, 'extra_specs': {}},
        'OS-EXT-AZ:availability_zone': route.pod.zone,
        'OS-EXT-STS:power_state': 0,
        'user_id': (routing and routing.user_id) or UNKNOWN,
    }
    return Answer(200, merged_headers(call, None), dump_json({'server': server}))
