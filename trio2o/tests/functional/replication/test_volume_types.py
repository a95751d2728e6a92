# SPDX-License-Identifier: Apache-2.0
"""Volume types are replicated to all pods, where they have different ids."""

from trio2o.lab.emulated.faults import Refuse
from trio2o.tests.functional.jobs.base import JobsCase


class TestVolumeTypes(JobsCase):
    def as_admin(self, method, path, body=None, status=200, **kwargs):
        answer = self.cloud.cinder.request(method, path, body, as_='admin', **kwargs)
        self.assertEqual(status, answer.status, answer.text)
        return answer

    def test_create_is_replicated_under_another_id(self):
        made = self.make_type(extra_specs={'a': 'b'}, description='d')
        first, second = self.types('gold')
        self.assertEqual(made['id'], first['id'])
        self.assertNotEqual(first['id'], second['id'])
        self.assertEqual(({'a': 'b'}, 'd'), (second['extra_specs'], second['description']))

    def test_tenants_see_one_id_whichever_pod_answers(self):
        """Reads and writes give the same id, whichever pod answers."""
        made = self.make_type()
        self.cinder('Pod1').faults.add(Refuse())
        shown = self.cloud.cinder.get(f'/types/{made["id"]}')
        self.assertEqual((200, made['id']), (shown.status, shown['volume_type']['id']))
        listed = self.cloud.cinder.get('/types')
        self.assertIn(made['id'], [each['id'] for each in listed['volume_types']])
        answer = self.as_admin('PUT', f'/types/{made["id"]}', {'volume_type': {'description': 'new'}})
        self.assertEqual(made['id'], answer['volume_type']['id'])
        self.cinder('Pod1').faults.clear()
        self.cloud.run_jobs()
        self.assertEqual(['new', 'new'], [each['description'] for each in self.types('gold')])

    def test_default_type_of_two_pods_is_listed_once(self):
        listed = self.cloud.cinder.get('/types')
        self.assertEqual(['__DEFAULT__'], [each['name'] for each in listed['volume_types']])
        self.assertEqual([], self.out_of_sync('Pod1') + self.out_of_sync('Pod2'))

    def test_changes_of_specs_access_and_name_are_replicated(self):
        made = self.make_type(**{'os-volume-type-access:is_public': False})
        path = f'/types/{made["id"]}'
        self.as_admin('POST', f'{path}/extra_specs', {'extra_specs': {'a': '1', 'b': '2'}})
        self.as_admin('PUT', f'{path}/extra_specs/a', {'a': '3'})
        self.as_admin('DELETE', f'{path}/extra_specs/b', status=202)
        for action in ({'addProjectAccess': {'project': 'p'}}, {'addProjectAccess': {'project': 'q'}}):
            self.as_admin('POST', f'{path}/action', action, status=202)
        self.as_admin('POST', f'{path}/action', {'removeProjectAccess': {'project': 'p'}}, 202)
        self.as_admin('PUT', path, {'volume_type': {'name': 'silver'}})
        for each in self.types('silver'):
            self.assertEqual(({'a': '3'}, {'q'}), (each['extra_specs'], each['projects']))
        access = self.as_admin('GET', f'{path}/os-volume-type-access')
        self.assertEqual([made['id']], [row['volume_type_id'] for row in access['volume_type_access']])

    def test_changes_of_encryption_are_replicated(self):
        made = self.make_type()
        path = f'/types/{made["id"]}/encryption'
        body = {'provider': 'luks', 'cipher': 'aes-xts-plain64', 'key_size': 256, 'control_location': 'front-end'}
        self.as_admin('POST', path, {'encryption': body})
        first, second = (each['encryption'] for each in self.types('gold'))
        self.assertEqual(256, second['key_size'])
        self.assertNotEqual(first['encryption_id'], second['encryption_id'])
        self.as_admin('PUT', f'{path}/{first["encryption_id"]}', {'encryption': {'key_size': 512}})
        self.assertEqual(512, self.types('gold')[1]['encryption']['key_size'])
        self.as_admin('DELETE', f'{path}/{first["encryption_id"]}', status=202)
        self.assertEqual([None, None], [each['encryption'] for each in self.types('gold')])

    def test_delete_is_replicated(self):
        made = self.make_type()
        self.as_admin('DELETE', f'/types/{made["id"]}', status=202)
        self.assertEqual([None, None], self.types('gold'))

    def test_delete_of_type_used_in_second_pod_is_refused_everywhere(self):
        made = self.make_type()
        there = self.types('gold')[1]
        self.cloud.lab.add_volumes('Pod2', 'demo', type_id=there['id'])
        answer = self.as_admin('DELETE', f'/types/{made["id"]}', status=400)
        self.assertIn('in use', answer.fault)
        self.assertNotIn(None, self.types('gold'))
        self.assertEqual([], self.out_of_sync('Pod1') + self.out_of_sync('Pod2'))

    def test_recreate_with_pod_unreachable_replaces_the_old_type(self):
        made = self.make_type()
        self.cinder('Pod2').faults.add(Refuse())
        self.as_admin('DELETE', f'/types/{made["id"]}', status=202)
        again = self.make_type(description='second')
        self.cinder('Pod2').faults.clear()
        self.assertRan('success', 'repair_replicas')
        first, second = self.types('gold')
        self.assertEqual(again['id'], first['id'])
        self.assertEqual('second', second['description'])
        self.assertEqual(1, sum(t['name'] == 'gold' for t in self.cinder('Pod2').types.values()))

    def test_type_of_same_name_in_joining_pod_is_merged(self):
        """A pod that had a type of this name keeps its own backend, and gets the rest."""
        made = self.make_type(extra_specs={'volume_backend_name': 'ceph', 'a': 'b'})
        self.cloud.lab.add_pod('Pod3')
        direct = self.cloud.direct('Pod3', 'cinder')
        for name in ('gold', 'own'):
            body = {'name': name, 'extra_specs': {'volume_backend_name': 'lvm'}}
            direct.post('/types', {'volume_type': body}, as_='admin')
        before = self.types('gold')[2]['id']
        self.cloud.register_pod('Pod3', 'az3')
        self.cloud.run_jobs()
        there = self.types('gold')[2]
        self.assertEqual(before, there['id'])
        self.assertEqual({'volume_backend_name': 'lvm', 'a': 'b'}, there['extra_specs'])
        self.assertEqual(there['id'], self.replica('volume_type', made['id'], 'Pod3').bottom_id)
        self.assertNotIn(None, self.types('own'))
        self.assertEqual([], self.out_of_sync('Pod3'))

    def test_backend_name_of_a_pod_is_kept_until_changed_through_gateway(self):
        made = self.make_type(extra_specs={'volume_backend_name': 'ceph'})
        self.types('gold')[1]['extra_specs']['volume_backend_name'] = 'lvm'
        self.assertFalse(self.cloud.runtime.replicator.pods.find_drift(self.view('Pod2')))
        path = f'/types/{made["id"]}/extra_specs'
        self.as_admin('POST', path, {'extra_specs': {'a': 'b'}})
        self.assertEqual(
            ['ceph', 'lvm'],
            [each['extra_specs']['volume_backend_name'] for each in self.types('gold')],
        )
        # Changed through the gateway it is meant for all.
        self.as_admin('POST', path, {'extra_specs': {'volume_backend_name': 'nfs'}})
        self.assertEqual(
            ['nfs', 'nfs'],
            [each['extra_specs']['volume_backend_name'] for each in self.types('gold')],
        )

    def test_two_pods_join_with_one_type(self):
        for name in ('Pod3', 'Pod4'):
            self.cloud.lab.add_pod(name)
            self.cloud.direct(name, 'cinder').post('/types', {'volume_type': {'name': 'shared'}}, as_='admin')
        self.cloud.register_pod('Pod3', 'az3')
        self.cloud.register_pod('Pod4', 'az4')
        self.cloud.run_jobs()
        self.assertNotIn(None, self.types('shared'))
        listed = self.cloud.cinder.get('/types')
        self.assertEqual(1, [each['name'] for each in listed['volume_types']].count('shared'))
        self.assertEqual([], self.out_of_sync('Pod3') + self.out_of_sync('Pod4'))
