# SPDX-License-Identifier: Apache-2.0
"""A request with many pods needs the statements and the requests to pods that it needs with few.

``tools/bench scale`` measures the CPU time of the same requests.
"""

from collections import Counter

import testtools
from sqlalchemy import event

from trio2o import job_types
from trio2o.tests.fixtures.cloud import GatewayFixture
from trio2o.xjob.manager import JobManager

FEW, MANY = 2, 5
#: What a process reads again after some seconds is not in all of so many turns.
TURNS = 3
#: Read again each second, so on a slow machine it may be in all of them.
VERSIONS = 'FROM table_versions'
#: What the registry reads when its snapshot is too old, which depends on the time. Its own test counts that.
OF_REGISTRY = (VERSIONS, 'FROM pods', 'replicated_objects', 'FROM replicas', 'pod_usages', 'moved_resources')


class TestGrowth(testtools.TestCase):
    def costs(self, pods):
        """What each request needs with some number of pods, one of which has the servers."""
        cloud = self.useFixture(GatewayFixture(pods=pods, run_jobs=True))
        body = {'server': {'name': 's', 'flavorRef': '1', 'imageRef': cloud.lab.image['id']}}
        server = cloud.nova.post('/servers', body)['server']['id']
        requests = {
            'show': lambda: cloud.nova.get(f'/servers/{server}'),
            'list': lambda: cloud.nova.get('/servers/detail?limit=20'),
            'list of all': lambda: cloud.nova.get('/servers/detail?limit=20&all_tenants=1', as_='admin'),
            'create': lambda: cloud.nova.post('/servers', body),
        }
        return {name: self.cost(cloud, send) for name, send in requests.items()}

    def cost(self, cloud, send):
        """The SQL statements, and the requests to pods as method and path, that are in each turn."""
        found = []
        statements = []
        engine = cloud.runtime.db.engine
        event.listen(engine, 'before_cursor_execute', lambda *args: statements.append(args[2]))
        self.assertLess(send().status, 300)
        for _turn in range(TURNS):
            statements.clear()
            cloud.lab.clear_logs()
            self.assertLess(send().status, 300)
            found.append((Counter(each for each in statements if VERSIONS not in each), self.received(cloud)))
        always, received = found[0]
        for some, others in found[1:]:
            always, received = always & some, received & others
        return always, received.total()

    def received(self, cloud):
        return Counter(
            (seen.method, seen.path)
            for pod in cloud.lab.pods.values()
            for service in pod.each()
            for seen in service.requests
        )

    def test_requests_with_more_pods_need_no_more_statements_and_calls(self):
        few, many = self.costs(FEW), self.costs(MANY)
        for name, cost in few.items():
            self.assertEqual(cost, many[name], name)


class TestJoiningPods(testtools.TestCase):
    def join(self, pods):
        """Register pods and run their first jobs. :returns: the fixture"""
        cloud = self.useFixture(GatewayFixture(pods=pods, register=False))
        for number, name in enumerate(cloud.lab.pods, 1):
            cloud.register_pod(name, f'az{number}')
        cloud.run_jobs(rounds=1000)
        self.assertTrue(all(pod.record.reconciled_at for pod in cloud.runtime.registry.refresh().pods))
        return cloud

    def test_pods_that_join_together_are_found_in_one_catalog(self):
        cloud = self.join(MANY)
        read = [seen.path for seen in cloud.lab.keystone.requests if seen.path == '/v3/auth/catalog']
        self.assertEqual(1, len(read))

    def test_users_are_listed_by_the_keystone_of_our_token_and_not_searched_in_the_catalog(self):
        cloud = self.useFixture(GatewayFixture(register=False))
        cloud.register_pod('Pod1', 'az1')
        keystone = cloud.lab.keystone
        keystone.endpoints = [row for row in keystone.endpoints if row.service_type != 'identity']
        cloud.runtime.identity.forget_token()
        cloud.run_jobs()
        self.assertIn('/v3/users', [seen.path for seen in keystone.requests])

    def test_token_of_tenant_is_validated_without_the_catalog(self):
        cloud = self.useFixture(GatewayFixture())
        keystone = cloud.lab.keystone
        # Nor is Keystone searched in the catalog of the gateway's own token.
        keystone.endpoints = [row for row in keystone.endpoints if row.service_type != 'identity']
        keystone.requests.clear()
        self.assertEqual(200, cloud.nova.get('/servers').status)
        validated = [seen.query for seen in keystone.requests if seen.path == '/v3/auth/tokens']
        self.assertIn('nocatalog', validated[-1])

    def statements_of_new_pod(self, cloud):
        statements = []
        event.listen(cloud.runtime.db.engine, 'before_cursor_execute', lambda *args: statements.append(args[2]))
        cloud.lab.add_pod('New')
        cloud.register_pod('New', 'new')
        cloud.run_jobs(rounds=1000)
        return Counter(each for each in statements if not any(name in each for name in OF_REGISTRY))

    def test_repair_of_pod_that_joins_is_left_to_its_join(self):
        """Pods that join together bring their objects to each other, which submits a repair of each for each."""
        cloud = self.useFixture(GatewayFixture(register=False))
        pod_id = cloud.register_pod('Pod1', 'az1')
        job = cloud.runtime.jobs.submit(job_types.REPAIR_REPLICAS, pod_id, {'pod_id': pod_id})
        cloud.lab.clear_logs()
        self.assertEqual('success', JobManager(cloud.conf, cloud.runtime).run_one(job.id).state)
        self.assertEqual([], [seen.path for service in cloud.lab.pod('Pod1').each() for seen in service.requests])

    def test_each_pod_needs_as_many_statements_with_more_pods(self):
        counts = {}
        for pods in (FEW, MANY):
            counts[pods] = self.statements_of_new_pod(self.join(pods))
        self.assertTrue(counts[FEW])
        self.assertEqual({}, counts[MANY] - counts[FEW])
