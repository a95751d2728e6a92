# SPDX-License-Identifier: Apache-2.0
"""``openstack trio2o move group`` and ``pod rebalance``."""

import fixtures

from trio2o.db import moves
from trio2o.tests.functional.osc.base import MovesTestCase


class TestPlan(MovesTestCase):
    def test_dry_run_shows_members_in_order_and_equal_findings_once(self):
        first, second = self.volume('first'), self.volume('second')
        line = f'move group create --volume {second} --volume {first} --zone az2 --dry-run'
        shown = self.read(line)
        self.assertEqual([second, first], [member['resource_id'] for member in shown['members']])
        self.assertEqual({'movable': 2, 'refused': 0, 'total': 2}, shown['counts'])
        printed = self.run_command(line)
        self.assertRegex(printed.err, r'2 of 2 can move: \d\.\d GiB, about \d+ min one after another\.\n$')
        self.assertRegex(printed.out, f'1 +volume +{second} +second +Pod2')
        for volume in (first, second):
            self.cloud.cinder.post('/snapshots', {'snapshot': {'volume_id': volume}})
        printed = self.run_command(line)
        self.assertRegex(printed.out, f'blocker +snapshots +{second}, {first} +The volume has snapshots')
        self.assertIn('0 of 2 can move', printed.err)
        self.assertEqual([], self.read('move group list'))
        self.refused(
            [f'blocker snapshots {second}: The volume has snapshots', '--dry-run'], line.replace('--dry-run', '')
        )

    def test_plan_of_many_members_says_that_it_is_not_complete(self):
        self.useFixture(fixtures.MonkeyPatch('trio2o.moves.groups.preview.MOST', 1))
        first, second = self.volume('first'), self.volume('second')
        printed = self.run_command(f'move group create --volume {first} --volume {second} --zone az2 --dry-run')
        self.assertIn('1 of 1 can move', printed.err)
        self.assertIn('Only these of 2 were planned', printed.err)

    def test_contradictory_options_are_refused(self):
        for words, options in (
            ('Give either servers and volumes, or --server-group, or --tag', ''),
            ('Give either servers and volumes, or --server-group, or --tag', '--server a --tag b'),
            ('Given more than once: a.', '--server a --volume b --server a'),
            ('--project goes with --tag', '--server a --project demo'),
            ('--max-failures goes with --on-failure continue', '--server a --max-failures 1 --on-failure revert'),
            ('--dry-run moves nothing', '--server a --dry-run --wait'),
            ('not allowed with argument', '--server a --target-pod Pod2'),
            ("'25:00-06:00' is not of the form", '--server a --window 25:00-06:00'),
            ("'06:00-06:00' is not of the form", '--server a --window 06:00-06:00'),
            ("'0' is not 1 or more", '--server a --parallel 0'),
        ):
            self.refused(words, f'move group create --zone az2 {options}')
        self.refused('one of the arguments --zone --target-pod is required', 'move group create --server a')
        self.refused('--state goes with --members', 'move group show x --state failed')


class TestGroups(MovesTestCase):
    def test_group_is_followed_confirmed_and_listed(self):
        first, second = self.volume('first'), self.volume('second')
        line = (
            f'move group create --name shop --volume {second} --volume {first} --target-pod Pod2 --parallel 2 --wait'
        )
        with self.jobs_running():
            printed = self.run_command(line)
        self.assertIn('running: 2 switched', printed.err)
        (listed,) = self.read('move group list --active --long')
        self.assertEqual(
            ('application', 'shop', 'Pod2', 'running', {'switched': 2}),
            (
                *(listed[name] for name in ('Kind', 'Name', 'To', 'Status')),
                {state: count for state, count in listed['Members'].items() if count},
            ),
        )
        group = listed['ID']
        self.assertIn(f'  openstack trio2o move group confirm {group}\n', printed.err)
        self.assertIn(f'  openstack trio2o move group revert {group}\n', printed.err)
        self.assertRegex(self.run_command('move group list').out, r'#+\.*\] +\d+ % \| 2 switched +\|')
        self.run_command(f'move group confirm {group}')
        with self.jobs_running():
            shown = self.read(f'move group show --watch --members {group}')
        self.assertEqual(('completed', 100), (shown['status'], shown['percent']))
        self.assertEqual([second, first], [member['resource_id'] for member in shown['members']])
        self.assertEqual({'moved'}, {member['state'] for member in shown['members']})
        self.assertEqual([], self.read('move group list --active'))

    def test_group_is_paused_resumed_cancelled_and_found_by_filters(self):
        made = self.read(f'move group create --volume {self.volume()} --zone az2 --window 22:00-06:00')
        self.assertEqual('22:00-06:00', made['window'])
        group = made['id']
        self.run_command(f'move group pause {group}')
        printed = self.run_command(f'move group show --watch {group}')
        self.assertIn('paused: 1 waiting (An operator has paused it.)', printed.err)
        for verb in ('resume', 'cancel'):
            self.assertIn(f'  openstack trio2o move group {verb} {group}\n', printed.err)
        self.assertNotIn('move group pause', printed.err)
        self.refused(['paused already', 'Allowed now: resume'], f'move group pause {group}')
        for option in ('--active', '--kind application', '--status paused', '--limit 1'):
            self.assertEqual([group], self.names(f'move group list {option}', 'ID'), option)
        for option in ('--kind drain', '--status running', '--source-pod Pod1', '--project alt'):
            self.assertEqual([], self.names(f'move group list {option}', 'ID'), option)
        self.run_command(f'move group resume {group}')
        self.run_command(f'move group cancel {group}')
        with self.jobs_running():
            printed = self.run_command(f'move group show --watch {group}')
        self.assertIn(
            f"1 undone; why: 'openstack trio2o move group show --members --state undone {group}'", printed.err
        )
        (member,) = self.read(f'move group show --members --state undone {group}')['members']
        self.assertEqual(('It was not begun.', 1), (member['reason'], len(self.read('move group list'))))
        self.assertEqual([], self.read(f'move group show --members --state failed {group}')['members'])
        self.refused('(404)', 'move group show nope')
        self.assertEqual([], moves.list_(self.db))

    def test_waiting_for_a_group_ends_in_time(self):
        made = self.volume()
        printed = self.refused(
            'is still running after 0 seconds and goes on',
            f'move group create --volume {made} --zone az2 --wait --timeout 0',
        )
        self.assertIn('openstack trio2o move group show --watch', printed.err)


class TestRebalance(MovesTestCase):
    pods = {'Pod1': 'az1', 'Pod2': 'az1'}

    def fill(self, pod, other, number):
        """Create servers in a pod, and let the usage of the pods be known."""
        self.cloud.set_pod(other, state='disabled')
        for _ in range(number):
            flavor = next(iter(self.cloud.pod(pod).nova.flavors))
            server = {'name': 's', 'flavorRef': flavor, 'imageRef': self.cloud.lab.image['id'], 'networks': 'none'}
            made = self.cloud.nova.post('/servers', {'server': server}, version='2.94')['server']['id']
            self.cloud.nova.get(f'/servers/{made}')
        self.cloud.set_pod(other, state='enabled')
        self.cloud.runtime.jobs.submit('collect_usage', 'all', None)
        self.cloud.run_jobs(1000)
        self.cloud.runtime.registry.refresh()

    def test_full_pod_is_planned_and_rebalanced_and_even_zone_is_refused(self):
        for pod in self.pods:
            placement = self.cloud.pod(pod).placement
            placement.capacity[''] = {'VCPU': 20, 'MEMORY_MB': 100000, 'DISK_GB': 100000}
            placement.ratios, placement.reserved = {}, {}
        self.fill('Pod1', 'Pod2', 4)
        printed = self.run_command('pod rebalance az1 --dry-run')
        self.assertIn('2 of 2 can move', printed.err)
        self.assertRegex(printed.out, r'(?s)1 +server .* Pod2 .*2 +server .* Pod2 ')
        with self.jobs_running():
            printed = self.run_command('pod rebalance az1 --canary 0 --confirm-after 0 --wait')
        self.assertIn('completed: 2 moved', printed.err)
        (listed,) = self.read('move group list --kind rebalance')
        self.assertEqual(('az1', 'completed'), (listed['To'], listed['Status']))
        self.cloud.runtime.jobs.submit('collect_usage', 'all', None)
        self.cloud.run_jobs(1000)
        self.cloud.runtime.registry.refresh()
        self.refused('are even', 'pod rebalance az1')
        self.refused('az9', 'pod rebalance az9 --dry-run')
