# SPDX-License-Identifier: Apache-2.0
"""/v1.0/routings."""

from trio2o.db import routings
from trio2o.db.records import NewRouting
from trio2o.tests.functional.admin_api.base import AdminApiTestCase


class TestRoutings(AdminApiTestCase):
    def record(self, top_id, pod='Pod1', resource_type='server', project_id='p1', **more):
        return routings.record(
            self.db,
            NewRouting(
                resource_type=resource_type,
                top_id=top_id,
                pod_id=self.cloud.pod_ids[pod],
                project_id=project_id,
                **more,
            ),
        )

    def create(self, **changes):
        routing = {
            'top_id': 's1',
            'pod_id': self.cloud.pod_ids['Pod1'],
            'project_id': 'p1',
            'resource_type': 'server',
            **changes,
        }
        return self.api.post('/routings', {'routing': {k: v for k, v in routing.items() if v is not None}})

    def top_ids(self, **query):
        answer = self.assertAnswer(200, self.api.get('/routings', query=query))
        return [routing['top_id'] for routing in answer['routings']]

    def test_list_is_filtered(self):
        self.record('s1')
        self.record('s2', pod='Pod2', bottom_id='b2')
        self.record('v1', resource_type='volume', project_id='p2')
        routings.mark_deleted(self.db, 'server', 's1')
        self.assertEqual(['s1', 's2', 'v1'], self.top_ids())
        self.assertEqual(['s2'], self.top_ids(pod_id=self.cloud.pod_ids['Pod2']))
        self.assertEqual(['v1'], self.top_ids(project_id='p2'))
        self.assertEqual(['s1', 's2'], self.top_ids(resource_type='server'))
        self.assertEqual(['s1'], self.top_ids(state='deleted'))
        self.assertEqual(['s2'], self.top_ids(bottom_id='b2'))
        self.assertEqual(['s2'], self.top_ids(top_id='s2'))
        self.assertRefused(400, 'state', self.api.get('/routings?state=asleep'))
        self.assertRefused(400, 'project', self.api.get('/routings?project=p1'))

    def test_pages_contain_each_routing_once(self):
        for number in range(5):
            self.record(f's{number}')
        seen, url = [], '/routings?limit=2&resource_type=server'
        while url:
            answer = self.assertAnswer(200, self.api.get(url))
            seen += [routing['top_id'] for routing in answer['routings']]
            url = answer.json.get('routings_links', [{}])[0].get('href')
        self.assertEqual([f's{number}' for number in range(5)], seen)
        self.assertRefused(400, 'marker', self.api.get('/routings?marker=99999'))
        self.assertRefused(400, 'marker', self.api.get('/routings?marker=x'))

    def test_routing_is_shown_by_number_or_top_id(self):
        record = self.record('s1')
        for key in (record.id, 's1'):
            answer = self.assertAnswer(200, self.api.get(f'/routings/{key}'))
            self.assertEqual(record.id, answer['routing']['id'])
        self.assertAnswer(404, self.api.get('/routings/nope'))
        self.assertAnswer(404, self.api.get('/routings/9999999999999999999999'))

    def test_routing_is_shown_by_resource_type(self):
        self.record('same', resource_type='server')
        volume = self.record('same', resource_type='volume')
        answer = self.api.get('/routings/same?resource_type=volume')
        self.assertEqual(volume.id, answer['routing']['id'])
        self.assertAnswer(404, self.api.get('/routings/same?resource_type=snapshot'))

    def test_routing_is_created_once_for_each_type(self):
        routing = self.assertAnswer(200, self.create())['routing']
        self.assertEqual(('s1', 's1', 'active'), (routing['top_id'], routing['bottom_id'], routing['state']))
        self.assertRefused(409, 's1', self.create())
        self.assertAnswer(200, self.create(resource_type='volume', bottom_id='b1'))

    def test_ended_routing_is_replaced_by_create(self):
        self.create()
        routings.mark_deleted(self.db, 'server', 's1')
        routing = self.assertAnswer(200, self.create(pod_id=self.cloud.pod_ids['Pod2']))['routing']
        self.assertEqual(('active', self.cloud.pod_ids['Pod2']), (routing['state'], routing['pod_id']))

    def test_invalid_routing_is_refused_and_error_names_field(self):
        for field, value in (
            ('top_id', ''),
            ('top_id', 'x' * 65),
            ('top_id', None),
            ('pod_id', 'nope'),
            ('project_id', None),
            ('resource_type', 7),
            ('state', 'active'),
        ):
            self.assertRefused(422, field, self.create(**{field: value}))

    def test_routing_is_updated_and_invalid_change_refused(self):
        record = self.record('s1')
        other = self.cloud.pod_ids['Pod2']
        answer = self.api.put(f'/routings/{record.id}', {'routing': {'pod_id': other, 'bottom_id': 'b9'}})
        self.assertAnswer(200, answer)
        self.assertEqual((other, 'b9'), (answer['routing']['pod_id'], answer['routing']['bottom_id']))
        answer = self.api.patch('/routings/s1', {'routing': {'state': 'deleted'}})
        self.assertIsNotNone(self.assertAnswer(200, answer)['routing']['deleted_at'])
        self.assertRefused(422, 'pod_id', self.api.put('/routings/s1', {'routing': {'pod_id': 'nope'}}))
        self.assertRefused(422, 'top_id', self.api.put('/routings/s1', {'routing': {'top_id': 's2'}}))
        self.assertAnswer(422, self.api.put('/routings/s1', {'routing': {}}))
        self.assertAnswer(404, self.api.put('/routings/nope', {'routing': {'state': 'active'}}))

    def test_updated_routing_is_used_by_next_request(self):
        server = self.cloud.lab.add_servers('Pod2', 'demo')[0]
        wrong = self.record(server['id'], pod='Pod1', project_id=self.cloud.project_id('demo'))
        self.assertEqual(404, self.cloud.nova.get(f'/servers/{server["id"]}').status)
        body = {'routing': {'pod_id': self.cloud.pod_ids['Pod2'], 'state': 'active'}}
        self.assertAnswer(200, self.api.put(f'/routings/{wrong.id}', body))
        self.assertEqual(200, self.cloud.nova.get(f'/servers/{server["id"]}').status)

    def test_deleted_routing_is_404(self):
        self.record('s1')
        self.assertAnswer(200, self.api.delete('/routings/s1'))
        self.assertAnswer(404, self.api.delete('/routings/s1'))
        self.assertEqual([], self.top_ids())
