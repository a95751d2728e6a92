# SPDX-License-Identifier: Apache-2.0
"""Applications of projects, which learn neither of pods nor of what other projects have."""

import os

import fixtures

from trio2o.tests.functional.move_groups.base import GroupsCase


class TestOwn(GroupsCase):
    def gateway(self, **options):
        rules = os.path.join(self.useFixture(fixtures.TempDir()).path, 'policy.yaml')
        with open(rules, 'w') as file:
            file.write('"api:moves.own": "role:member"\n')
        return super().gateway(**{'oslo_policy.policy_file': rules, **options})

    def setUp(self):
        super().setUp()
        self.names = (*self.pods_by_name(), *self.cloud.pod_ids.values())

    def pods_by_name(self):
        return tuple(self.cloud.lab.pods)

    def assert_without_pods(self, answer):
        for name in self.names:
            self.assertNotIn(name, answer.text)

    def members_of(self, *servers):
        return [{'type': 'server', 'id': each} for each in servers]

    def test_project_moves_its_application_to_a_zone(self):
        servers = [self.server(tags=['shop']) for _ in range(2)]
        answer = self.create(as_='demo', kind='application', tag='shop', zone='az2')
        self.assert_without_pods(answer)
        group = answer['move_group']['id']
        self.completed(group)
        for path in ('/move-groups', f'/move-groups/{group}', f'/move-groups/{group}/members'):
            answer = self.cloud.api.get(path, as_='demo')
            self.assertEqual(200, answer.status)
            self.assert_without_pods(answer)
        self.assertEqual({'Pod2'}, {self.place('server', each)[0] for each in servers})

    def test_plan_and_refusal_name_no_pod(self):
        volume = self.volume()
        server = self.server(volumes=[volume])
        given = {'kind': 'application', 'members': self.members_of(server), 'zone': 'az2'}
        self.assert_without_pods(self.create(200, as_='demo', dry_run=True, **given))
        self.cloud.set_pod('Pod2', state='disabled')
        self.assert_without_pods(self.create(422, as_='demo', **given))

    def test_reasons_name_no_pod(self):
        servers = [self.server() for _ in range(2)]
        answer = self.create(as_='demo', kind='application', members=self.members_of(*servers), zone='az2')
        self.let_build('Pod2', False)
        group = answer['move_group']['id']
        self.run_group(group)
        answer = self.cloud.api.get(f'/move-groups/{group}/members', as_='demo')
        self.assert_without_pods(answer)
        self.assertIn('Ask the operator', answer.text)

    def test_projects_neither_drain_nor_name_pods(self):
        members = self.members_of(self.server())
        for given in (
            {'kind': 'drain', 'source_pod': 'Pod1'},
            {'kind': 'drain', 'source_pod': 'nope'},
            {'kind': 'rebalance', 'zone': 'az1'},
            {'kind': 'application', 'members': members, 'target_pods': ['Pod2']},
            {'kind': 'application', 'members': members, 'target_pods': ['nope']},
        ):
            self.create(403, as_='demo', **given)
        for query in ('source_pod_id=x', 'kind=drain&source_pod_id=x'):
            self.assertEqual(403, self.cloud.api.get(f'/move-groups?{query}', as_='demo').status)

    def test_other_projects_do_not_exist(self):
        server = self.server(tags=['shop'])
        other = self.cloud.lab.keystone
        self.assertIn('alt', other.users)
        unknown = '11111111-2222-3333-4444-555555555555'
        answers = [
            self.create(404, as_='alt', kind='application', members=self.members_of(each), zone='az2').text
            for each in (server, unknown)
        ]
        self.assertEqual(answers[0].replace(server, unknown), answers[1])
        project = self.cloud.project_id()
        self.create(400, as_='alt', kind='application', tag='shop', project_id=project, zone='az2')
        group = self.create(as_='demo', kind='application', members=self.members_of(server), zone='az2')
        group = group['move_group']['id']
        self.assertEqual([], self.cloud.api.get('/move-groups', as_='alt')['move_groups'])
        self.assertEqual([], self.cloud.api.get(f'/move-groups?project_id={project}', as_='alt')['move_groups'])
        for path in ('', '/members'):
            self.assertEqual(404, self.cloud.api.get(f'/move-groups/{group}{path}', as_='alt').status)
        self.steer(group, 'cancel', 404, as_='alt')
        self.steer(group, 'cancel', as_='demo')


class TestAdminsOnly(GroupsCase):
    def test_without_the_rule_only_administrators_move_groups(self):
        members = [{'type': 'server', 'id': self.server()}]
        self.create(403, as_='demo', kind='application', members=members, zone='az2')
        self.assertEqual(403, self.cloud.api.get('/move-groups', as_='demo').status)
