# SPDX-License-Identifier: Apache-2.0
"""What owners do, and what pods lose, between the switch of a move and its confirmation."""

from trio2o.db import moves
from trio2o.moves.engine import Engine
from trio2o.tests.fixtures.waiting import wait_until
from trio2o.tests.functional.moves.base import MovesCase


class TestWindow(MovesCase):
    def gateway(self, **options):
        return super().gateway(**{'moves.confirm_seconds': 3600, **options})

    def setUp(self):
        super().setUp()
        self.volume_id = self.volume(name='data')
        self.server_id = self.server(volumes=[self.volume_id])
        self.move_id = self.start('server', self.server_id)
        self.run_move(self.move_id, until='switched')

    def target(self, key):
        return self.ledger(self.move_id)[key].bottom_id

    def nothing_left(self, name):
        left = self.inventory(name)
        self.assertEqual((set(), set()), (left['servers'], left['volumes']))

    def test_delete_by_owner_confirms_and_deletes_both(self):
        self.assertEqual(204, self.cloud.nova.delete(f'/servers/{self.server_id}').status)
        self.assertEqual('confirmed', self.run_move(self.move_id).status)
        self.nothing_left('Pod1')
        self.assertEqual(404, self.cloud.nova.get(f'/servers/{self.server_id}').status)
        self.assertEqual(self.volume_id, self.show_volume(self.volume_id)['id'])

    def test_delete_of_a_detached_volume_deletes_both_on_confirmation(self):
        path = f'/servers/{self.server_id}/os-volume_attachments/{self.volume_id}'
        self.assertEqual(202, self.cloud.nova.delete(path).status)
        self.assertEqual(202, self.cloud.cinder.delete(f'/volumes/{self.volume_id}').status)
        moves.confirm(self.db, self.move_id)
        self.assertEqual('confirmed', self.run_move(self.move_id).status)
        self.nothing_left('Pod1')
        self.assertEqual(self.server_id, self.show(self.server_id)['id'])

    def test_volume_that_the_target_lost_is_kept_in_the_source(self):
        del self.cloud.pod('Pod2').cinder.volumes[self.target(f'target/volume/{self.volume_id}')]
        moves.confirm(self.db, self.move_id)
        move = self.run_move(self.move_id)
        self.assertEqual('stuck', move.status)
        self.assertIn(
            f'The target has lost, though their owner has not deleted them: volume {self.volume_id}', move.error
        )
        self.assertIn(self.volume_id, self.inventory('Pod1')['volumes'])
        moves.revert(self.db, self.move_id)
        self.assertEqual('reverted', self.run_move(self.move_id).status)
        self.assertEqual(('Pod1', self.server_id), self.place('server', self.server_id))
        self.assertEqual('ACTIVE', self.show(self.server_id)['status'])
        self.assertEqual(self.volume_id, self.show_volume(self.volume_id)['id'])
        self.nothing_left('Pod2')

    def test_administrator_gives_up_a_volume_that_the_target_lost(self):
        del self.cloud.pod('Pod2').cinder.volumes[self.target(f'target/volume/{self.volume_id}')]
        path = f'/moves/{self.move_id}'
        self.assertEqual(202, self.cloud.api.post(f'{path}/confirm').status)
        self.assertEqual('stuck', self.run_move(self.move_id).status)
        self.assertEqual(202, self.cloud.api.post(f'{path}/confirm').status)
        self.assertEqual('stuck', self.run_move(self.move_id).status)
        self.assertEqual(202, self.cloud.api.post(f'{path}/confirm', {'force': True}).status)
        self.assertEqual('confirmed', self.run_move(self.move_id).status)
        self.assertEqual([f'volume {self.volume_id}'], self.cloud.api.get(path)['move']['lost'])
        self.nothing_left('Pod1')
        self.assertEqual('ACTIVE', self.show(self.server_id)['status'])
        self.assertEqual(404, self.cloud.cinder.get(f'/volumes/{self.volume_id}').status)

    def test_volume_attached_since_the_switch_stays_after_revert(self):
        other = self.volume(zone='az2', name='new')
        self.assertEqual('available', self.show_volume(other)['status'])
        body = {'volumeAttachment': {'volumeId': other}}
        answer = self.cloud.nova.post(f'/servers/{self.server_id}/os-volume_attachments', body)
        self.assertEqual(200, answer.status, answer.text)
        moves.revert(self.db, self.move_id)
        self.assertEqual('reverted', self.run_move(self.move_id).status)
        self.assertEqual('available', self.show_volume(other)['status'])
        self.assertEqual('in-use', self.show_volume(self.volume_id)['status'])
        self.assertEqual({other}, self.inventory('Pod2')['volumes'])

    def refused(self, *texts):
        """See that a revert is refused and that nothing has changed."""
        before = [self.inventory(name) for name in ('Pod1', 'Pod2')]
        answer = self.cloud.api.post(f'/moves/{self.move_id}/revert')
        self.assertEqual(409, answer.status, answer.text)
        for text in texts:
            self.assertIn(text, answer.text)
        # A job finds it, too, if it happens after the check.
        moves.revert(self.db, self.move_id)
        move = self.run_move(self.move_id)
        self.assertEqual('stuck', move.status)
        for text in texts:
            self.assertIn(text, move.error)
        self.assertEqual(before, [self.inventory(name) for name in ('Pod1', 'Pod2')])
        self.assertEqual('Pod2', self.place('server', self.server_id)[0])

    def reverted(self):
        moves.resume(self.db, self.move_id)
        self.assertEqual('reverted', self.run_move(self.move_id).status)
        self.nothing_left('Pod2')
        self.assertEqual('ACTIVE', self.show(self.server_id)['status'])

    def snapshot(self):
        body = {'snapshot': {'volume_id': self.volume_id, 'force': True}}
        answer = self.cloud.cinder.post('/snapshots', body)
        self.assertEqual(202, answer.status, answer.text)
        return answer['snapshot']['id']

    def test_snapshots_made_since_the_switch_stop_a_revert_before_it_begins(self):
        snapshots = [self.snapshot(), self.snapshot()]
        self.refused(self.volume_id, *snapshots)
        for snapshot in snapshots:
            self.assertEqual(202, self.cloud.cinder.delete(f'/snapshots/{snapshot}').status)
        self.reverted()

    def test_revert_that_is_stuck_before_it_begins_is_confirmed_instead(self):
        snapshot = self.snapshot()
        self.refused(snapshot)
        answer = self.cloud.api.post(f'/moves/{self.move_id}/confirm')
        self.assertEqual(202, answer.status, answer.text)
        self.assertEqual('confirmed', self.run_move(self.move_id).status)
        self.nothing_left('Pod1')
        self.assertEqual(200, self.cloud.cinder.get(f'/snapshots/{snapshot}').status)

    def test_volume_attached_elsewhere_stops_a_revert_before_it_begins(self):
        other = self.server(zone='az2')
        path = f'/servers/{self.server_id}/os-volume_attachments/{self.volume_id}'
        self.assertEqual(202, self.cloud.nova.delete(path).status)
        wait_until(lambda: self.show_volume(self.volume_id)['status'] == 'available', 10, 'the volume is not detached')
        path = f'/servers/{other}/os-volume_attachments'
        self.assertEqual(200, self.cloud.nova.post(path, {'volumeAttachment': {'volumeId': self.volume_id}}).status)
        self.refused(self.volume_id, other)
        self.assertEqual(202, self.cloud.nova.delete(f'{path}/{self.volume_id}').status)
        wait_until(lambda: self.show_volume(self.volume_id)['status'] == 'available', 10, 'the volume is not detached')
        self.assertEqual(204, self.cloud.nova.delete(f'/servers/{other}').status)
        self.reverted()

    def test_server_deleted_by_owner_is_not_reverted(self):
        self.assertEqual(204, self.cloud.nova.delete(f'/servers/{self.server_id}').status)
        self.assertRaises(moves.Refused, moves.revert, self.db, self.move_id)

    def test_pod_in_maintenance_delays_the_confirmation(self):
        for pod in ('Pod1', 'Pod2'):
            self.cloud.set_pod(pod, state='maintenance')
            moves.confirm(self.db, self.move_id)
            for _again in range(self.cloud.conf.moves.attempts + 2):
                self.assertIsNotNone(Engine(self.cloud.runtime, self.move_id).advance(), pod)
            self.assertEqual('confirming', moves.get(self.db, self.move_id).status)
            self.cloud.set_pod(pod, state='enabled')
        self.assertEqual('confirmed', self.run_move(self.move_id).status)
