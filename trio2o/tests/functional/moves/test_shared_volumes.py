# SPDX-License-Identifier: Apache-2.0
"""Servers that share volumes and are moved as one."""

from trio2o import exception
from trio2o.db import moves
from trio2o.tests.functional.moves.base import TenantCase


class SharedCase(TenantCase):
    def setUp(self):
        super().setUp()
        self.shared, self.own = self.shared_volume(), self.volume()
        self.first = self.server(name='first', volumes=[self.shared])
        self.second = self.server(name='second', volumes=[self.own, self.shared])
        self.servers = [self.first, self.second]

    def begin(self, pod='Pod2'):
        return self.start('server', self.first, pod, also=(self.second,))

    def attached(self):
        """Return the servers of the shared volume, and the volumes of the servers."""
        servers = [each['server_id'] for each in self.show_volume(self.shared)['attachments']]
        volumes = [self.show(each)['os-extended-volumes:volumes_attached'] for each in self.servers]
        return sorted(servers), [{volume['id'] for volume in each} for each in volumes]


class TestSharedVolumes(SharedCase):
    def test_server_without_the_others_is_refused(self):
        for server, other in ((self.first, self.second), (self.second, self.first)):
            plan = self.plan('server', server)
            self.assertEqual((other,), plan.inseparable)
            (text,) = [each.text for each in plan.findings if each.level == 'blocker']
            self.assertIn(other, text)
        self.assertFalse(self.plan('server', self.first, also=(self.second,)).is_blocked)

    def test_servers_of_another_pod_or_project_are_not_moved_along(self):
        for other in (self.server(zone='az2'), self.server(as_='alt')):
            along = (self.second, other)
            error = self.assertRaises(exception.Trio2oException, self.plan, 'server', self.first, also=along)
            self.assertIn(other, str(error))

    def test_servers_move_there_and_back_with_their_volumes(self):
        disks = [('root', self.first), ('root', self.second), ('volume', self.shared), ('volume', self.own)]
        checksums = [self.disk(*each).checksum() for each in disks]
        before = self.attached()
        for pod in ('Pod2', 'Pod1'):
            move_id = self.begin(pod)
            self.run_move(move_id, until='switched')
            moves.confirm(self.db, move_id)
            self.assertEqual('confirmed', self.run_move(move_id).status)
            for kind, resource_id in (*(('server', each) for each in self.servers), ('volume', self.shared)):
                self.assertEqual(pod, self.place(kind, resource_id)[0])
            self.assertEqual(before, self.attached())
            self.assertEqual(checksums, [self.disk(*each).checksum() for each in disks])
        left = self.inventory('Pod2')
        self.assertEqual((set(), set(), set()), (left['servers'], left['volumes'], left['snapshots']))

    def test_tenants_see_each_server_and_volume_once_at_each_step(self):
        before = self.attached()

        def look(step):
            listed = [each['id'] for each in self.cloud.nova.get('/servers')['servers']]
            self.assertEqual(sorted(self.servers), sorted(listed), step)
            listed = [each['id'] for each in self.cloud.cinder.get('/volumes')['volumes']]
            self.assertEqual(sorted((self.shared, self.own)), sorted(listed), step)
            self.assertEqual(before, self.attached(), step)

        self.each_step(self.begin(), look)

    def test_both_run_in_the_source_after_a_revert_of_any_state(self):
        before = {name: self.inventory(name) for name in ('Pod1', 'Pod2')}
        attached = self.attached()
        for state in ('frozen', 'copied', 'verified', 'built', 'switched'):
            move_id = self.begin()
            self.run_move(move_id, until=state)
            (moves.revert if state == 'switched' else moves.cancel)(self.db, move_id)
            self.assertEqual('reverted', self.run_move(move_id).status, state)
            self.assertEqual(before, {name: self.inventory(name) for name in ('Pod1', 'Pod2')}, state)
            self.assertEqual(attached, self.attached(), state)
            self.assertEqual(['ACTIVE', 'ACTIVE'], [self.show(each)['status'] for each in self.servers], state)

    def test_one_server_that_is_not_built_keeps_both_in_the_source(self):
        nova = self.cloud.pod('Pod2').nova
        move_id = self.begin()
        self.run_move(move_id, after=f'server {self.first}')
        nova.disabled = dict.fromkeys(nova.hosts, 'full')
        move = self.run_move(move_id)
        self.assertEqual('stuck', move.status)
        self.assertIn(self.second, move.step)
        moves.cancel(self.db, move_id)
        self.assertEqual('reverted', self.run_move(move_id).status)
        self.assertEqual(['Pod1', 'Pod1'], [self.place('server', each)[0] for each in self.servers])
        self.assertEqual(['ACTIVE', 'ACTIVE'], [self.show(each)['status'] for each in self.servers])

    def test_delete_of_one_server_cancels_the_move_of_both(self):
        for server in (self.second, self.first):
            move_id = self.begin() if server == self.second else self.start('server', server)
            self.run_move(move_id, until='built')
            self.assertEqual(204, self.cloud.nova.delete(f'/servers/{server}').status)
            self.assertEqual('reverted', self.run_move(move_id).status)
            self.assertEqual(404, self.cloud.nova.get(f'/servers/{server}').status)
            self.assertEqual(set(), self.inventory('Pod2')['servers'])
            if server == self.second:
                self.assertEqual('ACTIVE', self.show(self.first)['status'])

    def test_server_deleted_after_the_switch_stays_deleted_after_a_revert(self):
        move_id = self.begin()
        self.run_move(move_id, until='switched')
        self.assertEqual(204, self.cloud.nova.delete(f'/servers/{self.second}').status)
        moves.revert(self.db, move_id)
        move = self.run_move(move_id)
        self.assertEqual('reverted', move.status, move.error)
        self.assertEqual({self.first}, self.inventory('Pod1')['servers'])
        self.assertEqual(404, self.cloud.nova.get(f'/servers/{self.second}').status)
        self.assertEqual('ACTIVE', self.show(self.first)['status'])
        self.assertEqual([self.first], self.attached_to(self.shared))

    def test_last_server_deleted_after_the_switch_confirms_the_move(self):
        move_id = self.begin()
        self.run_move(move_id, until='switched')
        for server in self.servers:
            self.assertEqual('', moves.get(self.db, move_id).wish)
            self.assertEqual(204, self.cloud.nova.delete(f'/servers/{server}').status)
        self.assertEqual('confirmed', self.run_move(move_id).status)
        for pod in ('Pod1', 'Pod2'):
            self.assertEqual(set(), self.servers_of(pod))

    def attached_to(self, volume):
        return [each['server_id'] for each in self.show_volume(volume)['attachments']]

    def test_actions_of_each_server_stay_listed(self):
        for server in self.servers:
            self.cloud.nova.post(f'/servers/{server}/action', {'reboot': {'type': 'SOFT'}})
        self.move_both()
        for server in self.servers:
            listed = self.cloud.nova.get(f'/servers/{server}/os-instance-actions')['instanceActions']
            self.assertEqual(1, [each['action'] for each in listed].count('reboot'), listed)
            self.assertEqual({server}, {each['instance_uuid'] for each in listed})

    def move_both(self):
        move_id = self.begin()
        self.run_move(move_id, until='switched')
        moves.confirm(self.db, move_id)
        self.assertEqual('confirmed', self.run_move(move_id).status)
