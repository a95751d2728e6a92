# SPDX-License-Identifier: Apache-2.0
"""Moves whose pods fail: before and after they carried out a request, with wrong bytes, or with no room."""

from datetime import timedelta

from trio2o.db import jobs, moves
from trio2o.db.database import utcnow
from trio2o.lab.emulated.faults import (
    Alter,
    BalancerAnswers,
    Drop,
    DropAfter,
    DropMidBody,
    Refuse,
    Status,
    StatusAfter,
    Truncate,
)
from trio2o.moves.engine import Engine
from trio2o.tests.fixtures.waiting import wait_until
from trio2o.tests.functional.moves.base import MovesCase
from trio2o.xjob.periodic import Periodic

#: Each hits one request.
FAULTS = (
    Drop,
    DropAfter,
    Refuse,
    Status,
    StatusAfter,
    lambda **given: BalancerAnswers(status=404, **given),
    lambda **given: BalancerAnswers(status=404, is_processed=True, **given),
)


class FaultsCase(MovesCase):
    def gateway(self, **options):
        settings = {'moves.settle_seconds': 0, 'pods.read_timeout': 1, 'moves.confirm_seconds': 0}
        return super().gateway(**settings, **options)

    def run_all(self, move_ids):
        """Run moves in turns until all have ended."""
        left = set(move_ids)

        def turn():
            for move_id in sorted(left):
                Engine(self.cloud.runtime, move_id).advance()
                move = moves.get(self.db, move_id)
                self.assertNotEqual('stuck', move.status, move.error)
                if not move.is_active:
                    left.discard(move_id)
            return not left

        wait_until(turn, 120, lambda: f'{[moves.get(self.db, each) for each in left][:2]} do not end', 0.02)

    def assert_cancelled(self, server, move_id, before):
        """Cancel a stuck move, and see that all is as before."""
        moves.cancel(self.db, move_id)
        self.assertEqual('reverted', self.run_move(move_id).status)
        self.assertEqual(before, [self.inventory(name) for name in ('Pod1', 'Pod2')])
        self.assertEqual(('Pod1', server), self.place('server', server))
        self.assertEqual('ACTIVE', self.show(server)['status'])


class TestRequests(FaultsCase):
    def test_volumes_exist_once_after_each_fault_of_each_write(self):
        writes = [
            ('Pod1', 'POST', '/snapshots$'),
            ('Pod1', 'POST', '/volumes$'),
            ('Pod1', 'POST', '/action$'),
            ('Pod1', 'DELETE', '/volumes/'),
            ('Pod1', 'DELETE', '/snapshots/'),
            ('Pod2', 'POST', '/volumes$'),
            ('Pod2', 'POST', '/action$'),
            ('Pod2', 'DELETE', '/metadata/'),
        ]
        volumes = [self.volume() for _ in FAULTS]
        checksums = {volume: self.disk('volume', volume).checksum() for volume in volumes}
        started = [self.start('volume', volume) for volume in volumes]
        for pod, method, path in writes:
            for number, fault in enumerate(FAULTS):
                self.cloud.pod(pod).cinder.faults.add(fault(method=method, path=path, times=1, after=number))
        self.run_all(started)
        self.assertEqual(checksums, {volume: self.disk('volume', volume).checksum() for volume in volumes})
        self.assertEqual(set(), self.inventory('Pod1')['volumes'] | self.inventory('Pod1')['snapshots'])
        self.assertEqual(len(volumes), len(self.inventory('Pod2')['volumes']))
        self.assertEqual({self.cloud.lab.image['id']}, self.inventory('Pod1')['images'])

    def test_servers_exist_once_after_each_fault_of_each_write(self):
        writes = [
            ('Pod1', 'POST', '/action$'),
            ('Pod2', 'POST', '/servers$'),
            ('Pod2', 'DELETE', '/metadata/'),
        ]
        servers = [self.server() for _ in FAULTS]
        started = [self.start('server', server) for server in servers]
        for pod, method, path in writes:
            for number, fault in enumerate(FAULTS):
                self.cloud.pod(pod).nova.faults.add(fault(method=method, path=path, times=1, after=number))
        self.run_all(started)
        self.assertEqual(set(), self.inventory('Pod1')['servers'])
        self.assertEqual(len(servers), len(self.inventory('Pod2')['servers']))
        self.assertEqual({self.cloud.lab.image['id']}, self.inventory('Pod1')['images'])

    def test_pod_that_stays_down_makes_the_move_stuck_until_it_is_back(self):
        volume = self.volume()
        move_id = self.start('volume', volume)
        self.run_move(move_id, until='copied')
        self.cloud.pod('Pod2').cinder.faults.add(Refuse())
        move = self.run_move(move_id)
        self.assertEqual('stuck', move.status)
        self.assertIn('Pod2', move.error)
        self.cloud.pod('Pod2').cinder.faults.clear()
        moves.resume(self.db, move_id)
        self.assertEqual('confirmed', self.run_move(move_id).status)


class TestFindings(FaultsCase):
    def setUp(self):
        super().setUp()
        self.volume_id = self.volume()
        self.server_id = self.server(volumes=[self.volume_id])
        self.show(self.server_id)
        self.before = [self.inventory(name) for name in ('Pod1', 'Pod2')]
        self.move_id = self.start('server', self.server_id)

    def stuck(self, *texts):
        move = self.run_move(self.move_id)
        self.assertEqual('stuck', move.status)
        for text in texts:
            self.assertIn(text, move.error)

    def test_flipped_byte_is_found_before_the_switch(self):
        self.run_move(self.move_id, after=f'volume {self.volume_id}')
        copy = self.ledger(self.move_id)[f'target/volume/{self.volume_id}'].bottom_id
        disk = self.cloud.pod('Pod2').disk('volume', copy)
        disk.replace(b'X' + disk.read()[1:])
        self.stuck('bytes', self.volume_id)
        self.assert_cancelled(self.server_id, self.move_id, self.before)

    def test_server_started_in_the_source_makes_the_copies_old(self):
        self.run_move(self.move_id, until='verified')
        self.cloud.direct('Pod1').post(f'/servers/{self.server_id}/action', {'os-start': None}, as_='admin')
        self.stuck('started')
        self.assert_cancelled(self.server_id, self.move_id, self.before)

    def test_volume_attached_in_the_pod_meanwhile_is_noticed(self):
        other = self.volume()
        self.show_volume(other)
        for when in ('planned', 'verified'):
            self.run_move(self.move_id, until=when)
            self.cloud.pod('Pod1').nova.servers[self.server_id]['volumes'].append(
                {
                    'volume_id': other,
                    'device': '/dev/vdz',
                    'attachment_id': self.cloud.pod('Pod1').cinder.attach_volume(other, self.server_id, '/dev/vdz'),
                    'bdm_uuid': other,
                    'tag': None,
                    'delete_on_termination': False,
                }
            )
            self.stuck('attached since', other)
            moves.cancel(self.db, self.move_id)
            self.assertEqual('reverted', self.run_move(self.move_id).status)
            path = f'/servers/{self.server_id}/os-volume_attachments/{other}'
            self.assertEqual(202, self.cloud.direct('Pod1').delete(path, as_='demo').status)
            self.move_id = self.start('server', self.server_id)

    def test_detached_volume_that_is_attached_meanwhile_is_noticed(self):
        volume = self.volume()
        self.show_volume(volume)
        move_id = self.start('volume', volume)
        self.run_move(move_id, until='verified')
        self.cloud.pod('Pod1').cinder.attach_volume(volume, self.server_id, '/dev/vdz')
        move = self.run_move(move_id)
        self.assertEqual('stuck', move.status)
        self.assertIn('attached or detached', move.error)

    def test_no_room_in_target_is_named(self):
        nova = self.cloud.pod('Pod2').nova
        nova.disabled.update(dict.fromkeys(nova.hosts, 'full'))
        self.stuck('No valid host')
        self.assert_cancelled(self.server_id, self.move_id, self.before)

    def test_refused_create_is_named(self):
        self.run_move(self.move_id, until='verified')
        self.cloud.pod('Pod2').nova.flavors.clear()
        self.stuck('Flavor')
        self.assert_cancelled(self.server_id, self.move_id, self.before)

    def test_each_state_can_be_cancelled(self):
        for state in ('planned', 'frozen', 'copied', 'verified', 'built'):
            self.run_move(self.move_id, until=state)
            self.assert_cancelled(self.server_id, self.move_id, self.before)
            self.move_id = self.start('server', self.server_id)


class TestInterruptedUploads(FaultsCase):
    """A process of a pod dies in the midst of an upload, and is started again."""

    def setUp(self):
        super().setUp()
        self.volume_id = self.volume()
        self.server_id = self.server(volumes=[self.volume_id])
        self.before = [self.inventory(name) for name in ('Pod1', 'Pod2')]
        self.move_id = self.start('server', self.server_id)
        self.glance = self.cloud.lab.glance

    def advance(self, times=3):
        for _ in range(times):
            Engine(self.cloud.runtime, self.move_id).advance()
            self.assertNotEqual('stuck', self.current.status, self.current.error)

    @property
    def current(self):
        return moves.get(self.db, self.move_id)

    def interrupted(self, after, give_up):
        """Let an upload be given up. :param give_up: called with the id of the image"""
        self.run_move(self.move_id, after=after)
        known = set(self.glance.images)
        self.glance.hold()
        self.advance()
        (image_id,) = self.glance.images.keys() - known
        step = self.current.step
        give_up(image_id)
        self.glance.forget_uploads()
        self.advance(1)
        self.assertNotIn(image_id, set(self.glance.images))
        self.assertEqual(step, self.current.step)
        self.assertIn(image_id, self.current.error)
        self.assertEqual('confirmed', self.run_move(self.move_id).status)
        self.assertEqual([], [each for each in self.glance.images.values() if each['status'] != 'active'])

    def volumes_are_available(self, pod):
        for volume in self.cloud.pod(pod).cinder.volumes.values():
            if volume['status'] == 'uploading':
                volume['status'] = 'available'

    def test_image_of_root_disk_is_made_again(self):
        def give_up(image_id):
            self.cloud.pod('Pod1').nova.servers[self.server_id]['task_state'] = None

        self.interrupted('stop server', give_up)

    def test_copy_is_uploaded_again(self):
        self.interrupted('copy of volume', lambda image_id: self.volumes_are_available('Pod1'))

    def test_copy_is_uploaded_again_if_its_image_was_deleted(self):
        def give_up(image_id):
            self.glance.erase(image_id)
            self.volumes_are_available('Pod1')

        self.interrupted('copy of volume', give_up)

    def test_volume_in_target_is_uploaded_again(self):
        self.interrupted('volume', lambda image_id: self.volumes_are_available('Pod2'))

    def test_upload_that_is_always_given_up_makes_the_move_stuck(self):
        self.cloud.conf.set_override('attempts', 3, 'moves')
        self.run_move(self.move_id, after='copy of volume')
        self.glance.hold()

        def is_stuck():
            Engine(self.cloud.runtime, self.move_id).advance()
            self.volumes_are_available('Pod1')
            self.glance.forget_uploads()
            self.glance.hold()
            return self.current.status == 'stuck'

        wait_until(is_stuck, 10, lambda: f'{self.current}', 0.01)
        self.assertIn('given up', self.current.error)
        self.glance.release()
        moves.resume(self.db, self.move_id)
        self.assertEqual('confirmed', self.run_move(self.move_id).status)

    def test_move_is_cancelled_during_an_upload(self):
        self.run_move(self.move_id, after='copy of volume')
        self.glance.hold()
        self.advance()
        moves.cancel(self.db, self.move_id)
        self.advance(5)
        self.assertIn('uploading', {each['status'] for each in self.cloud.pod('Pod1').cinder.volumes.values()})
        self.glance.release()
        self.assertEqual('reverted', self.run_move(self.move_id).status)
        self.assertEqual(self.before, [self.inventory(name) for name in ('Pod1', 'Pod2')])


class TestWorker(FaultsCase):
    """Moves as the worker carries them out."""

    def run_jobs_until_ended(self, move_id):
        def ended():
            self.cloud.run_jobs(1000)
            return not moves.get(self.db, move_id).is_active

        wait_until(ended, 60, lambda: moves.get(self.db, move_id).error)

    def test_move_uses_one_row_in_the_table_of_jobs(self):
        volume = self.volume()
        self.show_volume(volume)
        self.cloud.pod('Pod2').cinder.settings.build_seconds = 0.5
        move_id = self.start('volume', volume)
        self.run_jobs_until_ended(move_id)
        rows = jobs.list_(self.db, filters={'type': 'run_move'})
        self.assertEqual(1, len(rows))
        self.assertLess(len(jobs.list_events(self.db, rows[0].id)), 4)

    def test_move_without_a_job_is_submitted_again(self):
        move_id = self.start('volume', self.volume())
        (job,) = jobs.list_(self.db, filters={'type': 'run_move'})
        jobs.cancel(self.db, job.id)
        self.cloud.runtime.registry.refresh()
        later = utcnow() + timedelta(seconds=120)
        Periodic(self.cloud.conf, self.cloud.runtime, lambda: later).tick()
        (again,) = jobs.list_(self.db, filters={'type': 'run_move', 'state': 'new'})
        self.assertEqual(move_id, again.payload['move_id'])

    def test_odd_document_of_a_pod_makes_the_move_stuck(self):
        self.cloud.conf.set_override('attempts', 2, 'moves')
        move_id = self.start('volume', self.volume())
        self.cloud.pod('Pod1').cinder.faults.add(Alter(hidden=('size',), method='GET', path='/volumes/'))
        move = self.run_move(move_id)
        self.assertEqual('stuck', move.status)
        self.assertIn('what no service answers', move.error)


class TestSharedServices(FaultsCase):
    def test_error_names_the_service_whose_connection_breaks(self):
        move_id = self.start('volume', self.volume())
        self.run_move(move_id, after='copy of volume')
        for fault in (Refuse, Drop, DropAfter, DropMidBody, Truncate):
            broken = fault()
            self.cloud.lab.glance.faults.add(broken)
            wait_until(lambda: self.fails(move_id), 10, 'the move does not fail')
            error = moves.get(self.db, move_id).error
            self.assertIn('image does not answer', error, fault.__name__)
            self.cloud.lab.glance.faults.remove(broken)
            moves.update(self.db, move_id, error=None, hold='', facts={})
        self.assertEqual('confirmed', self.run_move(move_id).status)

    def fails(self, move_id):
        Engine(self.cloud.runtime, move_id).advance()
        return moves.get(self.db, move_id).error
