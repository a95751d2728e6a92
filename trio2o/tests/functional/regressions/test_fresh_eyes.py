# SPDX-License-Identifier: Apache-2.0
"""What a first look from outside found: pods' own 500s for bodies that are no JSON, and routings of what was gone."""

import datetime

import sqlalchemy
import testtools

from trio2o.db import replicas, routings
from trio2o.db.records import NewRouting, Routing
from trio2o.lab.emulated.faults import Status
from trio2o.tests.fixtures.cloud import GatewayFixture


class TestFreshEyes(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.cloud = self.useFixture(GatewayFixture(pods=2))

    def test_no_body_that_says_json_and_is_not_reaches_a_pod(self):
        server = self.cloud.lab.add_servers('Pod1', 'demo')[0]
        self.cloud.lab.clear_logs()
        paths = ('/os-keypairs', f'/servers/{server["id"]}/os-volume_attachments', f'/servers/{server["id"]}/action')
        for path in paths:
            for body in (b'\xff\xfe', b'[' * 2000, b'{'):
                answer = self.cloud.nova.post(path, body=body, headers={'Content-Type': 'application/json'})
                self.assertEqual((400, 'Malformed request body'), (answer.status, answer.fault), path)
        for pod in ('Pod1', 'Pod2'):
            self.assertEqual([], [seen for seen in self.cloud.pod(pod).nova.requests if seen.method == 'POST'])

    def test_a_server_group_is_gone_when_it_is_deleted(self):
        group = self.cloud.nova.post('/os-server-groups', {'server_group': {'name': 'g', 'policies': ['affinity']}})[
            'server_group'
        ]
        self.assertTrue(routings.get(self.cloud.runtime.db, 'server_group', group['id']).is_live)
        self.assertEqual(204, self.cloud.nova.delete(f'/os-server-groups/{group["id"]}').status)
        self.assertFalse(routings.get(self.cloud.runtime.db, 'server_group', group['id']).is_live)

    def test_a_query_that_is_no_utf8_reaches_a_pod_as_it_came(self):
        for path in ('/servers?name=%FF', '/servers/detail?name=%FF'):
            self.cloud.nova.get(path)
        for path in ('/volumes?name=%FF', '/backups/detail?name=%FF', '/snapshots?name=%FF'):
            self.cloud.cinder.get(path)
        services = [service for pod in ('Pod1', 'Pod2') for service in self.cloud.pod(pod).each()]
        asked = [seen.query for service in services for seen in service.requests if 'name' in seen.query]
        self.assertEqual(['name=%FF'] * 5, asked)

    def test_limits_of_a_project_that_is_none_are_not_deleted_for_ever(self):
        for name in ('Pod1', 'Pod2'):
            self.cloud.pod(name).nova.faults.add(Status(400, path='/os-quota-sets', method='GET'))
        self.assertEqual(202, self.cloud.nova.delete('/os-quota-sets/typo', as_='admin').status)
        for pod_id in self.cloud.pod_ids.values():
            self.assertEqual([], replicas.out_of_sync(self.cloud.runtime.db, pod_id))

    def test_only_what_is_found_again_is_forgotten_with_the_history(self):
        db, pod_id = self.cloud.runtime.db, self.cloud.pod_ids['Pod1']
        for kind in ('attachment', 'server', 'aggregate'):
            routings.record(db, NewRouting(resource_type=kind, top_id='1', pod_id=pod_id, project_id='p'))
        with db.writer() as session:
            session.execute(sqlalchemy.update(Routing.__table__).values(recorded_at=datetime.datetime(2020, 1, 1)))
        self.cloud.runtime.jobs.submit('purge_history', 'all')
        self.cloud.run_jobs()
        self.assertEqual({'server', 'aggregate'}, {row.resource_type for row in routings.list_(db)})
