# SPDX-License-Identifier: Apache-2.0
"""Two hosts behind HAProxy, on MariaDB and RabbitMQ, while processes are killed or restarted, or a host is lost."""

import itertools
import pathlib
import shutil
import unittest
from concurrent import futures

import fixtures
import sqlalchemy
import testtools

from trio2o.db import quotas
from trio2o.db.database import Database
from trio2o.lab import ha, load, servers
from trio2o.lab.emulated.server import CloudServer
from trio2o.lab.emulated.topology import Cloud
from trio2o.tests.fixtures import conf, database, launch
from trio2o.tests.fixtures.link import Link
from trio2o.tests.fixtures.waiting import wait_until

START_SECONDS = 240
#: Longer than HAProxy needs to notice a lost host, and much shorter than its ``timeout server``.
SECONDS = 60


class Hosts(fixtures.Fixture):
    """Two hosts, as ``trio2o-lab ha`` runs them, and two pods in az1."""

    def _setUp(self):
        self.cloud = Cloud(pods=2)
        server = CloudServer(self.cloud).start()
        self.addCleanup(server.stop)
        ports = dict(zip(ha.SERVICES, launch.free_ports(3), strict=True))
        self.port, self.admin_port = ports['nova_apigw'], ports['api']
        database_url = self._start_database()
        self.link = self.useFixture(Link(database_url.port))
        files = self.useFixture(
            conf.ConfFixture(
                self.cloud.keystone.url,
                connection=text_of(database_url),
                quota={'instances': 100000, 'watch_seconds': 0.5},
                # The locks of a lost host last longer than any request waits for them.
                database={'lock_timeout': 3, 'idle_transaction_timeout': 15},
                **{name: {'bind_port': port} for name, port in ports.items()},
            )
        )
        self.state = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        command = ['ha', 'run', '--conf', files.path, '--state', str(self.state), '--database', text_of(database_url)]
        command += ['--host1-database', text_of(database_url.set(port=self.link.port))]
        process = self.useFixture(launch.Process('trio2o-lab', *command))
        wait_until(lambda: (self.state / 'processes.json').exists(), START_SECONDS, lambda: process.log)
        ha.await_all(self.state, START_SECONDS)
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
        self.db = Database(database.config(text_of(database_url), str(self.state)))
        self.addCleanup(self.db.dispose)

    def _start_database(self):
        server = servers.mariadb()
        url = sqlalchemy.make_url(server.__enter__())
        self.addCleanup(server.__exit__, None, None, None)
        return url


def text_of(url):
    return url.render_as_string(hide_password=False)


class TestHa(testtools.TestCase):
    """The tests share the hosts, which start in a minute; after each test all processes run again."""

    numbers = itertools.count()

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for program, package in ha.PROGRAMS.items():
            if shutil.which(program, path='/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin') is None:
                raise unittest.SkipTest(f'{program} is not installed ({package})')
        for server in ('mariadbd', 'rabbitmq-server'):
            servers.binary(server)
        hosts = Hosts()
        hosts.setUp()
        cls.addClassCleanup(hosts.cleanUp)
        cls.cloud, cls.state, cls.port, cls.admin_port = hosts.cloud, hosts.state, hosts.port, hosts.admin_port
        cls.link, cls.db = hosts.link, hosts.db

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

    def servers_of(self, who):
        project_id = self.cloud.project_id(who)
        return [
            server
            for pod in self.cloud.pods.values()
            for server in list(pod.nova.servers.values())
            if server['project_id'] == project_id and not server['deleted']
        ]

    def in_pods(self):
        return {server['id'] for server in self.servers_of('demo')}

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

    def ask(self, who, method, path, body=None):
        headers = {'X-Auth-Token': self.cloud.token(who)}
        return launch.request(self.port, method, f'/v2.1{path}', body, headers, timeout=SECONDS)

    def create(self, who):
        flavor = next(iter(self.cloud.pod('Pod1').nova.flavors))
        name = f'server{next(self.numbers)}'
        body = {'server': {'name': name, 'flavorRef': flavor, 'imageRef': self.cloud.image['id']}}
        return self.ask(who, 'POST', '/servers', body)

    def set_state(self, host, state):
        ha.run_in_haproxy(self.state, f'set server trio2o_compute/{host} state {state}')

    def send_to_host1(self, pool):
        """Send a create of hot, which host1 begins to claim, and one of sent, whose claim it has just committed."""
        hot, sent = self.cloud.project_id('hot'), self.cloud.project_id('sent')
        held = [
            self.link.hold('INTO quota_claims', hot, 'FOR UPDATE'),
            self.link.hold('INTO quota_claims', sent, 'COMMIT'),
        ]
        self.set_state('host2', 'drain')
        sent = [pool.submit(self.create, who) for who in ('hot', 'sent')]
        self.assertEqual([True, True], [each.wait(60) for each in held])
        self.set_state('host2', 'ready')
        return sent

    def lose_host1(self):
        self.link.interrupt()
        ha.freeze(self.state, 'host1')

    def is_up(self, host):
        return ha.stat_of(self.state, f'trio2o_compute/{host}')['status'].startswith('UP')

    def is_counted(self, who):
        """Whether usage is that of the servers in the pods, and nothing is claimed."""
        usage = quotas.usage(self.db, self.cloud.project_id(who))['instances']
        return (usage.in_use, usage.claimed) == (len(self.servers_of(who)), 0)

    def test_host_is_lost_and_other_projects_are_served_and_lost_host_does_no_harm_when_it_goes_on(self):
        self.addCleanup(ha.await_all, self.state)
        self.addCleanup(self.link.resume)
        self.addCleanup(ha.thaw, self.state, 'host1')
        for who in ('hot', 'sent', 'other'):
            self.cloud.keystone.add_user(who, 'secret', {who: ('member',)})
            self.assertEqual(202, self.create(who).status)
        with futures.ThreadPoolExecutor(20) as pool:
            lost = self.send_to_host1(pool)
            self.lose_host1()
            # HAProxy does not know yet, and sends half of these to host1.
            blocked = [pool.submit(self.create, 'hot') for _each in range(4)]
            others = [pool.submit(self.create, 'other') for _each in range(4)]
            lists = [pool.submit(self.ask, 'other', 'GET', '/servers') for _each in range(4)]
            self.assertEqual([200] * 4, [each.result().status for each in lists])
            answers = [each.result() for each in [*others, *lost]]
            unexpected = [each for each in answers if each.status not in (202, *load.BROKEN_OFF)]
            self.assertEqual([], [(each.status, each.body) for each in unexpected])
            refused = [each.result() for each in blocked]
            self.assertLessEqual({answer.status for answer in refused}, {202, 503, *load.BROKEN_OFF})
            self.assertIn('5', [answer.headers['Retry-After'] for answer in refused])
        wait_until(lambda: not self.is_up('host1'), SECONDS, 'host1 is still up')
        for _each in range(3):
            created = self.create('other')
            self.assertEqual(202, created.status)
            server = f'/servers/{created.json["server"]["id"]}'
            self.assertEqual(200, self.ask('other', 'GET', server).status)
            self.assertEqual(202, self.create('sent').status)
        # The database ends the transaction of host1.
        wait_until(lambda: self.create('hot').status == 202, SECONDS, 'the lock is not released')
        ha.thaw(self.state, 'host1')
        self.link.resume()
        wait_until(lambda: self.is_up('host1'), SECONDS, 'host1 is not up again')
        for who in ('hot', 'sent', 'other'):
            wait_until(lambda who=who: self.is_counted(who), SECONDS, lambda who=who: self.counted(who))
            names = [server['name'] for server in self.servers_of(who)]
            self.assertEqual(sorted(set(names)), sorted(names))
        self.assertEqual([202] * 4, [self.create('hot').status for _each in range(4)])

    def counted(self, who):
        project_id = self.cloud.project_id(who)
        claims = quotas.list_claims(self.db, project_id=project_id)
        return f'{who}: {quotas.usage(self.db, project_id)} {len(self.servers_of(who))} {claims}'
