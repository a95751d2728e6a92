# SPDX-License-Identifier: Apache-2.0
"""A thousand creates race for a hundred servers: several gateways as processes, many pods, one MariaDB."""

import collections
import os
import threading
from concurrent import futures
from datetime import timedelta

import sqlalchemy
import testtools

from trio2o.db import migration, pods, quotas
from trio2o.db.database import utcnow
from trio2o.db.records import QuotaClaim
from trio2o.lab import servers
from trio2o.lab.emulated.server import CloudServer
from trio2o.lab.emulated.topology import Cloud
from trio2o.runtime import build_runtime
from trio2o.tests.fixtures import launch
from trio2o.tests.fixtures.conf import ConfFixture
from trio2o.tests.fixtures.waiting import wait_until
from trio2o.xjob.manager import JobManager

CREATES = 1000
THREADS = 50
GATEWAYS = 3
PODS = 6
LIMIT = 100
BACKEND = os.environ.get('TRIO2O_TEST_BACKEND', 'eventlet')


class TestLoad(testtools.TestCase):
    def setUp(self):
        super().setUp()
        database = servers.mariadb()
        url = database.__enter__()
        self.addCleanup(database.__exit__, None, None, None)
        self.cloud = Cloud(pods=PODS)
        server = CloudServer(self.cloud).start()
        self.addCleanup(server.stop)
        self.ports = launch.free_ports(GATEWAYS)
        files = [self.files(url, port) for port in self.ports]
        self.conf = files[0].conf
        self.runtime = build_runtime(self.conf)
        self.addCleanup(self.runtime.db.dispose)
        self.addCleanup(self.runtime.shutdown)
        migration.upgrade(self.runtime.db)
        self.join_pods()
        self.gateways = [
            self.useFixture(launch.Process('trio2o-nova-apigw', f'--config-file={each.path}', ports=[port]))
            for each, port in zip(files, self.ports, strict=True)
        ]
        self.project = self.cloud.project_id('demo')
        self.headers = {'X-Auth-Token': self.cloud.token('demo')}
        self.body = {
            'server': {
                'name': 'racer',
                'flavorRef': next(iter(self.cloud.pod('Pod1').nova.flavors)),
                'imageRef': self.cloud.image['id'],
            }
        }

    def files(self, url, port):
        return self.useFixture(
            ConfFixture(
                self.cloud.keystone.url,
                connection=url,
                concurrency_backend=BACKEND,
                nova_apigw={'bind_port': port, 'bind_host': '127.0.0.1'},
                quota={'instances': LIMIT, 'recheck_seconds': 3600},
                database={'max_pool_size': 20, 'max_overflow': 40},
            )
        )

    def join_pods(self):
        for number, name in enumerate(self.cloud.pods):
            pod = pods.create(self.runtime.db, pod_name=name, az_name=f'az{number % 2 + 1}')
            self.runtime.jobs.submit('sync_pod', pod.pod_id, {'pod_id': pod.pod_id})
        self.run_jobs()

    def run_jobs(self):
        manager = JobManager(self.conf, self.runtime)
        while manager.run_one() is not None:
            pass

    def race(self, creates, seen, ended=None):
        """Send creates from many threads at once to all gateways, over both zones."""
        numbers = iter(range(creates))
        lock = threading.Lock()

        def work(_thread):
            while ended is None or not ended.is_set():
                with lock:
                    number = next(numbers, None)
                if number is None:
                    return
                body = {'server': {**self.body['server'], 'availability_zone': f'az{number % 2 + 1}'}}
                answer = launch.request(
                    self.ports[number % GATEWAYS], 'POST', '/v2.1/servers', body, self.headers, timeout=120
                )
                seen[answer.status if answer is not None else None] += 1

        with futures.ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(work, range(THREADS)))

    def in_pods(self):
        return sum(len(pod.nova.servers) for pod in self.cloud.pods.values())

    def used(self):
        row = quotas.usage(self.runtime.db, self.project)['instances']
        return row.in_use, row.claimed

    def test_racing_creates_end_at_the_limit(self):
        seen = collections.Counter()
        self.race(CREATES, seen)
        self.assertEqual({202: LIMIT, 403: CREATES - LIMIT}, dict(seen))
        self.assertEqual((LIMIT, 0), self.used())
        self.assertEqual(LIMIT, self.in_pods())
        # The servers are in several pods, so the limit was enforced over all of them.
        self.assertGreater(sum(1 for pod in self.cloud.pods.values() if pod.nova.servers), 1)

    def test_gateway_killed_during_race_and_usage_is_corrected(self):
        seen = collections.Counter()
        race = threading.Thread(target=self.race, args=(CREATES // 2, seen))
        race.start()
        wait_until(lambda: self.in_pods() > LIMIT // 4, 120, 'nothing is made')
        self.gateways[0].kill()
        race.join()
        self.gateways[0].start()
        self.assertLessEqual(self.in_pods(), LIMIT)
        self.expire_claims()
        for kind, key, payload in (
            ('settle_claims', 'all', None),
            ('recount_quota', self.project, {'project_id': self.project}),
        ):
            self.runtime.jobs.submit(kind, key, payload)
        self.run_jobs()
        self.assertEqual((self.in_pods(), 0), self.used())
        # The rest of the quota can be used.
        self.race(2 * THREADS, seen)
        self.assertEqual(LIMIT, self.in_pods())
        self.assertEqual((LIMIT, 0), self.used())

    def expire_claims(self):
        """Make the claims of the killed gateway old enough to be settled."""
        long_ago = utcnow() - timedelta(hours=1)
        with self.runtime.db.writer() as connection:
            connection.execute(
                sqlalchemy.update(QuotaClaim.__table__).values(created_at=long_ago, expires_at=long_ago)
            )
