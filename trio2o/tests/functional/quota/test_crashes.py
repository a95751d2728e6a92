# SPDX-License-Identifier: Apache-2.0
"""Processes are killed while they hold claims or jobs, and nothing stays claimed.

The commands are real and are killed; emulated pods that answer slowly hold them where they are to die.
"""

import os
import threading
import time
from concurrent import futures
from datetime import timedelta

import fixtures
import sqlalchemy
import testtools

from trio2o.db import jobs, pods, quotas
from trio2o.db.database import utcnow
from trio2o.db.records import Pod, PodStateChange, QuotaClaim
from trio2o.gateway.handlers.create import Create
from trio2o.lab.emulated.faults import DropAfter, Hang, Slow
from trio2o.lab.emulated.server import CloudServer
from trio2o.lab.emulated.topology import Cloud
from trio2o.quota.claims import ClaimRequest
from trio2o.quota.settle import Settler
from trio2o.runtime import build_runtime
from trio2o.tests.fixtures import launch
from trio2o.tests.fixtures.conf import ConfFixture
from trio2o.tests.fixtures.waiting import wait_until
from trio2o.tests.functional.quota.base import QuotaCase
from trio2o.xjob.manager import JobManager

BACKEND = os.environ.get('TRIO2O_TEST_BACKEND', 'eventlet')
#: Longer than any of these tests lasts.
LONG = 600.0


class CrashCase(testtools.TestCase):
    limit = 2

    def setUp(self):
        super().setUp()
        self.cloud = Cloud(pods=2)
        server = CloudServer(self.cloud).start()
        self.addCleanup(server.stop)
        (self.port,) = launch.free_ports(1)
        self.files = self.useFixture(
            ConfFixture(
                self.cloud.keystone.url,
                concurrency_backend=BACKEND,
                nova_apigw={'bind_port': self.port, 'bind_host': '127.0.0.1'},
                quota={'instances': self.limit, 'server_groups': 5, 'recheck_seconds': 3600, 'settle_interval': 0},
                xjob={'scan_interval': 0.1, 'lease_seconds': 1.0, 'retry_seconds': 0.1, 'repair_interval': 0},
                pods={'read_timeout': LONG, 'refresh_seconds': 0.05},
            )
        )
        self.runtime = build_runtime(self.files.conf)
        self.addCleanup(self.runtime.db.dispose)
        self.addCleanup(self.runtime.shutdown)
        self.db = self.runtime.db
        for number, name in enumerate(self.cloud.pods, 1):
            pod = pods.create(self.db, pod_name=name, az_name=f'az{number}')
            self.runtime.jobs.submit('sync_pod', pod.pod_id, {'pod_id': pod.pod_id})
        self.run_jobs()
        self.project = self.cloud.project_id('demo')
        self.body = {
            'name': 's',
            'flavorRef': next(iter(self.cloud.pod('Pod1').nova.flavors)),
            'imageRef': self.cloud.image['id'],
            'availability_zone': 'az1',
        }

    def run_jobs(self):
        manager = JobManager(self.files.conf, self.runtime)
        while manager.run_one() is not None:
            pass

    def process(self, name, ports=()):
        return self.useFixture(launch.Process(name, f'--config-file={self.files.path}', ports=ports))

    def ask(self, method, path, body=None, timeout=120):
        headers = {'X-Auth-Token': self.cloud.token('demo')}
        return launch.request(self.port, method, f'/v2.1{path}', body, headers, timeout=timeout)

    def used(self, name='instances'):
        row = quotas.usage(self.db, self.project).get(name)
        return (row.in_use, row.claimed) if row is not None else (0, 0)

    def in_pods(self):
        return sum(len(pod.nova.servers) for pod in self.cloud.pods.values())

    def expire(self):
        """Make the claims of a killed process old enough to be settled."""
        long_ago = utcnow() - timedelta(hours=1)
        with self.db.writer() as connection:
            connection.execute(
                sqlalchemy.update(QuotaClaim.__table__).values(created_at=long_ago, expires_at=long_ago)
            )

    def settle(self):
        self.runtime.jobs.submit('settle_claims', 'all')
        self.run_jobs()


class TestKilledGateway(CrashCase):
    def die_in_a_create(self, when, **outer):
        """Kill the gateway while it serves a create, as soon as ``when`` is true."""
        gateway = self.process('trio2o-nova-apigw', [self.port])
        asked = threading.Thread(target=self.ask, args=('POST', '/servers', {'server': self.body, **outer}))
        asked.start()
        wait_until(when, 60, 'it did not come so far')
        gateway.kill()
        asked.join()
        for pod in self.cloud.pods.values():
            pod.nova.faults.clear()
        return gateway

    def test_gateway_killed_before_create_was_sent_and_claim_is_released(self):
        gateway = self.process('trio2o-nova-apigw', [self.port])
        made = self.ask('POST', '/os-server-groups', {'server_group': {'name': 'g', 'policies': ['anti-affinity']}})
        self.assertEqual(200, made.status, made.body)
        gateway.kill()
        # The gateway creates the copy of the group after it has claimed everything.
        self.body['availability_zone'] = 'az2'
        nova = self.cloud.pod('Pod2').nova
        nova.faults.add(Hang(path='/os-server-groups', method='POST'))
        hints = {'group': made.json['server_group']['id']}
        self.die_in_a_create(lambda: self.used() == (0, 1), **{'os:scheduler_hints': hints})
        self.assertEqual((0, 1), self.used())
        self.settle()
        self.assertEqual((0, 1), self.used())  # until the claim expires, the gateway may still be at work
        self.expire()
        self.settle()
        self.assertEqual((0, 0), self.used())
        self.assertEqual(0, self.in_pods())
        self.assertEqual([], quotas.list_claims(self.db, project_id=self.project))

    def test_gateway_killed_after_create_was_sent_and_server_is_counted(self):
        self.cloud.pod('Pod1').nova.faults.add(Hang(path='/servers$', method='POST'))
        gateway = self.die_in_a_create(lambda: self.in_pods() == 1)
        self.assertEqual((0, 1), self.used())
        self.expire_not_created()
        self.settle()
        self.assertEqual((1, 0), self.used())
        self.assertEqual([], quotas.list_claims(self.db, project_id=self.project))
        # The rest of the quota can be used, and no more.
        gateway.start()
        statuses = [self.ask('POST', '/servers', {'server': self.body}).status for _ in range(3)]
        self.assertEqual([202, 403, 403], statuses)
        self.assertEqual((self.limit, 0), self.used())
        self.assertEqual(self.limit, self.in_pods())

    def expire_not_created(self):
        """Like ``expire``, but keep the time of creation, by which the settler finds the server."""
        with self.db.writer() as connection:
            connection.execute(
                sqlalchemy.update(QuotaClaim.__table__).values(expires_at=utcnow() - timedelta(hours=1))
            )

    def test_gateway_killed_in_delete_and_recount_removes_server(self):
        gateway = self.process('trio2o-nova-apigw', [self.port])
        server_id = self.ask('POST', '/servers', {'server': self.body}).json['server']['id']
        gateway.kill()
        nova = self.cloud.pod('Pod1').nova
        nova.faults.add(Hang(method='DELETE'))
        gateway.start()
        asked = threading.Thread(target=self.ask, args=('DELETE', f'/servers/{server_id}'))
        asked.start()
        wait_until(lambda: any(each.method == 'DELETE' for each in nova.requests), 60, 'nobody asked to delete it')
        gateway.kill()
        asked.join()
        nova.faults.clear()
        self.runtime.jobs.submit('recount_quota', self.project, {'project_id': self.project})
        self.run_jobs()
        self.assertEqual((0, 0), self.used())


class TestKilledWorker(CrashCase):
    limit = 10

    def test_worker_killed_in_recount_and_restarted_worker_completes_it(self):
        self.cloud.add_servers('Pod1', 'demo', 3)
        self.cloud.add_servers('Pod2', 'demo', 4)
        nova = self.cloud.pod('Pod2').nova
        nova.faults.add(Slow(seconds=LONG, path='/servers/detail'))
        worker = self.process('trio2o-xjob')
        with self.db.writer() as connection:
            quotas.add(connection, {(self.project, '', 'instances'): 9}, {(self.project, '', 'instances'): 5})
        payload = {'project_id': self.project}
        job = self.runtime.jobs.submit('recount_quota', self.project, payload)
        # One pod has been counted, and the other has been asked; the recount of all may have come before, and
        # corrected what was wrong from the beginning.
        wait_until(lambda: self.used()[0] in (3, 12), 60, lambda: f'{self.used()} {worker.log}')
        wait_until(lambda: any('/servers/detail' in each.path for each in nova.requests), 60, 'nobody asked the other')
        worker.kill()
        nova.faults.clear()
        self.assertEqual('running', jobs.get(self.db, job.id).state)
        worker.start()
        wait_until(lambda: jobs.get(self.db, job.id).state == 'success', 60, lambda: worker.log)
        self.assertEqual((7, 0), self.used())


class TestConcurrentSettling(QuotaCase):
    limits = {'instances': 10}

    def test_claims_settled_concurrently_are_counted_once(self):
        """A claim is released or counted once, however many threads settle it."""
        servers = [self.server(zone='az1') for _ in range(2)]
        for server in servers:
            self.assertEqual(204, self.cloud.nova.delete(f'/servers/{server}').status)
        self.boot(zone='az2')
        open_claims = self.claims()
        self.assertEqual(2, len(open_claims))
        with futures.ThreadPoolExecutor(6) as pool:
            looks = [pool.submit(Settler(self.cloud.runtime).settle, claim) for _ in range(4) for claim in open_claims]
        self.assertTrue(all(look.result() for look in looks))
        self.assertUsed(instances=1, cores=2, ram=512)

    def test_claim_of_unanswered_create_settled_concurrently_is_counted_once(self):
        self.cloud.pod('Pod1').nova.faults.add(DropAfter(times=1, method='POST', path='/servers'))
        self.boot(status=504, zone='az1')
        (claim,) = self.claims()
        with futures.ThreadPoolExecutor(6) as pool:
            list(pool.map(lambda _number: Settler(self.cloud.runtime).settle(claim), range(6)))
        self.assertUsed(instances=1, cores=2, ram=512)
        for _ in range(2):
            Settler(self.cloud.runtime).settle(claim)
        self.assertUsed(instances=1, cores=2, ram=512)


class TestClaimsWithoutPod(QuotaCase):
    """A claim without a pod is kept only while a pod that cannot be asked may hold its server."""

    limits = {'instances': 10}
    options = {'quota.claim_seconds': 1.0}

    def left_behind(self):
        """Leave the claim of a gateway that was killed before it chose a pod."""
        self.cloud.runtime.quota.claim(ClaimRequest(self.project, '', {'instances': 1}, resource_type='server'))
        self.assertEqual({'instances': (0, 1)}, self.used())
        (claim,) = self.claims()
        return claim

    def is_settled(self, claim):
        due = claim.created_at + timedelta(seconds=self.cloud.conf.quota.claim_seconds)
        wait_until(lambda: utcnow() > max(due, claim.expires_at), 10, 'the claim does not expire', 0.01)
        return Settler(self.cloud.runtime).settle(claim)

    def test_pod_in_maintenance_before_claim_and_claim_is_released(self):
        self.cloud.set_pod('Pod2', state='maintenance')
        time.sleep(0.01)  # the change of state is older than the claim
        self.assertTrue(self.is_settled(self.left_behind()))
        self.assertEqual({}, self.used())

    def test_pod_in_maintenance_after_claim_and_claim_is_kept(self):
        claim = self.left_behind()
        self.cloud.set_pod('Pod2', state='maintenance')
        self.assertFalse(self.is_settled(claim))
        self.assertEqual({'instances': (0, 1)}, self.used())
        self.cloud.set_pod('Pod2', state='enabled')
        self.assertTrue(self.is_settled(claim))
        self.assertEqual({}, self.used())

    def test_pod_registered_after_claim_and_claim_is_released(self):
        self.cloud.set_pod('Pod2', state='maintenance')
        time.sleep(0.01)  # the change of state is older than the claim
        claim = self.left_behind()
        with self.db.writer() as connection:
            later = utcnow() + timedelta(seconds=1)
            connection.execute(
                sqlalchemy.update(Pod.__table__)
                .where(Pod.__table__.c.pod_id == self.cloud.pod_ids['Pod2'])
                .values(created_at=later)
            )
            connection.execute(sqlalchemy.delete(PodStateChange.__table__))
        self.cloud.runtime.registry.refresh()
        self.assertTrue(self.is_settled(claim))
        self.assertEqual({}, self.used())


class TestStoppedProcess(QuotaCase):
    """A process stops while it serves a create, as its host does not run for a while, and goes on later."""

    limits = {'instances': 1}
    options = {'quota.claim_seconds': 1.0}

    def test_process_that_goes_on_after_its_claim_expired_creates_nothing(self):
        choose = Create._choose

        def stop(*args):
            (claim,) = self.claims()
            wait_until(lambda: utcnow() > claim.expires_at, 10, 'the claim does not expire', 0.01)
            self.assertTrue(Settler(self.cloud.runtime).settle(claim))
            self.assertEqual({}, self.used())
            return choose(*args)

        self.useFixture(fixtures.MonkeyPatch('trio2o.gateway.handlers.create.Create._choose', stop))
        answer = self.boot(status=503)
        self.assertIn('Retry-After', answer.headers)
        self.assertEqual(0, sum(len(pod.nova.servers) for pod in self.cloud.lab.pods.values()))
        self.assertEqual({}, self.used())
        self.assertEqual([], self.claims())


class TestClaimsOnDeletedPod(QuotaCase):
    """A pod that is not registered has nothing, so claims on it end."""

    limits = {'instances': 5}

    def delete_pod(self, name):
        answer = self.cloud.api.delete(f'/pods/{self.cloud.pod_ids[name]}?force=true', as_='admin')
        self.assertEqual(200, answer.status, answer.text)

    def claim(self, pod_id, **more):
        """Leave a claim, as a process does that knew the pod when it was deleted."""
        quota = self.cloud.runtime.quota
        claim = quota.claim(ClaimRequest(self.project, '', {'instances': 1}, resource_type='server', **more))
        quotas.keep(self.db, claim.id, pod_id=pod_id, expires_at=utcnow())

    def test_pod_with_unanswered_creates_is_deleted_and_claims_end(self):
        self.cloud.pod('Pod1').nova.faults.add(DropAfter(times=3, method='POST', path='/servers'))
        for _ in range(3):
            self.boot(status=504, zone='az1')
        self.assertEqual((0, 3), self.used()['instances'])
        self.delete_pod('Pod1')
        self.assertEqual({}, self.used())
        self.assertEqual([], self.claims())

    def test_pod_with_changing_servers_is_deleted_and_watches_end(self):
        server_id = self.server(zone='az1')
        self.assertEqual(204, self.cloud.nova.delete(f'/servers/{server_id}').status)
        self.assertEqual([server_id], [claim.resource_id for claim in self.claims()])
        self.delete_pod('Pod1')
        self.assertEqual([], self.claims())

    def test_claim_on_deleted_pod_is_released(self):
        self.delete_pod('Pod1')
        pod_id = self.cloud.pod_ids['Pod1']
        self.claim(pod_id)
        self.claim(pod_id, resource_id='0d9e5d5f-7d1e-4d6c-8f2b-0123456789ab')
        self.claim(None, resource_id='1d9e5d5f-7d1e-4d6c-8f2b-0123456789ab')
        self.assertEqual((0, 3), self.used()['instances'])
        self.assertEqual(3, Settler(self.cloud.runtime).settle_due())
        self.assertEqual({}, self.used())

    def test_claim_on_pod_in_maintenance_is_kept(self):
        self.claim(self.cloud.pod_ids['Pod1'])
        self.cloud.set_pod('Pod1', state='maintenance')
        self.assertEqual(0, Settler(self.cloud.runtime).settle_due())
        self.assertEqual((0, 1), self.used()['instances'])
