# SPDX-License-Identifier: Apache-2.0
"""One cloud from two real pods, with the real commands and the stock clients.

The tests share only what ``setUpClass`` creates: the gateway, and one server with an
attached volume in each zone.
"""

import time
import unittest

from trio2o.tests.fixtures.real import Client, CommandFailed, RealGateway, real_lab, temporary_name
from trio2o.tests.fixtures.waiting import wait_until

PODS = ('Pod1', 'Pod2')
ZONES = ('az1', 'az2')


class RealCloudTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.lab = real_lab()
        cls.lab.start()
        # Resources that are created in the pod before the gateway runs.
        early = Client(cls.lab, 'demo', 'Pod1')
        operator = Client(cls.lab, 'admin', 'Pod1')
        if 'early.tiny' not in [row['Name'] for row in operator.openstack('flavor', 'list')]:
            operator.openstack('flavor', 'create', 'early.tiny', '--ram', '256', '--disk', '1', '--vcpus', '1')
        early.openstack(
            'server',
            'create',
            'early',
            '--flavor',
            'early.tiny',
            '--image',
            'cirros',
            '--network',
            'private',
            '--wait',
        )
        early.openstack('volume', 'create', 'early', '--size', '1')
        cls.gateway = RealGateway(cls.lab)
        cls.gateway.setUp()
        cls.addClassCleanup(cls.gateway.cleanUp)
        cls.addClassCleanup(cls.lab.start)
        cls.cloud = Client(cls.lab)
        cls.admin = Client(cls.lab, 'admin')
        cls.pods = {name: Client(cls.lab, 'demo', name) for name in PODS}
        cls.admin.openstack('flavor', 'create', 'tiny', '--id', '61', '--ram', '128', '--disk', '1', '--vcpus', '1')
        cls.admin.openstack('flavor', 'create', 'small', '--id', '62', '--ram', '192', '--disk', '1', '--vcpus', '1')
        for zone in ZONES:
            cls.boot(f'server-{zone}', zone)
            cls.cloud.openstack('volume', 'create', f'volume-{zone}', '--availability-zone', zone, '--size', '1')
            cls.cloud.until('volume', f'volume-{zone}', 'available')
            cls.cloud.do('server', 'add', 'volume', f'server-{zone}', f'volume-{zone}')
            cls.cloud.until('volume', f'volume-{zone}', 'in-use')

    @classmethod
    def boot(cls, name, zone):
        return cls.cloud.openstack(
            'server',
            'create',
            name,
            '--flavor',
            'tiny',
            '--image',
            'cirros',
            '--network',
            'private',
            '--availability-zone',
            zone,
            '--wait',
        )

    def names(self, client, *command):
        return [row['Name'] for row in client.openstack(*command, 'list')]

    def test_lists_cover_both_pods(self):
        rows = self.cloud.openstack('server', 'list', '--long')
        mine = {row['Name']: row for row in rows if row['Name'].startswith('server-az')}
        self.assertEqual(['server-az2', 'server-az1'], list(mine))
        for zone in ZONES:
            self.assertEqual('ACTIVE', mine[f'server-{zone}']['Status'])
            self.assertEqual(zone, mine[f'server-{zone}']['Availability Zone'])
        volumes = [name for name in self.names(self.cloud, 'volume') if name.startswith('volume-az')]
        self.assertEqual(['volume-az2', 'volume-az1'], volumes)
        for pod, zone in zip(PODS, ZONES, strict=True):
            for what in ('server', 'volume'):
                held = [name for name in self.names(self.pods[pod], what) if name.startswith(f'{what}-az')]
                self.assertEqual([f'{what}-{zone}'], held)

    def test_pages_cover_both_pods(self):
        names, marker = [], []
        while True:
            page = self.cloud.openstack('server', 'list', '--limit', '1', *marker)
            if not page:
                break
            names.append(page[0]['Name'])
            marker = ['--marker', page[0]['ID']]
        self.assertEqual(self.names(self.cloud, 'server'), names)

    def test_resources_created_before_registration_are_used(self):
        self.assertIn('early', self.names(self.cloud, 'server'))
        shown = self.cloud.openstack('server', 'show', 'early')
        self.assertEqual('az1', shown['OS-EXT-AZ:availability_zone'])
        self.cloud.do('server', 'stop', shown['id'])
        self.cloud.until('server', shown['id'], 'SHUTOFF')
        self.cloud.do('server', 'start', shown['id'])
        self.cloud.until('server', shown['id'], 'ACTIVE')
        self.assertIn('early', self.names(self.cloud, 'volume'))
        # Its flavor is replicated to the other pod.
        other = Client(self.lab, 'admin', 'Pod2')
        wait_until(lambda: 'early.tiny' in self.names(other, 'flavor'), 60, 'the flavor did not reach Pod2', 1)

    def test_server_is_created_changed_and_deleted(self):
        name = temporary_name('life')
        server = self.boot(name, 'az2')
        cloud = self.cloud
        cloud.do('server', 'stop', name)
        cloud.until('server', name, 'SHUTOFF')
        cloud.do('server', 'start', name)
        cloud.until('server', name, 'ACTIVE')
        cloud.do('server', 'reboot', '--hard', name)
        cloud.until('server', name, 'ACTIVE')
        cloud.do('server', 'resize', '--flavor', 'small', name)
        cloud.until('server', name, 'VERIFY_RESIZE')
        cloud.do('server', 'resize', 'confirm', name)
        cloud.until('server', name, 'ACTIVE')
        cloud.do('server', 'set', '--property', 'colour=blue', '--tag', 'first', name)
        shown = cloud.openstack('server', 'show', name)
        self.assertEqual({'colour': 'blue'}, shown['properties'])
        self.assertEqual('az2', shown['OS-EXT-AZ:availability_zone'])
        self.assertEqual('small', shown['flavor']['original_name'])
        events = [row['Action'] for row in cloud.openstack('server', 'event', 'list', name)]
        self.assertEqual('create', events[-1])
        self.assertIn('resize', events)
        self.assertIn('url', cloud.openstack('console', 'url', 'show', name))
        volume = temporary_name('life')
        cloud.openstack('volume', 'create', volume, '--availability-zone', 'az2', '--size', '1')
        cloud.until('volume', volume, 'available')
        cloud.do('server', 'add', 'volume', name, volume)
        cloud.until('volume', volume, 'in-use')
        cloud.do('server', 'remove', 'volume', name, volume)
        cloud.until('volume', volume, 'available')
        cloud.do('volume', 'delete', volume)
        cloud.do('server', 'delete', '--wait', name)
        self.assertIn('No Server found', cloud.fails('server', 'show', server['id']))

    def test_volume_is_created_changed_and_deleted(self):
        name = temporary_name('life')
        cloud = self.cloud
        cloud.openstack('volume', 'create', name, '--availability-zone', 'az2', '--size', '1')
        cloud.until('volume', name, 'available')
        cloud.do('volume', 'set', '--property', 'colour=blue', '--description', 'described', name)
        cloud.do('volume', 'set', '--size', '2', name)
        shown = cloud.show_when('volume', name, 'available')
        self.assertEqual(
            ('described', 'az2', {'colour': 'blue'}),
            (shown['description'], shown['availability_zone'], shown['properties']),
        )
        cloud.openstack('volume', 'snapshot', 'create', '--volume', name, f'{name}-snapshot')
        snapshot = f'{name}-snapshot'
        wait_until(
            lambda: cloud.openstack('volume', 'snapshot', 'show', snapshot)['status'] == 'available',
            60,
            'the snapshot is not available',
            0.5,
        )
        copy = cloud.openstack('volume', 'create', f'{name}-copy', '--snapshot', f'{name}-snapshot', '--size', '2')
        self.assertEqual('az2', copy['availability_zone'])
        cloud.until('volume', f'{name}-copy', 'available')
        cloud.do('volume', 'delete', f'{name}-copy')
        cloud.do('volume', 'snapshot', 'delete', f'{name}-snapshot')
        wait_until(
            lambda: snapshot not in self.names(cloud, 'volume', 'snapshot'), 60, 'the snapshot still exists', 0.5
        )
        cloud.do('volume', 'delete', name)
        cloud.until_gone('volume', name)

    def test_flavors_types_and_keypairs_are_replicated(self):
        name = temporary_name('same')
        admin = self.admin
        pods = {pod: Client(self.lab, 'admin', pod) for pod in PODS}
        made = admin.openstack('flavor', 'create', name, '--ram', '64', '--disk', '1', '--vcpus', '1')
        admin.do('flavor', 'set', '--property', 'hw:cpu_policy=shared', name)
        for pod in pods.values():
            there = pod.openstack('flavor', 'show', name)
            self.assertEqual((made['id'], {'hw:cpu_policy': 'shared'}), (there['id'], there['properties']))
        admin.do('flavor', 'delete', name)
        for pod in pods.values():
            self.assertNotIn(name, self.names(pod, 'flavor'))
        admin.openstack('volume', 'type', 'create', name, '--property', 'test:a=b')
        for pod in pods.values():
            self.assertEqual({'test:a': 'b'}, pod.openstack('volume', 'type', 'show', name)['properties'])
        typed = self.cloud.openstack(
            'volume', 'create', name, '--type', name, '--size', '1', '--availability-zone', 'az2'
        )
        self.assertEqual(name, typed['type'])
        self.cloud.until('volume', name, 'available')
        self.cloud.do('volume', 'delete', name)
        self.cloud.until_gone('volume', name)
        admin.do('volume', 'type', 'delete', name)
        self.cloud.run('openstack', 'keypair', 'create', name)
        prints = {self.pods[pod].openstack('keypair', 'show', name)['fingerprint'] for pod in PODS}
        self.assertEqual(1, len(prints))
        self.cloud.do('keypair', 'delete', name)

    def test_attach_across_pods_and_unknown_zone_are_refused_with_400(self):
        said = self.cloud.fails('server', 'add', 'volume', 'server-az1', 'volume-az2')
        self.assertIn('400', said)
        self.assertIn('az1', said)
        self.assertIn('az2', said)
        self.assertIn(
            '400',
            self.cloud.fails(
                'server',
                'create',
                'nowhere',
                '--flavor',
                'tiny',
                '--image',
                'cirros',
                '--network',
                'private',
                '--availability-zone',
                'az9',
            ),
        )

    def test_zones_are_listed_and_limits_are_sums(self):
        zones = {row['Zone Name'] for row in self.cloud.openstack('availability', 'zone', 'list')}
        self.assertEqual(set(ZONES), zones)
        limits = {row['Name']: row['Value'] for row in self.cloud.openstack('limits', 'show', '--absolute')}
        together = sum(len(self.names(self.pods[pod], 'server')) for pod in PODS)
        self.assertEqual(
            together, limits['instances_used'] if 'instances_used' in limits else limits['totalInstancesUsed']
        )

    def test_nova_and_cinder_clients_work(self):
        self.assertIn('server-az1', self.cloud.run('nova', 'list'))
        self.assertIn('az2', self.cloud.run('nova', 'show', 'server-az2'))
        self.assertIn('volume-az2', self.cloud.run('cinder', 'list'))
        self.assertIn('az1', self.cloud.run('cinder', 'show', 'volume-az1'))
        self.assertIn('az1', self.cloud.run('cinder', 'availability-zone-list'))

    def test_clients_print_the_same_as_programs_and_in_process(self):
        for command in (
            ['openstack', 'availability', 'zone', 'list'],
            ['nova', 'availability-zone-list'],
            ['cinder', 'availability-zone-list'],
        ):
            printed = self.cloud.run_program(*command)
            self.assertIn('az2', printed)
            self.assertEqual(self.cloud.run(*command), printed)
        for run in (self.cloud.run, self.cloud.run_program):
            with self.assertRaisesRegex(CommandFailed, 'No Server found for nothing'):
                run('openstack', 'server', 'show', 'nothing')

    def test_stopped_pod_is_left_out_and_works_after_start(self):
        self.lab.stop(['Pod2'])
        try:
            rows = {
                row['Name'] or row['ID']: row
                for row in self.cloud.openstack('--os-compute-api-version', '2.69', 'server', 'list')
            }
            there = self.cloud.openstack('--os-compute-api-version', '2.60', 'server', 'list')
            self.assertIn('server-az1', [row['Name'] for row in there])
            self.assertNotIn('server-az2', [row['Name'] for row in there])
            self.assertIn('UNKNOWN', {row['Status'] for row in rows.values()})
            self.assertIn('volume-az1', self.names(self.cloud, 'volume'))
            started = time.monotonic()
            name = temporary_name('alone')
            self.boot(name, 'az1')
            self.cloud.do('server', 'delete', '--wait', name)
            self.assertLess(time.monotonic() - started, 60)
            said = self.cloud.fails(
                'server',
                'create',
                'refused',
                '--flavor',
                'tiny',
                '--image',
                'cirros',
                '--network',
                'private',
                '--availability-zone',
                'az2',
            )
            self.assertIn('503', said)
            self.assertIn('az2', said)
            self.assertNotIn('Pod2', said)
        finally:
            self.lab.start(['Pod2'])
        wait_until(
            lambda: 'server-az2' in self.names(self.cloud, 'server'), 60, 'Pod2 is back and its server is not', 1
        )
        name = temporary_name('back')
        self.boot(name, 'az2')
        self.cloud.do('server', 'delete', '--wait', name)

    def test_server_survives_kill_of_gateway(self):
        name = temporary_name('killed')
        server = self.boot(name, 'az2')
        self.gateway.kill()
        self.gateway.start()
        self.assertEqual('ACTIVE', self.cloud.openstack('server', 'show', server['id'])['status'])
        self.assertIn(name, self.names(self.cloud, 'server'))
        self.cloud.do('server', 'delete', '--wait', name)
