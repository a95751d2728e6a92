# SPDX-License-Identifier: Apache-2.0
"""Two hosts behind HAProxy, on MariaDB and RabbitMQ, under load while each process is killed or restarted."""

import pathlib
import shutil
import unittest

import fixtures
import testtools

from trio2o.lab import ha, load, servers
from trio2o.lab.emulated.server import CloudServer
from trio2o.lab.emulated.topology import Cloud
from trio2o.tests.fixtures import conf, launch
from trio2o.tests.fixtures.waiting import wait_until


class Hosts(fixtures.Fixture):
    """Two hosts, as ``trio2o-lab ha`` runs them, and two pods in az1."""

    def _setUp(self):
        self.cloud = Cloud(pods=2)
        server = CloudServer(self.cloud).start()
        self.addCleanup(server.stop)
        ports = dict(zip(ha.SERVICES, launch.free_ports(3), strict=True))
        self.port, self.admin_port = ports['nova_apigw'], ports['api']
        files = self.useFixture(
            conf.ConfFixture(self.cloud.keystone.url, **{name: {'bind_port': port} for name, port in ports.items()})
        )
        self.state = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        process = self.useFixture(
            launch.Process('trio2o-lab', 'ha', 'run', '--conf', files.path, '--state', str(self.state))
        )
        wait_until(lambda: (self.state / 'processes.json').exists(), 60, lambda: process.log)
        ha.await_all(self.state)
        for name in self.cloud.pods:
            answer = launch.request(
                self.admin_port,
                'POST',
                '/v1.0/pods',
                {'pod': {'pod_name': name, 'az_name': 'az1'}},
                {'X-Auth-Token': self.cloud.token('admin')},
            )
            if answer.status != 200:
                raise AssertionError(answer.body)


class TestHa(testtools.TestCase):
    """The tests share the hosts, which start in a minute; after each test all processes run again."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for program, package in ha.PROGRAMS.items():
            if shutil.which(program, path='/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin') is None:
                raise unittest.SkipTest(f'{program} is not installed ({package})')
        for server in ('mariadbd', 'rabbitmq-server'):
            servers.binary(server)
        hosts = Hosts()
        cls.addClassCleanup(hosts.cleanUp)
        hosts.setUp()
        cls.cloud, cls.state, cls.port, cls.admin_port = hosts.cloud, hosts.state, hosts.port, hosts.admin_port

    def start_load(self):
        flavor = next(iter(self.cloud.pod('Pod1').nova.flavors))
        server = {'name': 'load', 'flavorRef': flavor, 'imageRef': self.cloud.image['id']}
        target = load.Target('127.0.0.1', self.port, '/v2.1', self.cloud.token('demo'), server)
        self.load = load.Load(target).start()
        self.addCleanup(self.load.ended.set)

    def end_load(self):
        seen = self.load.end()
        self.addDetail('load', testtools.content.text_content(repr(seen)))
        return seen

    def in_pods(self):
        return {
            server_id
            for pod in self.cloud.pods.values()
            for server_id, server in list(pod.nova.servers.items())
            if not server['deleted']
        }

    def check_nothing_is_lost(self):
        kept, gone = self.load.kept, self.load.gone
        self.assertGreater(len(kept), 10)
        self.assertEqual(0, len(kept - self.in_pods()))
        # A pod deletes servers in the background.
        wait_until(lambda: not gone & self.in_pods(), 60, lambda: str(len(gone & self.in_pods())))
        # The pod may have created the server of an interrupted request; the list must have it.
        wait_until(
            lambda: self.load.ids() == self.in_pods(),
            60,
            lambda: str(len(self.load.ids() ^ self.in_pods())),
        )

    def test_metrics_are_hidden_from_clients(self):
        for port in (self.port, self.admin_port):
            for path in ('/metrics', '/%6detrics', '/metrics?x=1', '//metrics', '/metrics/'):
                answer = launch.request(port, 'GET', path)
                self.assertIn(answer.status, (300, 404), path)
                self.assertNotIn(b'trio2o_', answer.body)

    def test_restart_of_each_process_loses_no_request(self):
        self.start_load()
        for _name in ha.in_turn(self.state, ha.restart):
            pass
        seen = self.end_load()
        self.assertEqual({200, 202, 204}, {status for _method, status in seen})
        self.check_nothing_is_lost()

    def test_kill_of_each_process_loses_no_server(self):
        self.start_load()
        for _name in ha.in_turn(self.state, ha.kill):
            pass
        seen = self.end_load()
        self.assertEqual({200}, {status for method, status in seen if method == 'GET'})
        others = {key: count for key, count in seen.items() if key[1] not in (200, 202, 204)}
        self.assertTrue(all(status in load.BROKEN_OFF for _method, status in others), others)
        # A killed gateway interrupts at most one request of each client.
        self.assertLessEqual(sum(others.values()), 2 * load.WRITES, others)
        self.check_nothing_is_lost()
