# SPDX-License-Identifier: Apache-2.0
"""``openstack trio2o move``."""

import threading

import fixtures

from trio2o.db import moves
from trio2o.tests.fixtures.waiting import wait_until
from trio2o.tests.functional.osc.base import CommandTestCase


class TestMoves(CommandTestCase):
    def setUp(self):
        super().setUp()
        self.useFixture(fixtures.MonkeyPatch('trio2o.osc.v1.waiting.PAUSE_SECONDS', 0.05))
        self.cloud.conf.set_override('poll_seconds', 0.0, 'moves')
        self.cloud.lab.keystone.users['trio2o'].roles['demo'] = ('admin',)
        answer = self.cloud.cinder.post(
            '/volumes', {'volume': {'size': 1, 'name': 'data', 'availability_zone': 'az1'}}
        )
        self.volume = answer['volume']['id']

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
        return any(move.status == self.status for move in moves.list_(self.db))

    def test_dry_run_shows_findings_and_steps(self):
        shown = self.read(f'move create --volume {self.volume} --target-pod Pod2 --dry-run')
        self.assertEqual(('Pod1', 'Pod2', 'none'), (shown['source_pod'], shown['target_pod'], shown['blockers']))
        self.assertIn('switch', shown['steps'])
        self.assertEqual([], self.read('move list'))

    def test_move_is_followed_to_its_switch_and_confirmed(self):
        worker = self.work_until('switched')
        printed = self.run_command(f'move create --volume {self.volume} --zone az2 --wait')
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
        self.assertIn(f'source/volume/{self.volume}: gone', shown['ledger'])
        self.assertIn('GiB', self.read(f'move show --plan {listed["ID"]}')['size'])

    def test_move_is_paused_resumed_and_cancelled(self):
        move = self.read(f'move create --volume {self.volume} --target-pod Pod2')
        self.run_command(f'move pause {move["id"]}')
        shown = self.run_command(f'move show --watch {move["id"]}')
        self.assertIn('move resume', shown.err)
        self.refused('paused', f'move pause {move["id"]}')
        self.run_command(f'move resume {move["id"]}')
        self.run_command(f'move cancel {move["id"]}')
        self.assertEqual('cancelling', self.read(f'move show {move["id"]}')['status'])
        self.refused('(409)', f'move revert {move["id"]}')
        self.refused('(404)', 'move show nope')
