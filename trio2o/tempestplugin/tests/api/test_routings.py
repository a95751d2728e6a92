# SPDX-License-Identifier: Apache-2.0
"""/routings of the Admin API: where every resource is."""

from __future__ import annotations

from tempest.lib import decorators
from tempest.lib import exceptions as lib_exc
from tempest.lib.common.utils import data_utils

from trio2o.tempestplugin.tests import base


class TestRoutings(base.BaseScenario):
    zones_needed = 1

    @classmethod
    def setup_credentials(cls) -> None:
        cls.set_network_resources()
        super(base.BaseTrio2oTest, cls).setup_credentials()

    @decorators.attr(type='smoke')
    @decorators.idempotent_id('9e6f3d0e-2a44-4f8f-bb5b-46bfb4f2f1a1')
    def test_routing_of_volume_ends_with_the_volume(self) -> None:
        volume = self.create_volume(availability_zone=self.first_zone)
        routing = self.admin.show_routing(volume['id'])['routing']
        self.assertEqual(volume['id'], routing['bottom_id'])
        self.assertEqual(self.os_primary.credentials.project_id, routing['project_id'])
        self.assertIn(routing['pod_id'], [pod['pod_id'] for pod in self.zones[self.first_zone]])
        self.assertEqual(routing, self.admin.show_routing(routing['id'])['routing'])
        self.delete_volume(self.volumes, volume['id'])
        listed = self.admin.list_routings(top_id=volume['id'], state='active')['routings']
        self.assertEqual([], listed)

    @decorators.idempotent_id('b3c0fb3c-51d2-4a3f-9a8a-0f8a8e3f7ba2')
    def test_pages_of_routings_make_the_list_of_project(self) -> None:
        volumes = {self.create_volume(availability_zone=self.first_zone)['id'] for _ in range(2)}
        project = self.os_primary.credentials.project_id
        query = {'project_id': project, 'resource_type': 'volume', 'limit': 1}
        first = self.admin.list_routings(**query)['routings']
        found = {routing['top_id'] for routing in first}
        while first:
            first = self.admin.list_routings(**query, marker=first[-1]['id'])['routings']
            found |= {routing['top_id'] for routing in first}
        self.assertLessEqual(volumes, found)

    @decorators.attr(type='negative')
    @decorators.idempotent_id('4a4f0b86-5d1d-4b29-8f4b-0e3c3f0fd2a3')
    def test_unknown_routing_is_404(self) -> None:
        self.assertRaises(lib_exc.NotFound, self.admin.show_routing, data_utils.rand_uuid())

    @decorators.attr(type='negative')
    @decorators.idempotent_id('6f1a9c2d-7ad5-4f18-9e5a-b84c2e7a03a4')
    def test_routings_are_refused_to_tenants(self) -> None:
        volume = self.create_volume(availability_zone=self.first_zone)
        self.assertRaises(lib_exc.Forbidden, self.tenant.list_routings)
        self.assertRaises(lib_exc.Forbidden, self.tenant.show_routing, volume['id'])
