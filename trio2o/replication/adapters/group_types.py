# SPDX-License-Identifier: Apache-2.0
"""Group types with their specs.

Every pod picks the ids itself, and has one from its beginning, ``default_cgsnapshot_type``; equal names join them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from trio2o.pods.endpoints import VOLUME
from trio2o.pods.identity import Identity
from trio2o.pods.podapi import PodApi
from trio2o.replication.kinds import GROUP_TYPE
from trio2o.replication.reconcile import DropItems, Found, Object, SetFields, SetItems, Shape, Step

VERSION = '3.11'
_WITH_GROUPS = '3.13'
_PAGE = 1000


class GroupTypes:
    kind = GROUP_TYPE
    service = VOLUME
    has_own_ids = True
    has_owners = False
    shape = Shape(
        fields=('name', 'description', 'is_public'), maps=('group_specs',), meaning=('is_public', 'group_specs')
    )

    def owners(self, identity: Identity) -> Collection[str]:
        return ()

    def list_all(self, api: PodApi, owners: Collection[str]) -> list[Found]:
        if not api.can(VERSION):
            return []
        found: list[Found] = []
        query = {'is_public': 'None', 'limit': str(_PAGE)}
        while True:
            document = api.get(f'/group_types?{urlencode(query)}', VERSION) or {}
            page = document.get('group_types', [])
            found += [self._found(item) for item in page]
            if len(page) < _PAGE:
                return found
            query['marker'] = page[-1]['id']

    def read(self, api: PodApi, key: str, bottom_id: str) -> Found | None:
        document = api.get(_path(bottom_id), VERSION)
        return None if document is None else self._found(document['group_type'])

    def _found(self, item: Mapping[str, Any]) -> Found:
        wanted = {
            'name': item['name'],
            'description': item.get('description') or '',
            'is_public': item.get('is_public', True),
            'group_specs': dict(item.get('group_specs') or {}),
        }
        return Found(item['id'], item['id'], item['name'], wanted)

    def create(self, api: PodApi, wanted: Object) -> str:
        body = {
            'name': wanted['name'],
            'description': wanted['description'] or None,
            'is_public': wanted['is_public'],
            'group_specs': wanted['group_specs'],
        }
        answer = api.send('POST', '/group_types', VERSION, {'group_type': body})
        return str(answer.json['group_type']['id'])

    def carry_out(self, api: PodApi, found: Found, step: Step) -> None:
        path = _path(found.bottom_id)
        match step:
            case SetFields(values):
                api.send('PUT', path, VERSION, {'group_type': dict(values)})
            case SetItems(_, items):
                api.send('POST', f'{path}/group_specs', VERSION, {'group_specs': dict(items)})
            case DropItems(_, keys):
                for key in keys:
                    api.send('DELETE', f'{path}/group_specs/{quote(key, safe="")}', VERSION)

    def remove(self, api: PodApi, found: Found) -> None:
        api.send('DELETE', _path(found.bottom_id), VERSION)

    def is_used(self, api: PodApi, bottom_id: str) -> bool:
        """Whether the pod has groups of the type, and so refuses to delete it."""
        query = urlencode({'all_tenants': 'True', 'group_type_id': bottom_id, 'limit': '1'})
        document = api.get(f'/groups?{query}', _WITH_GROUPS) or {}
        return bool(document.get('groups'))


def _path(type_id: str) -> str:
    return f'/group_types/{quote(type_id, safe="")}'
