# SPDX-License-Identifier: Apache-2.0
"""Findings of a review: 500 of pods for malformed JSON, and live routings of deleted resources."""

import datetime

import sqlalchemy
import testtools

from trio2o.db import replicas, routings
from trio2o.db.records import NewRouting, Routing
from trio2o.lab.emulated.faults import Status
from trio2o.tests.fixtures.cloud import GatewayFixture


class TestReviewFindings(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.cloud = self.useFixture(GatewayFixture(pods=2))

    def test_malformed_json_is_400_and_not_sent(self):
        server = self.cloud.lab.add_servers('Pod1', 'demo')[0]
        self.cloud.lab.clear_logs()
        paths = ('/os-keypairs', f'/servers/{server["id"]}/os-volume_attachments', f'/servers/{server["id"]}/action')
        for path in paths:
            for body in (b'\xff\xfe', b'[' * 2000, b'{'):
                answer = self.cloud.nova.post(path, body=body, headers={'Content-Type': 'application/json'})
                self.assertEqual((400, 'Malformed request body'), (answer.status, answer.fault), path)
        for pod in ('Pod1', 'Pod2'):
            self.assertEqual([], [seen for seen in self.cloud.pod(pod).nova.requests if seen.method == 'POST'])

    def test_deleted_server_group_has_no_live_routing(self):
        group = self.cloud.nova.post('/os-server-groups', {'server_group': {'name': 'g', 'policies': ['affinity']}})[
            'server_group'
        ]
        self.assertTrue(routings.get(self.cloud.runtime.db, 'server_group', group['id']).is_live)
        self.assertEqual(204, self.cloud.nova.delete(f'/os-server-groups/{group["id"]}').status)
        self.assertFalse(routings.get(self.cloud.runtime.db, 'server_group', group['id']).is_live)

    def test_query_that_is_not_utf8_is_sent_unchanged(self):
        for path in ('/servers?name=%FF', '/servers/detail?name=%FF'):
            self.cloud.nova.get(path)
        for path in ('/volumes?name=%FF', '/backups/detail?name=%FF', '/snapshots?name=%FF'):
            self.cloud.cinder.get(path)
        services = [service for pod in ('Pod1', 'Pod2') for service in self.cloud.pod(pod).each()]
        asked = [seen.query for service in services for seen in service.requests if 'name' in seen.query]
        self.assertEqual(['name=%FF'] * 5, asked)

    def test_deleting_quota_of_unknown_project_leaves_nothing_out_of_sync(self):
        for name in ('Pod1', 'Pod2'):
            self.cloud.pod(name).nova.faults.add(Status(400, path='/os-quota-sets', method='GET'))
        self.assertEqual(202, self.cloud.nova.delete('/os-quota-sets/typo', as_='admin').status)
        for pod_id in self.cloud.pod_ids.values():
            self.assertEqual([], replicas.out_of_sync(self.cloud.runtime.db, pod_id))

    def test_purge_history_keeps_routings_that_cannot_be_found_again(self):
        db, pod_id = self.cloud.runtime.db, self.cloud.pod_ids['Pod1']
        for kind in ('attachment', 'server', 'aggregate'):
            routings.record(db, NewRouting(resource_type=kind, top_id='1', pod_id=pod_id, project_id='p'))
        with db.writer() as connection:
            connection.execute(sqlalchemy.update(Routing.__table__).values(recorded_at=datetime.datetime(2020, 1, 1)))
        self.cloud.runtime.jobs.submit('purge_history', 'all')
        self.cloud.run_jobs()
        self.assertEqual({'server', 'aggregate'}, {row.resource_type for row in routings.list_(db)})
