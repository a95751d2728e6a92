# SPDX-License-Identifier: Apache-2.0
"""A request with many pods needs the statements and the requests to pods that it needs with few.

``tools/bench scale`` measures the CPU time of the same requests.
"""

from collections import Counter

import testtools
from sqlalchemy import event

from trio2o.tests.fixtures.cloud import GatewayFixture

FEW, MANY = 2, 5
#: What a process reads again after some seconds is not in all of so many turns.
TURNS = 3
#: Read again each second, so on a slow machine it may be in all of them.
VERSIONS = 'FROM table_versions'


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
