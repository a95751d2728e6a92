# SPDX-License-Identifier: Apache-2.0
"""The requests to measure, and the CPU time that the gateway should need for each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from load import Case

COMPUTE, VOLUME = 'nova_apigw', 'cinder_apigw'
SHOW, SMALL, LARGE = 'show', 'list 2x10', 'list 2x500'
CREATE, CREATE_VOLUME = 'create', 'create volume'
#: With ten pods or more.
LIMITED, EVERYONE = 'list limit=20', 'all_tenants limit=20'
NAMES = (SHOW, SMALL, LARGE, CREATE, LIMITED, EVERYONE, CREATE_VOLUME)

#: CPU milliseconds for a request that the gateway should not exceed; and those over SQLite, where they differ.
GOALS = {SHOW: 1.0, SMALL: 2.5, LARGE: 10.0, CREATE: 5.0, CREATE_VOLUME: 5.0}
SQLITE_GOALS = {**GOALS, CREATE: 3.0, CREATE_VOLUME: 3.0}

#: Number of different servers to show: so many that their rows do not stay in the processor's cache.
SHOWN = 1000


def cases_for(cloud: Mapping[str, Any]) -> list[Case]:
    """Return the cases that these pods allow."""
    server = {'name': 'bench', 'imageRef': cloud['image'], 'flavorRef': '1', 'networks': 'auto'}
    volume = {'name': 'bench', 'size': 1}
    page = ('/servers/detail?limit=20',)
    found = [
        Case(SHOW, 'small', shows(cloud, 'small')),
        Case(SMALL, 'small', ('/servers/detail',)),
        Case(LARGE, 'large', ('/servers/detail',)),
        Case(CREATE, 'alt', ('/servers',), 'POST', json.dumps({'server': server})),
    ]
    if cloud['servers'].get('ten'):
        found += [
            Case(LIMITED, 'ten', page),
            Case(EVERYONE, 'admin', tuple(f'{path}&all_tenants=1' for path in page)),
        ]
    # Last, as it needs another process than the others.
    return [*found, Case(CREATE_VOLUME, 'alt', ('/volumes',), 'POST', json.dumps({'volume': volume}), VOLUME)]


def shows(cloud: Mapping[str, Any], project: str) -> tuple[str, ...]:
    """Return paths of servers in the first pod, which can also be called directly."""
    first = next(iter(cloud['pods']))
    return tuple(f'/servers/{server}' for server, pod in cloud['servers'][project] if pod == first)[:SHOWN]
