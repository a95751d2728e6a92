# SPDX-License-Identifier: Apache-2.0
"""``conn.trio2o`` of openstacksdk before the Admin API of an emulated cloud."""

import contextlib
import io

import openstack
import testtools
from openstack import exceptions

from trio2o.lab.emulated.topology import PASSWORD
from trio2o.sdk.service import Trio2oService
from trio2o.tests.fixtures.cloud import GatewayFixture
from trio2o.tests.fixtures.moves import insert_group
from trio2o.tests.fixtures.pages import DOCS, code


class ConnectionTestCase(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.cloud = self.useFixture(GatewayFixture(pods=2))
        self.cloud.api  # noqa: B018 (starts the service)
        self.connection = self.connect()
        self.trio2o = self.connection.trio2o

    def connect(self, **config):
        connection = self.plain_connection(**config)
        connection.add_service(Trio2oService('trio2o'))
        return connection

    def plain_connection(self, **config):
        """Connect without the service."""
        connection = openstack.connection.Connection(
            auth_type='password',
            auth={
                'auth_url': f'{self.cloud.lab.keystone.url}/v3',
                'username': 'admin',
                'password': PASSWORD,
                'project_name': 'admin',
                'user_domain_name': 'Default',
                'project_domain_name': 'Default',
            },
            region_name='RegionOne',
            **config,
        )
        for scheme in ('http://', 'https://'):
            connection.session.session.mount(scheme, self.cloud.lab.adapter())
        return connection


class TestMoves(ConnectionTestCase):
    def test_move_is_planned_begun_listed_and_steered(self):
        self.cloud.lab.keystone.users['trio2o'].roles['demo'] = ('admin',)
        made = self.cloud.cinder.post('/volumes', {'volume': {'size': 1, 'availability_zone': 'az1'}})
        given = {'volume_id': made['volume']['id'], 'target_pod': 'Pod2'}
        self.assertEqual('az2', self.trio2o.plan_move(**given)['zone'])
        move = self.trio2o.create_move(**given)
        self.assertEqual(('planned', 'Pod1', 'Pod2'), (move.status, move.source_pod, move.target_pod))
        self.assertEqual((False, False), (move.has_ended, move.waits_for_somebody))
        paused = self.trio2o.steer_move(move, 'pause')
        self.assertEqual(
            ('paused', ['resume', 'cancel', 'abandon'], True), (paused.status, paused.verbs, paused.waits_for_somebody)
        )
        for filters in ({'is_active': True}, {'status': 'paused'}, {'resource_id': given['volume_id']}, {}):
            self.assertEqual([move.id], [each.id for each in self.trio2o.moves(**filters)], filters)
        self.assertEqual([], list(self.trio2o.moves(status='stuck')))
        shown = self.trio2o.get_move(move.id)
        self.assertIn(f'source/volume/{given["volume_id"]}', [item['key'] for item in shown.ledger])
        self.assertRaises(exceptions.ConflictException, self.trio2o.steer_move, move.id, 'revert')
        self.assertRaises(exceptions.ConflictException, self.trio2o.create_move, **given)
        self.assertRaises(exceptions.NotFoundException, self.trio2o.get_move, 'nope')


class TestMoveGroups(ConnectionTestCase):
    def setUp(self):
        super().setUp()
        self.cloud.lab.keystone.users['trio2o'].roles['demo'] = ('admin',)
        volume = {'size': 1, 'availability_zone': 'az1'}
        self.volumes = [self.cloud.cinder.post('/volumes', {'volume': volume})['volume']['id'] for _ in range(2)]

    def test_group_is_planned_begun_listed_and_steered(self):
        members = [{'type': 'volume', 'id': volume} for volume in self.volumes]
        given = {'kind': 'application', 'members': members, 'target_pods': ['Pod2'], 'name': 'shop'}
        plan = self.trio2o.plan_move_group(**given)
        self.assertEqual(self.volumes, [each['resource_id'] for each in plan['members']])
        self.assertEqual([], list(self.trio2o.move_groups()))
        group = self.trio2o.create_move_group(**given, wave=1)
        self.assertEqual(
            ('application', 'shop', 'running', ['Pod2']), (group.kind, group.name, group.status, group.target_pods)
        )
        self.assertEqual((2, 1, 'stop'), (group.counts['waiting'], group.wave, group.on_failure))
        self.assertEqual((False, False), (group.has_ended, group.waits_for_somebody))
        found = list(self.trio2o.move_group_members(group))
        self.assertEqual(self.volumes, [each.resource_id for each in found])
        self.assertEqual([0, 1], [each.wave for each in found])
        self.assertEqual(1, len(list(self.trio2o.move_group_members(group.id, limit=1))))
        self.assertEqual([], list(self.trio2o.move_group_members(group, state='moved')))
        paused = self.trio2o.steer_move_group(group, 'pause')
        self.assertEqual(('paused', True), (paused.status, paused.waits_for_somebody))
        self.assertIn('resume', paused.verbs)
        for filters in ({'is_active': True}, {'status': 'paused'}, {'kind': 'application'}, {}):
            self.assertEqual([group.id], [each.id for each in self.trio2o.move_groups(**filters)], filters)
        self.assertEqual([], list(self.trio2o.move_groups(kind='drain')))
        self.assertEqual('An operator has paused it.', self.trio2o.get_move_group(group.id).reason)
        self.assertRaises(exceptions.ConflictException, self.trio2o.steer_move_group, group.id, 'pause')
        self.assertRaises(exceptions.NotFoundException, self.trio2o.get_move_group, 'nope')

    def test_members_are_listed_page_by_page(self):
        servers = [f'{number}' for number in range(1001)]
        group = insert_group(self.cloud.runtime.db, 'drain', servers)
        found = self.trio2o.move_group_members(group.id)
        self.assertEqual(servers, [member.resource_id for member in found])

    def test_group_waits_for_somebody_until_it_is_confirmed(self):
        group = insert_group(self.cloud.runtime.db, 'application', ['a'], ['switched'])
        self.assertTrue(self.trio2o.get_move_group(group.id).waits_for_somebody)
        self.assertFalse(self.trio2o.steer_move_group(group.id, 'confirm').waits_for_somebody)

    def test_drain_sets_pod_to_draining(self):
        group = self.trio2o.create_move_group(kind='drain', source_pod='Pod1', zone='az2')
        self.assertEqual(('drain', 'Pod1', 'az2'), (group.kind, group.source_pod, group.zone))
        self.assertEqual('draining', self.trio2o.find_pod('Pod1').state)
        drains = self.trio2o.move_groups(source_pod_id=group.source_pod_id)
        self.assertEqual([group.id], [each.id for each in drains])


class TestPods(ConnectionTestCase):
    def test_pods_are_listed_page_by_page_up_to_a_limit(self):
        self.assertEqual(['Pod1', 'Pod2'], [pod.name for pod in self.trio2o.pods()])
        self.assertEqual(['Pod1'], [pod.name for pod in self.trio2o.pods(limit=1)])
        self.assertEqual(['Pod2'], [pod.name for pod in self.trio2o.pods(az_name='az2')])
        self.assertEqual([], list(self.trio2o.pods(limit=0)))

    def test_pod_is_found_by_name_or_id(self):
        pod = self.trio2o.find_pod('Pod1')
        self.assertEqual(self.cloud.pod_ids['Pod1'], pod.id)
        self.assertEqual('Pod1', self.trio2o.find_pod(pod.id).name)
        self.assertIsNone(self.trio2o.find_pod('Pod9'))
        self.assertRaises(exceptions.NotFoundException, self.trio2o.find_pod, 'Pod9', ignore_missing=False)

    def test_pod_is_changed_and_deleted(self):
        pod = self.trio2o.update_pod(self.trio2o.find_pod('Pod2'), state='disabled', reason='new switches')
        self.assertEqual(('disabled', 'new switches'), (pod.state, pod.state_reason))
        self.assertEqual('disabled', self.trio2o.get_pod(pod).state_changes[-1]['to_state'])
        self.trio2o.delete_pod(pod, force=True)
        self.trio2o.delete_pod(pod)
        self.assertRaises(exceptions.NotFoundException, self.trio2o.delete_pod, pod, ignore_missing=False)
        created = self.trio2o.create_pod(name='Pod2', az_name='az2')
        self.assertEqual(('Pod2', 'enabled'), (created.name, created.state))

    def test_pod_is_reconciled(self):
        job = self.trio2o.reconcile_pod(self.trio2o.find_pod('Pod1'), end_missing=True)
        self.assertEqual(('reconcile_routings', 'new'), (job.type, job.state))

    def test_pod_is_adopted_and_drained(self):
        pod = self.trio2o.find_pod('Pod1')
        job = self.trio2o.adopt_pod(pod, dry_run=True)
        self.assertEqual(('adopt_pod', 'new', f'{pod.id}:dry-run'), (job.type, job.state, job.resource))
        self.assertEqual((job.id, 'cancelled'), (self.trio2o.cancel_job(job).id, self.trio2o.get_job(job).state))
        self.assertEqual('draining', self.trio2o.drain_pod(pod).state)
        self.assertEqual([], list(self.trio2o.remaining_resources(pod)))
        self.assertEqual(0, self.trio2o.get_remaining_summary(pod).total)

    def test_pod_is_selected(self):
        selection = self.trio2o.select_pods(project_id=self.cloud.project_id(), az_name='az1')
        self.assertEqual(['Pod1'], [pod['pod_name'] for pod in selection.pods])


class TestOtherResources(ConnectionTestCase):
    def test_binding_is_created_changed_and_ended(self):
        pod1 = self.cloud.pod_ids['Pod1']
        binding = self.trio2o.create_binding(tenant_id='p', pod_id=pod1)
        self.assertEqual([binding.id], [found.id for found in self.trio2o.bindings(pod_id=pod1)])
        self.assertTrue(self.trio2o.update_binding(binding, is_exclusive=True).is_exclusive)
        self.trio2o.delete_binding(binding)
        self.assertIsNotNone(self.trio2o.get_binding(binding).ended_at)

    def test_routing_is_found_by_number_and_by_resource(self):
        routing = self.trio2o.create_routing(
            top_id='s1', resource_type='server', pod_id=self.cloud.pod_ids['Pod1'], project_id='p'
        )
        for key in (routing, routing.id, 's1'):
            self.assertEqual('s1', self.trio2o.get_routing(key, resource_type='server').top_id)
        self.assertEqual('b1', self.trio2o.update_routing('s1', bottom_id='b1').bottom_id)
        self.assertEqual([routing.id], [found.id for found in self.trio2o.routings(resource_type='server')])
        self.trio2o.delete_routing(routing)
        self.assertRaises(exceptions.NotFoundException, self.trio2o.delete_routing, 's1', ignore_missing=False)

    def test_jobs_of_project_are_requested_and_redone(self):
        for job in (self.trio2o.empty_project('gone', dry_run=True), self.trio2o.recount_project('p')):
            self.assertEqual(job.id, self.trio2o.get_job(job).id)
            self.assertFalse(job.has_ended)
            self.assertEqual('new', self.trio2o.redo_job(job).state)

    def test_empty_lists_and_summaries_are_read(self):
        self.assertEqual([], list(self.trio2o.replicas()))
        self.assertEqual(
            [('Pod1', 0), ('Pod2', 0)], [(row.pod_name, row.out_of_sync) for row in self.trio2o.replica_summary()]
        )
        self.assertEqual([], list(self.trio2o.usages()))
        self.assertEqual([], list(self.trio2o.usage_sums()))


class TestEndpoint(ConnectionTestCase):
    def test_endpoint_override_with_and_without_version(self):
        url = self.trio2o.admin_api.removesuffix('/v1.0')
        for endpoint in (url, f'{url}/', f'{url}/v1.0'):
            trio2o = self.connect(trio2o_endpoint_override=endpoint).trio2o
            self.assertEqual(2, len(list(trio2o.pods())))

    def test_endpoint_named_cascading_is_found(self):
        keystone = self.cloud.lab.keystone
        url = self.trio2o.admin_api
        keystone.endpoints = [row for row in keystone.endpoints if row.service_type != 'trio2o']
        keystone.add_endpoint('RegionOne', 'Cascading', url)
        self.assertEqual(2, len(list(self.connect().trio2o.pods())))


class TestPage(ConnectionTestCase):
    def test_code_of_the_page_runs(self):
        clouds = []

        def connect(cloud):
            clouds.append(cloud)
            return self.plain_connection()

        self.patch(openstack, 'connect', connect)
        with contextlib.redirect_stdout(io.StringIO()) as output:
            exec(code((DOCS / 'cli' / 'index.rst').read_text(), 'python'), {})
        self.assertEqual((['operator'], 'Pod1 enabled\n'), (clouds, output.getvalue()))
        pod = self.trio2o.find_pod('Pod2')
        self.assertEqual(('maintenance', 'new switches'), (pod.state, pod.state_reason))
