# SPDX-License-Identifier: Apache-2.0
"""The default volume type of a project, used where a volume's create request names none.

The key is the project. The attribute ``volume_type`` holds the id of the type that tenants see.
"""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import quote

from trio2o.pods.endpoints import VOLUME
from trio2o.pods.podapi import PodApi
from trio2o.replication.adapters.base import Adapter
from trio2o.replication.kinds import DEFAULT_TYPE
from trio2o.replication.reconcile import Attributes, PodObject, SetFields, Shape, Step
from trio2o.resources import folded_name

VERSION = '3.62'


class DefaultTypes(Adapter):
    kind = DEFAULT_TYPE
    service = VOLUME
    shape = Shape(fields=('volume_type',))

    def list_all(self, api: PodApi, owners: Collection[str]) -> list[PodObject]:
        if not api.can(VERSION):
            return []
        document = api.get_list('/default-types', VERSION)
        return [_found(row['project_id'], api.id_up(row['volume_type_id'])) for row in document['default_types']]

    def read(self, api: PodApi, key: str, bottom_id: str) -> PodObject | None:
        # To show a single one, Cinder looks the project up in Keystone, where it may have been deleted.
        rows = self.list_all(api, ())
        same = (found for found in rows if found.key == key)
        return next(same, None) or next((found for found in rows if folded_name(found.key) == folded_name(key)), None)

    def create(self, api: PodApi, desired: Attributes) -> str:
        project_id = desired['name']
        self._set(api, project_id, desired['volume_type'])
        return str(project_id)

    def apply(self, api: PodApi, found: PodObject, step: Step) -> None:
        match step:
            case SetFields(values):
                self._set(api, found.bottom_id, values['volume_type'])

    def _set(self, api: PodApi, project_id: str, type_id: str) -> None:
        body = {'default_type': {'volume_type': api.id_down(type_id)}}
        api.send('PUT', _path(project_id), VERSION, body)

    def delete(self, api: PodApi, found: PodObject) -> None:
        api.send('DELETE', _path(found.bottom_id), VERSION)


def _found(project_id: str, type_id: str) -> PodObject:
    return PodObject(project_id, project_id, project_id, {'name': project_id, 'volume_type': type_id})


def _path(project_id: str) -> str:
    return f'/default-types/{quote(project_id, safe="")}'
