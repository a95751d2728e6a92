# SPDX-License-Identifier: Apache-2.0
"""Volume types with extra specs, access and encryption.

Every pod chooses the ids itself. Tenants see the id of the pod that had the type first, which is also its key. Names
are unique in a pod; types of equal names that several pods had before they joined (``__DEFAULT__`` is in all of them)
are one type. Which backend serves a type is up to each pod: ``LOCAL``. Its zones have other names in each pod.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from trio2o.pods import type_zones
from trio2o.pods.endpoints import VOLUME
from trio2o.pods.podapi import PodApi
from trio2o.replication.adapters.base import Json
from trio2o.replication.adapters.specs import Access, SpecsAdapter
from trio2o.replication.kinds import VOLUME_TYPE
from trio2o.replication.reconcile import Attributes, PodObject, Shape

#: Extra specs that name something of the pod.
LOCAL = frozenset({'volume_backend_name', type_zones.KEY})

_ENCRYPTION = ('provider', 'cipher', 'key_size', 'control_location')


class VolumeTypes(SpecsAdapter):
    kind = VOLUME_TYPE
    service = VOLUME
    has_own_ids = True
    shape = Shape(
        fields=('name', 'description', 'is_public', 'encryption'),
        maps=('extra_specs',),
        sets=('projects',),
        local=LOCAL,
        defining=('is_public', 'encryption', 'extra_specs'),
    )

    version = '3.0'
    collection = '/types'
    member = 'volume_type'
    members = 'volume_types'
    access = Access(
        'os-volume-type-access',
        'volume_type_access',
        'project_id',
        'addProjectAccess',
        'removeProjectAccess',
        argument='project',
    )

    def attributes(self, api: PodApi, item: Json) -> dict[str, Any]:
        type_id = item['id']
        is_public = item.get('is_public', item.get('os-volume-type-access:is_public', True))
        encryption = api.get(f'{self.path(type_id)}/encryption', self.version)
        return {
            'name': item['name'],
            'description': item.get('description') or '',
            'is_public': is_public,
            'extra_specs': self._specs_up(api, item['extra_specs'] or {}),
            'projects': [] if is_public else self.projects_with_access(api, type_id),
            'encryption': {name: encryption.get(name) for name in _ENCRYPTION} if encryption else None,
        }

    def create_body(self, api: PodApi, desired: Attributes) -> Json:
        return {
            'name': desired['name'],
            'description': desired['description'] or None,
            'os-volume-type-access:is_public': desired['is_public'],
            'extra_specs': self._specs_down(api, desired['extra_specs']),
        }

    def set_specs(self, api: PodApi, path: str, specs: Attributes) -> None:
        super().set_specs(api, path, self._specs_down(api, specs))

    def set_fields(self, api: PodApi, found: PodObject, values: Attributes) -> None:
        plain = {name: value for name, value in values.items() if name != 'encryption'}
        if plain:
            super().set_fields(api, found, plain)
        if 'encryption' in values:
            path = self.path(found.bottom_id)
            self._set_encryption(api, path, found.attributes['encryption'], values['encryption'])

    def _specs_up(self, api: PodApi, specs: Attributes) -> dict[str, Any]:
        pod_zone = api.pod.zone_in(VOLUME)
        specs = type_zones.replaced(dict(specs), lambda value: type_zones.up(value, api.pod.zone, pod_zone))
        return dict(specs)

    def _specs_down(self, api: PodApi, specs: Attributes) -> dict[str, Any]:
        def translate(value: str) -> str:
            return type_zones.down(value, api.pod.zone, self._zones_of(api))

        return dict(type_zones.replaced(dict(specs), translate))

    def _zones_of(self, api: PodApi) -> list[str]:
        """Return the pod's names for its zone: the only one, or all zones in the pod."""
        name = api.pod.zone_in(VOLUME)
        if name:
            return [name]
        document = api.get('/os-availability-zone', self.version)
        return [zone['zoneName'] for zone in document['availabilityZoneInfo']]

    def _set_encryption(self, api: PodApi, path: str, old: Attributes | None, new: Attributes | None) -> None:
        if new is None:
            api.send('DELETE', f'{path}/encryption/provider', self.version)
        elif old is None:
            given = {name: value for name, value in new.items() if value is not None}
            api.send('POST', f'{path}/encryption', self.version, {'encryption': given})
        else:
            api.send('PUT', f'{path}/encryption/provider', self.version, {'encryption': dict(new)})

    def is_used(self, api: PodApi, bottom_id: str) -> bool:
        """Return whether the pod has volumes of the type, and so refuses most changes of it."""
        query = urlencode({'all_tenants': '1', 'volume_type_id': bottom_id, 'limit': '1'})
        document = api.get_list(f'/volumes/detail?{query}', self.version)
        return bool(document.get('volumes'))
