# SPDX-License-Identifier: Apache-2.0
"""Rebalancing: servers of full pods of a zone are moved to its other pods."""

from trio2o.db import moves
from trio2o.tests.functional.move_groups.base import GroupsCase


class RebalanceCase(GroupsCase):
    pods = {'Pod1': 'az1', 'Pod2': 'az1', 'Pod3': 'az2'}

    def setUp(self):
        super().setUp()
        for name in self.pods:
            placement = self.cloud.pod(name).placement
            placement.capacity[''] = {'VCPU': 20, 'MEMORY_MB': 100000, 'DISK_GB': 100000}
            placement.ratios, placement.reserved = {}, {}

    def fill(self, number, pod='Pod1'):
        """Create servers in a pod, and let its usage be known. :returns: their ids"""
        others = [name for name in self.pods if name != pod]
        for name in others:
            self.cloud.set_pod(name, state='disabled')
        found = [self.server(zone=self.pods[pod], name=f's{at}') for at in range(number)]
        for name in others:
            self.cloud.set_pod(name, state='enabled')
        for each in found:
            self.assertEqual('ACTIVE', self.show(each)['status'])
        self.cloud.runtime.jobs.submit('collect_usage', 'all', None)
        self.cloud.run_jobs(1000)
        self.cloud.runtime.registry.refresh()
        return found

    def pods_of(self, servers):
        return sorted(self.place('server', each)[0] for each in servers)


class TestRebalance(RebalanceCase):
    def test_servers_are_spread_over_the_zone(self):
        servers = self.fill(6)
        plan = self.create(200, kind='rebalance', zone='az1', dry_run=True)['plan']
        self.assertEqual(({'Pod2'}, 3), ({each['target_pod'] for each in plan['members']}, len(plan['members'])))
        self.assertEqual([], moves.list_(self.db))
        group = self.begin(kind='rebalance', zone='az1', canary=0)
        self.assertEqual(3, self.completed(group)['counts']['moved'])
        self.assertEqual(['Pod1'] * 3 + ['Pod2'] * 3, self.pods_of(servers))

    def test_even_zone_is_left_alone(self):
        self.fill(2)
        self.fill(2, 'Pod2')
        plan = self.create(200, kind='rebalance', zone='az1', dry_run=True)['plan']
        self.assertEqual([], plan['members'])
        self.assertIn('are even', self.create(409, kind='rebalance', zone='az1').text)

    def test_closed_pods_take_nothing(self):
        self.fill(4)
        self.cloud.set_pod('Pod2', state='draining')
        self.cloud.runtime.registry.refresh()
        self.create(409, kind='rebalance', zone='az1')

    def test_project_stays_in_the_pod_that_it_is_bound_to_exclusively(self):
        self.fill(4)
        project = self.cloud.project_id()
        binding = {'tenant_id': project, 'pod_id': self.cloud.pod_ids['Pod1'], 'is_exclusive': True}
        answer = self.cloud.api.post('/bindings', {'pod_binding': binding})
        self.assertIn(answer.status, (200, 201), answer.text)
        self.create(409, kind='rebalance', zone='az1')

    def test_zone_without_known_usage_is_left_alone(self):
        self.server()
        self.create(409, kind='rebalance', zone='az1')


class TestPack(RebalanceCase):
    def gateway(self, **options):
        return super().gateway(**{'scheduler': {'weighers': ['binding', 'pack']}, **options})

    def test_weighers_of_the_configuration_decide(self):
        servers = [*self.fill(2), *self.fill(3, 'Pod2')]
        group = self.begin(kind='rebalance', zone='az1', canary=0)
        self.completed(group)
        self.assertEqual({'Pod2'}, set(self.pods_of(servers)))
