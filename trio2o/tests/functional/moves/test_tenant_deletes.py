# SPDX-License-Identifier: Apache-2.0
"""Deletes of resources that move."""

from trio2o.db import moved_resources, moves, routings
from trio2o.moves.engine import Engine
from trio2o.tests.functional.moves.base import TenantCase


class TestDeletes(TenantCase):
    def setUp(self):
        super().setUp()
        self.server_id = self.server()
        self.move_id = self.start('server', self.server_id)

    def keep_snapshot(self):
        """Let the process of the gateway go on with what it knows of pods and moves, as it does for some seconds."""
        registry = self.cloud.runtime.registry
        registry.refresh()
        registry._refresh_seconds = 3600.0

    def switch(self):
        """Switch a move whose copy is built, as a worker does in another process."""
        items = self.ledger(self.move_id)
        source, target = items[f'source/server/{self.server_id}'], items[f'target/server/{self.server_id}']
        switch = moves.Switch(
            'server', self.server_id, (source.pod_id, source.bottom_id), (target.pod_id, target.bottom_id)
        )
        self.assertIsNotNone(moves.switch(self.db, self.move_id, [switch]))

    def test_process_does_not_know_of_the_switch_and_server_in_target_is_deleted(self):
        for path, body in (('', None), ('/action', {'forceDelete': None})):
            with self.subTest(body=body):
                self.server_id = self.server()
                self.move_id = self.start('server', self.server_id)
                self.run_move(self.move_id, after='compare')
                self.cloud.nova.get(f'/servers/{self.server_id}')
                before = self.servers_of('Pod1')
                self.keep_snapshot()
                self.switch()
                method = 'DELETE' if body is None else 'POST'
                answer = self.cloud.nova.request(method, f'/servers/{self.server_id}{path}', body)
                self.assertIn(answer.status, (202, 204), answer.text)
                self.assertEqual((before, set()), (self.servers_of('Pod1'), self.servers_of('Pod2')))
                self.cloud.runtime.registry._refresh_seconds = 0.0
                self.assertEqual('confirmed', self.run_move(self.move_id).status)
                self.assertNotIn(self.server_id, self.servers_of('Pod1'))

    def test_process_does_not_know_that_the_move_has_ended(self):
        self.run_move(self.move_id, after='server')
        self.keep_snapshot()
        moves.cancel(self.db, self.move_id)
        moves.end(self.db, self.move_id, 'reverted')
        answer = self.cloud.nova.delete(f'/servers/{self.server_id}')
        self.assertEqual(204, answer.status, answer.text)
        self.assertEqual(set(), self.servers_of('Pod1'))

    def test_paused_move_is_cancelled(self):
        self.run_move(self.move_id, after='stop server')
        moves.pause(self.db, self.move_id)
        answer = self.cloud.nova.post(f'/servers/{self.server_id}/action', {'forceDelete': None})
        self.assertEqual(202, answer.status, answer.text)
        self.assertEqual('reverted', self.run_move(self.move_id).status)
        self.assertEqual(set(), self.servers_of('Pod1') | self.servers_of('Pod2'))

    def test_admin_may_delete_and_other_project_may_not(self):
        path = f'/servers/{self.server_id}'
        self.assertEqual(404, self.cloud.nova.delete(path, as_='alt').status)
        self.assertEqual('planned', moves.get(self.db, self.move_id).status)
        self.assertEqual(204, self.cloud.nova.delete(path, as_='admin').status)
        self.assertEqual('reverted', self.run_move(self.move_id).status)

    def test_delete_of_volume_cancels_its_own_move(self):
        for path, body in (('', None), ('/action', {'os-force_delete': {}})):
            volume = self.volume()
            move_id = self.start('volume', volume)
            method = 'DELETE' if body is None else 'POST'
            who = 'demo' if body is None else ('admin', 'demo')
            answer = self.cloud.cinder.request(method, f'/volumes/{volume}{path}', body, as_=who)
            self.assertEqual(202, answer.status, answer.text)
            self.assertEqual('reverted', self.run_move(move_id).status)
            self.assertEqual(404, self.cloud.cinder.get(f'/volumes/{volume}').status)

    def test_server_deleted_after_the_switch_stays_deleted(self):
        self.run_move(self.move_id, until='switched')
        self.assertEqual(204, self.cloud.nova.delete(f'/servers/{self.server_id}').status)
        self.assertEqual('confirmed', self.run_move(self.move_id).status)
        self.assertEqual(set(), self.servers_of('Pod1') | self.servers_of('Pod2'))
        self.assertEqual(404, self.cloud.nova.get(f'/servers/{self.server_id}').status)
        self.assertFalse(routings.get(self.db, 'server', self.server_id).is_live)
        self.assertIsNotNone(moved_resources.moved_at(self.db, 'server', self.server_id))

    def revert_during_delete(self, until):
        """Delete the server while its move goes back. :param until: the step that is undone before the pod answers"""
        self.run_move(self.move_id, until='switched')
        self.keep_snapshot()
        transport = self.cloud.transport
        send = transport.request

        def request(method, *args, **kwargs):
            if method == 'DELETE':
                transport.request = send
                moves.revert(self.db, self.move_id)
                if until is not None:
                    self.undo(until)
            return send(method, *args, **kwargs)

        transport.request = request
        answer = self.cloud.nova.delete(f'/servers/{self.server_id}')
        self.assertEqual(204, answer.status, answer.text)
        self.cloud.runtime.registry._refresh_seconds = 0.0

    def undo(self, until):
        """Switch a move back, or end it, as a worker does in another process."""
        items = self.ledger(self.move_id)
        source, target = items[f'source/server/{self.server_id}'], items[f'target/server/{self.server_id}']
        back = moves.Switch(
            'server', self.server_id, (target.pod_id, target.bottom_id), (source.pod_id, source.bottom_id)
        )
        self.assertIsNotNone(moves.switch(self.db, self.move_id, [back], is_back=True))
        if until == 'end':
            moves.end(self.db, self.move_id, 'reverted')

    def test_move_goes_back_during_the_delete_and_both_are_deleted(self):
        for until in (None, 'switch', 'end'):
            with self.subTest(until=until):
                self.server_id = self.server()
                self.move_id = self.start('server', self.server_id)
                self.revert_during_delete(until)
                if until != 'end':
                    self.assertEqual('reverted', self.run_move(self.move_id).status)
                self.assertNotIn(self.server_id, self.servers_of('Pod1'))
                self.assertEqual(set(), self.servers_of('Pod2'))
                self.assertEqual(404, self.cloud.nova.get(f'/servers/{self.server_id}').status)
                self.assertFalse(routings.get(self.db, 'server', self.server_id).is_live)

    def test_target_is_kept_until_all_processes_use_the_source(self):
        self.run_move(self.move_id, until='switched')
        moves.revert(self.db, self.move_id)
        self.run_move(self.move_id, after='switch')
        self.assertIsNotNone(Engine(self.cloud.runtime, self.move_id).advance())
        self.assertEqual('compare', moves.get(self.db, self.move_id).step)
        self.assertEqual(1, len(self.servers_of('Pod2')))
        self.assertEqual('reverted', self.run_move(self.move_id).status)
