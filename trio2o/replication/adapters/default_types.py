# SPDX-License-Identifier: Apache-2.0
"""The volume type that a project gets when it names none.

The key is the project; the type is known here by the id that tenants see.
"""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import quote

from trio2o.pods.endpoints import VOLUME
from trio2o.pods.identity import Identity
from trio2o.pods.podapi import PodApi
from trio2o.replication.kinds import DEFAULT_TYPE
from trio2o.replication.reconcile import Found, Object, SetFields, Shape, Step

VERSION = '3.62'


class DefaultTypes:
    kind = DEFAULT_TYPE
    service = VOLUME
    has_own_ids = False
    has_owners = False
    shape = Shape(fields=('volume_type',))

    def owners(self, identity: Identity) -> Collection[str]:
        return ()

    def list_all(self, api: PodApi, owners: Collection[str]) -> list[Found]:
        if not api.can(VERSION):
            return []
        document = api.get('/default-types', VERSION) or {}
        rows = document.get('default_types') or []
        return [_found(row['project_id'], api.id_up(row['volume_type_id'])) for row in rows]

    def read(self, api: PodApi, key: str, bottom_id: str) -> Found | None:
        # Shown one by one they are looked up in Keystone too, which may know of the project no more.
        return next((found for found in self.list_all(api, ()) if found.key == key), None)

    def create(self, api: PodApi, wanted: Object) -> str:
        project_id = wanted['name']
        self._set(api, project_id, wanted['volume_type'])
        return str(project_id)

    def carry_out(self, api: PodApi, found: Found, step: Step) -> None:
        match step:
            case SetFields(values):
                self._set(api, found.bottom_id, values['volume_type'])

    def _set(self, api: PodApi, project_id: str, type_id: str) -> None:
        body = {'default_type': {'volume_type': api.id_down(type_id)}}
        api.send('PUT', _path(project_id), VERSION, body)

    def remove(self, api: PodApi, found: Found) -> None:
        api.send('DELETE', _path(found.bottom_id), VERSION)

    def is_used(self, api: PodApi, bottom_id: str) -> bool:
        return False


def _found(project_id: str, type_id: str) -> Found:
    return Found(project_id, project_id, project_id, {'name': project_id, 'volume_type': type_id})


def _path(project_id: str) -> str:
    return f'/default-types/{quote(project_id, safe="")}'
