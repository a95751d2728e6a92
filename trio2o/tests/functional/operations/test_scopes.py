# SPDX-License-Identifier: Apache-2.0
"""Tokens that are scoped to the system or to a domain: they get what a pod that is asked directly gives them."""

import re
import uuid

from trio2o.cinder_apigw import SERVICE as CINDER
from trio2o.db import quotas
from trio2o.lab.emulated.faults import Refuse, Status
from trio2o.nova_apigw import SERVICE as NOVA
from trio2o.tests.functional.operations.base import ConversationTest, ids, version_of

SERVICES = {'nova': NOVA, 'cinder': CINDER}
#: Roles and domain of a token.
SCOPES = {
    'admin of the system': (('admin',), ''),
    'reader of the system': (('reader',), ''),
    'admin of a domain': (('admin',), 'default'),
    'member of a domain': (('member',), 'default'),
}


#: Rows that the gateway answers without a pod: to everybody the same.
OF_GATEWAY = {'availability_zones.list', 'servers.action.os-getRDPConsole', 'servers.action.resetNetwork'}


class ScopeTest(ConversationTest):
    run_jobs = True

    def setUp(self):
        super().setUp()
        self.server = self.cloud.lab.add_servers('Pod2', 'demo')[0]['id']
        self.volume = self.cloud.lab.add_volumes('Pod2', 'demo')[0]['id']
        self.cloud.lab.add_volumes('Pod1', 'alt')
        self.clients = {'nova': self.nova, 'cinder': self.cinder}
        keystone = self.cloud.lab.keystone
        # To validate a token takes half as long as a request to a pod.
        self.tokens = {
            scope: keystone.issue_token('admin', '', roles=roles, domain_id=domain_id)
            for scope, (roles, domain_id) in SCOPES.items()
        }
        self.direct = {name: self.cloud.direct('Pod2', name) for name in SERVICES}

    def scoped(self, client, method, path, scope, json=None, **kwargs):
        return client.request(method, path, json, as_=None, headers={'X-Auth-Token': self.tokens[scope]}, **kwargs)

    def both(self, name, method, path, scope, json=None, **kwargs):
        """The statuses of the gateway and of a pod that is asked directly."""
        return tuple(
            self.scoped(client, method, path, scope, json, **kwargs).status
            for client in (self.clients[name], self.direct[name])
        )


class TestRows(ScopeTest):
    def requests(self, name):
        """(operation, method, path, body) of every row, about a resource of the project demo."""
        known = {'nova': self.server, 'cinder': self.volume}[name]
        for operation in SERVICES[name].operations:
            path = re.sub(r'{[a-z_]*}', known, operation.path)
            yield operation, path, {operation.action: {}} if operation.action else None

    def check(self, name, scope):
        wrong = []
        for operation, path, body in self.requests(name):
            body = body if operation.method in ('POST', 'PUT') else None
            version = version_of(name, operation)
            ours, theirs = self.both(name, operation.method, path, scope, body, version=version)
            if ours == theirs or {ours, theirs} == {403, 404} or operation.name in OF_GATEWAY:
                continue
            if theirs == 403 or ours >= 500 or ours == 401 or (operation.method == 'GET' and theirs < 400):
                wrong.append((operation.name, ours, theirs))
        self.assertEqual([], wrong, scope)

    def test_compute_answers_as_pod_does(self):
        for scope in SCOPES:
            self.check('nova', scope)

    def test_block_storage_answers_as_pod_does(self):
        for scope in SCOPES:
            self.check('cinder', scope)


class TestScopes(ScopeTest):
    def test_compute_refuses_lists_also_if_projects_have_servers(self):
        self.learn_servers()
        for scope in SCOPES:
            for path in ('/servers', '/servers/detail?all_tenants=1', '/os-hypervisors', '/limits', '/flavors'):
                self.assertEqual((403, 403), self.both('nova', 'GET', path, scope), (scope, path))

    def test_partial_records_are_for_projects_only(self):
        self.learn_servers()
        self.assertEqual(1, len(self.nova.get('/servers?all_tenants=1', as_='admin', version='2.96')['servers']))
        for name in self.pods:
            self.cloud.pod(name).nova.faults.add(Refuse())
        for scope in SCOPES:
            answer = self.scoped(self.nova, 'GET', '/servers?all_tenants=1', scope, version='2.96')
            self.assertEqual(503, answer.status, answer.text)

    def test_limits_are_not_compared_with_usage_before_a_pod_has_authorized(self):
        project = self.cloud.project_id('demo')
        server = {'name': 's', 'flavorRef': '1', 'imageRef': self.cloud.lab.image['id'], 'networks': 'none'}
        self.assertEqual(202, self.nova.post('/servers', {'server': server}, version='2.96').status)
        self.assertTrue(quotas.usage(self.cloud.runtime.db, project))
        body = {'quota_set': {'instances': 0}}
        for scope in SCOPES:
            answer = self.scoped(self.nova, 'PUT', f'/os-quota-sets/{project}', scope, body)
            self.assertEqual(403, answer.status, answer.text)

    def test_block_storage_lists_all_volumes_to_admins_and_none_of_projects_otherwise(self):
        for scope, number in zip(SCOPES, (2, 0, 2, 0), strict=True):
            for path, expected in (('/volumes/detail?all_tenants=1', number), ('/volumes/detail', 0)):
                answer = self.scoped(self.cinder, 'GET', path, scope, version='3.70')
                self.assertEqual((200, expected), (answer.status, len(answer['volumes'])), (scope, path))

    def test_block_storage_shows_volume_of_project_to_admin_and_not_to_reader(self):
        for scope, status in zip(SCOPES, (200, 404, 200, 404), strict=True):
            self.assertEqual((status, status), self.both('cinder', 'GET', f'/volumes/{self.volume}', scope), scope)

    def test_volume_that_admin_of_system_looks_at_is_recorded_for_its_project(self):
        self.scoped(self.cinder, 'GET', f'/volumes/{self.volume}', 'admin of the system')
        self.assertEqual('Pod2', self.pod_of('volume', self.volume))
        self.assertEqual([self.volume], ids(self.cinder.get('/volumes')['volumes']))

    def test_project_in_path_is_refused_as_that_of_others(self):
        project = self.cloud.project_id('demo')
        for name, path in (('nova', '/servers'), ('cinder', '/volumes')):
            for scope in SCOPES:
                self.assertEqual((400, 400), self.both(name, 'GET', f'/{project}{path}', scope))

    def test_nothing_is_claimed_for_create_that_pod_refuses(self):
        server = {'name': 's', 'flavorRef': '1', 'imageRef': str(uuid.uuid4()), 'networks': 'none'}
        for scope in SCOPES:
            answer = self.scoped(self.nova, 'POST', '/servers', scope, {'server': server}, version='2.96')
            self.assertIn(answer.status, (400, 403), answer.text)
        self.assertEqual({}, quotas.usage(self.cloud.runtime.db, ''))

    def test_types_and_flavors_are_written_by_whom_pods_take_for_admin(self):
        for scope, status in zip(SCOPES, (200, 403, 200, 403), strict=True):
            body = {'volume_type': {'name': scope}}
            answer = self.scoped(self.cinder, 'POST', '/types', scope, body)
            self.assertEqual(status, answer.status, answer.text)
            found = [each['name'] for name in self.pods for each in self.cloud.pod(name).cinder.types.values()]
            self.assertEqual(2 if status == 200 else 0, found.count(scope))
            flavor = {'name': scope, 'ram': 64, 'vcpus': 1, 'disk': 1}
            self.assertEqual(403, self.scoped(self.nova, 'POST', '/flavors', scope, {'flavor': flavor}).status)

    def test_admin_api_is_for_admins_and_readers_of_the_system(self):
        for scope, read, write in zip(SCOPES, (200, 200, 403, 403), (404, 403, 403, 403), strict=True):
            answer = self.scoped(self.cloud.api, 'GET', '/pods', scope)
            self.assertEqual(read, answer.status, answer.text)
            answer = self.scoped(self.cloud.api, 'DELETE', f'/pods/{uuid.uuid4()}', scope)
            self.assertEqual(write, answer.status, answer.text)

    def test_unreachable_pods_give_error_and_not_an_empty_list(self):
        for name in self.pods:
            self.cloud.pod(name).cinder.faults.add(Status(503))
        for scope in SCOPES:
            self.assertEqual(503, self.scoped(self.cinder, 'GET', '/volumes', scope).status)
