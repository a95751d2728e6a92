# SPDX-License-Identifier: Apache-2.0
"""A database without tables: tenants get 503 with Retry-After, and the log names the command to run."""

import fixtures
import testtools

from trio2o.db import records
from trio2o.tests.fixtures.cloud import GatewayFixture


class TestMissingTables(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.log = self.useFixture(fixtures.FakeLogger())
        self.cloud = self.useFixture(GatewayFixture(pods=2))
        with self.cloud.runtime.db.writer() as session:
            records.METADATA.drop_all(session.connection())

    def test_missing_tables_are_503_and_log_names_db_sync(self):
        server = {'name': 's', 'flavorRef': '1', 'imageRef': self.cloud.lab.image['id']}
        for client, method, path, body in (
            (self.cloud.nova, 'GET', '/servers/0d9e5d5f-7d1e-4d6c-8f2b-0123456789ab', None),
            (self.cloud.nova, 'POST', '/servers', {'server': server}),
            (self.cloud.cinder, 'POST', '/volumes', {'volume': {'size': 1}}),
            (self.cloud.api, 'GET', '/routings', None),
            (self.cloud.api, 'POST', '/pods', {'pod': {'pod_name': 'Pod9', 'az_name': 'az1'}}),
        ):
            as_ = 'admin' if client is self.cloud.api else 'demo'
            answer = client.request(method, path, body, as_=as_)
            self.assertEqual(503, answer.status, (method, path, answer.text))
            self.assertEqual('5', answer.headers['Retry-After'])
            self.assertNotIn('table', answer.text)
            self.assertNotIn('SELECT', answer.text)
        self.assertIn('run trio2o-db-manage db_sync', self.log.output)
        self.assertNotIn('Unexpected error', self.log.output)
