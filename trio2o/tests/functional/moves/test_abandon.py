# SPDX-License-Identifier: Apache-2.0
"""Moves that are abandoned since one of their pods is lost, and the sweep of what they have left when it is back."""

from datetime import timedelta

from trio2o.db import jobs, moves
from trio2o.db.database import utcnow
from trio2o.lab.emulated.faults import Drop, DropAfter, Refuse
from trio2o.moves.engine import Engine
from trio2o.tests.fixtures.waiting import wait_until
from trio2o.tests.functional.moves.base import MovesCase
from trio2o.xjob.periodic import Periodic


class AbandonCase(MovesCase):
    def gateway(self, **options):
        settings = {'moves.confirm_seconds': 3600, 'moves.settle_seconds': 0, 'moves.attempts': 1}
        return super().gateway(**{**settings, 'pods.read_timeout': 1, **options})

    def setUp(self):
        super().setUp()
        self.neutron = self.cloud.lab.neutron
        network = self.neutron.add_network('demo', cidr='10.0.0.0/28')
        self.port_id = self.neutron.add_port(network)['id']
        self.volume_id = self.volume(name='data')
        nets = [{'port': self.port_id}, {'uuid': network['id']}]
        self.server_id = self.server(volumes=[self.volume_id], networks=nets)
        self.assertEqual('ACTIVE', self.show(self.server_id)['status'])
        self.before = self.everything()
        self.ports = self.ports_of_server()
        self.assertEqual(2, len(self.ports))
        self.move_id = self.start('server', self.server_id)

    def everything(self):
        return {name: self.inventory(name) for name in ('Pod1', 'Pod2')}

    def ports_of_server(self):
        return {port['id'] for port in self.neutron.ports_of(self.place('server', self.server_id)[1])}

    def lose(self, pod):
        for service in (self.cloud.pod(pod).nova, self.cloud.pod(pod).cinder):
            service.faults.add(Refuse())

    def come_back(self, pod):
        for service in (self.cloud.pod(pod).nova, self.cloud.pod(pod).cinder):
            service.faults.clear()

    def stuck(self):
        move = self.run_move(self.move_id)
        self.assertEqual('stuck', move.status, move.error)

    def abandon(self, status=202, **given):
        answer = self.cloud.api.post(f'/moves/{self.move_id}/abandon', given)
        self.assertEqual(status, answer.status, answer.text)
        if status != 202:
            return answer.text
        self.assertEqual('abandoned', answer['move']['status'])
        return {item['key']: item for item in answer['move']['left']}

    def left(self):
        return {item['key']: item for item in self.cloud.api.get(f'/moves/{self.move_id}')['move']['left']}

    def sweep(self):
        """Sweep until nothing is left."""

        def is_swept():
            Engine(self.cloud.runtime, self.move_id).advance()
            self.cloud.runtime.registry.refresh()
            return moves.get(self.db, self.move_id).ended_at is not None

        wait_until(is_swept, 30, lambda: str(self.left()), 0.02)
        self.assertEqual({}, self.left())

    def listed(self):
        servers = self.cloud.nova.get('/servers')['servers']
        volumes = self.cloud.cinder.get('/volumes')['volumes']
        return [each['id'] for each in servers], [each['id'] for each in volumes]

    def assert_runs(self):
        wait_until(lambda: self.show(self.server_id)['status'] == 'ACTIVE', 10, lambda: str(self.show(self.server_id)))

    def compare(self, pod):
        """Compare a pod with its routings, after which each of the owner's resources is still shown once."""
        self.cloud.api.post(f'/pods/{self.cloud.pod_ids[pod]}/reconcile')
        self.cloud.run_jobs(1000)

    def assert_once(self, pod):
        for _again in range(2):
            self.assertEqual(([self.server_id], [self.volume_id]), self.listed())
            self.compare(pod)


class TestBeforeSwitch(AbandonCase):
    def test_target_is_lost_and_server_runs_in_the_source_again(self):
        self.run_move(self.move_id, after='compare')
        self.lose('Pod2')
        self.stuck()
        moves.cancel(self.db, self.move_id)
        self.stuck()
        self.cloud.set_pod('Pod2', state='draining')
        self.assertEqual(409, self.cloud.api.delete(f'/pods/{self.cloud.pod_ids["Pod2"]}?force=true').status)
        left = self.abandon()
        self.assertLessEqual({f'target/server/{self.server_id}', f'target/volume/{self.volume_id}'}, left.keys())
        self.assertEqual('Pod2', left[f'target/server/{self.server_id}']['pod'])
        self.assertEqual(
            self.ledger(self.move_id)[f'target/server/{self.server_id}'].bottom_id,
            left[f'target/server/{self.server_id}']['resource_id'],
        )
        Engine(self.cloud.runtime, self.move_id).advance()
        self.assert_runs()
        self.assertEqual(self.ports, self.ports_of_server())
        self.assertIn('Pod2', self.left()[f'target/server/{self.server_id}']['reason'])
        path = f'/servers/{self.server_id}'
        self.assertEqual(200, self.cloud.nova.put(path, {'server': {'name': 'new'}}).status)
        self.come_back('Pod2')
        self.assert_once('Pod2')
        self.sweep()
        self.assertEqual(self.before, self.everything())
        self.assertEqual(self.ports, self.ports_of_server())
        self.assert_once('Pod2')
        self.assertEqual([], [move for move, _items in moves.list_open(self.db)])

    def test_source_is_lost_and_copies_are_kept_as_they_may_be_the_only_ones(self):
        self.run_move(self.move_id, after='compare')
        self.lose('Pod1')
        self.stuck()
        self.abandon()
        made = self.everything()
        Engine(self.cloud.runtime, self.move_id).advance()
        self.assertEqual(made, self.everything())
        self.assertIn('not known', self.left()[f'target/server/{self.server_id}']['reason'])
        self.come_back('Pod1')
        self.sweep()
        self.assertEqual(self.before, self.everything())
        self.assertEqual('ACTIVE', self.show(self.server_id)['status'])
        self.assertEqual(self.ports, self.ports_of_server())

    def test_request_without_an_answer_is_found_by_its_mark(self):
        self.run_move(self.move_id, until='verified')
        nova = self.cloud.pod('Pod2').nova
        nova.faults.add(DropAfter(method='POST', path='/servers$', times=1))
        Engine(self.cloud.runtime, self.move_id).advance()
        self.assertEqual('sent', self.ledger(self.move_id)[f'target/server/{self.server_id}'].state)
        left = self.abandon()
        self.assertIn(self.move_id, left[f'target/server/{self.server_id}']['todo'])
        self.assert_once('Pod2')
        self.sweep()
        self.assertEqual(self.before, self.everything())

    def test_worker_that_goes_on_makes_nothing_more(self):
        self.run_move(self.move_id, until='frozen')
        item = self.ledger(self.move_id)[f'target/server/{self.server_id}']
        self.abandon()
        self.assertIsNone(moves.sending(self.db, item))
        self.assertIsNone(moves.end(self.db, self.move_id, 'confirmed'))
        self.sweep()
        self.assertEqual(self.before, self.everything())
        self.assertEqual('ACTIVE', self.show(self.server_id)['status'])

    def test_resource_moves_again_while_something_is_left(self):
        self.run_move(self.move_id, after='compare')
        self.lose('Pod2')
        self.abandon()
        self.come_back('Pod2')
        self.assertIn('not_restored', [finding.code for finding in self.plan('server', self.server_id).findings])
        self.lose('Pod2')

        def is_restored():
            Engine(self.cloud.runtime, self.move_id).advance()
            return moves.get(self.db, self.move_id).facts.get('is_restored')

        wait_until(is_restored, 30, lambda: str(self.left()))
        self.come_back('Pod2')
        first = self.move_id
        self.move_id = self.start('server', self.server_id)
        self.assertEqual('switched', self.run_move(self.move_id, until='switched').status)
        self.assertEqual(self.ports, self.ports_of_server())
        self.move_id = first
        self.sweep()
        self.assertEqual(self.ports, self.ports_of_server())
        self.assertEqual(([self.server_id], [self.volume_id]), self.listed())

    def test_pod_that_is_registered_again_does_not_show_what_is_left(self):
        self.run_move(self.move_id, after='compare')
        self.lose('Pod2')
        self.abandon()
        self.cloud.set_pod('Pod2', state='draining')
        path = f'/pods/{self.cloud.pod_ids["Pod2"]}'
        refused = self.cloud.api.delete(path)
        self.assertEqual(409, refused.status)
        self.assertIn('sweep', refused.text)
        self.assertEqual(200, self.cloud.api.delete(f'{path}?force=true').status)
        Engine(self.cloud.runtime, self.move_id).advance()
        self.assertIn('no pod', self.left()[f'target/server/{self.server_id}']['reason'])
        self.come_back('Pod2')
        made = self.cloud.api.post('/pods', {'pod': {'pod_name': 'Pod2', 'az_name': 'az2'}})
        self.assertEqual(200, made.status, made.text)
        self.cloud.pod_ids['Pod2'] = made['pod']['pod_id']
        self.cloud.run_jobs(1000)
        self.assert_once('Pod2')
        self.sweep()
        self.assertEqual(self.before, self.everything())


class TestAfterSwitch(AbandonCase):
    def setUp(self):
        super().setUp()
        self.run_move(self.move_id, until='switched')

    def test_source_is_lost_and_is_swept_when_it_is_back(self):
        self.lose('Pod1')
        moves.confirm(self.db, self.move_id)
        self.stuck()
        self.assertEqual(
            {f'source/server/{self.server_id}', f'source/volume/{self.volume_id}'}, self.source_items(self.abandon())
        )
        self.assertEqual('Pod2', self.place('server', self.server_id)[0])
        self.come_back('Pod1')
        self.assert_once('Pod1')
        self.sweep()
        self.assertEqual((set(), set()), (self.inventory('Pod1')['servers'], self.inventory('Pod1')['volumes']))
        self.assertEqual('ACTIVE', self.show(self.server_id)['status'])
        self.assertEqual(self.ports, self.ports_of_server())
        self.assert_once('Pod1')
        actions = self.cloud.nova.get(f'/servers/{self.server_id}/os-instance-actions')['instanceActions']
        self.assertEqual(2, [each['action'] for each in actions].count('create'))

    def source_items(self, left):
        return {key for key in left if key.startswith('source/')}

    def test_target_is_lost_and_ids_lead_back_to_the_source(self):
        self.lose('Pod2')
        left = self.abandon(back=True)
        self.assertEqual(set(), self.source_items(left))
        self.assertEqual(('Pod1', self.server_id), self.place('server', self.server_id))
        Engine(self.cloud.runtime, self.move_id).advance()
        self.assert_runs()
        self.assertEqual(self.ports, self.ports_of_server())
        self.come_back('Pod2')
        self.assert_once('Pod2')
        self.sweep()
        self.assertEqual(self.before, self.everything())
        self.assertEqual(self.ports, self.ports_of_server())

    def test_ids_do_not_lead_back_once_the_source_is_being_deleted(self):
        self.cloud.pod('Pod1').nova.faults.add(Drop(method='POST', path='/action$'))
        moves.confirm(self.db, self.move_id)
        self.run_move(self.move_id)
        self.assertTrue(moves.get(self.db, self.move_id).facts['is_deleting'])
        self.assertIn('deletion of the source has begun', self.abandon(409, back=True))
        self.abandon()

    def test_resource_that_the_target_has_lost_is_kept_in_the_source(self):
        self.abandon()
        target = self.ledger(self.move_id)[f'target/volume/{self.volume_id}'].bottom_id
        lost = self.cloud.pod('Pod2').cinder.volumes.pop(target)
        Engine(self.cloud.runtime, self.move_id).advance()
        self.assertIn(self.volume_id, self.inventory('Pod1')['volumes'])
        self.assertIn('only copy', self.left()[f'source/server/{self.server_id}']['reason'])
        self.cloud.pod('Pod2').cinder.volumes[target] = lost
        self.sweep()

    def test_routing_leads_to_what_is_left_and_it_is_kept(self):
        self.abandon()
        (routing,) = self.cloud.api.get('/routings', query={'top_id': self.volume_id})['routings']
        source = {'pod_id': self.cloud.pod_ids['Pod1'], 'bottom_id': self.volume_id}
        answer = self.cloud.api.patch(f'/routings/{routing["id"]}', {'routing': source})
        self.assertEqual(200, answer.status, answer.text)
        self.cloud.run_jobs(1000)
        self.sweep()
        self.assertIn(self.volume_id, self.inventory('Pod1')['volumes'])


class TestVerbs(AbandonCase):
    def test_sweep_runs_at_once_and_every_few_minutes(self):
        self.assertEqual(409, self.cloud.api.post(f'/moves/{self.move_id}/sweep').status)
        self.run_move(self.move_id, after='compare')
        self.lose('Pod2')
        self.abandon()
        job_type = {'type': 'run_move', 'state': 'new'}

        def is_idle():
            self.cloud.run_jobs(1000)
            return not jobs.list_(self.db, filters=job_type)

        wait_until(is_idle, 30, lambda: str(self.left()))
        self.assertEqual(['sweep'], self.cloud.api.get(f'/moves/{self.move_id}')['move']['verbs'])
        self.cloud.runtime.registry.refresh()
        for seconds, count in ((300, 0), (700, 1)):
            later = utcnow() + timedelta(seconds=seconds)
            Periodic(self.cloud.conf, self.cloud.runtime, lambda later=later: later).tick()
            self.assertEqual(count, len(jobs.list_(self.db, filters=job_type)), seconds)
        self.come_back('Pod2')
        self.assertEqual(202, self.cloud.api.post(f'/moves/{self.move_id}/sweep').status)

        def is_swept():
            self.cloud.run_jobs(1000)
            return moves.get(self.db, self.move_id).ended_at is not None

        wait_until(is_swept, 30, lambda: str(self.left()))
        self.assertEqual(409, self.cloud.api.post(f'/moves/{self.move_id}/sweep').status)
        self.assertIn('has ended', self.abandon(409))

    def test_reader_and_project_do_not_abandon(self):
        for who in ('reader', 'demo'):
            for verb in ('abandon', 'sweep'):
                self.assertEqual(403, self.cloud.api.post(f'/moves/{self.move_id}/{verb}', as_=who).status)
