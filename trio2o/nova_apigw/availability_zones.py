# SPDX-License-Identifier: Apache-2.0
"""Availability zones: those of the pods. The detailed list, for admins, has the hosts of each zone."""

from __future__ import annotations

from typing import Any

from trio2o.gateway.handlers.sum import Sum
from trio2o.gateway.handlers.zones import ListZones
from trio2o.gateway.translate import PodNames, zone_up
from trio2o.web.operations import Operation

#: The zone that Nova shows for services that serve no zone (``[DEFAULT] internal_service_availability_zone``).
INTERNAL = 'internal'


def _render(name: str, is_available: bool) -> dict[str, Any]:
    return {'zoneName': name, 'zoneState': {'available': is_available}, 'hosts': None}


def translate_zones(document: dict[str, Any], names: PodNames) -> None:
    """Replace the pod's name of its zone by the one that tenants know, in place.

    :raises TypeError: the name of a zone is no text
    """
    for zone in document['availabilityZoneInfo']:
        if not isinstance(zone['zoneName'], str):
            raise TypeError('the name of a zone is no text')
        if zone['zoneName'] != INTERNAL:
            zone['zoneName'] = zone_up(zone['zoneName'], names)


def join(documents: list[dict[str, Any]]) -> dict[str, Any]:
    """Merge the zones of several pods: a zone is available if it is available in one pod, and has the hosts of all."""
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
    Operation('availability_zones.list_detail', 'GET', '/os-availability-zone/detail', Sum(join, translate_zones)),
]
