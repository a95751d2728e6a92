# SPDX-License-Identifier: Apache-2.0
"""What services of a cloud ask each other: snapshots of volumes in use, and who holds a console."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from trio2o import exception
from trio2o.gateway.admin.by_id import ForwardToHolder
from trio2o.gateway.call_any_pod import call_any_pod
from trio2o.gateway.call_pod import send_to_route
from trio2o.resources import VOLUME
from trio2o.web import json_body
from trio2o.web.call import Answer, Call
from trio2o.web.operations import Operation


@dataclass(frozen=True)
class ForwardToVolume:
    """Send the call to the pod of a volume that it names elsewhere than in the path."""

    volume_of: Callable[[Call], Any]

    def __call__(self, call: Call) -> Answer:
        volume_id = self.volume_of(call)
        if not isinstance(volume_id, str):
            return call_any_pod(call)
        try:
            route = call.runtime.locator.find(call, VOLUME, volume_id)
        except exception.NotFound:
            return call_any_pod(call)
        return send_to_route(call, route, VOLUME)


def in_body(call: Call) -> Any:
    return json_body.at(call.json, 'snapshot', 'volume_id')


def in_query(call: Call) -> Any:
    """``delete_info`` is a JSON document in the query."""
    text = next((value for name, value in call.query if name == 'delete_info'), '')
    try:
        document = json.loads(text)
    except ValueError:
        return None
    return json_body.at(document, 'volume_id')


_PATH = '/os-assisted-volume-snapshots'

OPERATIONS = [
    Operation('assisted_volume_snapshots.create', 'POST', _PATH, ForwardToVolume(in_body)),
    Operation('assisted_volume_snapshots.delete', 'DELETE', _PATH + '/{id}', ForwardToVolume(in_query)),
    Operation(
        'console_auth_tokens.show',
        'GET',
        '/os-console-auth-tokens/{id}',
        # A token is in no routing: only who gave it knows it.
        ForwardToHolder('Token not found'),
    ),
]
