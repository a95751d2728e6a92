# SPDX-License-Identifier: Apache-2.0
"""Availability zones: the pods' zones by name; for admins with the hosts in them."""

from __future__ import annotations

from typing import Any

from trio2o.gateway.handlers.sum import Sum
from trio2o.gateway.handlers.zones import ListZones
from trio2o.gateway.translate import PodNames, zone_up
from trio2o.web.operations import Operation

#: Where Nova shows the services that are in no zone (``[DEFAULT] internal_service_availability_zone``).
INTERNAL = 'internal'


def _render(name: str, is_available: bool) -> dict[str, Any]:
    return {'zoneName': name, 'zoneState': {'available': is_available}, 'hosts': None}


def rename(document: dict[str, Any], names: PodNames) -> None:
    for zone in document['availabilityZoneInfo']:
        if zone['zoneName'] != INTERNAL:
            zone['zoneName'] = zone_up(zone['zoneName'], names)


def join(documents: list[dict[str, Any]]) -> dict[str, Any]:
    """Zones of many pods by name: available if one is, with the hosts of all."""
    zones: dict[str, dict[str, Any]] = {}
    for document in documents:
        for zone in document['availabilityZoneInfo']:
            known = zones.setdefault(zone['zoneName'], {**zone, 'hosts': None, 'zoneState': {'available': False}})
            if zone['zoneState']['available']:
                known['zoneState'] = {'available': True}
            if zone['hosts'] is not None:
                known['hosts'] = {**(known['hosts'] or {}), **zone['hosts']}
    return {'availabilityZoneInfo': [zones[name] for name in sorted(zones)]}


OPERATIONS = [
    Operation('availability_zones.list', 'GET', '/os-availability-zone', ListZones(_render)),
    Operation('availability_zones.list_detail', 'GET', '/os-availability-zone/detail', Sum(join, rename)),
]
