# SPDX-License-Identifier: Apache-2.0
"""Headers between clients and pods, and secrets in logs."""

import logging

import fixtures

from trio2o.lab.emulated.faults import Garbage, Hang, Refuse, Status
from trio2o.tests.functional.operations.base import ConversationTest

SENT = {
    'Cookie': 'session=secret',
    'X-Forwarded-For': '10.1.2.3',
    'X-Forwarded-Host': 'evil.example.org',
    'X-Forwarded-Proto': 'https',
    'Forwarded': 'host=evil.example.org',
    'Host': 'gateway.test:19998',
    'Authorization': 'Basic c2VjcmV0',
    'X-Identity-Status': 'Confirmed',
    'X-Roles': 'admin',
    'X-Project-Id': 'someone',
    'X-User-Id': 'someone',
    'X-Is-Admin-Project': 'True',
    'X-HTTP-Method-Override': 'DELETE',
    'Accept-Encoding': 'gzip',
    'Connection': 'keep-alive',
    'Expect': '100-continue',
    'Range': 'bytes=0-1',
    'If-None-Match': '*',
    'TE': 'trailers',
    'Upgrade': 'h2c',
    'Via': 'a proxy',
    'X-Whatever': 'whatever',
    'User-Agent': 'a client',
}
PASSED = {'Accept': 'application/json', 'Accept-Language': 'de', 'If-Match': 'abc', 'Content-Type': 'application/json'}
DOWN = {
    'accept', 'accept-language', 'content-type', 'if-match', 'x-auth-token', 'openstack-api-version',
    'x-openstack-request-id', 'user-agent', 'host',
}  # fmt: skip


class TestRefusedVersions(ConversationTest):
    def test_refused_version_is_406_with_vary(self):
        standard, legacy = 'OpenStack-API-Version', 'X-OpenStack-Nova-API-Version'
        for client, path, version, wanted in (
            (self.nova, '/servers', '2.999', [standard, legacy]),
            (self.cinder, '/volumes', '3.999', [standard]),
        ):
            answer = client.get(path, version=version)
            self.assertEqual((406, wanted), (answer.status, answer.headers.get_all('Vary')))


class TestProxyHeaders(ConversationTest):
    options = {'oslo_middleware': {'enable_proxy_headers_parsing': True}}
    headers = {
        'X-Forwarded-Proto': 'https',
        'X-Forwarded-Host': 'cloud.example.org',
        'X-Forwarded-Prefix': '/of/the/proxy',
    }
    root = 'https://cloud.example.org/of/the/proxy'

    def test_links_of_lists_and_version_documents_have_the_prefix(self):
        lab = self.cloud.lab
        for pod in ('Pod1', 'Pod2'):
            lab.add_servers(pod, 'demo', 1)
            lab.add_volumes(pod, 'demo', 1)
        for client, base, path, key, start in (
            (self.nova, 'http://gateway.test:19998', '/servers', 'servers', '/v2.1/servers'),
            (self.cinder, 'http://gateway.test:19997', '/volumes', 'volumes', '/v3/volumes'),
            (self.cloud.api, 'http://gateway.test:19996', '/pods', 'pods', '/v1.0/pods'),
        ):
            page = client.get(f'{path}?limit=1', as_='admin' if key == 'pods' else 'demo', headers=self.headers)
            self.assertEqual(200, page.status, page.text)
            following = next(link['href'] for link in page[f'{key}_links'] if link['rel'] == 'next')
            self.assertTrue(following.startswith(f'{self.root}{start}?'), following)
            for link in page[key][0].get('links', []):
                self.assertTrue(link['href'].startswith(self.root), link)
            document = client.get(f'{base}/', as_=None, headers=self.headers)
            self.assertIn(f'{self.root}/v', document.text)


class TestHeadersToPods(ConversationTest):
    def setUp(self):
        super().setUp()
        self.server_id = self.cloud.lab.add_servers('Pod2', 'demo')[0]['id']
        self.volume_id = self.cloud.lab.add_volumes('Pod2', 'demo')[0]['id']
        self.cloud.token()
        _warm = self.nova.prefix, self.cinder.prefix
        self.cloud.lab.clear_logs()

    def each_kind(self):
        """Send a request of each kind: forward, probe, list, sum, create, attachment, replicated read."""
        headers = {**SENT, **PASSED}
        self.nova.get(f'/servers/{self.server_id}', headers=headers, version='2.79')
        self.nova.put(f'/servers/{self.server_id}', {'server': {'name': 'x'}}, headers=headers, version='2.79')
        self.nova.get('/servers/detail?limit=1', headers=headers, version='2.79')
        self.nova.get('/limits', headers=headers, version='2.79')
        self.nova.get('/flavors', headers=headers, version='2.79')
        body = {'server': {'name': 'x', 'flavorRef': '1', 'networks': 'none', 'imageRef': self.cloud.lab.image['id']}}
        self.nova.post('/servers', body, headers=headers, version='2.79')
        attachment = {'volumeAttachment': {'volumeId': self.volume_id}}
        self.nova.post(f'/servers/{self.server_id}/os-volume_attachments', attachment, headers=headers, version='2.79')
        self.cinder.get(f'/volumes/{self.volume_id}', headers=headers, version='3.60')
        self.cinder.get('/volumes', headers=headers, version='3.60')
        self.cinder.post('/volumes', {'volume': {'size': 1}}, headers=headers, version='3.60')
        self.cinder.get('/types', headers=headers, version='3.60')

    def all_seen(self):
        return [
            (name, service, request)
            for name in self.pods
            for service in ('nova', 'cinder')
            for request in self.seen(name, service)
        ]

    def test_only_allowed_headers_reach_pods(self):
        self.each_kind()
        count = 0
        for name, service, request in self.all_seen():
            headers = {key: value for key, value in request.headers.items() if value}
            self.assertEqual(set(), set(headers) - DOWN, (name, service, request))
            self.assertEqual(f'{name.lower()}.{service}.test', headers['host'].partition(':')[0])
            self.assertEqual('trio2o', headers['user-agent'])
            self.assertEqual(self.cloud.token(), headers['x-auth-token'])
            self.assertEqual('de', headers['accept-language'])
            version = headers.get('openstack-api-version')
            wanted = {'nova': 'compute 2.79', 'cinder': 'volume 3.60'}[service]
            # Look-ups for a request have no version header, and never one of another service.
            is_beside = service == 'cinder' or (
                request.method == 'GET' and any(kind in request.path for kind in ('/flavors/', '/images/'))
            )
            self.assertIn(version, (wanted, None) if is_beside else (wanted,))
            count += 1
        self.assertGreater(count, 12)

    def test_write_accepts_only_json(self):
        """Middleware of a pod refuses in the form that the request accepts; in HTML it looks like a balancer's."""
        accepted = {'Accept': 'text/html'}
        self.nova.put(f'/servers/{self.server_id}', {'server': {'name': 'x'}}, headers=accepted)
        self.nova.get(f'/servers/{self.server_id}', headers=accepted)
        for method, accept in (('PUT', 'application/json'), ('GET', 'text/html')):
            self.assertEqual({accept}, {request.headers['accept'] for request in self.seen('Pod2', method=method)})

    def test_content_type_of_body_reaches_pod_unchanged(self):
        kind = 'application/vnd.openstack.compute+json'
        self.nova.put(f'/servers/{self.server_id}', body=b'{"server":{"name":"x"}}', headers={'Content-Type': kind})
        (request,) = self.seen('Pod2', method='PUT')
        self.assertEqual(kind, request.headers['content-type'])

    def test_service_token_reaches_pod(self):
        token = self.cloud.lab.token('nova', 'service')
        self.cinder.get(f'/volumes/{self.volume_id}', headers={'X-Service-Token': token})
        self.assertEqual(token, self.seen('Pod2', 'cinder')[-1].headers['x-service-token'])

    def test_valid_request_id_reaches_pod_and_malformed_one_is_replaced(self):
        mine = 'req-4f2e8d4c-6f1f-4e83-9a5e-3a8a4a6a0000'
        self.nova.get(f'/servers/{self.server_id}', headers={'X-OpenStack-Request-ID': mine})
        self.assertEqual(mine, self.seen('Pod2')[-1].headers['x-openstack-request-id'])
        self.nova.get(f'/servers/{self.server_id}', headers={'X-OpenStack-Request-ID': 'nonsense\t'})
        self.assertRegex(self.seen('Pod2')[-1].headers['x-openstack-request-id'], r'^req-[0-9a-f-]{36}$')

    def test_roles_in_headers_of_client_are_ignored(self):
        answer = self.nova.get('/servers?all_tenants=1', headers=SENT)
        self.assertEqual(403, answer.status)

    def test_tokens_and_passwords_are_not_logged(self):
        log = self.useFixture(fixtures.FakeLogger(level=logging.DEBUG))
        self.each_kind()
        token = self.cloud.lab.token('nova', 'service')
        self.cinder.get(f'/volumes/{self.volume_id}', headers={'X-Service-Token': token})
        self.nova.post('/servers', {'server': {'adminPass': 'my-password'}})
        for secret in (self.cloud.token(), token, 'my-password', 'session=secret', 'c2VjcmV0'):
            self.assertNotIn(secret, log.output)


class TestHeadersToClients(ConversationTest):
    def test_only_allowed_headers_of_pod_reach_client(self):
        (server,) = self.cloud.lab.add_servers('Pod2', 'demo')
        self.nova.get(f'/servers/{server["id"]}')
        reported = {
            'Set-Cookie': 'a=b', 'Server': 'pod2', 'Via': 'pod2', 'X-Powered-By': 'x', 'WWW-Authenticate': 'pod2',
            'Connection': 'close', 'Transfer-Encoding': 'identity', 'Strict-Transport-Security': 'x',
            'Access-Control-Allow-Origin': '*', 'Content-Type': 'application/json', 'ETag': 'e', 'Retry-After': '7',
            'X-Openstack-Request-Id': 'req-theirs',
        }  # fmt: skip
        for path in (f'/servers/{server["id"]}', '/servers', '/limits', '/flavors', '/extensions', '/servers?limit=x'):
            for name in self.pods:
                url = f'http://{name.lower()}.nova.test:8774/v2.1/servers/x'
                body = b'{"conflictingRequest": {"code": 409, "message": "see %s"}}' % url.encode()
                fault = Status(status=409, body=body, headers=(*reported.items(), ('Location', url)))
                self.break_pod(name, fault, ['nova'])
            answer = self.nova.get(path)
            self.assertEqual(409, answer.status)
            got = {name.lower() for name in answer.headers}
            for name in ('set-cookie', 'server', 'via', 'x-powered-by', 'www-authenticate', 'connection',
                         'transfer-encoding', 'strict-transport-security', 'access-control-allow-origin'):  # fmt: skip
                self.assertNotIn(name, got)
            self.assertEqual('7', answer.headers['Retry-After'])
            self.assertEqual(1, len(answer.headers.get_all('Content-Length')))
            self.assertEqual('http://gateway.test:19998/v2.1/servers/x', answer.headers['Location'])
            self.assert_own_words(answer, 409)


class TestExternalEvents(ConversationTest):
    pods = {'Pod1': 'az1', 'Pod2': 'az2', 'Pod3': 'az2'}

    def setUp(self):
        super().setUp()
        self.servers = [self.cloud.lab.add_servers(name, 'demo')[0]['id'] for name in self.pods]
        for server_id in self.servers:
            self.nova.get(f'/servers/{server_id}')
        self.cloud.lab.clear_logs()

    def send(self, *events, **kwargs):
        body = {'events': [{'name': 'network-changed', **event} for event in events]}
        return self.nova.post('/os-server-external-events', body, as_='admin', version='2.76', **kwargs)

    def test_each_pod_gets_events_of_its_servers(self):
        one, two, three = self.servers
        answer = self.send({'server_uuid': one}, {'server_uuid': two, 'tag': 'a'}, {'server_uuid': one, 'tag': 'b'},
                           {'server_uuid': three})  # fmt: skip
        self.assertEqual(200, answer.status, answer.text)
        self.assertEqual([one, two, one, three], [event['server_uuid'] for event in answer['events']])
        self.assertEqual([None, 'a', 'b', None], [event.get('tag') for event in answer['events']])
        self.assertEqual([2, 1, 1], [len(self.cloud.pod(name).nova.events) for name in self.pods])

    def test_event_of_unknown_server_has_code_404(self):
        missing = '4f2e8d4c-6f1f-4e83-9a5e-3a8a4a6a0000'
        one, two, _three = self.servers
        answer = self.send({'server_uuid': missing}, {'server_uuid': two}, {'server_uuid': missing, 'tag': 'x'},
                           {'server_uuid': one})  # fmt: skip
        self.assertEqual(207, answer.status)
        self.assertEqual([404, 200, 404, 200], [event['code'] for event in answer['events']])
        self.assertEqual([missing, two, missing, one], [event['server_uuid'] for event in answer['events']])

    def test_event_of_unrecorded_server_reaches_its_pod(self):
        (server,) = self.cloud.lab.add_servers('Pod3', 'demo')
        answer = self.send({'server_uuid': server['id']})
        self.assertEqual((200, 200), (answer.status, answer['events'][0]['code']))

    def test_invalid_event_has_code_400(self):
        answer = self.send({'server_uuid': self.servers[0], 'name': 'volume-extended'})
        self.assertEqual((207, 400), (answer.status, answer['events'][0]['code']))

    def test_events_of_members_are_refused_with_403(self):
        body = {'events': [{'name': 'network-changed', 'server_uuid': id_} for id_ in self.servers]}
        self.assertEqual(403, self.nova.post('/os-server-external-events', body).status)

    def test_event_of_server_in_unreachable_pod_has_code_422(self):
        one, two, three = self.servers
        for fault in (Refuse(), Hang(), Garbage(), Garbage(body=b'{"events": [7]}'), Garbage(body=b'[]')):
            self.break_pod('Pod2', fault)
            answer = self.send({'server_uuid': one}, {'server_uuid': two}, {'server_uuid': three})
            self.assertEqual(207, answer.status, fault)
            self.assertEqual([200, 422, 200], [event['code'] for event in answer['events']])
            self.assertEqual(two, answer['events'][1]['server_uuid'])
            self.cloud.runtime.client.breakers._states.clear()
