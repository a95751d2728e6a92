# SPDX-License-Identifier: Apache-2.0
"""Identity: cached tokens, and identity headers that clients send."""

from trio2o.lab.emulated.faults import Refuse, Status
from trio2o.tests.functional.operations.base import ConversationTest, ids


class TestIdentity(ConversationTest):
    options = {'keystone_authtoken': {'http_request_max_retries': 0}}

    def setUp(self):
        super().setUp()
        self.mine = self.cloud.lab.add_servers('Pod1', 'demo')[0]['id']
        self.theirs = self.cloud.lab.add_servers('Pod1', 'alt')[0]['id']

    def test_identity_headers_of_client_are_ignored(self):
        pretended = {
            'X-Project-Id': self.cloud.project_id('alt'), 'X-Roles': 'admin', 'X-User-Id': 'x', 'X-Tenant-Id': 'y',
            'X-Identity-Status': 'Confirmed', 'X-Is-Admin-Project': 'True', 'OpenStack-System-Scope': 'all',
            'X-Service-Roles': 'service', 'X-Service-Identity-Status': 'Confirmed', 'X-Domain-Id': 'z',
        }  # fmt: skip
        project = self.cloud.project_id('demo')
        # The gateway validates the token of the first request and takes the second from its cache.
        for _ in range(2):
            answer = self.nova.get(f'/{project}/servers', headers=pretended)
            self.assertEqual([self.mine], ids(answer['servers']), answer.text)
            self.assertEqual(403, self.nova.get('/servers?all_tenants=1', headers=pretended).status)
            self.assertEqual(400, self.nova.get(f'/{self.cloud.project_id("alt")}/servers', headers=pretended).status)
            self.assertEqual(403, self.cloud.api.get('/pods', as_='demo', headers=pretended).status)
            self.assertEqual(401, self.nova.get('/servers', as_=None, headers=pretended).status)

    def test_each_token_lists_servers_of_its_project(self):
        for _ in range(2):
            self.assertEqual([self.mine], ids(self.nova.get('/servers')['servers']))
            self.assertEqual([self.theirs], ids(self.nova.get('/servers', as_='alt')['servers']))

    def test_invalid_service_token_leaves_user_token_valid(self):
        """Also when the user token is in the cache."""
        self.nova.get('/servers')
        answer = self.nova.get('/servers', headers={'X-Service-Token': 'nonsense'})
        self.assertIn(answer.status, (200, 401))
        self.assertEqual(200, self.nova.get('/servers').status)

    def test_cached_token_works_while_keystone_is_unreachable(self):
        self.nova.get('/servers')
        self.cloud.lab.keystone.faults.add(Refuse())
        # Cached tokens are accepted; new tokens cannot be validated.
        self.assertEqual(200, self.nova.get('/servers').status)
        answer = self.nova.get('/servers', as_='alt')
        self.assertIn(answer.status, (401, 503))
        self.cloud.lab.keystone.faults.clear()
        self.cloud.lab.keystone.faults.add(Status(status=500))
        self.assertIn(self.nova.get('/servers', as_='alt').status, (401, 503))
        self.cloud.lab.keystone.faults.clear()
        self.assertEqual(200, self.nova.get('/servers', as_='alt').status)

    def test_public_paths_work_while_keystone_is_unreachable(self):
        self.cloud.lab.keystone.faults.add(Refuse())
        for client in (self.nova, self.cinder):
            for path in ('/', '/healthcheck', '/metrics'):
                answer = client.get(client._base + path, as_=None)
                self.assertIn(answer.status, (200, 300), (path, answer.text))
