# SPDX-License-Identifier: Apache-2.0
"""Policies, public paths, unknown paths and methods."""

import os

import fixtures
import testtools

from trio2o import exception
from trio2o.api import OPERATIONS, SERVICE
from trio2o.context import RequestContext
from trio2o.tests.fixtures.cloud import GatewayFixture
from trio2o.tests.functional.admin_api.base import AdminApiTestCase
from trio2o.web.operations import ADMIN, READER
from trio2o.web.policies import Policies, rule_name

ROOT = 'http://gateway.test:19996'


class TestAccess(AdminApiTestCase):
    registers = False

    def ask_all(self, as_, methods):
        for operation in OPERATIONS:
            if operation.method in methods:
                path = operation.path.replace('{', '').replace('}', '')
                yield operation.name, self.api.request(operation.method, path, as_=as_).status

    def test_member_gets_403_for_each_operation(self):
        for name, status in self.ask_all('demo', {'GET', 'POST', 'PUT', 'PATCH', 'DELETE'}):
            self.assertEqual(403, status, name)

    def test_reader_of_project_gets_403_for_each_operation(self):
        for name, status in self.ask_all('reader', {'GET', 'POST', 'PUT', 'PATCH', 'DELETE'}):
            self.assertEqual(403, status, name)

    def test_reader_of_system_may_read_and_not_change(self):
        policies = Policies(self.cloud.conf, SERVICE)
        auditor = RequestContext(roles=['reader'], system_scope='all', overwrite=False)
        for operation in OPERATIONS:
            if operation.role == READER:
                policies.check(operation, auditor)
            else:
                self.assertRaises(exception.Forbidden, policies.check, operation, auditor)

    def test_reads_have_role_reader_and_changes_role_admin(self):
        for operation in OPERATIONS:
            is_read = operation.method == 'GET' or operation.name == 'pods.select'
            self.assertEqual(READER if is_read else ADMIN, operation.role, operation.name)

    def test_policy_file_overrides_one_rule(self):
        rules = os.path.join(self.useFixture(fixtures.TempDir()).path, 'policy.yaml')
        with open(rules, 'w') as file:
            file.write('"api:pods.list": "role:reader"\n')
        cloud = self.useFixture(GatewayFixture(pods=1, oslo_policy={'policy_file': rules}))
        self.assertEqual(200, cloud.api.get('/pods', as_='reader').status)
        self.assertEqual(403, cloud.api.get('/bindings', as_='reader').status)

    def test_policy_file_overrides_each_rule(self):
        rules = os.path.join(self.useFixture(fixtures.TempDir()).path, 'policy.yaml')
        with open(rules, 'w') as file:
            file.writelines(f'"{rule_name(SERVICE, operation)}": "role:reader"\n' for operation in OPERATIONS)
        self.cloud = self.useFixture(GatewayFixture(pods=1, register=False, oslo_policy={'policy_file': rules}))
        self.api = self.cloud.api
        for name, status in self.ask_all('reader', {'GET', 'POST', 'PUT', 'PATCH', 'DELETE'}):
            self.assertNotIn(status, (401, 403, 500), name)

    def test_request_without_valid_token_is_401(self):
        for name, status in self.ask_all(None, {'GET', 'POST'}):
            self.assertEqual(401, status, name)
        answer = self.api.get('/pods', as_=None, headers={'X-Auth-Token': 'made-up', 'X-Roles': 'admin'})
        self.assertEqual(401, answer.status)

    def test_roles_in_headers_of_client_are_ignored(self):
        answer = self.api.get('/pods', as_='demo', headers={'X-Roles': 'admin', 'OpenStack-System-Scope': 'all'})
        self.assertEqual(403, answer.status)
        # Again, with the token from the cache.
        answer = self.api.get('/pods', as_='demo', headers={'X-Roles': 'admin', 'OpenStack-System-Scope': 'all'})
        self.assertEqual(403, answer.status)

    def test_versions_need_no_token(self):
        for path in ('', '/'):
            (version,) = self.api.get(ROOT + path, as_=None)['versions']
            self.assertEqual(('v1.0', 'CURRENT'), (version['id'], version['status']))
        for path in ('/v1.0', '/v1.0/'):
            version = self.assertAnswer(200, self.api.get(ROOT + path, as_=None))['version']
            self.assertEqual(f'{ROOT}/v1.0/', version['links'][0]['href'])

    def test_openapi_document_needs_no_token(self):
        document = self.assertAnswer(200, self.api.get(f'{ROOT}/v1.0/openapi.json', as_=None)).json
        self.assertEqual([{'url': f'{ROOT}/v1.0'}], document['servers'])
        self.assertEqual({operation.path for operation in OPERATIONS}, set(document['paths']))

    def test_healthcheck_and_metrics_need_no_token(self):
        self.assertEqual(200, self.api.get(f'{ROOT}/healthcheck', as_=None).status)
        self.assertIn('trio2o_pod_calls', self.api.get(f'{ROOT}/metrics', as_=None).text)

    def test_unknown_path_is_404_and_unknown_method_405_with_allow(self):
        for path in ('/nope', '/pods/1/more', '/pods/', '/jobs/1/nope', '//pods'):
            self.assertEqual(404, self.api.get(path).status, path)
        self.assertEqual(404, self.api.get(f'{ROOT}/v2').status)
        answer = self.assertAnswer(405, self.api.put('/pods', {}))
        self.assertEqual('GET, HEAD, OPTIONS, POST', answer.headers['Allow'])
        self.assertEqual('DELETE, GET, HEAD, OPTIONS, PATCH, PUT', self.api.post('/pods/x', {}).headers['Allow'])
        self.assertEqual('OPTIONS, POST', self.api.get('/jobs/x/redo').headers['Allow'])
        self.assertEqual('OPTIONS, POST', self.assertAnswer(405, self.api.get('/pods/select')).headers['Allow'])

    def test_errors_are_json_with_any_accept_header(self):
        for path in ('/nope', '/pods/nope', '/pods?nope=1'):
            answer = self.api.get(path, headers={'Accept': 'text/html'})
            self.assertEqual('application/json', answer.headers['Content-Type'])
            self.assertIn('nope', answer.text) if path != '/nope' else self.assertIn('itemNotFound', answer.json)

    def test_head_is_get_without_body(self):
        for path in ('/pods', '/pods/nope', '/jobs?nope=1', f'{ROOT}/v1.0/openapi.json', f'{ROOT}/'):
            expected, answer = self.api.get(path), self.api.request('HEAD', path)
            self.assertEqual((expected.status, b''), (answer.status, answer.body))
            self.assertEqual(expected.headers['Content-Length'], answer.headers['Content-Length'])
        self.assertEqual(401, self.api.request('HEAD', '/pods', as_=None).status)

    def test_options_lists_methods_of_path(self):
        answer = self.assertAnswer(204, self.api.request('OPTIONS', '/pods'))
        self.assertEqual('GET, HEAD, OPTIONS, POST', answer.headers['Allow'])
        self.assertAnswer(404, self.api.request('OPTIONS', '/nope'))

    def test_post_to_version_pages_is_405(self):
        for path in ('/', '/v1.0', '/v1.0/openapi.json'):
            answer = self.assertAnswer(405, self.api.post(ROOT + path, {}))
            self.assertEqual('GET, HEAD', answer.headers['Allow'])

    def test_each_answer_has_request_id(self):
        for path in ('/pods', '/nope', f'{ROOT}/'):
            self.assertRegex(self.api.get(path).headers['x-openstack-request-id'], '^req-')

    def test_body_over_limit_is_413(self):
        self.assertAnswer(413, self.api.post('/pods', body=b' ' * 200000))


class TestUnreachableDatabase(testtools.TestCase):
    def test_unreachable_database_is_503_with_retry_after(self):
        nowhere = 'mysql+pymysql://trio2o@127.0.0.1:1/trio2o'
        cloud = self.useFixture(GatewayFixture(register=False, database={'connection': nowhere, 'max_retries': 0}))
        answer = cloud.api.get('/pods')
        self.assertEqual(503, answer.status, answer.text)
        self.assertEqual('5', answer.headers['Retry-After'])
        self.assertNotIn('mysql', answer.text)
        self.assertEqual(200, cloud.api.get(f'{ROOT}/healthcheck').status)
