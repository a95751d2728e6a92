# SPDX-License-Identifier: Apache-2.0
"""Who is who: tokens that are remembered, and what clients pretend."""

from trio2o.lab.emulated.faults import Refuse, Status
from trio2o.tests.functional.operations.base import ConversationTest, ids


class TestIdentity(ConversationTest):
    options = {'keystone_authtoken': {'http_request_max_retries': 0}}

    def setUp(self):
        super().setUp()
        self.mine = self.cloud.lab.add_servers('Pod1', 'demo')[0]['id']
        self.theirs = self.cloud.lab.add_servers('Pod1', 'alt')[0]['id']

    def test_headers_nobody_believes(self):
        pretended = {
            'X-Project-Id': self.cloud.project_id('alt'), 'X-Roles': 'admin', 'X-User-Id': 'x', 'X-Tenant-Id': 'y',
            'X-Identity-Status': 'Confirmed', 'X-Is-Admin-Project': 'True', 'OpenStack-System-Scope': 'all',
            'X-Service-Roles': 'service', 'X-Service-Identity-Status': 'Confirmed', 'X-Domain-Id': 'z',
        }  # fmt: skip
        project = self.cloud.project_id('demo')
        # The first is validated, the second remembered.
        for _ in range(2):
            answer = self.nova.get(f'/{project}/servers', headers=pretended)
            self.assertEqual([self.mine], ids(answer['servers']), answer.text)
            self.assertEqual(403, self.nova.get('/servers?all_tenants=1', headers=pretended).status)
            self.assertEqual(400, self.nova.get(f'/{self.cloud.project_id("alt")}/servers', headers=pretended).status)
            self.assertEqual(403, self.cloud.api.get('/pods', as_='demo', headers=pretended).status)
            self.assertEqual(401, self.nova.get('/servers', as_=None, headers=pretended).status)

    def test_each_token_is_its_own(self):
        for _ in range(2):
            self.assertEqual([self.mine], ids(self.nova.get('/servers')['servers']))
            self.assertEqual([self.theirs], ids(self.nova.get('/servers', as_='alt')['servers']))

    def test_a_bad_service_token_is_not_believed(self):
        """Beside a token that is remembered, too."""
        self.nova.get('/servers')
        answer = self.nova.get('/servers', headers={'X-Service-Token': 'nonsense'})
        self.assertIn(answer.status, (200, 401))
        self.assertEqual(200, self.nova.get('/servers').status)

    def test_keystone_down(self):
        self.nova.get('/servers')
        self.cloud.lab.keystone.faults.add(Refuse())
        # Known ones go on, new ones cannot.
        self.assertEqual(200, self.nova.get('/servers').status)
        answer = self.nova.get('/servers', as_='alt')
        self.assertIn(answer.status, (401, 503))
        self.cloud.lab.keystone.faults.clear()
        self.cloud.lab.keystone.faults.add(Status(status=500))
        self.assertIn(self.nova.get('/servers', as_='alt').status, (401, 503))
        self.cloud.lab.keystone.faults.clear()
        self.assertEqual(200, self.nova.get('/servers', as_='alt').status)

    def test_open_paths_need_no_keystone(self):
        self.cloud.lab.keystone.faults.add(Refuse())
        for client in (self.nova, self.cinder):
            for path in ('/', '/healthcheck', '/metrics'):
                answer = client.get(client._base + path, as_=None)
                self.assertIn(answer.status, (200, 300), (path, answer.text))
