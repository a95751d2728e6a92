# SPDX-License-Identifier: Apache-2.0
"""Flavors with their extra specs and the projects that may use a private one.

What Nova calls a flavor's id is chosen by whoever makes it, so it is the same in every pod. Name
and sizes can never be changed there.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from trio2o.pods.endpoints import COMPUTE
from trio2o.pods.identity import Identity
from trio2o.pods.podapi import PodApi
from trio2o.replication.kinds import FLAVOR
from trio2o.replication.reconcile import (
    AddMembers,
    DropItems,
    Found,
    Object,
    RemoveMembers,
    SetFields,
    SetItems,
    Shape,
    Step,
)

#: The newest that still shows rxtx_factor, and with a number for no swap.
VERSION = '2.75'
_WITH_DESCRIPTION = '2.55'
_WITH_SPECS = '2.61'
_PAGE = 1000


class Flavors:
    kind = FLAVOR
    service = COMPUTE
    has_own_ids = False
    has_owners = False
    shape = Shape(
        fixed=(
            'name',
            'ram',
            'vcpus',
            'disk',
            'ephemeral',
            'swap',
            'rxtx_factor',
            'is_public',
        ),
        fields=('description',),
        maps=('extra_specs',),
        sets=('projects',),
        meaning=('extra_specs',),
    )

    def owners(self, identity: Identity) -> Collection[str]:
        return ()

    def list_all(self, api: PodApi, owners: Collection[str]) -> list[Found]:
        found: list[Found] = []
        query = {'is_public': 'None', 'limit': str(_PAGE)}
        while True:
            document = api.get(f'/flavors/detail?{urlencode(query)}', VERSION) or {}
            page = document.get('flavors', [])
            found += [self._found(api, item) for item in page]
            if not page or 'flavors_links' not in document:
                return found
            query['marker'] = page[-1]['id']

    def read(self, api: PodApi, key: str, bottom_id: str) -> Found | None:
        document = api.get(_path(bottom_id), VERSION)
        return None if document is None else self._found(api, document['flavor'])

    def _found(self, api: PodApi, item: Mapping[str, Any]) -> Found:
        flavor_id = str(item['id'])
        wanted: dict[str, Any] = {
            'id': flavor_id,
            'name': item['name'],
            'ram': item['ram'],
            'vcpus': item['vcpus'],
            'disk': item['disk'],
            'ephemeral': item.get('OS-FLV-EXT-DATA:ephemeral') or 0,
            'swap': item.get('swap') or 0,
            'rxtx_factor': float(item.get('rxtx_factor') or 1.0),
            'is_public': item.get('os-flavor-access:is_public', True),
            'projects': [],
        }
        if 'description' in item:
            wanted['description'] = item['description']
        specs = item.get('extra_specs')
        if specs is None and not api.can(_WITH_SPECS):
            specs = (api.get(f'{_path(flavor_id)}/os-extra_specs', VERSION) or {}).get('extra_specs')
        wanted['extra_specs'] = dict(specs or {})
        if not wanted['is_public']:
            access = api.get(f'{_path(flavor_id)}/os-flavor-access', VERSION) or {}
            rows = access.get('flavor_access', [])
            wanted['projects'] = sorted(row['tenant_id'] for row in rows)
        return Found(flavor_id, flavor_id, wanted['name'], wanted)

    def create(self, api: PodApi, wanted: Object) -> str:
        body = {
            'id': wanted['id'],
            'name': wanted['name'],
            'ram': wanted['ram'],
            'vcpus': wanted['vcpus'],
            'disk': wanted['disk'],
            'OS-FLV-EXT-DATA:ephemeral': wanted['ephemeral'],
            'swap': wanted['swap'],
            'rxtx_factor': wanted['rxtx_factor'],
            'os-flavor-access:is_public': wanted['is_public'],
        }
        if wanted.get('description') is not None and api.can(_WITH_DESCRIPTION):
            body['description'] = wanted['description']
        api.send('POST', '/flavors', VERSION, {'flavor': body})
        return str(wanted['id'])

    def carry_out(self, api: PodApi, found: Found, step: Step) -> None:
        path = _path(found.bottom_id)
        match step:
            case SetFields(values):
                api.send('PUT', path, VERSION, {'flavor': dict(values)})
            case SetItems(_, items):
                api.send('POST', f'{path}/os-extra_specs', VERSION, {'extra_specs': dict(items)})
            case DropItems(_, keys):
                for key in keys:
                    api.send('DELETE', f'{path}/os-extra_specs/{quote(key, safe="")}', VERSION)
            case AddMembers(_, projects):
                for project in projects:
                    body = {'addTenantAccess': {'tenant': project}}
                    api.send('POST', f'{path}/action', VERSION, body)
            case RemoveMembers(_, projects):
                for project in projects:
                    body = {'removeTenantAccess': {'tenant': project}}
                    api.send('POST', f'{path}/action', VERSION, body)

    def remove(self, api: PodApi, found: Found) -> None:
        api.send('DELETE', _path(found.bottom_id), VERSION)

    def is_used(self, api: PodApi, bottom_id: str) -> bool:
        # Servers keep a copy of their flavor: it can go at any time.
        return False


def _path(flavor_id: str) -> str:
    return f'/flavors/{quote(flavor_id, safe="")}'
