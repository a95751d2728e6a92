# SPDX-License-Identifier: Apache-2.0
"""Flavors with their extra specs and the projects that may use a private one.

The create request of a flavor chooses its id, so the id is the same in every pod. Nova never changes the name and the
sizes of a flavor.
"""

from __future__ import annotations

from typing import Any

from trio2o.pods.endpoints import COMPUTE
from trio2o.pods.podapi import PodApi
from trio2o.replication.adapters.base import Json
from trio2o.replication.adapters.specs import Access, SpecsAdapter
from trio2o.replication.kinds import FLAVOR
from trio2o.replication.reconcile import Attributes, Shape

_WITH_DESCRIPTION = '2.55'
_WITH_SPECS = '2.61'


class Flavors(SpecsAdapter):
    kind = FLAVOR
    service = COMPUTE
    shape = Shape(
        fixed=('name', 'ram', 'vcpus', 'disk', 'ephemeral', 'swap', 'rxtx_factor', 'is_public'),
        fields=('description',),
        maps=('extra_specs',),
        sets=('projects',),
        defining=('extra_specs',),
    )

    #: The newest version that still shows rxtx_factor, and a number where there is no swap.
    version = '2.75'
    collection = '/flavors'
    list_path = '/flavors/detail'
    member = 'flavor'
    members = 'flavors'
    links = 'flavors_links'
    specs_path = 'os-extra_specs'
    access = Access(
        'os-flavor-access', 'flavor_access', 'tenant_id', 'addTenantAccess', 'removeTenantAccess', argument='tenant'
    )

    def attributes(self, api: PodApi, item: Json) -> dict[str, Any]:
        flavor_id = str(item['id'])
        attributes: dict[str, Any] = {
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
            attributes['description'] = item['description']
        shows_specs = item if api.can(_WITH_SPECS) else api.get(f'{self.path(flavor_id)}/os-extra_specs', self.version)
        attributes['extra_specs'] = dict(shows_specs['extra_specs'])
        if not attributes['is_public']:
            attributes['projects'] = self.projects_with_access(api, flavor_id)
        return attributes

    def create_body(self, api: PodApi, desired: Attributes) -> Json:
        body = {
            'id': desired['id'],
            'name': desired['name'],
            'ram': desired['ram'],
            'vcpus': desired['vcpus'],
            'disk': desired['disk'],
            'OS-FLV-EXT-DATA:ephemeral': desired['ephemeral'],
            'swap': desired['swap'],
            'rxtx_factor': desired['rxtx_factor'],
            'os-flavor-access:is_public': desired['is_public'],
        }
        if desired.get('description') is not None and api.can(_WITH_DESCRIPTION):
            body['description'] = desired['description']
        return body

    # ``is_used`` is False: servers keep a copy of their flavor, so that a pod deletes one at any time.
