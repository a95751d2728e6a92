# SPDX-License-Identifier: Apache-2.0
"""Shared by the tests of scheduling."""

import testtools

from trio2o.tests.fixtures.cloud import GatewayFixture
from trio2o.tests.fixtures.waiting import wait_until


class SchedulingTest(testtools.TestCase):
    """Three pods in az1 and one in az2, whose Placement and Cinder report their usage."""

    pods = {'Pod1': 'az1', 'Pod2': 'az1', 'Pod3': 'az1', 'Pod4': 'az2'}
    options = {}

    def setUp(self):
        super().setUp()
        self.cloud = self.useFixture(GatewayFixture(pods=self.pods, run_jobs=True, **self.options))

    @property
    def nova(self):
        return self.cloud.nova

    @property
    def cinder(self):
        return self.cloud.cinder

    @property
    def api(self):
        return self.cloud.api

    def capacity(self, pod, vcpus, ram=100000, disk=100000):
        placement = self.cloud.pod(pod).placement
        placement.capacity[''] = {'VCPU': vcpus, 'MEMORY_MB': ram, 'DISK_GB': disk}
        placement.ratios, placement.reserved = {}, {}

    def collect(self):
        self.cloud.runtime.jobs.submit('collect_usage', 'all', None)
        self.cloud.run_jobs()

    def boot(self, zone='az1', as_='demo', flavor='1', **server):
        body = {'name': 'x', 'flavorRef': flavor, 'imageRef': self.cloud.lab.image['id'], **server}
        if zone:
            body['availability_zone'] = zone
        return self.nova.post('/servers', {'server': body}, as_=as_)

    def volume(self, zone='az1', size=1, as_='demo', **volume):
        body = {'size': size, **volume}
        if zone:
            body['availability_zone'] = zone
        return self.cinder.post('/volumes', {'volume': body}, as_=as_)

    def pod_of(self, answer):
        self.assertEqual(202, answer.status, answer.text)
        (made,) = answer.json.values()
        for name, pod in self.cloud.lab.pods.items():
            if made['id'] in pod.nova.servers or made['id'] in pod.cinder.volumes:
                return name
        raise AssertionError('no pod has the new resource')

    def flavor(self, name, **specs):
        body = {'flavor': {'name': name, 'id': name, 'ram': 512, 'vcpus': 1, 'disk': 1}}
        self.assertEqual(200, self.nova.post('/flavors', body, as_='admin').status)
        if specs:
            specs = {f'trio2o:{key}': value for key, value in specs.items()}
            answer = self.nova.post(f'/flavors/{name}/os-extra_specs', {'extra_specs': specs}, as_='admin')
            self.assertEqual(200, answer.status, answer.text)
        self.cloud.run_jobs()

    def type(self, name, **specs):
        specs = {f'trio2o:{key}': value for key, value in specs.items()}
        answer = self.cinder.post('/types', {'volume_type': {'name': name, 'extra_specs': specs}}, as_='admin')
        self.assertEqual(200, answer.status, answer.text)
        self.cloud.run_jobs()

    def bindings(self, history=False, **query):
        """(pod, group, is current), oldest first."""
        names = {pod_id: name for name, pod_id in self.cloud.pod_ids.items()}
        if history:
            query['history'] = 'true'
        found = self.api.get('/bindings', query=query)['pod_bindings']
        return [(names[each['pod_id']], each['affinity_group'], each['ended_at'] is None) for each in found]


class RescheduleTest(SchedulingTest):
    """Pod1 has no host, and its usage has not been read."""

    options = {'scheduler': {'reschedule_on_no_valid_host': True}}

    def setUp(self):
        super().setUp()
        self.capacity('Pod1', 0)

    def wait_for(self, is_so, seconds=30.0):
        wait_until(is_so, seconds, 'the server did not get into the expected state', 0.05)

    def in_pod(self, pod):
        nova = self.cloud.pod(pod).nova
        nova.settle()
        return [server for server in nova.servers.values() if not server['deleted']]

    def status(self, server_id):
        answer = self.nova.get(f'/servers/{server_id}')
        return answer['server']['status'] if answer.status == 200 else answer.status

    def wait_until_quiet(self):
        """Wait until no server is watched or has still to be deleted."""
        self.wait_for(lambda: not self.cloud.runtime.background.delayed)

    def boot_moved(self, **server):
        """Boot a server that ends in Pod2. :returns: its id, and the one it has there"""
        top_id = self.boot(**server)['server']['id']
        self.wait_for(lambda: self.status(top_id) == 'ACTIVE')
        (made,) = self.in_pod('Pod2')
        self.assertNotEqual(top_id, made['id'])
        return top_id, made['id']
