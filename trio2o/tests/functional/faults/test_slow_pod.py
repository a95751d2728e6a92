# SPDX-License-Identifier: Apache-2.0
"""A pod that takes half a minute for each request does not delay requests that other pods can answer.

In-process pods spend no time: a fault that is slower than the timeout of the caller is a timeout at once, and a faster
one is answered. So the pod that answered shows how long the gateway would have waited.
"""

import testtools

from trio2o.lab.emulated.faults import Hang, Slow
from trio2o.tests.fixtures.cloud import GatewayFixture

SECONDS = 30.0


class TestSlowPod(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.cloud = self.useFixture(GatewayFixture(pods={'Pod1': 'az1', 'Pod2': 'az2'}))
        conf = self.cloud.runtime.conf.pods
        self.assertLess(conf.probe_timeout, SECONDS)
        self.assertGreater(conf.read_timeout, SECONDS)
        for service in self.cloud.pod('Pod1').each():
            service.faults.add(Slow(SECONDS))

    def assert_from_the_other(self, client, service, path, as_='demo'):
        self.cloud.lab.clear_logs()
        self.cloud.runtime.client.breakers._states.clear()
        answer = client.get(path, as_=as_)
        self.assertEqual(200, answer.status, answer.text)
        self.assertTrue(getattr(self.cloud.pod('Pod2'), service).requests, path)

    def test_replicated_object_is_read_from_fast_pod(self):
        project = self.cloud.project_id('demo')
        for path in ('/flavors/detail', '/flavors/1', '/os-keypairs', '/extensions', f'/os-quota-sets/{project}'):
            self.assert_from_the_other(self.cloud.nova, 'nova', path)
        for path in ('/types', '/extensions'):
            self.assert_from_the_other(self.cloud.cinder, 'cinder', path)
        self.assert_from_the_other(self.cloud.cinder, 'cinder', f'/os-quota-sets/{project}', as_='admin')

    def test_create_in_other_zone_does_not_ask_slow_pod(self):
        # An image that the gateway has not read yet.
        image = self.cloud.lab.glance.add_image('new')
        server = {'name': 'x', 'flavorRef': '1', 'imageRef': image['id'], 'availability_zone': 'az2'}
        self.assertEqual(202, self.cloud.nova.post('/servers', {'server': server}).status)
        looks = [each for each in self.cloud.pod('Pod2').nova.requests if '/images/' in each.path]
        self.assertEqual(1, len(looks))

    def test_only_enabled_pod_is_waited_for(self):
        self.cloud.set_pod('Pod2', state='maintenance', reason='test')
        self.assertEqual(200, self.cloud.nova.get('/flavors/detail').status)


class TestDeadline(testtools.TestCase):
    """One pod hangs until the deadline of a list is over, while the other pod has a second page to read."""

    def test_second_page_after_deadline_is_no_internal_error(self):
        cloud = self.useFixture(GatewayFixture(pods=2, **{'pods.gather_timeout': 0.3}))
        cloud.pod('Pod1').nova.settings.max_limit = 2
        group = {'server_group': {'name': 'g', 'policies': ['affinity']}}
        for _number in range(3):
            self.assertEqual(200, cloud.direct('Pod1').post('/os-server-groups', group).status)
        cloud.pod('Pod2').nova.faults.add(Hang())
        cloud.transport.real_time = True
        for path in ('/os-server-groups', '/os-server-groups?limit=3', '/servers', '/os-server-groups?offset=1'):
            answer = cloud.nova.get(path)
            self.assertIn(answer.status, (200, 503), answer.text)
