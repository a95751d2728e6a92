# SPDX-License-Identifier: Apache-2.0
"""A write was 500 if another pod answered its replication with JSON of another shape."""

import testtools

from trio2o.lab.emulated.faults import Garbage
from trio2o.tests.fixtures.cloud import GatewayFixture

FLAVOR = {'flavor': {'name': 'odd', 'ram': 64, 'vcpus': 1, 'disk': 1, 'id': 'odd'}}


class TestOddDocuments(testtools.TestCase):
    def test_write_succeeds_though_other_pod_answers_odd_document(self):
        cloud = self.useFixture(GatewayFixture(pods=2))
        cloud.run_jobs()
        cloud.pod('Pod2').nova.faults.add(Garbage(body=b'{"surprise": []}', path=r'/flavors'))
        answer = cloud.nova.post('/flavors', FLAVOR, as_='admin')
        self.assertEqual(200, answer.status, answer.text)
        self.assertIn('odd', cloud.pod('Pod1').nova.flavors)
        cloud.pod('Pod2').nova.faults.clear()
        cloud.run_jobs()
        self.assertIn('odd', cloud.pod('Pod2').nova.flavors)
