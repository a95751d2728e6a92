# SPDX-License-Identifier: Apache-2.0
"""QoS specs, and the volume types they are associated with.

Every pod chooses the ids itself. The attribute ``types`` holds the ids of volume types that tenants see.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, ClassVar
from urllib.parse import urlencode

from trio2o.pods.endpoints import VOLUME
from trio2o.pods.podapi import PodApi
from trio2o.replication.adapters.base import Json
from trio2o.replication.adapters.specs import SpecsAdapter
from trio2o.replication.kinds import QOS_SPEC
from trio2o.replication.reconcile import Attributes, PodObject, Shape


class QosSpecs(SpecsAdapter):
    kind = QOS_SPEC
    service = VOLUME
    has_own_ids = True
    shape = Shape(fields=('consumer',), maps=('specs',), sets=('types',), defining=('consumer', 'specs'))

    version = '3.0'
    collection = '/qos-specs'
    list_query: ClassVar = {}
    member = 'qos_specs'
    members = 'qos_specs'

    def attributes(self, api: PodApi, item: Json) -> dict[str, Any]:
        associations = api.get(f'{self.path(item["id"])}/associations', self.version)
        return {
            'name': item['name'],
            'consumer': item['consumer'],
            'specs': {name: str(value) for name, value in (item['specs'] or {}).items()},
            'types': sorted(api.id_up(row['id']) for row in associations['qos_associations']),
        }

    def create_body(self, api: PodApi, desired: Attributes) -> Json:
        return {'name': desired['name'], 'consumer': desired['consumer'], **desired['specs']}

    def set_specs(self, api: PodApi, path: str, specs: Attributes) -> None:
        api.send('PUT', path, self.version, {self.member: dict(specs)})

    def delete_specs(self, api: PodApi, path: str, keys: Collection[str]) -> None:
        api.send('PUT', f'{path}/delete_keys', self.version, {'keys': list(keys)})

    def add_member(self, api: PodApi, path: str, member: str) -> None:
        self._associate(api, f'{path}/associate', member)

    def remove_member(self, api: PodApi, path: str, member: str) -> None:
        self._associate(api, f'{path}/disassociate', member)

    def _associate(self, api: PodApi, path: str, type_id: str) -> None:
        query = urlencode({'vol_type_id': api.id_down(type_id)})
        # A write, in spite of its method.
        api.send('GET', f'{path}?{query}', self.version, is_repeated=False)

    def delete(self, api: PodApi, found: PodObject) -> None:
        api.send('DELETE', f'{self.path(found.bottom_id)}?force=True', self.version)

    # ``is_used`` is False: only volume types use QoS specs, and those are the same in every pod.
