# SPDX-License-Identifier: Apache-2.0
"""The emulated Placement reports the usage of the pod's servers."""

import testtools

from trio2o.lab.emulated.topology import Cloud
from trio2o.tests.unit.lab.client import Client


class TestPlacement(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.cloud = Cloud(pods=1)
        self.pod = self.cloud.pod('Pod1')
        self.admin = Client(self.cloud, user='admin')

    def get(self, path, version='placement 1.20'):
        return self.admin.follow(self.pod.placement_url + path, version)

    def test_inventories_and_usages_are_reported(self):
        self.cloud.add_servers('Pod1', 'demo', 3)
        self.cloud.add_servers('Pod1', 'alt', 1)
        provider = self.get('/resource_providers').json['resource_providers'][0]['uuid']
        path = f'/resource_providers/{provider}'
        self.assertEqual({'VCPU': 4, 'MEMORY_MB': 2048, 'DISK_GB': 4}, self.get(path + '/usages').json['usages'])
        inventories = self.get(path + '/inventories').json['inventories']
        self.assertEqual(1000, inventories['VCPU']['total'])
        self.pod.placement.capacity[''] = {'VCPU': 8}
        self.assertEqual({'VCPU'}, set(self.get(path + '/inventories').json['inventories']))
        project = self.cloud.project_id('demo')
        self.assertEqual(3, self.get(f'/usages?project_id={project}').json['usages']['VCPU'])

    def test_unknown_provider_is_404_and_member_gets_403(self):
        self.assertEqual(404, self.get('/resource_providers/x').status)
        self.assertEqual(404, self.get('/usages?project_id=x', 'placement 1.8').status)
        member = Client(self.cloud).follow(self.pod.placement_url + '/resource_providers')
        self.assertEqual(403, member.status)
