# SPDX-License-Identifier: Apache-2.0
"""Group types with their specs.

Every pod chooses the ids itself. One type, ``default_cgsnapshot_type``, is in every pod from the beginning; types of
equal names are one type.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from urllib.parse import urlencode

from trio2o.pods.endpoints import VOLUME
from trio2o.pods.podapi import PodApi
from trio2o.replication.adapters.base import Json
from trio2o.replication.adapters.specs import SpecsAdapter
from trio2o.replication.kinds import GROUP_TYPE
from trio2o.replication.reconcile import Attributes, PodObject, Shape

_WITH_GROUPS = '3.13'


class GroupTypes(SpecsAdapter):
    kind = GROUP_TYPE
    service = VOLUME
    has_own_ids = True
    shape = Shape(
        fields=('name', 'description', 'is_public'), maps=('group_specs',), defining=('is_public', 'group_specs')
    )

    version = '3.11'
    collection = '/group_types'
    member = 'group_type'
    members = 'group_types'
    specs_path = 'group_specs'
    specs_member = 'group_specs'

    def list_all(self, api: PodApi, owners: Collection[str]) -> list[PodObject]:
        return super().list_all(api, owners) if api.can(self.version) else []

    def attributes(self, api: PodApi, item: Json) -> dict[str, Any]:
        return {
            'name': item['name'],
            'description': item.get('description') or '',
            'is_public': item.get('is_public', True),
            'group_specs': dict(item['group_specs'] or {}),
        }

    def create_body(self, api: PodApi, desired: Attributes) -> Json:
        return {
            'name': desired['name'],
            'description': desired['description'] or None,
            'is_public': desired['is_public'],
            'group_specs': desired['group_specs'],
        }

    def is_used(self, api: PodApi, bottom_id: str) -> bool:
        """Return whether the pod has groups of the type, and so refuses to delete it."""
        query = urlencode({'all_tenants': 'True', 'group_type_id': bottom_id, 'limit': '1'})
        document = api.get_list(f'/groups?{query}', _WITH_GROUPS)
        return bool(document.get('groups'))
