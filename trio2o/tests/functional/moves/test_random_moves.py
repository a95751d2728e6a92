# SPDX-License-Identifier: Apache-2.0
"""Moves while everything fails at random: each resource exists once, and no move is without a way out.

``TRIO2O_RANDOM_SEEDS=1-50`` runs a thousand moves.
"""

import os

from trio2o.tests.fixtures.waiting import wait_until
from trio2o.tests.functional.moves.base import MovesCase
from trio2o.tests.functional.moves.random_moves import Simulation

#: Moves of one seed. They take turns.
SIZE = 20


class TestRandomMoves(MovesCase):
    def gateway(self, **options):
        settings = {'moves.settle_seconds': 0, 'pods.read_timeout': 1, 'moves.confirm_seconds': 3600}
        return super().gateway(**settings, **options)

    def port(self):
        return self.cloud.lab.neutron.add_port(self.network)['id']

    def wait(self, condition, text):
        wait_until(condition, 300, text, interval=0.02)

    def settle(self):
        """Let the pods carry out what they have accepted, and Trio2o read it."""
        for _ in range(2):
            self.cloud.nova.get('/servers/detail')
            self.cloud.cinder.get('/volumes/detail')
        self.cloud.runtime.registry.refresh()

    def quota_in_use(self):
        project = self.cloud.project_id()
        servers = self.cloud.nova.get(f'/os-quota-sets/{project}/detail')['quota_set']['instances']['in_use']
        volumes = self.cloud.cinder.get(f'/os-quota-sets/{project}?usage=true', as_='admin')['quota_set']['volumes']
        return servers, volumes['in_use']

    def check_ports(self, servers):
        """See that each port belongs to a server that exists, or to none, and each server has its own."""
        places = {self.place('server', each)[1] for each in servers}
        for port in self.cloud.lab.neutron.ports.values():
            self.assertIn(port['device_id'], places | {''}, port)

    def test_each_resource_exists_once_while_pods_fail_and_workers_die(self):
        first, _, last = os.environ.get('TRIO2O_RANDOM_SEEDS', '1').partition('-')
        for seed in range(int(first), int(last or first) + 1):
            if seed != int(first):
                self.cloud = self.gateway()
                self.cloud.lab.keystone.users['trio2o'].roles['demo'] = ('admin',)
            self.network = self.cloud.lab.neutron.add_network('demo', cidr='10.0.0.0/20')
            simulation = Simulation(self, seed, SIZE)
            try:
                simulation.run()
            except AssertionError as error:
                self.fail('\n'.join([f'seed {seed}: {error}', *simulation.log[-80:]]))
