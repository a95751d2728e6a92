# SPDX-License-Identifier: Apache-2.0
"""``openstack trio2o move``."""

import threading

from trio2o.db import moves
from trio2o.osc.v1 import move
from trio2o.tests.fixtures.waiting import wait_until
from trio2o.tests.functional.osc.base import MovesTestCase


class TestMoves(MovesTestCase):
    def setUp(self):
        super().setUp()
        self.volume_id = self.volume()

    def work_until(self, status):
        """Run jobs in a thread until the only move has a status."""

        def work():
            wait_until(self.has_status, 60, f'no move is {status}', 0.05)

        self.status = status
        worker = threading.Thread(target=work)
        worker.start()
        self.addCleanup(worker.join)
        return worker

    def has_status(self):
        self.cloud.run_jobs(1000)
        return any(each.status == self.status for each in moves.list_(self.db))

    def test_dry_run_shows_findings_and_steps(self):
        shown = self.read(f'move create --volume {self.volume_id} --target-pod Pod2 --dry-run')
        self.assertEqual(('Pod1', 'Pod2', []), (shown['source_pod'], shown['target_pod'], shown['findings']))
        self.assertIn('switch', shown['steps'])
        self.assertGreater(shown['bytes'], 2**30)
        self.assertEqual([], self.read('move list'))
        shown = self.run_command(f'move create --volume {self.volume_id} --target-pod Pod2 --dry-run').out
        self.assertIn(f'target/volume/{self.volume_id}', shown)
        self.assertRegex(shown, r'seconds +\| about \d+ min')
        self.assertRegex(shown, r'bytes +\| \d\.\d GiB')

    def test_findings_are_sorted_and_refused_move_names_blockers(self):
        self.cloud.cinder.post('/snapshots', {'snapshot': {'volume_id': self.volume_id}})
        printed = self.run_command(f'move create --volume {self.volume_id} --target-pod Pod2 --dry-run')
        self.assertRegex(printed.out, f'blocker +snapshots +{self.volume_id} +The volume has snapshots')
        self.assertIn('would be refused', printed.err)
        self.refused(
            [f'blocker snapshots {self.volume_id}: The volume has snapshots', '--dry-run'],
            f'move create --volume {self.volume_id} --target-pod Pod2',
        )
        plan = {
            'findings': [
                {'level': level, 'code': '', 'resource': '', 'text': ''} for level in ('note', 'loss', 'blocker')
            ],
            'bytes': 0,
            'seconds': 7500,
        }
        shown = dict(zip(*move.readable(plan), strict=True))
        self.assertEqual(['blocker', 'loss', 'note'], [each['level'] for each in shown['findings'].machine_readable()])
        self.assertEqual('about 2 h 5 min', shown['seconds'].human_readable())

    def test_second_move_of_a_resource_names_the_first(self):
        made = self.read(f'move create --volume {self.volume_id} --target-pod Pod2')['id']
        self.refused(f'openstack trio2o move show {made}', f'move create --volume {self.volume_id} --target-pod Pod2')

    def test_move_is_followed_to_its_switch_and_confirmed(self):
        worker = self.work_until('switched')
        printed = self.run_command(f'move create --volume {self.volume_id} --zone az2 --wait')
        worker.join()
        self.assertIn('100 %' if 'confirmed' in printed.err else '%', printed.err)
        self.assertIn('openstack trio2o move confirm', printed.err)
        (listed,) = self.read('move list --active --source-pod Pod1 --long')
        self.assertEqual(
            ('data', 'Pod1', 'Pod2', 'switched'), tuple(listed[k] for k in ('Name', 'From', 'To', 'Status'))
        )
        self.run_command(f'move confirm {listed["ID"]}')
        worker = self.work_until('confirmed')
        shown = self.read(f'move show --watch {listed["ID"]}')
        worker.join()
        self.assertEqual('confirmed', shown['status'])
        states = {item['key']: item['state'] for item in shown['ledger']}
        self.assertEqual('gone', states[f'source/volume/{self.volume_id}'])
        self.assertRegex(self.run_command(f'move show {listed["ID"]}').out, f'source/volume/{self.volume_id} +gone')
        self.assertIn('GiB', self.run_command(f'move show --plan {listed["ID"]}').out)

    def test_moves_of_servers_are_listed_by_commands_of_nova(self):
        server = {
            'name': 'web',
            'flavorRef': next(iter(self.cloud.pod('Pod1').nova.flavors)),
            'imageRef': self.cloud.lab.image['id'],
            'networks': 'none',
            'availability_zone': 'az1',
        }
        server_id = self.cloud.nova.post('/servers', {'server': server}, version='2.94')['server']['id']
        self.run_command(f'move create --server {server_id} --target-pod Pod2')
        for query in ('', f' --server {server_id}', ' --host Pod1@pod1-compute-1', ' --type cold-migration'):
            printed = self.openstack(f'server migration list{query} -f json')
            self.assertEqual(0, printed.code, printed.err)
            (listed,) = printed.json
            self.assertEqual(
                (server_id, 'migration', 'Pod1@pod1-compute-1'),
                tuple(listed[name] for name in ('Server UUID', 'Type', 'Source Compute')),
            )
        self.assertEqual([], self.openstack('server migration list --type resize -f json').json)
        # Nova shows live migrations only.
        printed = self.openstack(f'server migration show {server_id} {listed["UUID"]}')
        self.assertEqual(1, printed.code)
        self.assertIn('live migration', printed.err)

    def test_move_is_paused_resumed_and_cancelled(self):
        made = self.read(f'move create --volume {self.volume_id} --target-pod Pod2')
        self.run_command(f'move pause {made["id"]}')
        shown = self.run_command(f'move show --watch {made["id"]}')
        self.assertIn('move resume', shown.err)
        self.assertIn(f'move cancel {made["id"]}', shown.err)
        self.refused(['already paused', 'Allowed now: resume, cancel'], f'move pause {made["id"]}')
        for option in (
            '--status paused',
            '--pod Pod1',
            '--pod Pod2',
            '--project demo',
            f'--resource {self.volume_id}',
        ):
            self.assertEqual([made['id']], self.names(f'move list {option}', 'ID'), option)
        for option in ('--status stuck', '--target-pod Pod1', '--project alt'):
            self.assertEqual([], self.names(f'move list {option}', 'ID'), option)
        self.assertIn('[....', self.run_command('move list').out)
        self.assertEqual([0], self.names('move list', 'Progress'))
        self.run_command(f'move resume {made["id"]}')
        self.run_command(f'move cancel {made["id"]}')
        self.assertEqual('cancelling', self.read(f'move show {made["id"]}')['status'])
        self.refused('(409)', f'move revert {made["id"]}')
        self.refused('(404)', 'move show nope')

    def test_move_is_abandoned_and_swept(self):
        volume = self.volume()
        made = self.read(f'move create --volume {volume} --target-pod Pod2')
        self.refused('--force', f'move abandon {made["id"]}')
        self.assertEqual('planned', self.read(f'move show {made["id"]}')['status'])
        left = self.read(f'move abandon --force {made["id"]}')
        self.assertEqual(('abandoned', []), (left['status'], left['left']))
        self.assertEqual([made['id']], self.names('move list --status abandoned', 'ID'))
        self.run_command(f'move sweep {made["id"]}')
        self.cloud.run_jobs(1000)
        self.refused('nothing is left', f'move sweep {made["id"]}')
        self.refused('has ended', f'move abandon --force --back {made["id"]}')
        other = self.read(f'move create --volume {volume} --target-pod Pod2')
        self.refused('lead to the source', f'move abandon --force --back {other["id"]}')
        self.refused('(409)', f'move confirm --force {other["id"]}')
