# SPDX-License-Identifier: Apache-2.0
"""Keypairs are replicated to all pods."""

from trio2o.lab.emulated.faults import Alter, BalancerAnswers, Refusal, Refuse, Status
from trio2o.replication import pod_sync
from trio2o.tests.functional.jobs.base import JobsCase

KEY = 'ssh-rsa AAAAB3NzaC1yc2E me@here'


class TestKeypairs(JobsCase):
    def create(self, name='k', version='2.10', as_='demo', status=201, **given):
        body = {'keypair': {'name': name, **given}}
        answer = self.cloud.nova.post('/os-keypairs', body, as_=as_, version=version)
        self.assertEqual(status, answer.status, answer.text)
        return answer

    def keys(self, user='demo', name='k'):
        """The public key in each pod."""
        user_id = self.cloud.lab.user_id(user)
        found = [pod.nova.keypairs.get((user_id, name)) for pod in self.cloud.lab.pods.values()]
        return [each and each['public_key'] for each in found]

    def test_imported_key_is_replicated(self):
        self.create(public_key=KEY)
        self.assertEqual([KEY, KEY], self.keys())
        self.assertEqual([], self.jobs())

    def test_generated_key_is_imported_into_other_pods(self):
        """The pod's private key goes to the caller once; the others get the public one."""
        answer = self.create(version='2.60')
        self.assertIn('private_key', answer['keypair'])
        public = answer['keypair']['public_key']
        self.assertEqual([public, public], self.keys())
        wanted = self.cloud.runtime.db
        from trio2o.db import replicas

        for obj in replicas.list_objects(wanted, 'keypair'):
            self.assertNotIn('PRIVATE', str(obj.wanted))

    def test_key_planted_in_one_pod_is_reported_and_stays_there(self):
        self.create(public_key=KEY)
        user_id = self.cloud.lab.user_id('demo')
        nova = self.cloud.pod('Pod2').nova
        nova.keypairs[user_id, 'backdoor'] = {**nova.keypairs[user_id, 'k'], 'name': 'backdoor'}
        self.assertEqual(('keypair backdoor',), self.repair('Pod2').unknown)
        self.cloud.set_pod('Pod2', state='maintenance', reason='test')
        self.cloud.set_pod('Pod2', state='enabled')
        self.cloud.run_jobs()
        self.assertEqual(KEY, self.keys(name='backdoor')[1])
        self.assertIsNone(self.keys(name='backdoor')[0])

    def test_pod_that_shows_another_key_does_not_change_other_pods(self):
        first = self.cloud.pod('Pod1').nova
        self.cloud.pod('Pod1').nova.faults.add(Alter(path='/os-keypairs/k', values={'public_key': KEY + 'evil'}))
        self.create(public_key=KEY)
        first.faults.clear()
        self.assertEqual([KEY, KEY], self.keys())

    def test_user_is_read_where_nova_reads_it(self):
        alt = self.cloud.lab.user_id('alt')
        answer = self.cloud.nova.post(
            f'/os-keypairs?user_id={alt}', {'keypair': {'name': 'k', 'public_key': KEY}}, version='2.10'
        )
        self.assertEqual(201, answer.status, answer.text)
        self.assertEqual([KEY, KEY], self.keys())
        self.create(name='other', public_key=KEY)
        body = {'keypair': {'user_id': alt}}
        answer = self.cloud.nova.request('DELETE', '/os-keypairs/other', body, version='2.10')
        self.assertEqual(204, answer.status, answer.text)
        self.assertEqual([None, None], self.keys(name='other'))

    def test_key_of_another_user_is_not_read_for_member(self):
        self.create(public_key=KEY, as_='alt')
        alt = self.cloud.lab.user_id('alt')
        self.cloud.lab.clear_logs()
        answer = self.cloud.nova.delete(f'/os-keypairs/k?user_id={alt}', version='2.10')
        self.assertEqual(403, answer.status)
        seen = [each.method for name in self.cloud.pod_ids for each in self.cloud.pod(name).nova.requests]
        self.assertEqual(['DELETE'], seen)

    def test_key_of_user_named_by_admin_is_replicated(self):
        alt = self.cloud.lab.user_id('alt')
        self.create(as_='admin', public_key=KEY, user_id=alt)
        self.assertEqual([KEY, KEY], self.keys('alt'))
        answer = self.cloud.nova.get('/os-keypairs/k', as_='alt', version='2.10')
        self.assertEqual(200, answer.status)
        answer = self.cloud.nova.delete('/os-keypairs/k', as_='admin', version='2.10', query={'user_id': alt})
        self.assertEqual(204, answer.status)
        self.assertEqual([None, None], self.keys('alt'))

    def test_user_is_ignored_by_old_version(self):
        self.create(public_key=KEY)
        alt = self.cloud.lab.user_id('alt')
        answer = self.cloud.nova.delete('/os-keypairs/k?user_id=' + alt)
        self.assertEqual(202, answer.status)
        self.assertEqual([None, None], self.keys())

    def test_users_have_separate_keys_of_one_name(self):
        self.create(public_key=KEY)
        self.create(public_key=KEY + '2', as_='alt')
        self.assertEqual([KEY, KEY], self.keys())
        self.cloud.nova.delete('/os-keypairs/k', as_='alt')
        self.assertEqual([KEY, KEY], self.keys())

    def test_server_create_brings_key_of_its_user_only_to_pod_out_of_sync(self):
        pod = self.nova('Pod2')
        pod.faults.add(Refuse())
        self.create(public_key=KEY)
        self.create(public_key=KEY + '2', as_='alt')
        pod.faults.clear()
        self.assertEqual([None, None], [self.keys(user)[1] for user in ('demo', 'alt')])
        view = self.cloud.runtime.registry.refresh().by_id[self.cloud.pod_ids['Pod2']]
        self.cloud.runtime.replicator.ensure(view, [('keypair', 'k')], self.cloud.lab.user_id('demo'))
        self.assertEqual([KEY, None], [self.keys(user)[1] for user in ('demo', 'alt')])

    def test_create_of_existing_key_is_a_conflict(self):
        self.create(public_key=KEY)
        self.create(public_key=KEY + '2', status=409)
        self.assertEqual([KEY, KEY], self.keys())
        self.assertEqual([], self.jobs())

    def test_create_of_unrecorded_key_is_a_conflict_and_records_it(self):
        self.cloud.direct('Pod1').post('/os-keypairs', {'keypair': {'name': 'k', 'public_key': KEY}})
        self.create(public_key=KEY, status=409)
        self.assertRan('success', 'record_write')
        self.assertEqual([KEY, KEY], self.keys())

    def test_recreate_with_pod_unreachable_replaces_the_old_key(self):
        self.create(public_key=KEY)
        self.nova('Pod2').faults.add(Refuse())
        self.cloud.nova.delete('/os-keypairs/k')
        self.create(public_key=KEY + '2')
        self.nova('Pod2').faults.clear()
        self.assertRan('success', 'repair_replicas')
        self.assertEqual([KEY + '2'] * 2, self.keys())

    def test_joining_pod_gets_keys_and_conflict_is_reported(self):
        self.create(public_key=KEY)
        self.create('other', public_key=KEY)
        self.cloud.lab.add_pod('Pod3')
        direct = self.cloud.direct('Pod3')
        direct.post('/os-keypairs', {'keypair': {'name': 'own', 'public_key': KEY}}, as_='alt')
        direct.post('/os-keypairs', {'keypair': {'name': 'other', 'public_key': KEY + '2'}})
        self.cloud.register_pod('Pod3', 'az3')
        self.cloud.run_jobs()
        self.assertEqual([KEY] * 3, self.keys())
        self.assertEqual([KEY] * 3, self.keys('alt', 'own'))
        self.assertEqual([KEY, KEY, KEY + '2'], self.keys(name='other'))
        key = f'{self.cloud.lab.user_id("demo")}/other'
        self.assertIn('another public key', self.replica('keypair', key, 'Pod3').error)

    def test_key_deleted_in_a_pod_is_repaired(self):
        self.create(public_key=KEY)
        self.nova('Pod2').keypairs.clear()
        self.assertEqual(1, self.repair('Pod2').repaired)
        self.assertEqual([KEY, KEY], self.keys())

    def delete_user(self, name='demo'):
        """Create a key that is missing in Pod2, then delete its user in Keystone."""
        self.user_id = self.cloud.lab.user_id(name)
        self.nova('Pod2').faults.add(Refuse())
        self.create(public_key=KEY, as_=name)
        self.nova('Pod2').faults.clear()
        del self.cloud.lab.keystone.users[name]

    def keys_of_user(self):
        found = [pod.nova.keypairs.get((self.user_id, 'k')) for pod in self.cloud.lab.pods.values()]
        return [each and each['public_key'] for each in found]

    def test_key_of_deleted_user_ends_in_all_pods_and_others_stay(self):
        self.create('other', public_key=KEY, as_='alt')
        self.delete_user()
        self.assertEqual([KEY, None], self.keys_of_user())
        self.cloud.lab.add_pod('Pod3')
        self.cloud.register_pod('Pod3', 'az3')
        self.cloud.run_jobs()
        self.assertEqual([None] * 3, self.keys_of_user())
        self.assertEqual([KEY] * 3, self.keys('alt', 'other'))
        self.assertEqual([], [each for each in self.jobs() if each.state != 'success'])

    def test_key_that_a_pod_refuses_is_not_retried_for_deleted_user(self):
        self.delete_user()
        self.nova('Pod2').faults.add(Refusal(400, method='POST', path='/os-keypairs'))
        self.assertEqual((1, 0, 0), self.outcome(self.repair('Pod2')))
        self.assertEqual((0, 0, 0), self.outcome(self.repair('Pod2')))
        self.assertEqual([None, None], self.keys_of_user())

    def lose_keys_of_two_users(self):
        """Delete the keys of two users in Pod2, and let each turn compare those of one user."""
        self.patch(pod_sync, 'OWNERS_OF_TURN', 1)
        for user in ('demo', 'alt'):
            self.create(user, public_key=KEY, as_=user)
        self.nova('Pod2').keypairs.clear()
        return self.cloud.runtime.replicator.pods

    def test_each_turn_compares_keys_of_some_users(self):
        pods = self.lose_keys_of_two_users()
        self.assertEqual(1, pods.repair(self.view('Pod2'), turn=7).repaired)
        self.assertEqual(1, len(self.nova('Pod2').keypairs))
        self.assertEqual(0, pods.repair(self.view('Pod2'), turn=9).repaired)
        self.assertEqual(1, pods.repair(self.view('Pod2'), turn=8).repaired)
        self.assertEqual([KEY, KEY], self.keys('demo', 'demo'))
        self.assertEqual([KEY, KEY], self.keys('alt', 'alt'))

    def test_unanswered_create_compares_keys_of_all_users(self):
        pods = self.lose_keys_of_two_users()
        self.assertEqual(2, pods.repair(self.view('Pod2'), created_kind='keypair', turn=7).repaired)

    def outcome(self, result):
        return result.repaired, result.out_of_sync, result.failed

    def test_only_keystone_says_that_user_is_deleted(self):
        faults = {
            'json': BalancerAnswers(form='json', path='/users/'),
            'html': BalancerAnswers(form='html', path='/users/'),
            'forbidden': Status(403, path='/users/'),
            'unavailable': Status(503, path='/users/'),
            'refused': Refuse(path='/users/'),
        }
        for name, fault in faults.items():
            self.nova('Pod2').keypairs.clear()
            self.nova('Pod2').faults.add(Refuse())
            self.create(name, public_key=KEY)
            self.nova('Pod2').faults.clear()
            self.cloud.lab.keystone.faults.add(fault)
            self.repair('Pod2')
            self.cloud.lab.keystone.faults.clear()
            self.assertEqual([KEY, KEY], self.keys(name=name), name)
