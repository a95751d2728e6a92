# SPDX-License-Identifier: Apache-2.0
"""Admins whose role the policies of the pods, and perhaps that of the gateway, take for that of an admin."""

import os

import fixtures

from trio2o.db import pods as db_pods
from trio2o.db import quotas, routings
from trio2o.db.database import utcnow
from trio2o.db.records import NewRouting
from trio2o.tests.functional.operations.base import ConversationTest, ids

ROLE = 'cloud_admin'
LISTS = ('/volumes', '/volumes/detail', '/snapshots', '/snapshots/detail', '/backups/detail', '/groups/detail')


class AdminTest(ConversationTest):
    """Pods in which the role ``cloud_admin`` is an admin's, and ``admin`` is not."""

    #: The check in the gateway's policy; empty: the gateway has no policy file.
    check = ''

    def setUp(self):
        if self.check:
            path = os.path.join(self.useFixture(fixtures.TempDir()).path, 'policy.yaml')
            with open(path, 'w') as file:
                file.writelines(f'"{name}_apigw:context_is_admin": "{self.check}"\n' for name in ('nova', 'cinder'))
            self.options = {'oslo_policy': {'policy_file': path}}
        super().setUp()
        keystone = self.cloud.lab.keystone
        keystone.add_user('boss', roles={'office': ('member', ROLE)})
        keystone.users['trio2o'].roles = {
            project: (*roles, ROLE) for project, roles in keystone.users['trio2o'].roles.items()
        }
        for pod_id in self.cloud.pod_ids.values():
            db_pods.set_reconciled(self.cloud.runtime.db, pod_id, utcnow())
        self.cloud.runtime.registry.refresh()
        for name in self.pods:
            for service in self.cloud.pod(name).each():
                service.admin_role = ROLE


class TestAdminsOfPods(AdminTest):
    def test_all_tenants_lists_volumes_of_all_pods(self):
        wanted = {self.cloud.lab.add_volumes(name, 'demo')[0]['id'] for name in self.pods}
        for path in ('/volumes', '/volumes/detail'):
            listed = self.cinder.get(f'{path}?all_tenants=1', as_='boss')['volumes']
            self.assertEqual(wanted, set(ids(listed)), path)

    def test_all_tenants_asks_all_pods_for_each_list(self):
        for path in LISTS:
            self.cloud.lab.clear_logs()
            self.assertEqual(200, self.cinder.get(f'{path}?all_tenants=1', as_='boss', version='3.70').status)
            self.assertEqual([1, 1], [len(self.seen(name, 'cinder')) for name in self.pods], path)

    def test_pages_of_all_tenants_have_each_volume_once(self):
        wanted = [
            volume['id'] for name in self.pods for volume in self.cloud.lab.add_volumes(name, 'demo', 3, spacing=5)
        ]
        found, path = [], '/volumes/detail?all_tenants=1&limit=2'
        while path:
            page = self.cinder.get(path, as_='boss')
            found += ids(page['volumes'])
            path = next((link['href'] for link in page.json.get('volumes_links', ())), None)
        self.assertEqual(sorted(wanted), sorted(found))

    def test_all_tenants_records_no_volume_for_the_project_of_the_caller(self):
        for name in self.pods:
            self.cloud.lab.add_volumes(name, 'demo')
        self.cinder.get('/volumes/detail?all_tenants=1', as_='boss')
        self.learn_volumes()
        db = self.cloud.runtime.db
        self.assertEqual(set(), routings.pods_of_project(db, ['volume'], self.cloud.project_id('office')))

    def test_limits_are_those_of_the_named_project(self):
        db, project = self.cloud.runtime.db, self.cloud.project_id('demo')
        quotas.set_limits(db, project, '', {'volumes': 7})
        for who, limit in (('boss', 7), ('alt', -1)):
            answer = self.cinder.get(f'/limits?project_id={project}', as_=who, version='3.60')
            self.assertEqual(limit, answer['limits']['absolute']['maxTotalVolumes'], who)

    def test_member_gets_own_volumes_with_all_tenants(self):
        own = self.cloud.lab.add_volumes('Pod2', 'alt')[0]['id']
        self.cloud.lab.add_volumes('Pod1', 'demo')
        listed = self.cinder.get('/volumes/detail?all_tenants=1', as_='alt')['volumes']
        self.assertEqual([own], ids(listed))


class TestAdminsOfGateway(AdminTest):
    check = f'role:{ROLE}'

    def test_server_of_another_project_is_found_by_its_routing(self):
        server = self.cloud.lab.add_servers('Pod2', 'demo')[0]
        project, pod_id = self.cloud.project_id('demo'), self.cloud.pod_ids['Pod2']
        routings.record(self.cloud.runtime.db, NewRouting('server', server['id'], pod_id, project))
        self.cloud.lab.clear_logs()
        self.assertEqual(200, self.nova.get(f'/servers/{server["id"]}', as_='boss').status)
        self.assertEqual([0, 1], [len(self.seen(name)) for name in self.pods])

    def test_aggregate_of_pod_is_shown(self):
        number = db_pods.get(self.cloud.runtime.db, self.cloud.pod_ids['Pod1']).number
        self.assertEqual(200, self.nova.get(f'/os-aggregates/{number}', as_='boss').status)

    def test_admin_by_name_alone_is_a_tenant(self):
        number = db_pods.get(self.cloud.runtime.db, self.cloud.pod_ids['Pod1']).number
        self.assertEqual(403, self.nova.get(f'/os-aggregates/{number}', as_='admin').status)


class TestAdminsByTwoRoles(TestAdminsOfGateway):
    """A check that is more than one role."""

    check = f'role:{ROLE} or (role:{ROLE} and system_scope:all)'
