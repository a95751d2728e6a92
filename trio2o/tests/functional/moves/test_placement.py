# SPDX-License-Identifier: Apache-2.0
"""Server groups and scheduler hints of servers that move."""

from trio2o.db import moves
from trio2o.moves import planner
from trio2o.tests.functional.moves.base import TenantCase


class PlacementCase(TenantCase):
    def group(self, policy='soft-anti-affinity'):
        body = {'server_group': {'name': 'g', 'policy': policy}}
        answer = self.cloud.nova.post('/os-server-groups', body, version='2.64')
        self.assertEqual(200, answer.status, answer.text)
        return answer['server_group']['id']

    def try_member(self, hints, zone='az1'):
        server = {
            'name': 'web',
            'flavorRef': next(iter(self.cloud.pod('Pod1').nova.flavors)),
            'imageRef': self.cloud.lab.image['id'],
            'networks': 'none',
            'availability_zone': zone,
        }
        document = {'server': server, 'os:scheduler_hints': hints}
        return self.cloud.nova.post('/servers', document, version='2.94')

    def member(self, zone='az1', **hints):
        answer = self.try_member(hints, zone)
        self.assertEqual(202, answer.status, answer.text)
        return answer['server']['id']

    def members(self, group):
        shown = self.cloud.nova.get(f'/os-server-groups/{group}', version='2.64')['server_group']['members']
        listed = self.cloud.nova.get('/os-server-groups', version='2.64')['server_groups']
        self.assertEqual([sorted(shown)], [sorted(each['members']) for each in listed])
        return shown

    def findings(self, server, code, pod='Pod2'):
        found = self.plan('server', server, pod).findings
        return [(each.level, each.text) for each in found if each.code == code]

    def ends(self, move_id, verb):
        verb(self.db, move_id, planner.job_of(self.cloud.runtime, moves.get(self.db, move_id)))
        return self.run_move(move_id).status


class TestServerGroups(PlacementCase):
    def test_group_keeps_its_members_at_each_step(self):
        group = self.group()
        server, other = self.member(group=group), self.member(group=group)
        self.assertEqual([], self.findings(server, 'server_group'))

        def look(step):
            self.assertEqual(sorted((server, other)), sorted(self.members(group)), step)
            self.assertEqual([group], self.show(server)['server_groups'], step)

        self.each_step(self.start('server', server), look)
        self.assertEqual('Pod2', self.place('server', server)[0])
        (copy,) = self.cloud.pod('Pod2').nova.groups.values()
        self.assertEqual([self.place('server', server)[1]], copy['members'])
        self.assertEqual(('soft-anti-affinity', 'g'), (copy['policy'], copy['name']))

    def test_group_has_its_member_after_moves_back_and_forth(self):
        group = self.group()
        server = self.member(group=group)
        for pod in ('Pod2', 'Pod1', 'Pod2'):
            move_id = self.start('server', server, pod)
            self.run_move(move_id, until='switched')
            self.assertEqual('confirmed', self.ends(move_id, moves.confirm))
            self.assertEqual([server], self.members(group))
            self.assertEqual([group], self.show(server)['server_groups'])
        self.assertEqual(1, len(self.cloud.pod('Pod2').nova.groups))

    def test_reverted_server_is_in_its_group_in_the_source(self):
        group = self.group('affinity')
        server = self.member(group=group)
        move_id = self.start('server', server)
        self.run_move(move_id, until='switched')
        self.assertEqual('reverted', self.ends(move_id, moves.revert))
        self.assertEqual([server], self.members(group))
        self.assertEqual([group], self.show(server)['server_groups'])
        self.assertEqual(400, self.try_member({'group': group}, 'az2').status)
        self.member(group=group)

    def test_members_with_affinity_do_not_stay_behind(self):
        group = self.group('affinity')
        server, other = self.member(group=group), self.member(group=group)
        ((level, text),) = self.findings(server, 'server_group')
        self.assertEqual('blocker', level)
        self.assertIn(other, text)
        self.assertNotIn(server, text)

    def test_single_member_takes_the_affinity_along(self):
        group = self.group('affinity')
        server = self.member(group=group)
        move_id = self.start('server', server)
        # In which pod the server will be is not known yet.
        refusal = self.try_member({'group': group}, 'az1')
        self.assertEqual(409, refusal.status, refusal.text)
        self.assertIn(move_id, refusal.fault)
        self.run_move(move_id, until='switched')
        self.assertEqual(400, self.try_member({'group': group}, 'az1').status)
        other = self.member('az2', group=group)
        self.assertEqual('confirmed', self.ends(move_id, moves.confirm))
        self.assertEqual(400, self.try_member({'group': group}, 'az1').status)
        self.assertEqual(sorted((server, other)), sorted(self.members(group)))

    def test_member_created_during_the_plan_stops_the_move(self):
        group = self.group('affinity')
        server = self.member(group=group)
        move_id = self.start('server', server)
        nova = self.cloud.pod('Pod1').nova
        late = self.server()
        nova.groups[group]['members'].append(late)
        move = self.run_move(move_id)
        self.assertEqual('stuck', move.status)
        self.assertIn('has other servers', move.error)

    def test_soft_affinity_is_noted(self):
        group = self.group('soft-affinity')
        server, _other = self.member(group=group), self.member(group=group)
        self.assertEqual(['note'], [level for level, _text in self.findings(server, 'server_group')])

    def test_group_of_another_project_is_left(self):
        group = self.group()
        server = self.member(group=group)
        self.cloud.pod('Pod1').nova.groups[group]['project_id'] = 'other'
        self.assertEqual(['loss'], [level for level, _text in self.findings(server, 'server_group')])

    def test_membership_that_the_target_lacks_is_noticed(self):
        group = self.group()
        server = self.member(group=group)
        move_id = self.start('server', server)
        self.run_move(move_id, after='server')
        (copy,) = self.cloud.pod('Pod2').nova.groups.values()
        copy['members'].clear()
        move = self.run_move(move_id)
        self.assertEqual('stuck', move.status)
        self.assertIn('server_groups', move.error)

    def test_copies_of_servers_are_not_counted_as_members(self):
        group = self.group()
        server = self.member(group=group)
        body = {'quota_set': {'server_group_members': 2}}
        project = self.show(server)['tenant_id']
        answer = self.cloud.nova.put(f'/os-quota-sets/{project}', body, as_='admin', version='2.56')
        self.assertEqual(200, answer.status, answer.text)
        self.run_move(self.start('server', server), until='switched')
        self.member(group=group)
        self.assertEqual(403, self.try_member({'group': group}).status)


class TestSchedulerHints(PlacementCase):
    def test_hints_are_carried_with_the_ids_that_tenants_know(self):
        other = self.server()
        moved = self.server()
        self.run_move(self.start('server', moved), until='switched')
        hints = {'different_host': [other, moved], 'custom': 'x'}
        server = self.member(different_host=hints['different_host'], custom='x')
        self.assertEqual([], self.findings(server, 'scheduler_hint'))
        move_id = self.start('server', server)
        self.run_move(move_id, until='switched')
        pod, bottom_id = self.place('server', server)
        stored = self.cloud.pod(pod).nova.servers[bottom_id]['scheduler_hints']
        self.assertEqual([other, self.place('server', moved)[1]], stored['different_host'])
        shown = self.show(server, version='2.100', as_='admin')['scheduler_hints']
        self.assertEqual(hints, shown)

    def test_hints_about_the_source_are_lost(self):
        server = self.member(same_host=[self.server()], query='["=", 1, 1]')
        ((level, text),) = self.findings(server, 'scheduler_hint')
        self.assertEqual('loss', level)
        self.assertIn('same_host', text)
        self.run_move(self.start('server', server), until='switched')
        self.assertEqual({'query'}, self.show(server, version='2.100', as_='admin')['scheduler_hints'].keys())
