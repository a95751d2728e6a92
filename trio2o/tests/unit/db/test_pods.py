# SPDX-License-Identifier: Apache-2.0
"""Pods: numbers, unique names, recorded state changes, and deletion with all dependent rows."""

import dataclasses
import datetime
from concurrent import futures

import fixtures
import sqlalchemy

from trio2o.db import bindings, errors, jobs, pod_usages, pods, quotas, replicas, routings
from trio2o.db.records import NewRouting, Pod, PodUsage, QuotaClaim
from trio2o.tests.fixtures.database import on_every_server
from trio2o.tests.unit.db.base import NOON, DatabaseTest


@on_every_server
class TestPods(DatabaseTest):
    def test_pod_is_created_and_read(self):
        pod = pods.create(
            self.db,
            pod_name='Pod3',
            az_name='az1',
            pod_az_name='nova',
            dc_name='dc',
            resource_affinity_tag={'gpu': 'yes'},
            headroom={'vcpus': 0.1},
        )
        self.assertEqual(pod, pods.get(self.db, pod.pod_id))
        self.assertEqual(pod, pods.get_by_name(self.db, 'Pod3'))
        self.assertEqual({'gpu': 'yes'}, pod.resource_affinity_tag)
        self.assertEqual(('enabled', 3, False), (pod.state, pod.number, pod.is_top))
        self.assertIsNone(pods.get(self.db, 'nowhere'))
        self.assertIsNone(pods.get_by_name(self.db, 'pod3'))
        self.assertEqual(['Pod1', 'Pod2', 'Pod3'], [p.pod_name for p in pods.list_all(self.db)])

    def test_duplicate_name_is_refused(self):
        error = self.assertRaises(errors.Duplicate, pods.create, self.db, pod_name='Pod1')
        self.assertEqual('pod_name', error.field)
        error = self.assertRaises(errors.Duplicate, pods.update, self.db, self.pod2, pod_name='Pod1')
        self.assertEqual('pod_name', error.field)

    def test_no_number_is_left_and_create_is_refused(self):
        self.useFixture(fixtures.MonkeyPatch('trio2o.db.pods.MAX_NUMBER', 1200))
        with self.db.writer() as connection:
            statement = sqlalchemy.update(Pod.__table__).where(Pod.__table__.c.pod_id == self.pod2)
            connection.execute(statement.values(number=pods.MAX_NUMBER))
            like = dataclasses.asdict(pods.get(self.db, self.pod1))
            rows = [
                {**like, 'pod_id': f'id-{number}', 'pod_name': f'x{number}', 'number': number}
                for number in range(2, pods.MAX_NUMBER - 1)
            ]
            connection.execute(sqlalchemy.insert(Pod.__table__), rows)
        self.assertEqual(pods.MAX_NUMBER - 1, pods.create(self.db, pod_name='Pod3').number)
        self.assertRaises(errors.Full, pods.create, self.db, pod_name='Pod4')

    def test_racing_creates_get_different_numbers(self):
        with futures.ThreadPoolExecutor(4) as pool:
            made = list(pool.map(lambda i: pods.create(self.db, pod_name=f'R{i}'), range(8)))
        self.assertEqual(set(range(3, 11)), {pod.number for pod in made})

    def test_state_changes_are_recorded(self):
        pod = pods.update(self.db, self.pod1, state='maintenance', reason='disks', user_id='root')
        self.assertEqual(('maintenance', 'disks'), (pod.state, pod.state_reason))
        pod = pods.update(self.db, self.pod1, dc_name='other')
        self.assertEqual(('disks', 'other'), (pod.state_reason, pod.dc_name))
        pod = pods.update(self.db, self.pod1, state='enabled')
        self.assertEqual('', pod.state_reason)
        changes = pods.state_changes(self.db, self.pod1)
        self.assertEqual(
            [('maintenance', 'enabled', '', ''), ('enabled', 'maintenance', 'disks', 'root')],
            [(c.from_state, c.to_state, c.reason, c.user_id) for c in changes],
        )

    def test_update_of_unknown_pod_or_field_is_refused(self):
        self.assertIsNone(pods.update(self.db, 'nowhere', state='disabled'))
        self.assertRaises(ValueError, pods.update, self.db, self.pod1, colour='red')

    def test_endpoints_and_reconciliation_are_stored(self):
        endpoints = {'compute': {'url': 'http://pod/v2.1', 'min_version': '2.1'}}
        self.assertTrue(pods.set_endpoints(self.db, self.pod1, endpoints))
        self.assertTrue(pods.set_reconciled(self.db, self.pod1, NOON))
        self.assertTrue(pods.set_adopted(self.db, self.pod1, NOON))
        pod = pods.get(self.db, self.pod1)
        self.assertEqual((endpoints, True, NOON), (pod.endpoints, pod.is_reconciled, pod.reconciled_at))
        self.assertEqual(NOON, pod.adopted_at)
        pods.set_reconciled(self.db, self.pod1, None)
        self.assertFalse(pods.get(self.db, self.pod1).is_reconciled)
        self.assertFalse(pods.set_endpoints(self.db, 'nowhere', {}))

    def test_delete_removes_dependent_rows(self):
        bindings.bind(self.db, 'project', 'az1', '', self.pod1)
        routings.record(
            self.db, NewRouting(resource_type='server', top_id='a', pod_id=self.pod1, project_id='project')
        )
        flavor = replicas.upsert_object(self.db, 'flavor', '1', {})
        replicas.set_replica(self.db, flavor.id, self.pod1, generation=1, state='in_sync')
        pod_usages.set_(self.db, self.pod1, 'compute', {})
        self.assertTrue(pods.delete(self.db, self.pod1))
        self.assertFalse(pods.delete(self.db, self.pod1))
        self.assertEqual([], bindings.current(self.db, 'project'))
        self.assertIsNone(routings.get(self.db, 'server', 'a'))
        self.assertEqual([], replicas.list_replicas(self.db))
        self.assertEqual([], pod_usages.list_all(self.db))
        self.assertIsNotNone(pods.get(self.db, self.pod2))

    def test_many_routings_are_deleted_before_the_pod(self):
        """After a failure in between, the pod counts as not reconciled, so its resources are recorded again."""
        self.useFixture(fixtures.MockPatchObject(pods, 'ROUTINGS_A_TRANSACTION', 2))
        for top_id in 'abcde':
            routings.record(
                self.db, NewRouting(resource_type='server', top_id=top_id, pod_id=self.pod1, project_id='project')
            )
        pods.set_reconciled(self.db, self.pod1, NOON)
        self.assertRaises(KeyError, pods.delete, self.db, self.pod1, {})
        self.assertFalse(pods.get(self.db, self.pod1).is_reconciled)
        self.assertIsNone(routings.get(self.db, 'server', 'e'))
        self.assertTrue(pods.delete(self.db, self.pod1))

    def test_delete_ends_claims_on_the_pod(self):
        for number, (pod_id, state) in enumerate(
            ((self.pod1, 'open'), (self.pod1, 'unknown'), (self.pod1, 'watch'), (self.pod2, 'unknown'), (None, 'open'))
        ):
            row = QuotaClaim(
                id=f'claim-{number}',
                project_id=f'p{number % 2}',
                user_id='u',
                resources={'instances': 1, 'cores': 2},
                request_id='',
                pod_id=pod_id,
                resource_type='server',
                state=state,
                created_at=NOON,
                expires_at=NOON,
            )
            quotas.insert_claim(self.db, row, [])
        pods.delete(self.db, self.pod1)
        self.assertEqual(['claim-3', 'claim-4'], sorted(claim.id for claim in quotas.list_claims(self.db)))
        for project_id in ('p0', 'p1'):
            for user_id in ('', 'u'):
                rows = quotas.usage(self.db, project_id, user_id)
                self.assertEqual((1, 2), (rows['instances'].claimed, rows['cores'].claimed))

    def test_pod_and_its_job_are_recorded_together(self):
        row = jobs.new_row('sync_pod', 'id', {'pod_id': 'id'}, NOON, 3, None, NOON)
        pod = pods.create(self.db, pod_name='Pod3', pod_id='id', endpoints={'compute': {}}, job=row)
        self.assertEqual(('id', {'compute': {}}), (pod.pod_id, pod.endpoints))
        self.assertEqual(['id'], [job.pod_id for job in jobs.list_(self.db)])
        self.assertRaises(errors.Duplicate, pods.create, self.db, pod_name='Pod3', job={**row, 'active_key': 'x'})
        self.assertEqual(1, len(jobs.list_(self.db)))

    def test_bindings_and_job_change_with_the_pod(self):
        bindings.bind(self.db, 'project', 'az1', '', self.pod1)
        row = jobs.new_row('sync_pod', self.pod1, {'pod_id': self.pod1}, NOON, 3, None, NOON)
        self.assertRaises(
            ValueError, pods.update, self.db, self.pod1, unknown=1, bound_in=('az2', ''), job=row, az_name='az2'
        )
        self.assertEqual(1, len(bindings.current(self.db, 'project')))
        pods.update(self.db, self.pod1, az_name='az2', bound_in=('az2', ''), job=row)
        self.assertEqual([], bindings.current(self.db, 'project'))
        self.assertEqual([self.pod1], [job.pod_id for job in jobs.list_(self.db)])
        jobs.cancel(self.db, row['id'])
        again = jobs.new_row('recount_quota', 'all', None, NOON, 3, None, NOON)
        self.assertTrue(pods.delete(self.db, self.pod1, again))
        self.assertFalse(pods.delete(self.db, self.pod1, {**again, 'id': 'x', 'active_key': 'x'}))
        self.assertEqual(2, len(jobs.list_(self.db)))

    def test_number_of_deleted_pod_is_given_last(self):
        self.assertEqual([1, 2], sorted(pod.number for pod in pods.list_all(self.db)))
        pods.delete(self.db, self.pod1)
        third = pods.create(self.db, pod_name='Pod3')
        self.assertEqual(3, third.number)
        self.useFixture(fixtures.MonkeyPatch('trio2o.db.pods.MAX_NUMBER', 4))
        pods.delete(self.db, third.pod_id)
        numbers = [pods.create(self.db, pod_name=f'Pod{number}').number for number in (4, 5, 6)]
        self.assertEqual([4, 1, 3], numbers)
        self.assertRaises(errors.Full, pods.create, self.db, pod_name='Pod7')

    def test_usage_is_replaced_for_each_service(self):
        self.assertEqual([], pod_usages.list_all(self.db))
        pod_usages.set_(self.db, self.pod1, 'compute', {'vcpus': 1})
        usage = pod_usages.set_(self.db, self.pod1, 'compute', {'vcpus': 2}, NOON)
        self.assertEqual(({'vcpus': 2}, NOON), (usage.data, usage.collected_at))
        self.assertEqual([usage], pod_usages.list_all(self.db))
        self.assertRaises(errors.RecordNotFound, pod_usages.set_, self.db, 'nowhere', 'compute', {})

    def test_usages_of_several_pods_are_replaced_at_once(self):
        pod_usages.set_(self.db, self.pod1, 'compute', {'vcpus': 1})
        wanted = [
            PodUsage(self.pod1, 'compute', {'vcpus': 2}, NOON),
            PodUsage(self.pod1, 'volume', {}, NOON),
            PodUsage(self.pod2, 'compute', {'vcpus': 3}, NOON),
        ]
        pod_usages.set_many(self.db, wanted)
        by_key = {(usage.pod_id, usage.service): usage for usage in pod_usages.list_all(self.db)}
        self.assertEqual({(usage.pod_id, usage.service): usage for usage in wanted}, by_key)

    def test_one_pod_is_deleted_and_usages_of_others_are_replaced(self):
        gone = PodUsage('nowhere', 'compute', {}, NOON)
        kept = PodUsage(self.pod1, 'compute', {'vcpus': 2}, NOON)
        pod_usages.set_many(self.db, [gone, kept])
        self.assertEqual([kept], pod_usages.list_all(self.db))

    def test_time_until_which_changes_are_read_is_stored(self):
        later = NOON + datetime.timedelta(minutes=1)
        self.assertEqual({}, pods.changes_read(self.db, [self.pod1, self.pod2]))
        pods.set_reconciled(self.db, self.pod1, NOON)
        pods.set_reconciled(self.db, self.pod2, NOON)
        pods.set_changes_read(self.db, [self.pod2], later)
        self.assertEqual({self.pod1: NOON, self.pod2: later}, pods.changes_read(self.db, [self.pod1, self.pod2]))
