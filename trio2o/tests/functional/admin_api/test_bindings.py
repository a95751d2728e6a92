# SPDX-License-Identifier: Apache-2.0
"""/v1.0/bindings."""

from trio2o.db import bindings
from trio2o.tests.functional.admin_api.base import AdminApiTestCase


class TestBindings(AdminApiTestCase):
    def create(self, **binding):
        return self.api.post('/bindings', {'pod_binding': binding})

    def bind(self, tenant_id='t1', pod='Pod1', **more):
        answer = self.create(tenant_id=tenant_id, pod_id=self.cloud.pod_ids[pod], **more)
        return self.assertAnswer(200, answer)['pod_binding']

    def ids(self, **query):
        answer = self.assertAnswer(200, self.api.get('/bindings', query=query))
        return [binding['id'] for binding in answer['pod_bindings']]

    def test_binding_is_created_shown_and_listed(self):
        self.cloud.set_pod('Pod1', resource_affinity_tag={'gpu': 'yes', 'disk': 'ssd'})
        binding = self.bind(affinity_group='disk=ssd,gpu=yes')
        self.assertEqual(
            ('t1', self.cloud.pod_ids['Pod1'], 'az1', 'disk=ssd,gpu=yes', True),
            tuple(binding[name] for name in ('tenant_id', 'pod_id', 'az_name', 'affinity_group', 'is_pinned')),
        )
        self.assertIn('created_at', binding)
        self.assertIn('updated_at', binding)
        self.assertEqual(binding, self.api.get(f'/bindings/{binding["id"]}')['pod_binding'])
        self.assertEqual([binding['id']], self.ids())

    def test_invalid_binding_is_refused_and_error_names_field(self):
        pod_id = self.cloud.pod_ids['Pod1']
        top = self.api.post('/pods', {'pod': {'pod_name': 'RegionOne', 'az_name': ''}})['pod']['pod_id']
        for binding, field in (
            ({'tenant_id': '', 'pod_id': pod_id}, 'tenant_id'),
            ({'tenant_id': 't1', 'pod_id': ''}, 'pod_id'),
            ({'tenant_id': 't1'}, 'pod_id'),
            ({'pod_id': pod_id}, 'tenant_id'),
            ({'tenant_id': 't1', 'pod_id': 'nope'}, 'pod_id'),
            ({'tenant_id': 't1', 'pod_id': top}, 'pod_id'),
            ({'tenant_id': 't1', 'pod_id': pod_id, 'az_name': 'az2'}, 'az_name'),
            ({'tenant_id': 't1', 'pod_id': pod_id, 'affinity_group': 'gpu=yes'}, 'affinity_group'),
            ({'tenant_id': 't1', 'pod_id': pod_id, 'is_pinned': True}, 'is_pinned'),
            ({'tenant_id': 't1', 'pod_id': pod_id, 'is_exclusive': 'yes'}, 'is_exclusive'),
        ):
            self.assertRefused(422, field, self.create(**binding))
        self.assertAnswer(400, self.api.post('/bindings', {'binding': {}}))
        self.assertEqual([], self.ids())

    def test_existing_binding_is_refused_with_409(self):
        self.bind()
        answer = self.create(tenant_id='t1', pod_id=self.cloud.pod_ids['Pod1'])
        self.assertRefused(409, 't1', answer)
        self.bind(pod='Pod2')

    def test_deleted_binding_is_kept_in_history(self):
        binding = self.bind()
        path = f'/bindings/{binding["id"]}'
        self.assertAnswer(200, self.api.delete(path))
        self.assertAnswer(404, self.api.get(path))
        self.assertAnswer(404, self.api.delete(path))
        self.assertEqual([], self.ids())
        self.assertEqual([binding['id']], self.ids(history='true'))
        self.assertIsNotNone(self.api.get(path + '?history=true')['pod_binding']['ended_at'])
        self.assertNotEqual(binding['id'], self.bind()['id'])

    def test_list_is_filtered_and_paged(self):
        one, two = self.bind('t1'), self.bind('t2', 'Pod2')
        automatic = bindings.bind(self.db, 't1', 'az1', '', self.cloud.pod_ids['Pod1'])
        self.assertEqual([one['id'], two['id'], automatic.id], self.ids())
        self.assertEqual([one['id'], automatic.id], self.ids(tenant_id='t1'))
        self.assertEqual([two['id']], self.ids(pod_id=self.cloud.pod_ids['Pod2']))
        self.assertEqual([two['id']], self.ids(az_name='az2'))
        page = self.api.get('/bindings?limit=2&tenant_id=t1')
        self.assertEqual([one['id'], automatic.id], [item['id'] for item in page['pod_bindings']])
        rest = self.api.get(page['pod_bindings_links'][0]['href'])
        self.assertEqual({'pod_bindings': []}, rest.json)
        self.assertRefused(400, 'marker', self.api.get('/bindings?marker=nope'))

    def test_unknown_binding_is_404(self):
        self.assertAnswer(404, self.api.get('/bindings/nope'))
        self.assertAnswer(404, self.api.delete('/bindings/nope'))

    def change(self, binding, **fields):
        return self.api.patch(f'/bindings/{binding["id"]}', {'pod_binding': fields})

    def test_automatic_binding_is_pinned_and_released(self):
        automatic = bindings.bind(self.db, 't1', 'az1', '', self.cloud.pod_ids['Pod1'])
        path = f'/bindings/{automatic.id}'
        answer = self.api.patch(path, {'pod_binding': {'is_pinned': True}})
        self.assertEqual((True, False), tuple(answer['pod_binding'][name] for name in ('is_pinned', 'is_exclusive')))
        self.assertTrue(self.api.patch(path, {'pod_binding': {'is_exclusive': True}})['pod_binding']['is_exclusive'])
        given_back = self.assertAnswer(200, self.api.patch(path, {'pod_binding': {'is_pinned': False}}))
        self.assertEqual(
            (False, False), tuple(given_back['pod_binding'][name] for name in ('is_pinned', 'is_exclusive'))
        )
        self.assertEqual([automatic.id], self.ids())

    def test_exclusive_binding_becomes_pinned(self):
        automatic = bindings.bind(self.db, 't1', 'az1', '', self.cloud.pod_ids['Pod1'])
        answer = self.change({'id': automatic.id}, is_exclusive=True)
        self.assertTrue(self.assertAnswer(200, answer)['pod_binding']['is_pinned'])

    def test_moved_binding_is_pinned_and_old_one_kept_in_history(self):
        self.cloud.set_pod('Pod2', az_name='az1')
        binding = self.bind()
        moved = self.assertAnswer(200, self.change(binding, pod_id=self.cloud.pod_ids['Pod2']))['pod_binding']
        self.assertEqual((self.cloud.pod_ids['Pod2'], True), (moved['pod_id'], moved['is_pinned']))
        self.assertEqual([binding['id'], moved['id']], self.ids(history='true'))

    def test_invalid_change_is_refused_and_error_names_field(self):
        binding = self.bind()
        for fields, field in (
            ({}, 'pod_binding'),
            ({'az_name': 'az2'}, 'az_name'),
            ({'is_pinned': False, 'is_exclusive': True}, 'is_exclusive'),
            ({'pod_id': 'nope'}, 'pod_id'),
            ({'pod_id': self.cloud.pod_ids['Pod2']}, 'another zone'),
        ):
            self.assertRefused(422, field, self.change(binding, **fields))
        automatic = bindings.bind(self.db, 't1', 'az1', '', self.cloud.pod_ids['Pod1'])
        self.assertRefused(409, 't1', self.change({'id': automatic.id}, is_pinned=True))
        self.assertAnswer(404, self.change({'id': 'nope'}, is_pinned=True))
        self.api.delete(f'/bindings/{binding["id"]}')
        self.assertAnswer(404, self.change(binding, is_pinned=True))
