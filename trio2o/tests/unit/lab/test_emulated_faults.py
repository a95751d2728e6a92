# SPDX-License-Identifier: Apache-2.0
"""Each fault, without a socket and over one."""

import http.client
import socket
from urllib import parse

import requests
import testtools
from keystoneauth1 import exceptions, session
from keystoneauth1.identity import v3

from trio2o.lab.emulated import faults
from trio2o.lab.emulated.server import CloudServer
from trio2o.lab.emulated.topology import PASSWORD, Cloud
from trio2o.lab.emulated.transport import ConnectTimeoutError, CutShortError
from trio2o.tests.unit.lab.client import Client

CREATE = {'server': {'name': 's', 'flavorRef': '1'}}


class TestWithoutSocket(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.cloud = Cloud(pods=1)
        self.nova = self.cloud.pod('Pod1').nova
        self.client = Client(self.cloud, timeout=1.0)
        CREATE['server']['imageRef'] = self.cloud.image['id']

    def get(self):
        return self.client.nova('GET', '/servers')

    def test_fault_raises_exception(self):
        for fault, raised in (
            (faults.Refuse(), ConnectionRefusedError),
            (faults.Blackhole(), ConnectTimeoutError),
            (faults.Drop(), ConnectionResetError),
            (faults.Slow(5.0), TimeoutError),
            (faults.Hang(), TimeoutError),
            (faults.DropMidBody(), CutShortError),
            (faults.Truncate(), CutShortError),
        ):
            self.nova.faults.add(fault)
            self.assertRaises(raised, self.get)
            self.nova.faults.clear()
            self.assertEqual(200, self.get().status)

    def test_fault_replaces_answer(self):
        self.nova.faults.add(faults.Status(503, times=1))
        self.assertEqual(503, self.get().status)
        self.nova.faults.add(faults.Garbage(times=1))
        self.assertRaises(ValueError, lambda: self.get().json)
        self.nova.faults.add(faults.WrongVersion(53))
        self.assertEqual(406, self.client.nova('GET', '/servers', version='2.60').status)
        self.assertEqual(200, self.client.nova('GET', '/servers', version='2.53').status)

    def test_balancer_answers_in_its_own_form(self):
        for form, media in (
            ('html', ['text/html']), ('text', ['text/plain']), ('json', ['application/json']), ('empty', []),
        ):  # fmt: skip
            self.nova.faults.add(faults.BalancerAnswers(form))
            answer = self.get()
            self.assertEqual((404, media), (answer.status, answer.headers.get('content-type', [])))
            self.assertNotIn(b'itemNotFound', answer.body)
            self.nova.faults.clear()

    def test_balancer_answers_before_or_after_the_write(self):
        for is_processed in (False, True):
            self.nova.servers.clear()
            self.nova.faults.add(faults.BalancerAnswers(status=504, is_processed=is_processed, times=1))
            self.assertEqual(504, self.client.nova('POST', '/servers', CREATE).status)
            self.assertEqual(is_processed, bool(self.nova.servers))

    def test_service_refuses_in_its_own_form(self):
        for status, name in ((401, 'unauthorized'), (403, 'forbidden'), (404, 'itemNotFound'), (413, 'overLimit')):
            self.nova.faults.add(faults.Refusal(status=status, retry_after=7, times=1))
            answer = self.get()
            self.assertEqual((status, [name], ['7']), (answer.status, [*answer.json], answer.headers['retry-after']))

    def test_redirect_names_another_url(self):
        self.nova.faults.add(faults.Redirect(status=308, times=1))
        answer = self.get()
        self.assertEqual((308, True), (answer.status, 'elsewhere' in answer.headers['location'][0]))

    def test_endless_list_repeats_its_first_page_or_makes_up_ids(self):
        self.cloud.add_servers('Pod1', 'demo', 3)
        for is_made_up in (False, True):
            self.nova.faults.add(faults.EndlessPages(is_made_up=is_made_up))
            first = self.client.nova('GET', '/servers').json
            second = self.client.nova('GET', f'/servers?marker={first["servers"][-1]["id"]}').json
            self.assertTrue(second['servers_links'])
            pages = [[item['id'] for item in page['servers']] for page in (first, second)]
            self.assertEqual(is_made_up, pages[0] != pages[1])
            self.nova.faults.clear()

    def test_answer_has_altered_values_or_more_bytes(self):
        self.nova.faults.add(faults.Alter(values={'name': 'other'}))
        self.assertEqual('other', self.client.nova('GET', '/flavors/1').json['flavor']['name'])
        self.nova.faults.clear()
        self.nova.faults.add(faults.Oversize(size=1000))
        answer = self.client.nova('GET', '/flavors/1')
        self.assertEqual('m1.tiny', answer.json['flavor']['name'])
        self.assertTrue(answer.body.endswith(b'}' + b' ' * 1000))

    def test_fault_is_limited_by_times_path_and_method(self):
        self.nova.faults.add(faults.Status(500, times=2, after=1, path='/servers', method='GET'))
        self.assertEqual([200, 500, 500, 200], [self.get().status for _ in range(4)])
        self.assertEqual(200, self.client.nova('GET', '/flavors').status)

    def test_fault_comes_before_or_after_the_write(self):
        for fault, happened in (
            (faults.Drop(times=1), 0),
            (faults.Refuse(times=1), 0),
            (faults.DropAfter(times=1), 1),
            (faults.Hang(times=1), 1),
            (faults.Slow(9, times=1), 1),
        ):
            self.nova.servers.clear()
            self.nova.faults.add(fault)
            self.assertRaises(OSError, self.client.nova, 'POST', '/servers', CREATE)
            self.assertEqual(happened, len(self.nova.servers), fault)

    def test_status_of_proxy_comes_before_or_after_the_write(self):
        for fault, happened in (
            (faults.Status(504, times=1), 0),
            (faults.StatusAfter(502, times=1), 1),
            (faults.StatusAfter(times=1), 1),
        ):
            self.nova.servers.clear()
            self.nova.faults.add(fault)
            answer = self.client.nova('POST', '/servers', CREATE)
            self.assertEqual((fault.status, fault.body), (answer.status, answer.body))
            self.assertEqual(happened, len(self.nova.servers), fault)

    def test_time_passes_only_in_real_time_mode(self):
        slept = []
        self.client.transport = self.cloud.transport(real_time=True, sleep=slept.append)
        self.nova.faults.add(faults.Slow(0.5, times=1), faults.Slow(5, times=1, after=1))
        self.get()
        self.assertRaises(TimeoutError, self.get)
        self.assertEqual([0.5, 1.0], slept)

    def test_no_time_is_refused_as_by_urllib3(self):
        for timeout in (0, 0.0, -1):
            self.client.timeout = timeout
            self.assertRaises(ValueError, self.get)

    def test_keystoneauth_raises_exception_for_fault(self):
        auth = v3.Password(
            'http://keystone.test:5000/v3',
            username='demo',
            password=PASSWORD,
            project_name='demo',
            user_domain_id='default',
            project_domain_id='default',
        )
        made = session.Session(auth=auth)
        made.mount('http://', self.cloud.adapter())
        where = {'service_type': 'compute', 'region_name': 'Pod1'}

        def ask():
            return made.get('/servers', endpoint_filter=where, timeout=1, connect_retries=0)

        self.assertEqual({'servers': []}, ask().json())
        for fault, raised in (
            (faults.Refuse(), exceptions.ConnectFailure),
            (faults.Slow(3), exceptions.ConnectTimeout),
            (faults.Drop(), exceptions.ConnectFailure),
            (faults.Truncate(), exceptions.UnknownConnectionError),
            (faults.Status(503), exceptions.ServiceUnavailable),
        ):
            self.nova.faults.clear()
            self.nova.faults.add(fault)
            self.assertRaises(raised, ask)


class TestOnPorts(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.cloud = Cloud(pods=1)
        server = CloudServer(self.cloud).start()
        self.addCleanup(server.stop)
        self.pod = self.cloud.pod('Pod1')
        self.headers = {'X-Auth-Token': self.cloud.token()}
        self.session = requests.Session()
        self.addCleanup(self.session.close)

    def get(self, path='/servers', timeout=5):
        return self.session.get(self.pod.nova_url + path, headers=self.headers, timeout=timeout)

    def test_catalog_has_urls_with_ports(self):
        answer = requests.get(self.cloud.keystone.url + '/v3/auth/catalog', headers=self.headers, timeout=5).json()
        urls = {row['url'] for entry in answer['catalog'] for row in entry['endpoints'] if row['region'] == 'Pod1'}
        self.assertTrue({self.pod.nova_url, self.pod.cinder_url} <= urls, urls)
        self.assertIn('127.0.0.1', self.pod.nova_url)

    def test_connection_is_kept_after_chunked_body(self):
        body = iter(
            [
                b'{"server": {"name": "s", "flavorRef": "1", ',
                b'"imageRef": "' + self.cloud.image['id'].encode() + b'"}}',
            ]
        )
        answer = self.session.post(
            self.pod.nova_url + '/servers',
            data=body,
            headers={**self.headers, 'Content-Type': 'application/json'},
            timeout=5,
        )
        self.assertEqual(202, answer.status_code)
        self.assertEqual(1, len(self.get().json()['servers']))
        self.assertEqual(1, len(list(self.session.adapters['http://'].poolmanager.pools.keys())))

    def test_refuse_closes_the_port(self):
        self.assertEqual(200, self.get().status_code)
        self.pod.nova.faults.add(faults.Refuse())
        place = parse.urlsplit(self.pod.nova_url)
        self.assertRaises(ConnectionRefusedError, socket.create_connection, (place.hostname, place.port))
        self.assertRaises(requests.ConnectionError, self.get)
        self.pod.nova.faults.clear()
        self.assertEqual(200, self.get().status_code)

    def test_fault_breaks_connection(self):
        for fault, raised in (
            (faults.Drop(), requests.ConnectionError),
            (faults.DropMidBody(), requests.exceptions.ChunkedEncodingError),
            (faults.Truncate(), requests.exceptions.ChunkedEncodingError),
            (faults.Hang(), requests.ReadTimeout),
            (faults.Slow(2), requests.ReadTimeout),
        ):
            self.pod.nova.faults.add(fault)
            self.assertRaises((raised, requests.ConnectionError), self.get, timeout=0.3)
            self.pod.nova.faults.clear()
            self.assertEqual(200, self.get().status_code, fault)

    def test_truncated_body_keeps_its_content_length(self):
        self.pod.nova.faults.add(faults.Truncate(missing=3))
        place = parse.urlsplit(self.pod.nova_url)
        connection = http.client.HTTPConnection(place.hostname, place.port, timeout=5)
        self.addCleanup(connection.close)
        connection.request('GET', '/v2.1/servers', headers=self.headers)
        error = self.assertRaises(http.client.IncompleteRead, connection.getresponse().read)
        self.assertEqual(3, error.expected)
