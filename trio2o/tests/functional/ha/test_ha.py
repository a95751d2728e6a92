# SPDX-License-Identifier: Apache-2.0
"""Two hosts behind HAProxy, on MariaDB and RabbitMQ, under load while each process is killed or restarted."""

import collections
import http.client
import itertools
import pathlib
import shutil
import threading
import time

import fixtures
import orjson
import testtools

from trio2o.lab import ha, servers
from trio2o.lab.emulated.server import CloudServer
from trio2o.lab.emulated.topology import Cloud
from trio2o.tests.fixtures import conf, launch

READS = 2
WRITES = 2
PAUSE_SECONDS = 0.1
#: What HAProxy says when a host went away while it had the request; it must not send a POST again.
BROKEN_OFF = (502, 504)


class Load(threading.Thread):
    """One client that asks again and again and remembers what came back."""

    def __init__(self, port, token, ended, server):
        super().__init__(daemon=True)
        self._port = port
        self._headers = {'X-Auth-Token': token, 'Content-Type': 'application/json'}
        self._ended = ended
        self._server = server
        self.seen = collections.Counter()
        self.slowest = 0.0

    def ask(self, method, path, body=None):
        begun = time.monotonic()
        connection = http.client.HTTPConnection('127.0.0.1', self._port, timeout=60)
        try:
            connection.request(method, f'/v2.1{path}', body and orjson.dumps(body), self._headers)
            response = connection.getresponse()
            status, content = response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            status, content = type(error).__name__, b''
        finally:
            connection.close()
        self.slowest = max(self.slowest, time.monotonic() - begun)
        self.seen[method, status] += 1
        return status, content

    def run(self):
        for number in itertools.count():
            if self._ended.wait(PAUSE_SECONDS):
                return
            self.work(number)


class Reader(Load):
    def work(self, number):
        self.ask('GET', '/servers/detail' if number % 2 else '/flavors')


class Writer(Load):
    """Makes servers and deletes every other one."""

    def __init__(self, *args):
        super().__init__(*args)
        self.kept, self.gone, self.unsure = set(), set(), 0

    def work(self, number):
        status, content = self.ask('POST', '/servers', {'server': self._server})
        if status != 202:
            self.unsure += 1
            return
        server_id = orjson.loads(content)['server']['id']
        self.kept.add(server_id)
        if number % 2:
            status, _content = self.ask('DELETE', f'/servers/{server_id}')
            self.kept.discard(server_id)
            (self.gone if status == 204 else set()).add(server_id)
            self.unsure += status != 204


class TestHa(testtools.TestCase):
    def setUp(self):
        super().setUp()
        for program, package in ha.PROGRAMS.items():
            if shutil.which(program, path='/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin') is None:
                self.skipTest(f'{program} is not installed ({package})')
        for server in ('mariadbd', 'rabbitmq-server'):
            servers.binary(server)
        self.cloud = Cloud(pods=2)
        server = CloudServer(self.cloud).start()
        self.addCleanup(server.stop)
        ports = dict(zip(ha.SERVICES, launch.free_ports(3), strict=True))
        self.port, self.admin_port = ports['nova_apigw'], ports['api']
        files = self.useFixture(
            conf.ConfFixture(self.cloud.keystone.url, **{name: {'bind_port': port} for name, port in ports.items()})
        )
        self.state = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.process = self.useFixture(
            launch.Process('trio2o-lab', 'ha', 'run', '--conf', files.path, '--state', str(self.state))
        )
        launch.wait_until(lambda: (self.state / 'processes.json').exists(), 60, lambda: self.process.log)
        ha.await_all(self.state)
        self.admin = {'X-Auth-Token': self.cloud.token('admin')}
        for name, zone in (('Pod1', 'az1'), ('Pod2', 'az1')):
            answer = launch.request(
                self.admin_port, 'POST', '/v1.0/pods', {'pod': {'pod_name': name, 'az_name': zone}}, self.admin
            )
            self.assertEqual(200, answer.status, answer.body)

    def start_load(self):
        ended = threading.Event()
        self.addCleanup(ended.set)
        token = self.cloud.token('demo')
        flavor = next(iter(self.cloud.pod('Pod1').nova.flavors))
        server = {'name': 'load', 'flavorRef': flavor, 'imageRef': self.cloud.image['id']}
        kinds = [Reader] * READS + [Writer] * WRITES
        self.load = [kind(self.port, token, ended, server) for kind in kinds]
        for client in self.load:
            client.start()
        return ended

    def end_load(self, ended):
        ended.set()
        for client in self.load:
            client.join(90)
            self.assertFalse(client.is_alive())
        seen = collections.Counter()
        for client in self.load:
            seen += client.seen
        self.addDetail('load', testtools.content.text_content(repr(seen)))
        return seen

    def in_pods(self):
        return {
            server_id
            for pod in self.cloud.pods.values()
            for server_id, server in list(pod.nova.servers.items())
            if not server['deleted']
        }

    def through_gateway(self):
        found, marker = set(), ''
        while True:
            path = f'/v2.1/servers?limit=500{marker}'
            answer = launch.request(self.port, 'GET', path, None, {'X-Auth-Token': self.cloud.token('demo')})
            page = [server['id'] for server in answer.json['servers']]
            if not page:
                return found
            found.update(page)
            marker = f'&marker={page[-1]}'

    def check_nothing_is_lost(self):
        writers = [client for client in self.load if isinstance(client, Writer)]
        kept = set().union(*(client.kept for client in writers))
        gone = set().union(*(client.gone for client in writers))
        self.assertGreater(len(kept), 10)
        self.assertEqual(0, len(kept - self.in_pods()))
        # Deleting takes a pod a moment.
        launch.wait_until(lambda: not gone & self.in_pods(), 60, lambda: str(len(gone & self.in_pods())))
        # What was cut off on its way may have been made: it is in the list all the same.
        launch.wait_until(
            lambda: self.through_gateway() == self.in_pods(),
            60,
            lambda: str(len(self.through_gateway() ^ self.in_pods())),
        )

    def test_restarting_everything_in_turn_loses_no_request(self):
        ended = self.start_load()
        for process in ha.noted(self.state):
            if process.name != 'haproxy':
                ha.restart(self.state, process.name)
        seen = self.end_load(ended)
        self.assertEqual({200, 202, 204}, {status for _method, status in seen})
        self.check_nothing_is_lost()

    def test_killing_everything_in_turn(self):
        ended = self.start_load()
        for process in ha.noted(self.state):
            if process.name == 'haproxy':
                continue
            ha.kill(self.state, process.name)
            launch.wait_until(lambda was=process: self._is_back(was), 60, lambda: self.process.log)
        seen = self.end_load(ended)
        self.assertEqual({200}, {status for method, status in seen if method == 'GET'})
        others = {key: count for key, count in seen.items() if key[1] not in (200, 202, 204)}
        self.assertTrue(all(status in BROKEN_OFF for _method, status in others), others)
        # One host's gateway had at most what one client each had given it.
        self.assertLessEqual(sum(others.values()), 2 * WRITES, others)
        self.check_nothing_is_lost()

    def _is_back(self, was):
        now = ha.chosen_of(self.state, was.name)
        return now.pid != was.pid and now.state == 'running'
