# SPDX-License-Identifier: Apache-2.0
"""Availability zones and API extensions."""

from __future__ import annotations

from typing import Any

from trio2o.gateway.handlers.forward import ForwardToAny
from trio2o.gateway.handlers.zones import ListZones
from trio2o.web.operations import Operation


def _zone(name: str, is_available: bool) -> dict[str, Any]:
    return {'zoneName': name, 'zoneState': {'available': is_available}}


OPERATIONS = [
    Operation('availability_zones.list', 'GET', '/os-availability-zone', ListZones(_zone)),
    Operation('extensions.list', 'GET', '/extensions', ForwardToAny()),
    Operation('extensions.show', 'GET', '/extensions/{id}', ForwardToAny()),
]
