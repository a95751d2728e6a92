# SPDX-License-Identifier: Apache-2.0
"""os-server-external-events, which Neutron, Cinder and Cyborg send to Nova."""

from typing import TYPE_CHECKING, Any

from trio2o.lab.emulated import wire
from trio2o.lab.emulated.nova import networking
from trio2o.lab.emulated.wire import Refusal, Route

if TYPE_CHECKING:
    from trio2o.lab.emulated.nova import Nova

_TAG_REQUIRED = {'volume-extended', 'volume-reimaged', 'power-update', 'accelerator-request-bound'}


def process(nova: 'Nova', server: dict[str, Any], event: dict[str, Any]) -> None:
    """Do what the compute service does with an event of Neutron: it concerns the info cache only."""
    if event['name'] == 'network-changed' and event.get('tag'):
        networking.refresh(nova, server, event['tag'])
    elif event['name'] == 'network-vif-deleted':
        server['interfaces'] = [each for each in server['interfaces'] if each['port_id'] != event.get('tag')]


def create_events(nova: 'Nova', request: wire.Request) -> wire.Response:
    """POST: a code for each event; the status is 207 unless all codes are 200."""
    if not {'admin', 'service'} & set(request.user.roles):
        nova.admin_only(request, 'os_compute_api:os-server-external-events:create')
    body = nova.body_of(request, 'application/vnd.openstack.compute+json')
    if not isinstance(body, dict) or not body.get('events'):
        raise Refusal(400, "'events' is a required property")
    answers, overall = [], 200
    for event in body['events']:
        server = nova.servers.get(event['server_uuid'])
        code = 200
        if server is None or server['deleted']:
            code = 404
        elif event['name'] in _TAG_REQUIRED and event.get('tag') is None:
            code = 400
        elif not server['host']:
            code = 422
        answer = {**event, 'status': 'completed' if code == 200 else 'failed', 'code': code}
        answers.append(answer)
        if code == 200:
            nova.events.append(event)
            assert server is not None
            process(nova, server, event)
        else:
            overall = 207
    return wire.reply({'events': answers}, overall)


ROUTES = [Route('POST', '/os-server-external-events', create_events)]
