# SPDX-License-Identifier: Apache-2.0
"""Requests of browsers from pages of another origin."""

from trio2o.tests.functional.operations.base import ConversationTest

ORIGIN = 'https://dashboard.example.org'
PREFLIGHT = {
    'Origin': ORIGIN,
    'Access-Control-Request-Method': 'GET',
    'Access-Control-Request-Headers': 'X-Auth-Token,OpenStack-API-Version',
}


class TestCors(ConversationTest):
    options = {'cors': {'allowed_origin': ORIGIN}}

    def clients(self):
        return ((self.nova, '/servers'), (self.cinder, '/volumes'), (self.cloud.api, '/pods'))

    def test_preflight_without_token_is_answered_with_200(self):
        for client, path in self.clients():
            answer = client.request('OPTIONS', path, as_=None, headers=PREFLIGHT)
            self.assertEqual((200, ORIGIN), (answer.status, answer.headers['Access-Control-Allow-Origin']), path)
            self.assertIn('X-Auth-Token', answer.headers['Access-Control-Allow-Headers'])

    def test_answers_and_errors_have_the_headers(self):
        for client, path in self.clients():
            for who, status in (('admin', 200), (None, 401)):
                answer = client.get(path, as_=who, headers={'Origin': ORIGIN})
                self.assertEqual((status, ORIGIN), (answer.status, answer.headers['Access-Control-Allow-Origin']))
                self.assertIn('OpenStack-API-Version', answer.headers['Access-Control-Expose-Headers'])
        missing = self.nova.get('/nowhere', headers={'Origin': ORIGIN})
        self.assertEqual((404, ORIGIN), (missing.status, missing.headers['Access-Control-Allow-Origin']))

    def test_other_origin_gets_no_headers(self):
        for client, path in self.clients():
            answer = client.get(path, as_='admin', headers={'Origin': 'https://elsewhere.example.org'})
            self.assertEqual(200, answer.status)
            self.assertNotIn('Access-Control-Allow-Origin', answer.headers)


class TestDefault(ConversationTest):
    def test_options_without_configured_origin_needs_token(self):
        answer = self.nova.request('OPTIONS', '/servers', as_=None, headers=PREFLIGHT)
        self.assertEqual(401, answer.status)
