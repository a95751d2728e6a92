# SPDX-License-Identifier: Apache-2.0
"""Volume types with extra specs, access and encryption.

Every pod picks the ids itself; tenants see the id of the pod that had the type first, which is also
its key. Names are unique in a pod, and join what several pods had before they came here
(``__DEFAULT__`` is in all of them). Which backend serves a type is a pod's own affair: ``LOCAL``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from trio2o.pods.endpoints import VOLUME
from trio2o.pods.identity import Identity
from trio2o.pods.podapi import PodApi
from trio2o.replication.kinds import VOLUME_TYPE
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

VERSION = '3.0'
_PAGE = 1000

#: Extra specs that name something of the pod.
LOCAL = frozenset({'volume_backend_name', 'RESKEY:availability_zones'})

_ENCRYPTION = ('provider', 'cipher', 'key_size', 'control_location')


class VolumeTypes:
    kind = VOLUME_TYPE
    service = VOLUME
    has_own_ids = True
    has_owners = False
    shape = Shape(
        fields=('name', 'description', 'is_public', 'encryption'),
        maps=('extra_specs',),
        sets=('projects',),
        local=LOCAL,
        meaning=('is_public', 'encryption', 'extra_specs'),
    )

    def owners(self, identity: Identity) -> Collection[str]:
        return ()

    def list_all(self, api: PodApi, owners: Collection[str]) -> list[Found]:
        found: list[Found] = []
        query = {'is_public': 'None', 'limit': str(_PAGE)}
        while True:
            document = api.get(f'/types?{urlencode(query)}', VERSION) or {}
            page = document.get('volume_types', [])
            found += [self._found(api, item) for item in page]
            if len(page) < _PAGE:
                return found
            query['marker'] = page[-1]['id']

    def read(self, api: PodApi, key: str, bottom_id: str) -> Found | None:
        document = api.get(_path(bottom_id), VERSION)
        return None if document is None else self._found(api, document['volume_type'])

    def _found(self, api: PodApi, item: Mapping[str, Any]) -> Found:
        type_id = item['id']
        is_public = item.get('is_public', item.get('os-volume-type-access:is_public', True))
        wanted: dict[str, Any] = {
            'name': item['name'],
            'description': item.get('description') or '',
            'is_public': is_public,
            'extra_specs': dict(item.get('extra_specs') or {}),
            'projects': [],
            'encryption': None,
        }
        if not is_public:
            access = api.get(f'{_path(type_id)}/os-volume-type-access', VERSION) or {}
            rows = access.get('volume_type_access', [])
            wanted['projects'] = sorted(row['project_id'] for row in rows)
        encryption = api.get(f'{_path(type_id)}/encryption', VERSION)
        if encryption:
            wanted['encryption'] = {name: encryption.get(name) for name in _ENCRYPTION}
        return Found(type_id, type_id, wanted['name'], wanted)

    def create(self, api: PodApi, wanted: Object) -> str:
        body = {
            'name': wanted['name'],
            'description': wanted['description'] or None,
            'os-volume-type-access:is_public': wanted['is_public'],
            'extra_specs': wanted['extra_specs'],
        }
        answer = api.send('POST', '/types', VERSION, {'volume_type': body})
        return str(answer.json['volume_type']['id'])

    def carry_out(self, api: PodApi, found: Found, step: Step) -> None:
        path = _path(found.bottom_id)
        match step:
            case SetFields(values):
                self._set_fields(api, found, values)
            case SetItems(_, items):
                api.send('POST', f'{path}/extra_specs', VERSION, {'extra_specs': dict(items)})
            case DropItems(_, keys):
                for key in keys:
                    api.send('DELETE', f'{path}/extra_specs/{quote(key, safe="")}', VERSION)
            case AddMembers(_, projects):
                for project in projects:
                    body = {'addProjectAccess': {'project': project}}
                    api.send('POST', f'{path}/action', VERSION, body)
            case RemoveMembers(_, projects):
                for project in projects:
                    body = {'removeProjectAccess': {'project': project}}
                    api.send('POST', f'{path}/action', VERSION, body)

    def _set_fields(self, api: PodApi, found: Found, values: Mapping[str, Any]) -> None:
        path = _path(found.bottom_id)
        plain = {name: value for name, value in values.items() if name != 'encryption'}
        if plain:
            api.send('PUT', path, VERSION, {'volume_type': plain})
        if 'encryption' in values:
            self._set_encryption(api, path, found.wanted['encryption'], values['encryption'])

    def _set_encryption(self, api: PodApi, path: str, there: Object | None, wanted: Object | None) -> None:
        if wanted is None:
            api.send('DELETE', f'{path}/encryption/provider', VERSION)
        elif there is None:
            given = {name: value for name, value in wanted.items() if value is not None}
            api.send('POST', f'{path}/encryption', VERSION, {'encryption': given})
        else:
            api.send('PUT', f'{path}/encryption/provider', VERSION, {'encryption': dict(wanted)})

    def remove(self, api: PodApi, found: Found) -> None:
        api.send('DELETE', _path(found.bottom_id), VERSION)

    def is_used(self, api: PodApi, bottom_id: str) -> bool:
        """Whether the pod has volumes of the type, and so refuses to change most of it."""
        query = urlencode({'all_tenants': '1', 'volume_type_id': bottom_id, 'limit': '1'})
        document = api.get(f'/volumes/detail?{query}', VERSION) or {}
        return bool(document.get('volumes'))


def _path(type_id: str) -> str:
    return f'/types/{quote(type_id, safe="")}'
