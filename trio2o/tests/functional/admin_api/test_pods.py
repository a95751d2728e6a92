# SPDX-License-Identifier: Apache-2.0
"""/v1.0/pods: the API of the first Trio2o, and later additions."""

import sqlalchemy

from trio2o.db import routings
from trio2o.db.records import NewRouting
from trio2o.lab.emulated import faults
from trio2o.tests.functional.admin_api.base import AdminApiTestCase


class TestCreate(AdminApiTestCase):
    registers = False

    def create(self, **pod):
        return self.api.post('/pods', {'pod': pod})

    def test_pod_is_created_shown_and_listed(self):
        answer = self.assertAnswer(
            200, self.create(pod_name=' Pod1 ', az_name='az1', pod_az_name='nova', dc_name='dc1')
        )
        pod = answer['pod']
        self.assertEqual(
            ('Pod1', 'az1', 'nova', 'dc1', 'enabled'),
            tuple(pod[name] for name in ('pod_name', 'az_name', 'pod_az_name', 'dc_name', 'state')),
        )
        shown = self.api.get(f'/pods/{pod["pod_id"]}')['pod']
        self.assertEqual([], shown.pop('state_changes'))
        self.assertEqual(pod, shown)
        self.assertEqual(['Pod1'], [pod['pod_name'] for pod in self.api.get('/pods')['pods']])

    def test_zone_of_volumes_is_null_unless_it_is_given(self):
        pod = self.create(pod_name='Pod1', az_name='az1', pod_az_name='zone-1')['pod']
        self.assertIsNone(pod['pod_volume_az_name'])
        for name in ('nova', '', None):
            changed = self.api.put(f'/pods/{pod["pod_id"]}', {'pod': {'pod_volume_az_name': name}})['pod']
            self.assertEqual(('zone-1', name), (changed['pod_az_name'], changed['pod_volume_az_name']))

    def test_endpoints_and_versions_are_discovered(self):
        pod = self.create(pod_name='Pod1', az_name='az1')['pod']
        self.assertEqual('http://pod1.nova.test:8774/v2.1', pod['endpoints']['compute']['url'])
        self.assertEqual('2.1', pod['endpoints']['compute']['min_version'])
        self.assertTrue(pod['endpoints']['volume']['max_version'].startswith('3.'))

    def test_redirect_of_version_document_is_not_followed(self):
        elsewhere = self.cloud.pod('Pod2').nova
        location = (('Location', 'http://pod2.nova.test:8774/v2.1/'),)
        for service in self.cloud.pod('Pod1').each():
            service.faults.add(faults.Status(302, b'', location))
        self.create(pod_name='Pod1', az_name='az1')
        self.assertEqual([], list(elsewhere.requests))

    def test_unreachable_pod_is_registered_without_versions(self):
        self.cloud.pod('Pod1').nova.faults.add(faults.Refuse())
        pod = self.assertAnswer(200, self.create(pod_name='Pod1', az_name='az1'))['pod']
        self.assertEqual('', pod['endpoints']['compute']['max_version'])

    def test_job_synchronizes_new_pod(self):
        pod = self.create(pod_name='Pod1', az_name='az1')['pod']
        (job,) = self.api.get('/jobs', query={'type': 'sync_pod'})['jobs']
        self.assertEqual({'pod_id': pod['pod_id']}, job['payload'])

    def test_invalid_name_is_refused_with_422(self):
        for pod in ({}, {'pod_name': ''}, {'pod_name': '  ', 'az_name': 'az1'}, {'pod_name': None}, {'pod_name': 3}):
            self.assertRefused(422, 'pod_name', self.create(**pod))

    def test_invalid_value_is_refused_and_error_names_field(self):
        for field, value in (
            ('az_name', 5),
            ('az_name', 'a' * 256),
            ('pod_az_name', ['x']),
            ('pod_volume_az_name', 5),
            ('state', 'asleep'),
            ('resource_affinity_tag', {'a': 1}),
            ('headroom', {'vcpu': 'lots'}),
            ('colour', 'red'),
        ):
            answer = self.create(**{'pod_name': 'Pod1', 'az_name': 'az1', field: value})
            self.assertRefused(422, field, answer)
        self.assertEqual([], self.api.get('/pods')['pods'])

    def test_malformed_body_is_refused_with_400(self):
        for body in (b'', b'{', b'[]', b'"pod"', b'{}', b'{"pods": {}}', b'{"pod": {}, "more": 1}'):
            self.assertAnswer(400, self.api.post('/pods', body=body))
        self.assertAnswer(422, self.api.post('/pods', body=b'{"pod": []}'))

    def test_existing_name_is_refused_with_409(self):
        self.assertAnswer(200, self.create(pod_name='Pod1', az_name='az1'))
        self.assertRefused(409, 'Pod1', self.create(pod_name='Pod1', az_name='az2'))

    def test_top_region_is_created_once_and_has_no_zone(self):
        top = self.assertAnswer(200, self.create(pod_name='RegionOne', az_name=''))['pod']
        self.assertEqual('', top['az_name'])
        self.assertRefused(409, 'RegionOne', self.create(pod_name='RegionOne', az_name=''))
        self.assertRefused(409, 'az_name', self.create(pod_name='Pod1', az_name=''))
        self.assertRefused(409, 'RegionOne', self.create(pod_name='RegionOne', az_name='az1'))
        self.assertEqual(0, len(self.cloud.runtime.registry.refresh().pods))

    def test_pod_without_zone_is_refused_with_422(self):
        self.assertRefused(422, 'az_name', self.create(pod_name='Pod1'))

    def test_region_without_endpoints_is_refused_with_422(self):
        self.assertRefused(422, 'Nowhere', self.create(pod_name='Nowhere', az_name='az1'))
        self.assertEqual([], self.api.get('/pods')['pods'])

    def test_keystone_is_unreachable_and_create_is_503(self):
        # The token of the admin is in the cache; the gateway cannot get a token of its own.
        self.api.get('/pods')
        self.cloud.lab.keystone.faults.add(faults.Refuse())
        self.assertAnswer(503, self.create(pod_name='Pod1', az_name='az1'))


class TestRedirectingPod(AdminApiTestCase):
    registers = False

    def test_pod_whose_endpoint_redirects_is_refused(self):
        for service in ('nova', 'cinder'):
            for status in (301, 302, 308):
                of_service = getattr(self.cloud.lab.pods['Pod1'], service).faults
                of_service.add(faults.Redirect(status=status))
                answer = self.api.post('/pods', {'pod': {'pod_name': 'Pod1', 'az_name': 'az1'}})
                self.assertRefused(422, 'redirects to https://elsewhere.test', answer)
                of_service.clear()
        self.assertAnswer(200, self.api.post('/pods', {'pod': {'pod_name': 'Pod1', 'az_name': 'az1'}}))


class TestExistingPods(AdminApiTestCase):
    def path(self, name='Pod1'):
        return f'/pods/{self.cloud.pod_ids[name]}'

    def names(self, **query):
        answer = self.assertAnswer(200, self.api.get('/pods', query=query))
        return [pod['pod_name'] for pod in answer['pods']]

    def test_unknown_pod_is_404(self):
        for method in ('GET', 'PUT', 'PATCH', 'DELETE'):
            json = {'pod': {'dc_name': 'x'}} if method[0] == 'P' else None
            self.assertRefused(404, 'nope', self.api.request(method, '/pods/nope', json))

    def test_list_is_filtered(self):
        self.cloud.set_pod('Pod2', state='disabled', dc_name='dc2')
        self.assertEqual(['Pod1', 'Pod2'], self.names())
        self.assertEqual(['Pod2'], self.names(state='disabled'))
        self.assertEqual(['Pod1'], self.names(az_name='az1'))
        self.assertEqual(['Pod2'], self.names(pod_name='Pod2', dc_name='dc2'))
        self.assertEqual([], self.names(pod_name='Pod9'))

    def test_invalid_query_is_refused_and_error_names_parameter(self):
        for query, words in (
            ('colour=red', 'colour'),
            ('state=asleep', 'state'),
            ('limit=-1', 'limit'),
            ('limit=x', 'limit'),
            ('marker=nope', 'marker'),
            ('state=enabled&state=disabled', 'state'),
        ):
            self.assertRefused(400, words, self.api.get(f'/pods?{query}'))

    def test_pages_have_next_links(self):
        first = self.api.get('/pods', query={'limit': 1})
        self.assertEqual('Pod1', first['pods'][0]['pod_name'])
        (link,) = first['pods_links']
        self.assertEqual('next', link['rel'])
        second = self.api.get(link['href'])
        self.assertEqual('Pod2', second['pods'][0]['pod_name'])
        third = self.api.get(second['pods_links'][0]['href'])
        self.assertEqual({'pods': []}, third.json)

    def test_state_change_is_recorded_with_reason_and_user(self):
        answer = self.api.put(self.path(), {'pod': {'state': 'maintenance', 'reason': 'new switches'}})
        self.assertAnswer(200, answer)
        self.assertEqual(('maintenance', 'new switches'), (answer['pod']['state'], answer['pod']['state_reason']))
        self.assertTrue(self.cloud.runtime.registry.snapshot().by_id[self.cloud.pod_ids['Pod1']].in_maintenance)
        self.cloud.set_pod('Pod1', state='enabled')
        changes = self.api.get(self.path())['pod']['state_changes']
        self.assertEqual(
            [('enabled', ''), ('maintenance', 'new switches')],
            [(change['to_state'], change['reason']) for change in changes],
        )
        self.assertEqual({self.cloud.lab.user_id('admin')}, {change['user_id'] for change in changes})

    def test_pod_enabled_after_maintenance_is_synchronized(self):
        self.cloud.set_pod('Pod1', state='maintenance')
        for job in self.api.get('/jobs')['jobs']:
            self.api.post(f'/jobs/{job["id"]}/cancel')
        self.cloud.set_pod('Pod1', state='enabled')
        (job,) = self.api.get('/jobs', query={'state': 'new'})['jobs']
        self.assertEqual(('sync_pod', self.cloud.pod_ids['Pod1']), (job['type'], job['resource_key']))

    def test_patch_keeps_other_fields(self):
        answer = self.api.patch(
            self.path(),
            {'pod': {'resource_affinity_tag': {'gpu': 'yes'}, 'headroom': {'vcpu': '10%', 'disk_gb': 100}}},
        )
        self.assertAnswer(200, answer)
        self.assertEqual({'gpu': 'yes'}, answer['pod']['resource_affinity_tag'])
        self.assertEqual(('Pod1', 'az1'), (answer['pod']['pod_name'], answer['pod']['az_name']))

    def test_invalid_update_is_refused_and_error_names_field(self):
        self.assertRefused(422, 'pod_name', self.api.put(self.path(), {'pod': {'pod_name': 'Pod9'}}))
        self.assertRefused(422, 'az_name', self.api.put(self.path(), {'pod': {'az_name': ''}}))
        self.assertAnswer(400, self.api.put(self.path(), {'state': 'enabled'}))

    def test_zone_of_pod_with_resources_cannot_be_changed(self):
        self.assertAnswer(200, self.api.put(self.path(), {'pod': {'az_name': 'az7'}}))
        self.record('Pod1')
        self.assertRefused(409, 'az_name', self.api.put(self.path(), {'pod': {'az_name': 'az1'}}))

    def test_enabled_pod_is_deleted_only_with_force(self):
        """Processes that do not know of the deletion would still send creates to the pod."""
        self.assertRefused(409, 'draining', self.api.delete(self.path()))
        self.assertAnswer(200, self.api.delete(self.path() + '?force=true'))
        self.assertEqual(['Pod2'], self.names())

    def test_pod_is_deleted_when_every_process_knows_that_it_gets_nothing_new(self):
        self.cloud.conf.set_override('refresh_seconds', 60.0, 'pods')
        for state in ('draining', 'maintenance', 'disabled'):
            self.cloud.set_pod('Pod1', state=state)
            self.assertRefused(409, 'Repeat the request in', self.api.delete(self.path()))
        self.cloud.conf.set_override('refresh_seconds', 0.0, 'pods')
        self.assertAnswer(200, self.api.delete(self.path()))

    def test_number_of_deleted_pod_is_not_given_to_the_next(self):
        numbers = {pod['pod_name']: pod['number'] for pod in self.api.get('/pods')['pods']}
        self.api.delete(self.path() + '?force=true')
        created = self.assertAnswer(200, self.api.post('/pods', {'pod': {'pod_name': 'Pod1', 'az_name': 'az1'}}))
        self.assertNotIn(created['pod']['number'], numbers.values())

    def test_failed_registration_leaves_neither_pod_nor_job(self):
        jobs = len(self.api.get('/jobs')['jobs'])
        self.api.delete(self.path() + '?force=true')

        def fail(_connection, _cursor, statement, _parameters, _context, _many):
            if statement.startswith('INSERT INTO jobs'):
                raise OSError('the process is killed')

        engine = self.db.engine
        sqlalchemy.event.listen(engine, 'before_cursor_execute', fail)
        answer = self.api.post('/pods', {'pod': {'pod_name': 'Pod1', 'az_name': 'az1'}})
        sqlalchemy.event.remove(engine, 'before_cursor_execute', fail)
        self.assertEqual(500, answer.status, answer.text)
        self.assertEqual(['Pod2'], self.names())
        self.assertEqual(jobs, len(self.api.get('/jobs')['jobs']))

    def test_deleted_pod_is_404(self):
        self.assertAnswer(200, self.api.delete(self.path() + '?force=true'))
        self.assertAnswer(404, self.api.get(self.path()))
        self.assertEqual(['Pod2'], self.names())
        self.assertEqual(1, len(self.cloud.runtime.registry.snapshot().pods))

    def test_pod_with_resources_is_deleted_only_with_force(self):
        self.record('Pod1')
        self.cloud.conf.set_override('refresh_seconds', 0.0, 'pods')
        self.cloud.set_pod('Pod1', state='draining')
        self.assertRefused(409, 'holds 1 resources', self.api.delete(self.path()))
        self.assertRefused(400, 'force', self.api.delete(self.path() + '?force=perhaps'))
        self.assertAnswer(200, self.api.delete(self.path() + '?force=true'))
        self.assertEqual([], self.api.get('/routings')['routings'])

    def record(self, pod):
        routings.record(
            self.db, NewRouting(resource_type='server', top_id='s1', pod_id=self.cloud.pod_ids[pod], project_id='p')
        )
