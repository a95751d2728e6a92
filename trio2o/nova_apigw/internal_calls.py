# SPDX-License-Identifier: Apache-2.0
"""APIs for other services: Cinder's snapshots of attached volumes, and console tokens for console proxies."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from trio2o import exception
from trio2o.gateway.admin.by_id import ForwardToHolder
from trio2o.gateway.call_any_pod import call_any_pod
from trio2o.gateway.call_pod import send_to_route
from trio2o.gateway.moving import check_not_moving
from trio2o.resources import VOLUME
from trio2o.web import json_body
from trio2o.web.call import Answer, Call
from trio2o.web.operations import Operation


@dataclass(frozen=True)
class ForwardToVolume:
    """Send the call to the pod of the volume that its body or its query names.

    :ivar volume_of: returns the id of the volume; anything but a string if there is none
    """

    volume_of: Callable[[Call], Any]

    def __call__(self, call: Call) -> Answer:
        volume_id = self.volume_of(call)
        if not isinstance(volume_id, str):
            return call_any_pod(call)
        try:
            route = call.runtime.locator.find(call, VOLUME, volume_id)
        except exception.NotFound:
            return call_any_pod(call)
        check_not_moving(call, VOLUME, route.top_id)
        return send_to_route(call, route, VOLUME)


def volume_in_body(call: Call) -> Any:
    """Return the id of the volume in the body of a create."""
    return json_body.at(call.json, 'snapshot', 'volume_id')


def volume_in_query(call: Call) -> Any:
    """Return the id of the volume in ``delete_info``, a query parameter whose value is JSON."""
    text = next((value for name, value in call.query if name == 'delete_info'), '')
    try:
        document = json.loads(text)
    except ValueError:
        return None
    return json_body.at(document, 'volume_id')


_PATH = '/os-assisted-volume-snapshots'

OPERATIONS = [
    Operation('assisted_volume_snapshots.create', 'POST', _PATH, ForwardToVolume(volume_in_body)),
    Operation('assisted_volume_snapshots.delete', 'DELETE', _PATH + '/{id}', ForwardToVolume(volume_in_query)),
    Operation(
        'console_auth_tokens.show',
        'GET',
        '/os-console-auth-tokens/{id}',
        # Console tokens have no routing: only the pod that issued a token knows it.
        ForwardToHolder('Token not found'),
    ),
]
