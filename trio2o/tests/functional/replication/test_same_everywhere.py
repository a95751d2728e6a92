# SPDX-License-Identifier: Apache-2.0
"""QoS specs, group types, default types and quotas are replicated; tenants see one id for all pods."""

from unittest import mock

from trio2o.db import quotas, replicas
from trio2o.lab.emulated.faults import DropAfter, Refuse
from trio2o.tests.functional.operations.base import ConversationTest


class ReplicatedTest(ConversationTest):
    run_jobs = True

    def call(self, method, path, json=None, status=200, **kwargs):
        answer = self.cinder.request(method, path, json, as_='admin', **kwargs)
        self.assertEqual(status, answer.status, answer.text)
        return answer

    def pods_have(self, attribute, name):
        """{pod: its record of that name, or None}."""
        rows = {pod: getattr(self.cloud.pod(pod).cinder, attribute).values() for pod in self.cloud.lab.pods}
        return {pod: next((row for row in found if row['name'] == name), None) for pod, found in rows.items()}

    def make_type(self, name='fast'):
        return self.call('POST', '/types', {'volume_type': {'name': name}})['volume_type']['id']

    def assert_all_in_sync(self):
        self.assertEqual({0}, set(replicas.count_out_of_sync(self.cloud.runtime.db).values()))


class TestQos(ReplicatedTest):
    def make(self, name='gold', **specs):
        answer = self.call('POST', '/qos-specs', {'qos_specs': {'name': name, 'consumer': 'both', **specs}})
        return answer['qos_specs']['id']

    def test_create_change_and_delete_are_replicated(self):
        qos_id = self.make(total_iops_sec='5000')
        rows = self.pods_have('qos_specs', 'gold')
        self.assertEqual(2, len({row['id'] for row in rows.values()}))
        self.call('PUT', f'/qos-specs/{qos_id}', {'qos_specs': {'read_iops_sec': '9', 'consumer': 'front-end'}})
        self.call('PUT', f'/qos-specs/{qos_id}/delete_keys', {'keys': ['total_iops_sec']}, 202)
        for row in self.pods_have('qos_specs', 'gold').values():
            self.assertEqual(('front-end', {'read_iops_sec': '9'}), (row['consumer'], row['specs']))
        self.assertEqual(qos_id, self.call('GET', '/qos-specs')['qos_specs'][0]['id'])
        self.call('DELETE', f'/qos-specs/{qos_id}', status=202)
        self.assertEqual({None}, set(self.pods_have('qos_specs', 'gold').values()))
        self.call('GET', f'/qos-specs/{qos_id}', status=404)
        self.assert_all_in_sync()

    def associated(self):
        """{pod: whether the type 'fast' is associated with the specs 'gold'}."""
        specs, types = self.pods_have('qos_specs', 'gold'), self.pods_have('types', 'fast')
        return {pod: types[pod]['qos_specs_id'] == specs[pod]['id'] for pod in specs}

    def test_associations_are_replicated(self):
        qos_id, type_id = self.make(), self.make_type()
        self.call('GET', f'/qos-specs/{qos_id}/associate?vol_type_id={type_id}', status=202)
        self.assertEqual({'Pod1': True, 'Pod2': True}, self.associated())
        answer = self.call('GET', f'/qos-specs/{qos_id}/associations')
        self.assertEqual(type_id, answer['qos_associations'][0]['id'])
        answer = self.call('GET', f'/types/{type_id}')
        self.assertEqual(qos_id, answer['volume_type']['qos_specs_id'])
        self.call('DELETE', f'/qos-specs/{qos_id}', status=400)
        self.call('GET', f'/qos-specs/{qos_id}/disassociate?vol_type_id={type_id}', status=202)
        self.assertEqual({'Pod1': False, 'Pod2': False}, self.associated())
        self.call('GET', f'/qos-specs/{qos_id}/associate?vol_type_id={type_id}', status=202)
        self.call('GET', f'/qos-specs/{qos_id}/disassociate_all', status=202)
        self.assertEqual({'Pod1': False, 'Pod2': False}, self.associated())
        self.call('GET', f'/qos-specs/{qos_id}/associate?vol_type_id={type_id}', status=202)
        self.call('DELETE', f'/qos-specs/{qos_id}?force=True', status=202)
        self.assertEqual({None}, set(self.pods_have('qos_specs', 'gold').values()))

    def test_unanswered_associate_is_not_repeated(self):
        qos_id, type_id = self.make(), self.make_type()
        self.cloud.lab.clear_logs()
        self.cloud.pod('Pod1').cinder.faults.add(DropAfter(path='associate'))
        answer = self.cinder.get(f'/qos-specs/{qos_id}/associate?vol_type_id={type_id}', as_='admin')
        self.assertEqual(504, answer.status, answer.text)
        sent = [row for row in self.cloud.pod('Pod1').cinder.requests if row.path.endswith('/associate')]
        self.assertEqual(1, len(sent))

    def test_deleted_type_is_removed_from_its_specs(self):
        qos_id, type_id = self.make(), self.make_type()
        self.call('GET', f'/qos-specs/{qos_id}/associate?vol_type_id={type_id}', status=202)
        self.call('DELETE', f'/types/{type_id}', status=202)
        self.assert_all_in_sync()

    def test_joining_pod_gets_specs_and_associations(self):
        qos_id, type_id = self.make(), self.make_type()
        self.call('GET', f'/qos-specs/{qos_id}/associate?vol_type_id={type_id}', status=202)
        self.cloud.lab.add_pod('Pod3')
        self.cloud.register_pod('Pod3', 'az3')
        self.cloud.run_jobs()
        self.assertEqual({'Pod1': True, 'Pod2': True, 'Pod3': True}, self.associated())
        self.assert_all_in_sync()

    def test_pod_unreachable_during_a_write_is_repaired(self):
        self.break_pod('Pod2', Refuse(), ('cinder',))
        qos_id, type_id = self.make(), self.make_type()
        self.call('GET', f'/qos-specs/{qos_id}/associate?vol_type_id={type_id}', status=202)
        self.cloud.pod('Pod2').cinder.faults.clear()
        self.cloud.runtime.client.breakers.succeeded((self.cloud.pod_ids['Pod2'], 'volume'))
        pod = self.cloud.runtime.registry.snapshot().by_id[self.cloud.pod_ids['Pod2']]
        self.assertEqual(0, self.cloud.runtime.replicator.pods.repair(pod).out_of_sync)
        self.assertEqual({'Pod1': True, 'Pod2': True}, self.associated())

    def test_list_by_member_is_forbidden(self):
        self.assertEqual(403, self.cinder.get('/qos-specs').status)


class TestGroupTypes(ReplicatedTest):
    version = '3.38'

    def test_create_change_and_delete_are_replicated(self):
        body = {'group_type': {'name': 'safe', 'group_specs': {'a': '1'}}}
        answer = self.call('POST', '/group_types', body, 202, version=self.version)
        path = f'/group_types/{answer["group_type"]["id"]}'
        self.call('PUT', path, {'group_type': {'description': 'safer'}}, version=self.version)
        self.call('POST', f'{path}/group_specs', {'group_specs': {'b': '2'}}, 202, version=self.version)
        self.call('DELETE', f'{path}/group_specs/a', status=202, version=self.version)
        for row in self.pods_have('group_types', 'safe').values():
            self.assertEqual(('safer', {'b': '2'}), (row['description'], row['group_specs']))
        self.assertEqual('2', self.call('GET', f'{path}/group_specs/b', version=self.version)['b'])
        self.call('DELETE', path, status=202, version=self.version)
        self.assertEqual({None}, set(self.pods_have('group_types', 'safe').values()))
        self.assert_all_in_sync()

    def test_default_type_of_all_pods_is_listed_once(self):
        answer = self.call('GET', '/group_types', version=self.version)
        (known,) = answer['group_types']
        rows = self.pods_have('group_types', 'default_cgsnapshot_type')
        self.assertEqual(2, len({row['id'] for row in rows.values()}))
        self.assertIn(known['id'], {row['id'] for row in rows.values()})
        self.assert_all_in_sync()

    def test_delete_of_type_used_in_second_pod_is_refused_everywhere(self):
        answer = self.call('POST', '/group_types', {'group_type': {'name': 'used'}}, 202, version=self.version)
        type_id = answer['group_type']['id']
        body = {'group': {'group_type': type_id, 'volume_types': ['__DEFAULT__'], 'availability_zone': 'az2'}}
        self.call('POST', '/groups', body, 202, version=self.version)
        self.call('DELETE', f'/group_types/{type_id}', status=400, version=self.version)
        self.assertNotIn(None, self.pods_have('group_types', 'used').values())


class TestDefaultTypes(ReplicatedTest):
    version = '3.62'

    def test_set_and_unset_are_replicated(self):
        type_id, project_id = self.make_type(), self.cloud.project_id('demo')
        path = f'/default-types/{project_id}'
        for wanted in (type_id, 'fast'):
            answer = self.call('PUT', path, {'default_type': {'volume_type': wanted}}, version=self.version)
            self.assertEqual(type_id, answer['default_type']['volume_type_id'])
            types = self.pods_have('types', 'fast')
            for pod, kind in types.items():
                self.assertEqual({project_id: kind['id']}, self.cloud.pod(pod).cinder.default_types)
        answer = self.call('GET', '/default-types', version=self.version)
        self.assertEqual([{'project_id': project_id, 'volume_type_id': type_id}], answer['default_types'])
        self.call('DELETE', path, status=204, version=self.version)
        for pod in self.pods:
            self.assertEqual({}, self.cloud.pod(pod).cinder.default_types)
        self.call('GET', path, status=404, version=self.version)
        self.assert_all_in_sync()


class TestQuotas(ReplicatedTest):
    def setUp(self):
        super().setUp()
        self.project_id = self.cloud.project_id('demo')
        self.path = f'/os-quota-sets/{self.project_id}'

    def limits(self, pod):
        return self.cloud.pod(pod).cinder.quota_sets.get(self.project_id)

    def test_update_and_delete_are_replicated(self):
        self.call('PUT', self.path, {'quota_set': {'per_volume_gigabytes': 5}})
        answer = self.call('PUT', self.path, {'quota_set': {'gigabytes': '50'}})
        self.assertEqual((5, 50), (answer['quota_set']['per_volume_gigabytes'], answer['quota_set']['gigabytes']))
        for pod in self.pods:
            # A resource that is counted over all pods is unlimited in each pod.
            self.assertEqual({'per_volume_gigabytes': 5, 'gigabytes': -1}, {'gigabytes': -1, **self.limits(pod)})
        self.call('DELETE', self.path)
        for pod in self.pods:
            self.assertIsNone(self.limits(pod))
        self.assertEqual(-1, self.call('GET', self.path)['quota_set']['volumes'])
        self.assert_all_in_sync()

    def test_limit_below_usage_of_all_pods_is_refused(self):
        for pod in self.pods:
            self.cloud.lab.add_volumes(pod, 'demo', 2)
        self.cloud.runtime.jobs.submit('recount_quota', self.project_id, {'project_id': self.project_id})
        self.cloud.run_jobs()
        answer = self.call('GET', f'{self.path}?usage=True')
        self.assertEqual(4, answer['quota_set']['volumes']['in_use'])
        answer = self.call('PUT', self.path, {'quota_set': {'volumes': 3}}, 400)
        self.assertIn('Current usage is 4 and the requested limit is 3', answer.fault)
        self.call('PUT', self.path, {'quota_set': {'volumes': 4}})

    def test_limits_of_renamed_type_are_renamed(self):
        type_id = self.make_type('old')
        self.call('PUT', self.path, {'quota_set': {'volumes_old': 3}})
        self.call('PUT', f'/types/{type_id}', {'volume_type': {'name': 'new'}})
        wanted = self.cloud.runtime.replicator.desired.get('volume_quota', self.project_id)
        self.assertEqual({'volumes_new': -1}, wanted['limits'])
        self.assertEqual(3, self.call('GET', self.path)['quota_set']['volumes_new'])

    def test_rename_interrupted_before_its_record_and_repeated_keeps_limits(self):
        type_id = self.make_type('old')
        self.call('PUT', self.path, {'quota_set': {'volumes_old': 3}})
        body = {'volume_type': {'name': 'new'}}
        with mock.patch.object(replicas, 'upsert_with_limits', autospec=True, side_effect=KeyError):
            self.assertEqual(500, self.cloud.cinder.put(f'/types/{type_id}', body, as_='admin').status)
        self.assertEqual({'volumes_old': 3}, self.limits_of_project())
        self.call('PUT', f'/types/{type_id}', body)
        self.call('PUT', f'/types/{type_id}', body)
        self.assertEqual({'volumes_new': 3}, self.limits_of_project())

    def limits_of_project(self):
        return quotas.get_limits(self.cloud.runtime.db, [self.project_id]).of[self.project_id, '']

    def test_limits_of_type_with_longer_name_are_not_renamed(self):
        type_id = self.make_type('gold')
        self.make_type('old_gold')
        self.call('PUT', self.path, {'quota_set': {'volumes_gold': 3, 'volumes_old_gold': 4}})
        self.call('PUT', f'/types/{type_id}', {'volume_type': {'name': 'new'}})
        self.cloud.run_jobs()
        wanted = {'volumes_new': -1, 'volumes_old_gold': -1}
        self.assertEqual(wanted, self.cloud.runtime.replicator.desired.get('volume_quota', self.project_id)['limits'])
        self.assertEqual({'volumes_new': 3, 'volumes_old_gold': 4}, self.limits_of_project())

    def test_joining_pod_gets_limits(self):
        self.call('PUT', self.path, {'quota_set': {'volumes': 5, 'per_volume_gigabytes': 6}})
        limits = {'volumes': 7, 'per_volume_gigabytes': 8}
        self.call('PUT', '/os-quota-class-sets/default', {'quota_class_set': limits})
        self.cloud.lab.add_pod('Pod3')
        self.cloud.register_pod('Pod3', 'az3')
        self.cloud.run_jobs()
        self.assertEqual({'volumes': -1, 'per_volume_gigabytes': 6}, {'volumes': -1, **self.limits('Pod3')})
        there = self.cloud.pod('Pod3').cinder.quota_classes['default']
        self.assertEqual((-1, 8), (there.get('volumes', -1), there['per_volume_gigabytes']))

    def test_limits_are_shown_to_members_and_update_is_403(self):
        self.assertEqual(200, self.cinder.get(self.path).status)
        self.assertEqual(403, self.cinder.put(self.path, {'quota_set': {'volumes': 5}}).status)
        self.assertIsNone(self.limits('Pod1'))
