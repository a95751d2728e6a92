# SPDX-License-Identifier: Apache-2.0
"""Faults of moves that were found once."""

from trio2o.db import moves, routings
from trio2o.lab.emulated.faults import Alter
from trio2o.moves import building, compare
from trio2o.moves.engine import Engine
from trio2o.resources import SERVER, SNAPSHOT, VOLUME
from trio2o.routing.inventory import Inventory
from trio2o.tests.functional.moves.base import MovesCase


class RegressionCase(MovesCase):
    def gateway(self, **options):
        return super().gateway(**{'moves.confirm_seconds': 3600, **options})

    def direct_server(self, pod, bottom_id):
        return self.cloud.pod(pod).nova.servers[bottom_id]


class TestEngine(RegressionCase):
    def test_worker_that_lost_its_lease_does_not_take_a_move_back(self):
        volume = self.volume()
        self.show_volume(volume)
        move_id = self.start('volume', volume)
        self.run_move(move_id, after='check source')
        run = compare.Compare.run

        def slow(step, work):
            run(step, work)
            # Another worker has taken the move over meanwhile.
            compare.Compare.run = run
            self.run_move(move_id, until='switched')

        self.addCleanup(setattr, compare.Compare, 'run', run)
        compare.Compare.run = slow
        Engine(self.cloud.runtime, move_id)._carry_out_one(moves.get(self.db, move_id))
        self.assertEqual('switched', moves.get(self.db, move_id).state)

    def test_failure_of_a_cancelled_step_does_not_hold_the_undo(self):
        volume = self.volume()
        self.show_volume(volume)
        move_id = self.start('volume', volume)
        self.run_move(move_id, until='copied')
        run = building.BuildVolume.run
        self.addCleanup(setattr, building.BuildVolume, 'run', run)

        def cancelled(step, work):
            moves.cancel(self.db, move_id)
            raise building.Unfit('no')

        building.BuildVolume.run = cancelled
        self.assertEqual('reverted', self.run_move(move_id).status)

    def test_server_that_is_stopping_runs_after_a_cancel(self):
        server = self.server()
        self.show(server)
        move_id = self.start('server', server)
        self.run_move(move_id, after='lock')
        record = self.direct_server('Pod1', server)
        # Nova has accepted the stop, and the host has not carried it out.
        moves.update(self.db, move_id, facts={f'power/{server}': 'ACTIVE'})
        record['task_state'] = 'powering-off'
        moves.cancel(self.db, move_id)
        self.assertIsNotNone(Engine(self.cloud.runtime, move_id).advance())
        self.assertTrue(moves.get(self.db, move_id).is_active)

    def test_server_started_in_the_source_before_the_switch_is_noticed(self):
        server = self.server()
        self.show(server)
        move_id = self.start('server', server)
        self.run_move(move_id, until='built')
        self.cloud.direct('Pod1').post(f'/servers/{server}/action', {'os-start': None}, as_='admin')
        move = self.run_move(move_id, until='switched')
        self.assertEqual('stuck', move.status)

    def test_snapshot_made_since_the_plan_is_noticed(self):
        volume = self.volume()
        self.show_volume(volume)
        move_id = self.start('volume', volume)
        body = {'snapshot': {'volume_id': volume}}
        answer = self.cloud.direct('Pod1', 'cinder').post('/snapshots', body, as_='demo')
        self.assertEqual(202, answer.status, answer.text)
        move = self.run_move(move_id, until='switched')
        self.assertEqual('stuck', move.status)


class TestPlans(RegressionCase):
    def test_root_volume_that_nova_does_not_name_blocks(self):
        volume = self.volume()
        server = self.server(volumes=[volume], is_boot_volume=True)
        self.show(server)
        self.cloud.pod('Pod1').nova.faults.add(
            Alter(hidden=('OS-EXT-SRV-ATTR:root_device_name',), method='GET', path='/servers/')
        )
        self.assertTrue(self.plan('server', server).is_blocked)

    def test_flavor_with_an_odd_disk_is_no_500(self):
        server = self.server()
        self.show(server)
        for value in ('x', [1], {'a': 1}):
            faults = self.cloud.pod('Pod1').nova.faults
            faults.clear()
            faults.add(Alter(values={'disk': value}, method='GET', path='/flavors/'))
            given = {'server_id': server, 'target_pod': 'Pod2', 'dry_run': True}
            self.assertEqual(503, self.cloud.api.post('/moves', {'move': given}).status, value)


class TestWindow(RegressionCase):
    def switched(self, **given):
        self.volume_id = self.volume(name='data')
        self.server_id = self.server(volumes=[self.volume_id], **given)
        self.show(self.server_id)
        self.move_id = self.start('server', self.server_id)
        self.run_move(self.move_id, until='switched')

    def confirm(self):
        moves.confirm(self.db, self.move_id)
        move = self.run_move(self.move_id)
        self.assertEqual('confirmed', move.status, move.error)

    def revert(self):
        moves.revert(self.db, self.move_id)
        move = self.run_move(self.move_id)
        self.assertEqual('reverted', move.status, move.error)

    def connected(self):
        neutron = self.cloud.lab.neutron
        self.port = neutron.add_port(neutron.add_network('demo', cidr='10.0.0.0/28'))
        self.switched(networks=[{'port': self.port['id']}])

    def test_port_detached_by_its_owner_does_not_hold_the_confirmation(self):
        self.connected()
        answer = self.cloud.nova.delete(f'/servers/{self.server_id}/os-interface/{self.port["id"]}')
        self.assertEqual(202, answer.status, answer.text)
        self.confirm()

    def test_port_deleted_by_its_owner_does_not_hold_the_confirmation(self):
        self.connected()
        self.cloud.nova.delete(f'/servers/{self.server_id}/os-interface/{self.port["id"]}')
        del self.cloud.lab.neutron.ports[self.port['id']]
        self.confirm()

    def test_new_volume_that_goes_with_the_server_stays_after_revert(self):
        self.switched()
        other = self.volume(zone='az2', name='new')
        self.show_volume(other)
        body = {'volumeAttachment': {'volumeId': other, 'delete_on_termination': True}}
        answer = self.cloud.nova.post(f'/servers/{self.server_id}/os-volume_attachments', body, version='2.79')
        self.assertEqual(200, answer.status, answer.text)
        self.revert()
        self.assertIn(other, self.inventory('Pod2')['volumes'])

    def test_volume_deleted_by_its_owner_is_back_after_revert(self):
        self.switched()
        path = f'/servers/{self.server_id}/os-volume_attachments/{self.volume_id}'
        self.assertEqual(202, self.cloud.nova.delete(path).status)
        self.assertEqual(202, self.cloud.cinder.delete(f'/volumes/{self.volume_id}').status)
        self.revert()
        shown = self.show(self.server_id)
        self.assertEqual([self.volume_id], [v['id'] for v in shown['os-extended-volumes:volumes_attached']])
        self.assertEqual([self.volume_id], [v['id'] for v in self.cloud.cinder.get('/volumes')['volumes']])
        self.assertEqual('in-use', self.show_volume(self.volume_id)['status'])

    def test_volume_attached_to_another_server_holds_a_revert_before_the_switch(self):
        self.switched()
        other = self.server(zone='az2', name='other')
        self.show(other)
        path = f'/servers/{self.server_id}/os-volume_attachments/{self.volume_id}'
        self.assertEqual(202, self.cloud.nova.delete(path).status)
        body = {'volumeAttachment': {'volumeId': self.volume_id}}
        self.assertEqual(200, self.cloud.nova.post(f'/servers/{other}/os-volume_attachments', body).status)
        moves.revert(self.db, self.move_id)
        move = self.run_move(self.move_id)
        self.assertEqual(('stuck', 'switched'), (move.status, move.state))
        self.assertIn(f'{self.volume_id} is attached to server', move.error)
        self.assertEqual(
            202, self.cloud.nova.delete(f'/servers/{other}/os-volume_attachments/{self.volume_id}').status
        )
        moves.resume(self.db, self.move_id)
        self.assertEqual('reverted', self.run_move(self.move_id).status)
        self.assertEqual('in-use', self.show_volume(self.volume_id)['status'])

    def test_server_is_not_deleted_while_its_move_is_reverted(self):
        self.switched()
        moves.revert(self.db, self.move_id)
        answer = self.cloud.nova.delete(f'/servers/{self.server_id}')
        self.assertEqual(409, answer.status)
        self.assertIn(self.move_id, answer.fault)
        self.assertEqual('reverted', self.run_move(self.move_id).status)
        self.assertEqual(204, self.cloud.nova.delete(f'/servers/{self.server_id}').status)
        self.assertEqual([], self.cloud.nova.get('/servers')['servers'])


class TestFormerIds(RegressionCase):
    def gateway(self, **options):
        return MovesCase.gateway(self, **options)

    def test_server_that_came_back_outlives_its_former_self(self):
        volume = self.volume()
        server = self.server(volumes=[volume])
        for pod in ('Pod2', 'Pod1'):
            self.move('server', server, pod)
        self.assertNotEqual(server, self.place('server', server)[1])
        listed = self.cloud.direct('Pod1').get('/servers/detail?deleted=true&all_tenants=1', as_='admin')['servers']
        self.assertIn((server, 'DELETED'), [(each['id'], each['status']) for each in listed])
        pod = self.cloud.runtime.registry.refresh().by_id[self.cloud.pod_ids['Pod1']]
        for resource, items in ((SERVER, listed), (VOLUME, [{'id': volume}])):
            inventory = Inventory(self.cloud.runtime, pod, resource)
            inventory.end_deleted(items)
        for kind, top_id in (('server', server), ('volume', volume)):
            self.assertTrue(routings.get(self.db, kind, top_id).is_live, kind)


class TestComparisons(RegressionCase):
    def test_snapshot_and_copy_that_a_move_made_get_no_routing(self):
        volume = self.volume()
        server = self.server(volumes=[volume])
        self.show(server)
        move_id = self.start('server', server)
        self.run_move(move_id, after=f'copy of volume {volume}')
        made = {item.resource_type for item in moves.items(self.db, move_id) if item.bottom_id and not item.top_id}
        self.assertLessEqual({'volume', 'snapshot'}, made)
        pod = self.cloud.runtime.registry.refresh().by_id[self.cloud.pod_ids['Pod1']]
        direct = self.cloud.direct('Pod1', 'cinder')
        for resource in (VOLUME, SNAPSHOT):
            listed = direct.get(f'/{resource.collection}/detail?all_tenants=1', as_='admin')[resource.collection]
            self.assertEqual(2 if resource is VOLUME else 1, len(listed))
            self.assertEqual([], Inventory(self.cloud.runtime, pod, resource).compare(listed).new, resource.type)
