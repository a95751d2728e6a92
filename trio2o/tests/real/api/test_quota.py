# SPDX-License-Identifier: Apache-2.0
"""One quota over real pods, set and shown with the stock client; refusals have Nova's and Cinder's text.

Real pods refuse requests with the same text.
"""

import unittest

from trio2o.tests.fixtures.real import WITHOUT_PORT, Client, RealGateway, real_lab, temporary_name
from trio2o.tests.fixtures.waiting import wait_until

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
        for what, resource in (('server', 'instances'), ('volume', 'volumes')):
            rows = self.cloud.openstack(what, 'list')
            mine = [row['ID'] for row in rows if row['Name'].startswith('quota-')]
            if mine:
                self.cloud.do(what, 'delete', *mine)
                # The next test computes a limit from what is in use.
                self.until_used(resource, len(rows) - len(mine))
        self.admin.do('quota', 'delete', 'demo')
        super().tearDown()

    def boot(self, name, zone, run='openstack', more=()):
        words = ('--flavor', 'quota.tiny', '--image', 'cirros', '--availability-zone', zone, *more, '--wait')
        return getattr(self.cloud, run)(*WITHOUT_PORT, name, *words)

    def used(self, name):
        shown = self.cloud.openstack('quota', 'show', '--usage')
        return next(row['In Use'] for row in shown if row['Resource'] == name)

    def until_used(self, name, amount, seconds=60):
        wait_until(lambda: self.used(name) == amount, seconds, lambda: f'{name} is {self.used(name)}, not {amount}', 1)

    def test_limit_of_servers_applies_over_two_zones(self):
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

    def test_limit_of_gigabytes_applies_over_two_zones(self):
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

    def test_limits_are_set_shown_and_deleted(self):
        self.admin.do('quota', 'set', '--cores', '77', '--volumes', '66', 'demo')
        shown = {row['Resource']: row['Limit'] for row in self.cloud.openstack('quota', 'show')}
        self.assertEqual((77, 66), (shown['cores'], shown['volumes']))
        listed = self.admin.openstack('quota', 'list', '--compute')
        self.assertIn(77, [row['Cores'] for row in listed])
        self.assertIn(77, [row['Value'] for row in self.cloud.openstack('limits', 'show', '--absolute')])
        self.cloud.openstack('usage', 'show')
        self.admin.do('quota', 'delete', 'demo')
        shown = {row['Resource']: row['Limit'] for row in self.cloud.openstack('quota', 'show')}
        self.assertEqual((20, 10), (shown['cores'], shown['volumes']))

    def test_counted_limits_are_unlimited_in_pods(self):
        self.admin.do('quota', 'set', '--instances', '5', 'demo')
        for pod in ('Pod1', 'Pod2'):
            shown = Client(self.lab, 'admin', pod).openstack('quota', 'show', '--compute', 'demo')
            self.assertEqual(-1, {row['Resource']: row['Limit'] for row in shown}['instances'], pod)

    def there(self, pod, *arguments):
        """Run a command directly at a pod."""
        Client(self.lab, 'admin', pod).do(*arguments)

    def test_limits_set_in_a_pod_become_unlimited(self):
        self.boot('quota-0', 'az1')
        self.there('Pod1', 'quota', 'set', '--force', '--instances', '1', '--cores', '1', 'demo')
        said = self.boot('quota-1', 'az1', 'fails')
        self.assertIn('Quota exceeded for cores, instances', said)
        wait_until(lambda: self.limit_in('Pod1', 'instances') == -1, 60, 'the limit in Pod1 was not raised', 1)
        self.assertEqual(-1, self.limit_in('Pod1', 'cores'))
        self.boot('quota-2', 'az1')

    def limit_in(self, pod, name):
        shown = Client(self.lab, 'admin', pod).openstack('quota', 'show', '--compute', 'demo')
        return {row['Resource']: row['Limit'] for row in shown}[name]

    def test_limit_of_group_members_applies_over_two_pods(self):
        create = ('--os-compute-api-version', '2.15', 'server', 'group', 'create')
        group = self.cloud.openstack(*create, 'quota-group', '--policy', 'soft-anti-affinity')['id']
        self.addCleanup(self.cloud.do, 'server', 'group', 'delete', group)
        self.admin.do('quota', 'set', '--server-group-members', '2', 'demo')
        for number, zone in enumerate(ZONES):
            self.boot(f'quota-{number}', zone, more=('--hint', f'group={group}'))
        for zone in ZONES:
            said = self.boot('quota-3', zone, 'fails', ('--hint', f'group={group}'))
            self.assertIn('Quota exceeded, too many servers in group', said)
            self.assertIn('403', said)
        self.cloud.do('server', 'delete', '--wait', 'quota-0')
        self.boot('quota-4', 'az2', more=('--hint', f'group={group}'))

    def test_replicated_limits_apply_in_each_zone(self):
        self.admin.do('quota', 'set', '--properties', '1', '--per-volume-gigabytes', '1', 'demo')
        for zone in ZONES:
            two = ('--property', 'a=1', '--property', 'b=2')
            self.assertIn('Maximum number of metadata items exceeds 1', self.boot('quota-0', zone, 'fails', two))
            said = self.cloud.fails('volume', 'create', 'quota-0', '--size', '2', '--availability-zone', zone)
            self.assertIn('Requested volume size 2G is larger than maximum allowed limit 1G', said)
        self.boot('quota-1', 'az2', more=('--property', 'a=1'))
        self.assertIn('exceeds 1', self.cloud.fails('server', 'set', '--property', 'b=2', 'quota-1'))


class RealNestedQuotaTest(unittest.TestCase):
    """The limit of a parent project applies to the sum over its two children."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.lab = real_lab()
        cls.lab.start()
        gateway = RealGateway(cls.lab, more=f'{QUICK}driver = nested\ntree_seconds = 1\n')
        gateway.setUp()
        cls.addClassCleanup(gateway.cleanUp)
        cls.admin = Client(cls.lab, 'admin')
        cls.parent = temporary_name('parent')
        cls.admin.openstack('project', 'create', cls.parent)
        cls.addClassCleanup(cls.admin.do, 'project', 'delete', cls.parent)
        cls.children = {}
        for _ in range(2):
            name = temporary_name('child')
            cls.admin.openstack('project', 'create', name, '--parent', cls.parent)
            cls.addClassCleanup(cls.admin.do, 'project', 'delete', name)
            cls.admin.do('role', 'add', '--project', name, '--user', 'demo', 'member')
            cls.children[name] = Client(cls.lab, OS_PROJECT_NAME=name)

    def make(self, child, size, zone, run='openstack'):
        name = temporary_name('quota')
        made = getattr(child, run)('volume', 'create', name, '--size', str(size), '--availability-zone', zone)
        if run == 'openstack':
            child.until('volume', name, 'available')
            self.addCleanup(child.do, 'volume', 'delete', name)
        return made

    def test_limit_of_parent_applies_to_volumes_of_children(self):
        self.admin.do('quota', 'set', '--gigabytes', '3', self.parent)
        first, second = self.children.values()
        self.make(first, 2, 'az1')
        said = self.make(second, 2, 'az2', 'fails')
        self.assertIn('Requested 2G, quota is 3G and 2G has been consumed.', said)
        self.make(second, 1, 'az2')
        for child in (first, second):
            self.assertIn('quota is 3G and 3G has been consumed', self.make(child, 1, 'az1', 'fails'))
        too_much = self.admin.fails('quota', 'set', '--gigabytes', '4', next(iter(self.children)))
        self.assertIn('must be less than or equal to 3', too_much)
