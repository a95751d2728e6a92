# SPDX-License-Identifier: Apache-2.0
"""One quota over real pods, set and looked at with the stock client; refusals are Nova's and Cinder's own words.

A real Nova and a real Cinder also say what they say when they refuse by themselves, so that the words are theirs.
"""

import time
import unittest

from trio2o.tests.fixtures.real import Client, RealGateway, real_lab

ZONES = ('az1', 'az2')
QUICK = '[quota]\nwatch_seconds = 1\nsettle_interval = 1\n'


class RealQuotaTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.lab = real_lab()
        cls.lab.start()
        cls.gateway = RealGateway(cls.lab, more=QUICK)
        cls.gateway.setUp()
        cls.addClassCleanup(cls.gateway.cleanUp)
        cls.cloud = Client(cls.lab)
        cls.admin = Client(cls.lab, 'admin')
        cls.project = cls.admin.openstack('project', 'show', 'demo')['id']
        if 'quota.tiny' not in [row['Name'] for row in cls.admin.openstack('flavor', 'list')]:
            cls.admin.openstack('flavor', 'create', 'quota.tiny', '--ram', '64', '--disk', '1', '--vcpus', '1')

    def tearDown(self):
        for what in ('server', 'volume'):
            for row in self.cloud.openstack(what, 'list'):
                if row['Name'].startswith('quota-'):
                    self.cloud.do(what, 'delete', row['ID'])
        self.admin.do('quota', 'delete', 'demo')
        super().tearDown()

    def boot(self, name, zone, run='openstack'):
        return getattr(self.cloud, run)(
            'server',
            'create',
            name,
            '--flavor',
            'quota.tiny',
            '--image',
            'cirros',
            '--network',
            'private',
            '--availability-zone',
            zone,
            '--wait',
        )

    def used(self, name):
        shown = self.cloud.openstack('quota', 'show', '--usage')
        return next(row['In Use'] for row in shown if row['Resource'] == name)

    def until_used(self, name, amount, seconds=60):
        deadline = time.monotonic() + seconds
        while self.used(name) != amount:
            self.assertLess(time.monotonic(), deadline, f'{name} is {self.used(name)}, not {amount}')
            time.sleep(1)

    def test_servers_over_two_zones(self):
        before = self.used('instances')
        limit = before + 3
        self.admin.do('quota', 'set', '--instances', str(limit), 'demo')
        shown = {row['Resource']: row for row in self.cloud.openstack('quota', 'show', '--usage', '--compute')}
        self.assertEqual((limit, before), (shown['instances']['Limit'], shown['instances']['In Use']))
        for number, zone in enumerate(('az1', 'az2', 'az1')):
            self.boot(f'quota-{number}', zone)
        for zone in ZONES:
            text = f'Quota exceeded for instances: Requested 1, but already used {limit} of {limit} instances'
            self.assertIn(text, self.boot('quota-4', zone, 'fails'))
        self.assertEqual(limit, self.used('instances'))
        self.cloud.do('server', 'delete', '--wait', 'quota-1')
        self.boot('quota-5', 'az2')
        self.until_used('instances', limit)

    def test_gigabytes_over_two_zones(self):
        before = self.used('gigabytes')
        limit = before + 3
        self.admin.do('quota', 'set', '--gigabytes', str(limit), 'demo')
        for number, zone in enumerate(ZONES):
            self.cloud.openstack('volume', 'create', f'quota-{number}', '--size', '1', '--availability-zone', zone)
            self.cloud.until('volume', f'quota-{number}', 'available')
        for zone in ZONES:
            text = self.cloud.fails('volume', 'create', 'quota-3', '--size', '2', '--availability-zone', zone)
            self.assertIn(f'Requested 2G, quota is {limit}G and {before + 2}G has been consumed.', text)
            self.assertIn('413', text)
        self.assertIn('exceeds allowed', self.cloud.fails('volume', 'set', '--size', '3', 'quota-0'))
        self.cloud.do('volume', 'set', '--size', '2', 'quota-0')
        self.until_used('gigabytes', limit)
        self.cloud.do('volume', 'delete', 'quota-1')
        self.until_used('gigabytes', before + 2)
        self.cloud.openstack('volume', 'create', 'quota-4', '--size', '1', '--availability-zone', 'az2')

    def test_commands(self):
        self.admin.do('quota', 'set', '--cores', '77', '--volumes', '66', 'demo')
        shown = {row['Resource']: row['Limit'] for row in self.cloud.openstack('quota', 'show')}
        self.assertEqual((77, 66), (shown['cores'], shown['volumes']))
        listed = self.admin.openstack('quota', 'list', '--compute')
        self.assertIn(77, [row['Cores'] for row in listed])
        self.assertIn(77, [row['Value'] for row in self.cloud.openstack('limits', 'show', '--absolute')])
        self.admin.do('quota', 'delete', 'demo')
        shown = {row['Resource']: row['Limit'] for row in self.cloud.openstack('quota', 'show')}
        self.assertEqual((20, 10), (shown['cores'], shown['volumes']))

    def test_pods_limit_nothing_of_it(self):
        self.admin.do('quota', 'set', '--instances', '5', 'demo')
        for pod in ('Pod1', 'Pod2'):
            shown = Client(self.lab, 'admin', pod).openstack('quota', 'show', '--compute', 'demo')
            self.assertEqual(-1, {row['Resource']: row['Limit'] for row in shown}['instances'], pod)
