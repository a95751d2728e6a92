# SPDX-License-Identifier: Apache-2.0
"""Applications: servers and volumes that are moved by one order."""

from trio2o.db import moves
from trio2o.tests.functional.move_groups.base import GroupsCase


class TestApplications(GroupsCase):
    def test_members_move_in_their_order(self):
        servers = [self.server(name=f's{number}') for number in range(3)]
        volume = self.volume()
        members = [
            {'type': 'server', 'id': servers[2]},
            {'type': 'volume', 'id': volume},
            {'type': 'server', 'id': servers[0]},
        ]
        group = self.begin(kind='application', members=members, zone='az2', name='shop')
        seen = []

        def look():
            active = [move.resource_id for move in moves.list_(self.db) if not move.is_switched]
            self.assertLessEqual(len(active), 1)
            seen.extend(each for each in active if each not in seen)

        shown = self.completed(group, look=look)
        self.assertEqual([servers[2], volume, servers[0]], seen)
        self.assertEqual(('shop', 100, 3), (shown['name'], shown['percent'], shown['counts']['moved']))
        self.assertEqual(['Pod2', 'Pod1', 'Pod2'], [self.place('server', each)[0] for each in servers])
        self.assertEqual('Pod2', self.place('volume', volume)[0])

    def test_volumes_of_a_server_move_with_it_wherever_they_are_named(self):
        volumes = [self.volume() for _ in range(2)]
        server = self.server(volumes=volumes)
        members = [
            {'type': 'volume', 'id': volumes[0]},
            {'type': 'server', 'id': server},
            {'type': 'volume', 'id': volumes[1]},
        ]
        for canary in (0, 1):
            zone = f'az{2 - canary}'
            given = {'kind': 'application', 'members': members, 'zone': zone, 'canary': canary}
            plan = self.create(200, dry_run=True, **given)['plan']
            self.assertEqual([server], [each['resource_id'] for each in plan['members']])
            group = self.begin(**given)
            self.assertEqual(3, self.completed(group)['counts']['moved'])
            self.assertEqual(1 + canary, self.count_moves())

    def test_volume_whose_server_is_no_member_is_refused(self):
        volume = self.volume()
        server = self.server(volumes=[volume])
        members = [{'type': 'volume', 'id': volume}]
        self.assertIn(server, self.create(422, kind='application', members=members, zone='az2').text)

    def test_application_confirms_as_a_whole(self):
        servers = [self.server() for _ in range(2)]
        group = self.application(*servers, confirm_seconds=3600)
        self.run_group(group, until=lambda shown: shown['counts']['switched'] == 2 and shown['confirm_at'])
        self.assertEqual({'switched'}, set(self.states(group).values()))
        self.assertEqual(99, self.group(group)['percent'])
        self.steer(group, 'confirm')
        self.run_group(group, until=lambda shown: shown['counts']['confirming'])
        self.assertEqual(0, self.group(group)['counts']['switched'])
        self.completed(group)
        self.assertEqual(set(), self.inventory('Pod1')['servers'])

    def test_members_are_those_of_a_server_group(self):
        made = self.cloud.nova.post(
            '/os-server-groups', {'server_group': {'name': 'web', 'policy': 'anti-affinity'}}, version='2.64'
        )['server_group']['id']
        inside = [self.grouped(made) for _ in range(2)]
        outside = self.server()
        group = self.begin(kind='application', server_group_id=made, zone='az2')
        self.completed(group)
        self.assertEqual({'Pod2'}, {self.place('server', each)[0] for each in inside})
        self.assertEqual('Pod1', self.place('server', outside)[0])

    def grouped(self, group):
        flavor = next(iter(self.cloud.pod('Pod1').nova.flavors))
        body = {
            'server': {
                'name': 'g',
                'flavorRef': flavor,
                'imageRef': self.cloud.lab.image['id'],
                'networks': 'none',
                'availability_zone': 'az1',
            },
            'os:scheduler_hints': {'group': group},
        }
        answer = self.cloud.nova.post('/servers', body, version='2.94')
        self.assertEqual(202, answer.status, answer.text)
        return answer['server']['id']

    def test_members_are_those_with_a_tag(self):
        tagged, other = self.server(tags=['shop']), self.server(tags=['shop2'])
        elsewhere = self.server(zone='az2', tags=['shop'])
        project = self.cloud.project_id()
        group = self.begin(kind='application', tag='shop', project_id=project, zone='az2')
        self.assertEqual([tagged], list(self.members(group)))
        self.completed(group)
        self.assertEqual(
            ['Pod2', 'Pod1', 'Pod2'], [self.place('server', each)[0] for each in (tagged, other, elsewhere)]
        )

    def test_application_with_a_blocker_does_not_begin(self):
        volume = self.volume()
        self.cloud.cinder.post('/snapshots', {'snapshot': {'volume_id': volume}})
        servers = [self.server(), self.server(volumes=[volume])]
        members = [{'type': 'server', 'id': each} for each in servers]
        answer = self.create(422, kind='application', members=members, zone='az2')
        self.assertIn('has snapshots', answer.fault)
        (error,) = answer.json.values()
        self.assertEqual([volume], [each['resource'] for each in error['findings']])
        self.assertEqual([], self.cloud.api.get('/move-groups')['move_groups'])

    def test_dry_run_plans_every_member(self):
        volume = self.volume()
        servers = [self.server(volumes=[volume]), self.server()]
        members = [{'type': 'server', 'id': each} for each in servers]
        plan = self.create(200, kind='application', members=members, zone='az2', dry_run=True)['plan']
        self.assertEqual(servers, [each['resource_id'] for each in plan['members']])
        self.assertEqual({'movable': 2, 'refused': 0, 'total': 2}, plan['counts'])
        self.assertTrue(plan['is_complete'])
        self.assertEqual(sum(each['bytes'] for each in plan['members']), plan['bytes'])
        self.assertEqual(0, self.count_moves())


class TestFailures(GroupsCase):
    def two(self, **given):
        """Begin an application whose second server cannot be built. :returns: the group and its servers"""
        servers = [self.server(name=f's{number}') for number in range(2)]
        group = self.application(*servers, **given)
        self.run_group(group, until=lambda shown: shown['counts']['switched'])
        self.let_build('Pod2', False)
        return group, servers

    def test_stopped_application_waits_for_an_operator(self):
        group, servers = self.two()
        shown = self.run_group(group)
        self.assertEqual('paused', shown['status'])
        self.assertIn('1 member has failed', shown['reason'])
        self.assertEqual({servers[0]: 'switched', servers[1]: 'failed'}, self.states(group))
        self.assertEqual('ACTIVE', self.show(servers[1])['status'])
        self.assertIn('resume', shown['verbs'])
        self.let_build('Pod2', True)
        self.steer(group, 'resume')
        self.completed(group)
        self.assertEqual(['Pod2', 'Pod2'], [self.place('server', each)[0] for each in servers])

    def test_all_are_reverted(self):
        before = self.inventory('Pod2')
        group, servers = self.two(on_failure='revert')
        shown = self.run_group(group)
        self.assertEqual('reverted', shown['status'])
        self.assertEqual({servers[0]: 'undone', servers[1]: 'failed'}, self.states(group))
        self.assertEqual(['Pod1', 'Pod1'], [self.place('server', each)[0] for each in servers])
        self.assertEqual({'ACTIVE'}, {self.show(each)['status'] for each in servers})
        self.assertEqual(before, self.inventory('Pod2'))

    def test_others_go_on(self):
        servers = [self.server(name=f's{number}') for number in range(3)]
        group = self.application(*servers, on_failure='continue', max_failures=1)
        self.run_group(group, until=lambda shown: shown['counts']['switched'] == 1)
        self.let_build('Pod2', False)
        self.run_group(group, until=lambda shown: shown['counts']['failed'] == 1)
        self.let_build('Pod2', True)
        self.completed(group)
        self.assertEqual(['moved', 'failed', 'moved'], [self.states(group)[each] for each in servers])


class TestVerbs(GroupsCase):
    def test_paused_group_begins_nothing(self):
        servers = [self.server() for _ in range(2)]
        group = self.application(*servers)
        self.steer(group, 'pause')
        self.steer(group, 'pause', 409)
        shown = self.run_group(group)
        self.assertEqual(('paused', 0), (shown['status'], self.count_moves()))
        self.steer(group, 'resume')
        self.steer(group, 'resume', 409)
        self.completed(group)

    def test_cancelled_group_undoes_what_has_not_switched(self):
        servers = [self.server() for _ in range(3)]
        group = self.application(*servers, confirm_seconds=3600)
        self.run_group(group, until=lambda shown: shown['counts']['switched'] == 1 and shown['counts']['moving'] == 1)
        self.steer(group, 'cancel')
        self.run_group(group, until=lambda shown: shown['counts']['undone'] == 2)
        self.assertEqual(['switched', 'undone', 'undone'], [self.states(group)[each] for each in servers])
        self.assertEqual('cancelling', self.group(group)['status'])
        self.steer(group, 'confirm')
        self.assertEqual('cancelled', self.run_group(group)['status'])
        self.assertEqual(['Pod2', 'Pod1', 'Pod1'], [self.place('server', each)[0] for each in servers])

    def test_reverted_group_takes_all_back(self):
        servers = [self.server() for _ in range(2)]
        group = self.application(*servers, confirm_seconds=3600)
        self.run_group(group, until=lambda shown: shown['counts']['switched'] == 2)
        self.steer(group, 'revert')
        self.assertEqual('reverted', self.run_group(group)['status'])
        self.assertEqual({'Pod1'}, {self.place('server', each)[0] for each in servers})
        for verb in ('pause', 'resume', 'cancel', 'revert', 'confirm'):
            self.steer(group, verb, 409)

    def test_member_that_its_owner_deletes_is_gone(self):
        servers = [self.server() for _ in range(2)]
        group = self.application(*servers)
        self.assertEqual(204, self.cloud.nova.delete(f'/servers/{servers[1]}').status)
        self.completed(group)
        self.assertEqual({servers[0]: 'moved', servers[1]: 'gone'}, self.states(group))


class TestRequests(GroupsCase):
    def test_invalid_requests_are_refused(self):
        server = self.server()
        application = {'kind': 'application', 'zone': 'az2', 'members': [{'type': 'server', 'id': server}]}
        to_pods = {name: value for name, value in application.items() if name != 'zone'}
        drain = {'kind': 'drain', 'source_pod': 'Pod1'}
        tagged = {'kind': 'application', 'zone': 'az2', 'tag': 'none', 'project_id': self.cloud.project_id()}
        for status, text, given in (
            (422, 'kind', {'zone': 'az2'}),
            (422, 'kind', {'kind': 'nope', 'zone': 'az2'}),
            (422, 'give one of', {'kind': 'application', 'zone': 'az2'}),
            (422, 'give one of', {**application, 'tag': 'x'}),
            (422, 'either zone or target_pods', to_pods),
            (422, 'either zone or target_pods', {**application, 'target_pods': ['Pod2']}),
            (422, 'only of kind application', {**drain, 'members': application['members']}),
            (422, 'only of kind drain', {**application, 'source_pod': 'Pod1'}),
            (422, 'it says whose servers', {**application, 'project_id': 'x'}),
            (422, 'name the pod', {'kind': 'drain'}),
            (422, 'there is no pod nope', {'kind': 'drain', 'source_pod': 'nope'}),
            (422, 'is the pod that is drained', {**drain, 'target_pods': ['Pod1']}),
            (422, 'name the zone', {'kind': 'rebalance'}),
            (404, 'nowhere', {'kind': 'rebalance', 'zone': 'nowhere'}),
            (404, 'nowhere', {**application, 'zone': 'nowhere'}),
            (404, 'nowhere', {**drain, 'zone': 'nowhere'}),
            (422, 'on_failure=continue', {**application, 'on_failure': 'stop', 'max_failures': 1}),
            (422, 'window', {**drain, 'window': '25:00-26:00'}),
            (422, 'parallel', {**drain, 'parallel': 0}),
            (404, 'could not be found', {**application, 'members': [{'type': 'volume', 'id': server}]}),
            (404, 'could not be found', {'kind': 'application', 'server_group_id': server, 'zone': 'az2'}),
            (400, 'no such servers', tagged),
            (400, 'already there', {**application, 'zone': 'az1'}),
            (400, 'already there', {**to_pods, 'target_pods': ['Pod1', 'Pod2']}),
        ):
            self.assertIn(text, self.create(status, **given).text, given)
        self.assertEqual([], self.cloud.api.get('/move-groups')['move_groups'])
        self.assertEqual(404, self.cloud.api.get('/move-groups/nope').status)
        self.assertEqual(404, self.cloud.api.get('/move-groups/nope/members').status)

    def test_groups_and_members_are_filtered_sorted_and_paged(self):
        servers = [self.server() for _ in range(3)]
        made = [self.application(server) for server in servers[:2]]
        self.steer(made[0], 'pause')
        for query, wanted in (
            ('', reversed(made)),
            ('sort=created_at', made),
            ('limit=1', made[1:]),
            (f'limit=1&marker={made[1]}', made[:1]),
            ('status=paused', made[:1]),
            ('active=true&kind=application', reversed(made)),
            ('kind=drain', []),
            ('active=false', []),
        ):
            answer = self.cloud.api.get(f'/move-groups?{query}')
            self.assertEqual(list(wanted), [each['id'] for each in answer['move_groups']], query)
        for query in ('status=nope', 'kind=x', 'active=x', 'nope=1', 'sort=options', 'marker=nope'):
            self.assertEqual(400, self.cloud.api.get(f'/move-groups?{query}').status, query)
        path = f'/move-groups/{made[1]}/members'
        (member,) = self.cloud.api.get(path)['members']
        self.assertEqual(('waiting', servers[1], 0), (member['state'], member['resource_id'], member['tries']))
        self.assertEqual([], self.cloud.api.get(path, query={'state': 'moved'})['members'])
        for query in ('state=nope', 'marker=999999999', 'marker=x', 'nope=1'):
            self.assertEqual(400, self.cloud.api.get(f'{path}?{query}').status, query)
