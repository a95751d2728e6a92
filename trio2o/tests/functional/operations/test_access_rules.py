# SPDX-License-Identifier: Apache-2.0
"""Tokens of application credentials with access rules, which gateway and pods check as keystonemiddleware does."""

from trio2o.tests.functional.operations.base import ConversationTest, ids

VERSIONS = {'nova': '2.96', 'cinder': '3.70'}


class TestAccessRules(ConversationTest):
    def request(self, name, method, path, *rules, json=None):
        """Send a request with a token of demo whose rules are (method, path, service)."""
        rules = tuple(dict(zip(('method', 'path', 'service'), rule, strict=True)) for rule in rules)
        token = self.cloud.lab.keystone.issue_token('demo', 'demo', access_rules=rules)
        headers = {'X-Auth-Token': token}
        return getattr(self, name).request(method, path, json, as_=None, headers=headers, version=VERSIONS[name])

    def service_tokens(self, method):
        """Whether the requests that the pods received carry a service token."""
        seen = [
            each for pod in self.pods for service in ('nova', 'cinder') for each in self.seen(pod, service, method)
        ]
        return ['x-service-token' in each.headers for each in seen]

    def test_list_without_details_has_items_of_all_pods(self):
        servers = {self.cloud.lab.add_servers(name, 'demo')[0]['id'] for name in self.pods}
        volumes = {self.cloud.lab.add_volumes(name, 'demo')[0]['id'] for name in self.pods}
        answer = self.request('nova', 'GET', '/servers', ('GET', '/v2.1/servers', 'compute'))
        self.assertEqual((200, servers), (answer.status, set(ids(answer['servers']))))
        for service in ('block-storage', 'volumev3'):
            answer = self.request('cinder', 'GET', '/volumes', ('GET', '/v3/volumes', service))
            self.assertEqual((200, volumes), (answer.status, set(ids(answer['volumes']))))

    def test_request_without_rule_is_refused_with_401(self):
        for path, rule in (
            ('/servers', ('GET', '/v2.1/servers/detail', 'compute')),
            ('/servers/detail', ('GET', '/v2.1/servers', 'compute')),
            ('/servers', ('POST', '/v2.1/servers', 'compute')),
            ('/servers', ('GET', '/v2.1/servers', 'block-storage')),
        ):
            self.cloud.lab.clear_logs()
            self.assertEqual(401, self.request('nova', 'GET', path, rule).status, rule)
            self.assertEqual([], self.service_tokens('GET'))
        self.assertEqual(401, self.request('nova', 'GET', '/servers').status)

    def test_action_on_server_that_is_not_recorded_succeeds(self):
        server = self.cloud.lab.add_servers('Pod2', 'demo')[0]
        path = f'/servers/{server["id"]}/action'
        rule = ('POST', '/v2.1/servers/*/action', 'compute')
        self.assertEqual(202, self.request('nova', 'POST', path, rule, json={'os-stop': None}).status)

    def test_writes_carry_no_service_token(self):
        self.cloud.lab.clear_logs()
        body = {'volume': {'size': 1}}
        answer = self.request('cinder', 'POST', '/volumes', ('POST', '/v3/volumes', 'volumev3'), json=body)
        self.assertEqual(401, answer.status, 'the pod knows its service as block-storage')
        answer = self.request('cinder', 'POST', '/volumes', ('POST', '/v3/volumes', 'block-storage'), json=body)
        self.assertEqual(202, answer.status)
        self.assertNotIn(True, self.service_tokens('POST'))

    def test_other_tokens_cause_no_service_token(self):
        self.cloud.lab.add_servers('Pod2', 'demo')
        self.cloud.lab.clear_logs()
        self.assertEqual(1, len(self.nova.get('/servers')['servers']))
        self.assertEqual([False, False], self.service_tokens('GET'))
