# SPDX-License-Identifier: Apache-2.0
"""Limits in pods, which Trio2o raises to unlimited if it counts the resource."""

import fixtures

from trio2o.db import jobs, pods
from trio2o.lab.emulated.faults import Refuse
from trio2o.tests.functional.quota.base import QuotaCase

NONE = {'instances': 0, 'cores': 0, 'ram': 0}


class LimitsOfPodsCase(QuotaCase):
    def setUp(self):
        super().setUp()
        self.user = self.cloud.lab.user_id('demo')
        self.first = self.cloud.pod('Pod1')
        self.log = self.useFixture(fixtures.FakeLogger())
        self.cloud.run_jobs()

    def limit(self, **limits):
        """Set limits directly in the first pod."""
        path = f'/os-quota-sets/{self.project}'
        answer = self.cloud.direct('Pod1').put(path, {'quota_set': limits}, as_='admin')
        self.assertEqual(200, answer.status, answer.text)

    def limit_user(self, **limits):
        path = f'/os-quota-sets/{self.project}?user_id={self.user}'
        answer = self.cloud.direct('Pod1').put(path, {'quota_set': limits}, as_='admin')
        self.assertEqual(200, answer.status, answer.text)

    def limit_volumes(self, **limits):
        path = f'/os-quota-sets/{self.project}'
        answer = self.cloud.direct('Pod1', 'cinder').put(path, {'quota_set': limits}, as_='admin')
        self.assertEqual(200, answer.status, answer.text)

    def pod_of(self, kind, top_id):
        return self.cloud.runtime.locator.look_up(kind, top_id).pod.name

    def raise_limits(self):
        pod_id = self.cloud.pod_ids['Pod1']
        self.cloud.runtime.jobs.submit('raise_pod_limits', pod_id, {'pod_id': pod_id})
        self.cloud.run_jobs()

    def last(self):
        rows = jobs.list_(self.db, filters={'type': 'raise_pod_limits'}, sort=(('finished_at', 'desc'),), limit=1)
        return rows[0]


class TestRefusedByPod(LimitsOfPodsCase):
    def test_refused_create_goes_to_next_pod_and_limit_is_raised(self):
        self.limit(**NONE)
        self.assertEqual('Pod2', self.pod_of('server', self.server()))
        self.assertRegex(self.log.output, f'pod Pod1 has a limit of its own that refuses project {self.project}')
        self.cloud.run_jobs()
        self.assertEqual([-1, -1, -1], [self.first.nova.quota_sets[self.project][name] for name in NONE])
        self.assertEqual({'raised': {f'compute {self.project}': NONE}}, self.last().result)
        self.assertIn('to unlimited, which were', self.log.output)
        self.server(zone='az1')

    def test_limit_of_a_user_is_raised(self):
        self.limit_user(**NONE)
        self.boot(status=403, zone='az1')
        self.cloud.run_jobs()
        self.server(zone='az1')
        self.assertUsed(instances=1)

    def test_limit_of_volumes_is_raised(self):
        self.limit_volumes(volumes=0)
        self.assertEqual('Pod2', self.pod_of('volume', self.volume()))
        self.cloud.run_jobs()
        self.volume(zone='az1')

    def test_limit_that_refuses_a_change_is_raised(self):
        volume = self.volume(zone='az1', size=2)
        self.limit_volumes(gigabytes=2)
        body = {'os-extend': {'new_size': 3}}
        path = f'/volumes/{volume}/action'
        answer = self.cloud.cinder.post(path, body, version='3.60')
        self.assertEqual(413, answer.status, answer.text)
        self.assertEqual((2, 0), self.used()['gigabytes'])
        self.cloud.run_jobs()
        self.assertEqual(202, self.cloud.cinder.post(path, body, version='3.60').status)

    def test_bad_request_is_not_taken_for_a_limit_of_the_pod(self):
        self.boot(status=400, imageRef='no-such-image')
        self.assertNotIn('limit of its own', self.log.output)


class TestRaiseLimitsJob(LimitsOfPodsCase):
    def test_limits_of_project_with_resources_in_the_pod_are_raised(self):
        self.server(zone='az1')
        self.limit(instances=1, metadata_items=5)
        self.limit_user(cores=2)
        self.limit_volumes(gigabytes=1, per_volume_gigabytes=1)
        self.raise_limits()
        self.assertEqual({'instances': -1, 'metadata_items': 5}, self.first.nova.quota_sets[self.project])
        self.assertEqual({'cores': -1}, self.first.nova.user_quotas[self.project, self.user])
        self.assertEqual({'gigabytes': -1, 'per_volume_gigabytes': 1}, self.first.cinder.quota_sets[self.project])
        wanted = {
            f'compute {self.project}': {'instances': 1},
            f'compute {self.project}:{self.user}': {'cores': 2},
            f'volume {self.project}': {'gigabytes': 1},
        }
        self.assertEqual({'raised': wanted}, self.last().result)
        self.raise_limits()
        self.assertEqual({'raised': {}}, self.last().result)

    def test_limit_in_desired_state_is_raised_and_not_brought_back(self):
        """The desired state may hold a limit from a release that did not count the resource over all pods."""
        self.server(zone='az1')
        self.cloud.runtime.replicator.desired.set_limits(
            'quota_set', self.project, {'instances': 1, 'metadata_items': 5}
        )
        self.cloud.run_jobs()
        self.assertEqual({'instances': 1, 'metadata_items': 5}, self.first.nova.quota_sets[self.project])
        self.raise_limits()
        pod_id = self.cloud.pod_ids['Pod1']
        self.cloud.runtime.jobs.submit('repair_replicas', pod_id, {'pod_id': pod_id})
        self.cloud.run_jobs()
        self.assertEqual({'instances': -1, 'metadata_items': 5}, self.first.nova.quota_sets[self.project])

    def test_limits_of_project_without_resources_in_the_pod_stay(self):
        self.limit(**NONE)
        self.raise_limits()
        self.assertEqual(NONE, self.first.nova.quota_sets[self.project])

    def test_full_reconciliation_raises_limits(self):
        self.cloud.lab.add_servers('Pod1', 'demo', 1)
        self.limit(instances=1)
        pod_id = self.cloud.pod_ids['Pod1']
        self.cloud.runtime.jobs.submit('reconcile_routings', pod_id, {'pod_id': pod_id, 'is_full': True})
        self.cloud.run_jobs()
        self.assertEqual(-1, self.first.nova.quota_sets[self.project]['instances'])

    def test_job_for_unreachable_pod_is_retried(self):
        self.server(zone='az1')
        self.limit(instances=1)
        self.first.nova.faults.add(Refuse())
        self.raise_limits()
        self.assertEqual(1, self.first.nova.quota_sets[self.project]['instances'])
        (job,) = jobs.list_(self.db, filters={'type': 'raise_pod_limits', 'state': 'new'})
        self.assertIn('pod Pod1', job.error)

    def test_pod_in_maintenance_gets_no_requests(self):
        self.server(zone='az1')
        self.limit(instances=1)
        pods.update(self.db, self.cloud.pod_ids['Pod1'], state='maintenance')
        self.cloud.runtime.registry.refresh()
        self.cloud.lab.clear_logs()
        self.raise_limits()
        self.assertEqual([], list(self.first.nova.requests))


class TestRaiseLimitsOff(LimitsOfPodsCase):
    options = {'quota.raise_limits_interval': 0.0}

    def test_option_off_keeps_limits_of_pod(self):
        self.limit(**NONE)
        self.server()
        self.raise_limits()
        self.cloud.run_jobs()
        self.assertEqual(NONE, self.first.nova.quota_sets[self.project])
        self.assertIn('limit of its own', self.log.output)


class TestReplicatedLimits(LimitsOfPodsCase):
    """Limits of a single server, such as metadata items, are replicated; errors have Nova's text."""

    def setUp(self):
        super().setUp()
        given = {
            'metadata_items': 2,
            'injected_files': 1,
            'injected_file_path_bytes': 5,
            'injected_file_content_bytes': 8,
        }
        answer = self.cloud.nova.put(f'/os-quota-sets/{self.project}', {'quota_set': given}, as_='admin')
        self.assertEqual(200, answer.status, answer.text)
        self.assertEqual(given, {name: answer['quota_set'][name] for name in given})

    def assert_refused(self, text, answer):
        self.assertEqual({'forbidden': {'code': 403, 'message': text}}, answer.json)

    def files(self, *files):
        return [{'path': path, 'contents': contents} for path, contents in files]

    def test_create_beyond_replicated_limit_is_refused_in_every_zone(self):
        for zone in ('az1', 'az2', None):
            for text, given in (
                ('Maximum number of metadata items exceeds 2', {'metadata': {'a': '1', 'b': '2', 'c': '3'}}),
                ('Personality file limit exceeded', {'personality': self.files(('/a', 'YQ=='), ('/b', 'YQ=='))}),
                ('Personality file path exceeds maximum 5', {'personality': self.files(('/a/b/c', 'YQ=='))}),
                ('Personality file content exceeds maximum 8', {'personality': self.files(('/a', 'YWFhYWFhYWE='))}),
            ):
                self.assert_refused(text, self.boot(status=403, zone=zone, **given))
        self.assertEqual({}, self.used())
        self.assertNotIn('limit of its own', self.log.output)
        self.server(metadata={'a': '1', 'b': '2'}, personality=self.files(('/a', 'YQ==')))

    def test_change_beyond_replicated_limit_is_refused(self):
        text = 'Maximum number of metadata items exceeds 2'
        for zone in ('az1', 'az2'):
            path = f'/servers/{self.server(zone=zone, metadata={"a": "1", "b": "2"})}'
            three = {name: 'x' for name in 'abc'}
            self.assert_refused(text, self.cloud.nova.post(f'{path}/metadata', {'metadata': {'c': '3'}}))
            self.assert_refused(text, self.cloud.nova.put(f'{path}/metadata', {'metadata': three}))
            self.assert_refused(text, self.cloud.nova.put(f'{path}/metadata/c', {'meta': {'c': '3'}}))
            body = {'rebuild': {'imageRef': self.cloud.lab.image['id'], 'metadata': three}}
            self.assert_refused(text, self.cloud.nova.post(f'{path}/action', body))

    def test_limit_of_a_user_is_replicated_and_deleted(self):
        path = f'/os-quota-sets/{self.project}?user_id={self.user}'
        answer = self.cloud.nova.put(path, {'quota_set': {'metadata_items': 1}}, as_='admin')
        self.assertEqual((200, 1), (answer.status, answer.json['quota_set']['metadata_items']))
        for zone in ('az1', 'az2'):
            answer = self.boot(status=403, zone=zone, metadata={'a': '1', 'b': '2'})
            self.assert_refused('Maximum number of metadata items exceeds 1', answer)
        self.assertEqual(202, self.cloud.nova.delete(path, as_='admin').status)
        self.server(metadata={'a': '1', 'b': '2'})

    def test_replicated_limits_are_shown(self):
        absolute = self.cloud.nova.get('/limits')['limits']['absolute']
        wanted = {'maxServerMeta': 2, 'maxPersonality': 1, 'maxPersonalitySize': 8}
        self.assertEqual(wanted, {name: absolute[name] for name in wanted})


class TestKeyPairs(LimitsOfPodsCase):
    KEY = 'ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQ== x'

    def make(self, name):
        return self.cloud.nova.post('/os-keypairs', {'keypair': {'name': name, 'public_key': self.KEY}})

    def limit_at_the_top(self, limit, query=''):
        path = f'/os-quota-sets/{self.project}{query}'
        answer = self.cloud.nova.put(path, {'quota_set': {'key_pairs': limit}}, as_='admin')
        self.assertEqual(200, answer.status, answer.text)

    def test_create_beyond_limit_is_refused(self):
        self.limit_at_the_top(2)
        statuses = [self.make(name).status for name in 'ab']
        self.assertEqual([200, 200], statuses)
        answer = self.make('c')
        text = 'Quota exceeded, too many key pairs.'
        self.assertEqual({'forbidden': {'code': 403, 'message': text}}, answer.json)
        for pod in self.cloud.lab.pods.values():
            self.assertEqual({'a', 'b'}, {name for _user, name in pod.nova.keypairs})
        self.assertEqual(2, self.cloud.nova.get('/limits')['limits']['absolute']['maxTotalKeypairs'])

    def test_key_pairs_beyond_default_of_pods_are_replicated(self):
        """The gateway creates them in other pods with its own account, whose limit there must not refuse them."""
        for pod in self.cloud.lab.pods.values():
            pod.nova.quota_classes['default']['key_pairs'] = 2
        self.limit_at_the_top(4)
        self.assertEqual([200] * 4, [self.make(name).status for name in 'abcd'])
        self.cloud.run_jobs()
        for pod in self.cloud.lab.pods.values():
            self.assertEqual(set('abcd'), {name for _user, name in pod.nova.keypairs})


class TestLargestVolume(LimitsOfPodsCase):
    TEXT = 'VolumeSizeExceedsLimit: Requested volume size 5G is larger than maximum allowed limit 4G.'

    def test_larger_volume_is_refused_in_every_zone(self):
        given = {'quota_set': {'per_volume_gigabytes': 4}}
        answer = self.cloud.cinder.put(f'/os-quota-sets/{self.project}', given, as_='admin')
        self.assertEqual(200, answer.status, answer.text)
        for zone in ('az1', 'az2', None):
            answer = self.make_volume(status=413, size=5, zone=zone)
            self.assertEqual(self.TEXT, answer.fault)
        volume = self.volume(size=4, zone='az2')
        body = {'os-extend': {'new_size': 5}}
        answer = self.cloud.cinder.post(f'/volumes/{volume}/action', body, version='3.60')
        self.assertEqual((413, self.TEXT), (answer.status, answer.fault))
        # The limit is not of one pod, so the next pod is not tried.
        self.assertNotIn('limit of its own', self.log.output)
        self.assertNotIn('trying the next pod', self.log.output)
        self.assertUsed(volumes=1, gigabytes=4)
