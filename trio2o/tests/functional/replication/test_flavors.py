# SPDX-License-Identifier: Apache-2.0
"""Flavors are replicated to all pods, also when pods fail."""

import threading
import time

import fixtures

from trio2o.lab.emulated.faults import DropAfter, Hang, Refuse, Slow, Status
from trio2o.replication.replica_store import ReplicaStore
from trio2o.replication.request_writes import Prepared
from trio2o.tests.functional.jobs.base import JobsCase


class TestWrites(JobsCase):
    def test_create_is_replicated_to_all_pods(self):
        made = self.make_flavor(**{'swap': 16, 'OS-FLV-EXT-DATA:ephemeral': 3, 'description': 'd'})
        first, second = self.flavors(made['id'])
        self.assertEqual('d', second['description'])
        self.assertEqual(first, second)
        self.assertEqual([], self.jobs())

    def test_create_with_chosen_id_is_replicated_with_that_id(self):
        self.make_flavor(id='my.id')
        self.assertNotIn(None, self.flavors('my.id'))

    def test_first_pod_gets_body_and_token_of_caller(self):
        self.make_flavor()
        (seen,) = [each for each in self.nova('Pod1').requests if each.method == 'POST']
        self.assertEqual(self.cloud.token('admin'), seen.headers['x-auth-token'])
        self.assertEqual('compute 2.61', seen.headers['openstack-api-version'])
        (other,) = [each for each in self.nova('Pod2').requests if each.method == 'POST']
        self.assertNotEqual(self.cloud.token('admin'), other.headers['x-auth-token'])

    def test_refusal_of_first_pod_is_answered_and_not_replicated(self):
        answer = self.cloud.nova.post('/flavors', {'flavor': {'name': 'f'}}, as_='admin')
        self.assertEqual(400, answer.status)
        answer = self.cloud.nova.post(
            '/flavors', {'flavor': {'name': 'f', 'ram': 1, 'vcpus': 1, 'disk': 1}}, as_='demo'
        )
        self.assertEqual(403, answer.status)
        self.assertEqual([], [s for s in self.nova('Pod2').requests if s.method == 'POST'])

    def test_writes_of_member_cause_no_call_of_own_user(self):
        """Trio2o's own user reads and repairs nothing for a caller who has shown no right to it."""
        flavor = f'/flavors/{self.make_flavor()["id"]}'
        made = self.cloud.cinder.post('/types', {'volume_type': {'name': 't'}}, as_='admin')
        volume_type = f'/types/{made["volume_type"]["id"]}'
        for client, method, path, body in (
            (self.cloud.nova, 'DELETE', flavor, None),
            (self.cloud.nova, 'POST', f'{flavor}/os-extra_specs', {'extra_specs': {'a': '1'}}),
            (self.cloud.nova, 'POST', f'{flavor}/action', {'addTenantAccess': {'tenant': 'p'}}),
            (self.cloud.cinder, 'DELETE', volume_type, None),
            (self.cloud.cinder, 'PUT', volume_type, {'volume_type': {'name': 'u'}}),
            (self.cloud.cinder, 'POST', f'{volume_type}/extra_specs', {'extra_specs': {'a': '1'}}),
        ):
            self.cloud.lab.clear_logs()
            answer = client.request(method, path, body, as_='demo')
            self.assertEqual(403, answer.status, (method, path, answer.text))
            pods = [self.cloud.pod(name) for name in self.cloud.pod_ids]
            seen = [
                each.headers['x-auth-token'] for pod in pods for each in (*pod.nova.requests, *pod.cinder.requests)
            ]
            self.assertEqual([self.cloud.token('demo')], seen, (method, path))

    def test_changes_of_specs_description_and_access_are_replicated(self):
        made = self.make_flavor(**{'os-flavor-access:is_public': False})
        path = f'/flavors/{made["id"]}'
        calls = [
            ('POST', f'{path}/os-extra_specs', {'extra_specs': {'a': '1', 'b': '2'}}, 200),
            ('PUT', f'{path}/os-extra_specs/a', {'a': '3'}, 200),
            ('DELETE', f'{path}/os-extra_specs/b', None, 200),
            ('PUT', path, {'flavor': {'description': 'new'}}, 200),
            ('POST', f'{path}/action', {'addTenantAccess': {'tenant': 'p'}}, 200),
            ('POST', f'{path}/action', {'addTenantAccess': {'tenant': 'q'}}, 200),
            ('POST', f'{path}/action', {'removeTenantAccess': {'tenant': 'p'}}, 200),
        ]
        for method, where, body, status in calls:
            answer = self.cloud.nova.request(method, where, body, as_='admin', version='2.61')
            self.assertEqual(status, answer.status, answer.text)
        first, second = self.flavors(made['id'])
        self.assertEqual({'a': '3'}, second['extra_specs'])
        self.assertEqual({'q'}, second['projects'])
        self.assertEqual('new', second['description'])
        self.assertEqual(first, second)

    def test_delete_is_replicated_and_second_delete_is_not_found(self):
        made = self.make_flavor()
        answer = self.cloud.nova.delete(f'/flavors/{made["id"]}', as_='admin')
        self.assertEqual(202, answer.status)
        self.assertEqual([None, None], self.flavors(made['id']))
        answer = self.cloud.nova.delete(f'/flavors/{made["id"]}', as_='admin')
        self.assertEqual(404, answer.status)

    def test_delete_of_flavor_missing_in_second_pod_succeeds(self):
        made = self.make_flavor()
        del self.nova('Pod2').flavors[made['id']]
        answer = self.cloud.nova.delete(f'/flavors/{made["id"]}', as_='admin')
        self.assertEqual(202, answer.status)
        self.assertEqual([], self.jobs())

    def test_write_to_flavor_missing_in_first_pod_restores_it(self):
        made = self.make_flavor()
        del self.nova('Pod1').flavors[made['id']]
        answer = self.cloud.nova.post(
            f'/flavors/{made["id"]}/os-extra_specs', {'extra_specs': {'a': 'b'}}, as_='admin'
        )
        self.assertEqual(200, answer.status)
        for flavor in self.flavors(made['id']):
            self.assertEqual({'a': 'b'}, flavor['extra_specs'])


class TestUnreachablePods(JobsCase):
    pods = 3

    def test_create_with_second_pod_unreachable_is_repaired_by_job(self):
        self.nova('Pod2').faults.add(Refuse())
        made = self.make_flavor()
        self.assertEqual([made['id']], self.out_of_sync('Pod2'))
        self.assertEqual('out_of_sync', self.replica('flavor', made['id'], 'Pod2').state)
        self.assertIn('not reached', self.replica('flavor', made['id'], 'Pod2').error)
        self.assertEqual(['repair_replicas'], self.jobs())
        self.nova('Pod2').faults.clear()
        self.assertRan('success', 'repair_replicas')
        self.assertNotIn(None, self.flavors(made['id']))
        self.assertEqual([], self.out_of_sync('Pod2'))

    def test_repair_of_unreachable_pod_is_retried_and_fails(self):
        self.nova('Pod2').faults.add(Refuse())
        self.make_flavor()
        ran = self.cloud.run_jobs()
        self.assertEqual(['new', 'new', 'fail'], [job.state for job in ran])
        self.assertIn('Pod2', ran[-1].error)

    def test_create_with_slow_pod_returns_and_is_repaired_by_job(self):
        """The answer comes within the time for replication; the pod gets it from a job."""
        self.nova('Pod2').faults.add(Slow(30.0, method='POST', times=1))
        made = self.make_flavor()
        self.assertEqual([made['id']], self.out_of_sync('Pod2'))
        self.assertRan('success', 'repair_replicas')
        self.assertNotIn(None, self.flavors(made['id']))

    def test_create_with_slow_pod_returns_within_replicate_timeout(self):
        """A job makes the rest of the calls after the answer."""
        self.cloud.transport.real_time = True
        replicator = self.cloud.runtime.replicator
        replicator.timing.replicate_timeout = 1.0
        # Without the timeout the calls take 3.6 seconds.
        self.nova('Pod2').faults.add(Slow(0.9))
        started = time.monotonic()
        made = self.make_flavor()
        self.assertLess(time.monotonic() - started, 2.8)
        self.assertEqual([made['id']], self.out_of_sync('Pod2'))
        self.assertEqual(['repair_replicas'], self.jobs())
        self.assertNotIn('Pod3', self.out_of_sync('Pod3'))
        self.nova('Pod2').faults.clear()
        self.assertRan('success', 'repair_replicas')
        self.assertNotIn(None, self.flavors(made['id']))

    def test_create_with_first_pod_unreachable_goes_to_the_next(self):
        self.nova('Pod1').faults.add(Refuse())
        made = self.make_flavor()
        self.assertEqual([True, False, False], [flavor is None for flavor in self.flavors(made['id'])])
        # Pod1 is out of sync now, so the other pods answer reads.
        self.nova('Pod1').faults.clear()
        answer = self.cloud.nova.get(f'/flavors/{made["id"]}')
        self.assertEqual(200, answer.status)
        self.assertRan('success', 'repair_replicas')
        self.assertNotIn(None, self.flavors(made['id']))

    def test_out_of_sync_pod_is_repaired_before_a_write(self):
        """Otherwise its old state would become the desired state."""
        self.nova('Pod1').faults.add(Refuse())
        made = self.make_flavor()
        path = f'/flavors/{made["id"]}/os-extra_specs'
        self.cloud.nova.post(path, {'extra_specs': {'a': '1'}}, as_='admin')
        self.nova('Pod1').faults.clear()
        for name in ('Pod2', 'Pod3'):
            self.nova(name).faults.add(Refuse())
        # The desired state is in the database, so no other pod has to be reachable.
        answer = self.cloud.nova.post(path, {'extra_specs': {'b': '2'}}, as_='admin')
        self.assertEqual(200, answer.status)
        for name in ('Pod2', 'Pod3'):
            self.nova(name).faults.clear()
        self.cloud.run_jobs()
        for flavor in self.flavors(made['id']):
            self.assertEqual({'a': '1', 'b': '2'}, flavor['extra_specs'])

    def test_requests_with_all_pods_unreachable_are_unavailable(self):
        for name in self.cloud.lab.pods:
            self.nova(name).faults.add(Refuse())
        answer = self.cloud.nova.get('/flavors')
        self.assertEqual(503, answer.status)
        self.assertIn('Retry-After', answer.headers)
        self.make_flavor(status=503)

    def test_create_answered_503_goes_to_the_next_pod(self):
        self.nova('Pod1').faults.add(Status(503, method='POST'))
        made = self.make_flavor()
        self.assertIsNotNone(self.flavors(made['id'])[1])

    def test_pod_in_maintenance_is_repaired_when_enabled(self):
        self.cloud.set_pod('Pod2', state='maintenance', reason='disk')
        made = self.make_flavor()
        self.assertEqual([], self.jobs())
        self.assertEqual([made['id']], self.out_of_sync('Pod2'))
        self.assertIsNone(self.flavors(made['id'])[1])
        self.cloud.set_pod('Pod2', state='enabled', reason='')
        self.cloud.run_jobs()
        self.repair('Pod2')
        self.assertNotIn(None, self.flavors(made['id']))

    def test_delete_with_pod_unreachable_is_repaired_by_job(self):
        made = self.make_flavor()
        self.nova('Pod2').faults.add(Refuse())
        answer = self.cloud.nova.delete(f'/flavors/{made["id"]}', as_='admin')
        self.assertEqual(202, answer.status)
        self.nova('Pod2').faults.clear()
        self.assertRan('success', 'repair_replicas')
        self.assertEqual([None] * 3, self.flavors(made['id']))

    def test_recreate_with_pod_unreachable_replaces_the_old_flavor(self):
        """The flavor that Pod2 still has is the deleted one."""
        made = self.make_flavor(ram=64)
        self.nova('Pod2').faults.add(Refuse())
        self.cloud.nova.delete(f'/flavors/{made["id"]}', as_='admin')
        self.make_flavor(id=made['id'], ram=128)
        self.nova('Pod2').faults.clear()
        self.assertRan('success', 'repair_replicas')
        self.assertEqual([128] * 3, [flavor['ram'] for flavor in self.flavors(made['id'])])


class TestUnknownOutcome(JobsCase):
    def test_unanswered_create_is_recorded_and_replicated(self):
        self.nova('Pod1').faults.add(DropAfter(method='POST', times=1))
        self.make_flavor(status=504, id='x')
        self.assertEqual([False, True], [flavor is None for flavor in self.flavors('x')])
        self.run_delayed()
        self.assertNotIn(None, self.flavors('x'))

    def test_unanswered_create_without_id_is_found_and_replicated(self):
        self.nova('Pod1').faults.add(Hang(method='POST', times=1))
        self.make_flavor(status=504)
        self.run_delayed()
        (made,) = [each for each in self.nova('Pod2').flavors.values() if each['name'] == 'f']
        self.assertNotIn(None, self.flavors(made['id']))

    def test_unanswered_change_is_recorded_and_replicated(self):
        made = self.make_flavor()
        self.nova('Pod1').faults.add(DropAfter(path='extra_specs', times=1))
        answer = self.cloud.nova.post(
            f'/flavors/{made["id"]}/os-extra_specs', {'extra_specs': {'a': 'b'}}, as_='admin'
        )
        self.assertEqual(504, answer.status)
        # A repair of the pod in the meantime does not undo the change.
        self.repair('Pod1')
        self.run_delayed()
        for flavor in self.flavors(made['id']):
            self.assertEqual({'a': 'b'}, flavor['extra_specs'])

    def test_unanswered_delete_is_recorded_and_replicated(self):
        made = self.make_flavor()
        self.nova('Pod1').faults.add(DropAfter(method='DELETE', times=1))
        answer = self.cloud.nova.delete(f'/flavors/{made["id"]}', as_='admin')
        self.assertEqual(504, answer.status)
        self.run_delayed()
        self.assertEqual([None, None], self.flavors(made['id']))

    def test_unanswered_change_is_added_to_a_newer_one_and_does_not_undo_it(self):
        """The job that reads the unanswered write back does not undo newer writes."""
        made = self.make_flavor()
        path = f'/flavors/{made["id"]}/os-extra_specs'
        self.nova('Pod1').faults.add(DropAfter(path='extra_specs', times=1))
        self.cloud.nova.post(path, {'extra_specs': {'old': '1', 'both': '1'}}, as_='admin')
        self.nova('Pod1').faults.add(Refuse())
        answer = self.cloud.nova.post(path, {'extra_specs': {'new': '1', 'both': '2'}}, as_='admin')
        self.assertEqual(200, answer.status)
        self.nova('Pod1').faults.clear()
        self.run_delayed()
        for flavor in self.flavors(made['id']):
            self.assertEqual({'old': '1', 'new': '1', 'both': '2'}, flavor['extra_specs'])

    def test_create_that_cannot_be_read_back_is_recorded_by_job(self):
        """The pod answered the create, and became unreachable before the gateway could read the flavor."""
        self.nova('Pod1').faults.add(Refuse(method='GET'))
        made = self.make_flavor()
        self.assertIsNone(self.flavors(made['id'])[1])
        self.nova('Pod1').faults.clear()
        self.assertRan('success', 'record_write')
        self.assertNotIn(None, self.flavors(made['id']))

    def run_delayed(self):
        from trio2o.db import jobs as db_jobs

        db = self.cloud.runtime.db
        for job in db_jobs.list_(db, filters={'state': 'new'}):
            db_jobs.redo(db, job.id)
        self.cloud.run_jobs()


class TestDrift(JobsCase):
    def test_change_made_in_a_pod_is_repaired(self):
        made = self.make_flavor()
        self.nova('Pod2').flavors[made['id']]['extra_specs']['by'] = 'hand'
        self.assertEqual({('flavor', made['id'])}, self.check('Pod2').changed)
        self.assertEqual(1, self.repair('Pod2').repaired)
        self.assertEqual({}, self.flavors(made['id'])[1]['extra_specs'])
        self.assertFalse(self.check('Pod2'))

    def test_delete_made_in_a_pod_is_repaired(self):
        made = self.make_flavor()
        del self.nova('Pod1').flavors[made['id']]
        self.assertEqual(1, self.repair('Pod1').repaired)
        self.assertNotIn(None, self.flavors(made['id']))

    def test_flavor_with_other_sizes_in_a_pod_is_a_conflict(self):
        made = self.make_flavor()
        self.nova('Pod2').flavors[made['id']]['ram'] = 999
        self.assertEqual(1, self.repair('Pod2').failed)
        replica = self.replica('flavor', made['id'], 'Pod2')
        self.assertEqual('failed', replica.state)
        self.assertIn('ram is 999 and should be 64', replica.error)
        self.assertEqual(999, self.flavors(made['id'])[1]['ram'])

    def test_object_of_one_pod_is_reported_and_brought_to_others_by_adoption(self):
        self.cloud.direct('Pod1').post(
            '/flavors',
            {'flavor': {'name': 'f', 'ram': 1, 'vcpus': 1, 'disk': 1, 'id': 'lost'}},
            as_='admin',
        )
        result = self.repair('Pod1')
        self.assertEqual((0, ('flavor f',)), (result.imported, result.unknown))
        self.cloud.run_jobs()
        self.assertIsNone(self.flavors('lost')[1])
        answer = self.cloud.api.post(f'/pods/{self.cloud.pod_ids["Pod1"]}/adopt', {})
        self.assertLess(answer.status, 300, answer.text)
        self.cloud.run_jobs()
        self.assertNotIn(None, self.flavors('lost'))

    def test_write_recorded_during_repair_is_kept(self):
        """Repair changes only differences that it sees twice, some time apart."""
        made = self.make_flavor()
        flavor = self.nova('Pod1').flavors[made['id']]
        flavor['extra_specs']['a'] = 'b'

        def record(seconds):
            self.cloud.runtime.replicator.writes.read_back('flavor', made['id'], self.view('Pod1'), Prepared())

        self.cloud.runtime.replicator.timing.sleep = record
        self.repair('Pod1')
        self.assertEqual({'a': 'b'}, flavor['extra_specs'])

    def check(self, name):
        return self.cloud.runtime.replicator.pods.find_drift(self.view(name))

    def test_repair_without_drift_does_not_wait(self):
        self.make_flavor()
        self.assertFalse(self.check('Pod1'))
        self.repair('Pod1')
        self.assertEqual([], self.slept)


class TestRaces(JobsCase):
    def test_concurrent_writes_to_one_flavor_are_all_kept(self):
        """In the end, all pods have the specs of all writers."""
        made = self.make_flavor()
        path = f'/flavors/{made["id"]}/os-extra_specs'

        def write(key):
            for number in range(5):
                body = {'extra_specs': {key: str(number)}}
                statuses.append(self.cloud.nova.post(path, body, as_='admin').status)

        statuses = []
        self.cloud.nova.get('/flavors')
        threads = [threading.Thread(target=write, args=(key,)) for key in 'abcd']
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual([200] * 20, statuses)
        self.cloud.run_jobs()
        for flavor in self.flavors(made['id']):
            self.assertEqual(dict.fromkeys('abcd', '4'), flavor['extra_specs'])
        self.assertEqual([], self.out_of_sync('Pod1') + self.out_of_sync('Pod2'))

    def test_sync_overtaken_by_a_write_applies_the_newer_state(self):
        """Synchronization applies again when the desired state changed meanwhile."""
        made = self.make_flavor()
        replicator = self.cloud.runtime.replicator
        pod1, pod2 = self.view('Pod1'), self.view('Pod2')
        set_outcome, calls = ReplicaStore.set_outcome, []

        def write_meanwhile(store, obj, pod, outcome):
            set_outcome(store, obj, pod, outcome)
            if not calls:
                calls.append(obj.generation)
                self.nova('Pod1').flavors[made['id']]['extra_specs']['late'] = 'wish'
                replicator.writes.read_back('flavor', made['id'], pod1, Prepared())

        self.useFixture(fixtures.MonkeyPatch(f'{ReplicaStore.__module__}.ReplicaStore.set_outcome', write_meanwhile))
        replicator.objects.sync('flavor', made['id'], pod2)
        self.assertEqual({'late': 'wish'}, self.flavors(made['id'])[1]['extra_specs'])


class TestBeforeAnyPodJoined(JobsCase):
    """The pods have flavors, and no job has recorded them yet."""

    def setUp(self):
        super().setUp()
        self.cloud = self.gateway(run_jobs=False)

    def test_delete_of_unrecorded_flavor_is_replicated(self):
        self.assertEqual(202, self.cloud.nova.delete('/flavors/1', as_='admin').status)
        self.assertEqual([None, None], self.flavors('1'))
        self.cloud.run_jobs()
        self.assertEqual([None, None], self.flavors('1'))

    def test_change_of_unrecorded_flavor_is_replicated(self):
        answer = self.cloud.nova.post('/flavors/1/os-extra_specs', {'extra_specs': {'a': 'b'}}, as_='admin')
        self.assertEqual(200, answer.status)
        for flavor in self.flavors('1'):
            self.assertEqual({'a': 'b'}, flavor['extra_specs'])


class TestJoin(JobsCase):
    def test_joining_pod_gets_flavors_and_its_own_is_imported(self):
        made = self.make_flavor()
        pod = self.cloud.lab.add_pod('Pod3')
        self.cloud.direct('Pod3').post(
            '/flavors',
            {'flavor': {'name': 'own', 'ram': 1, 'vcpus': 1, 'disk': 1, 'id': 'own'}},
            as_='admin',
        )
        self.cloud.register_pod('Pod3', 'az3')
        self.cloud.run_jobs()
        self.assertIn(made['id'], pod.nova.flavors)
        self.assertNotIn(None, self.flavors('own'))
        self.assertEqual([], self.out_of_sync('Pod3'))

    def test_flavors_that_joining_pod_has_already_are_only_listed(self):
        pod = self.cloud.lab.add_pod('Pod3')
        for number in range(3):
            made = self.make_flavor(id=f'same-{number}', name=f'same-{number}')
            flavor = {name: made[name] for name in ('id', 'name', 'ram', 'vcpus', 'disk')}
            self.cloud.direct('Pod3').post('/flavors', {'flavor': flavor}, as_='admin')
        self.cloud.register_pod('Pod3', 'az3')
        pod.nova.requests.clear()
        self.cloud.run_jobs()
        self.assertEqual([], [request.path for request in pod.nova.requests if '/same-' in request.path])
        self.assertEqual([], self.out_of_sync('Pod3'))
        self.assertEqual('in_sync', self.replica('flavor', 'same-0', 'Pod3').state)

    def test_conflict_of_joining_pod_is_reported_and_both_sides_stay(self):
        made = self.make_flavor(id='7', ram=64)
        pod = self.cloud.lab.add_pod('Pod3')
        self.cloud.direct('Pod3').post(
            '/flavors',
            {'flavor': {'name': 'theirs', 'ram': 1, 'vcpus': 1, 'disk': 1, 'id': '7'}},
            as_='admin',
        )
        self.cloud.register_pod('Pod3', 'az3')
        self.cloud.run_jobs()
        replica = self.replica('flavor', made['id'], 'Pod3')
        self.assertEqual('failed', replica.state)
        self.assertIn("name is 'theirs' and should be 'f'", replica.error)
        self.assertEqual('theirs', pod.nova.flavors['7']['name'])
        self.assertEqual(64, self.flavors('7')[0]['ram'])
        shown = self.cloud.api.get('/replicas')
        self.assertEqual(200, shown.status)
        self.assertIn('should be', shown.text)
        # The flavor can still be deleted, and that of Pod3 stays.
        self.assertEqual(202, self.cloud.nova.delete('/flavors/7', as_='admin').status)
        self.cloud.run_jobs()
        self.assertIn('7', pod.nova.flavors)
        self.assertEqual([], self.out_of_sync('Pod3'))

    def test_flavor_of_same_name_in_joining_pod_is_a_conflict(self):
        self.make_flavor(id='7', name='same')
        self.cloud.lab.add_pod('Pod3')
        self.cloud.direct('Pod3').post(
            '/flavors',
            {'flavor': {'name': 'same', 'ram': 1, 'vcpus': 1, 'disk': 1, 'id': '8'}},
            as_='admin',
        )
        self.cloud.register_pod('Pod3', 'az3')
        self.cloud.run_jobs()
        self.assertIn('already exists', self.replica('flavor', '7', 'Pod3').error)


class TestOlderPods(JobsCase):
    """A pod without descriptions and without extra specs in its flavors."""

    def test_pod_without_descriptions_gets_the_rest_and_is_in_sync(self):
        from trio2o.lab.emulated.nova import Settings

        self.cloud.lab.add_pod('Old', nova=Settings(max_minor=53))
        self.cloud.register_pod('Old', 'az3')
        self.cloud.run_jobs()
        body = {'flavor': {'name': 'f', 'ram': 64, 'vcpus': 1, 'disk': 1, 'id': 'x'}}
        self.assertEqual(200, self.cloud.nova.post('/flavors', body, as_='admin').status)
        self.cloud.nova.post('/flavors/x/os-extra_specs', {'extra_specs': {'a': 'b'}}, as_='admin')
        self.assertEqual({'a': 'b'}, self.flavors('x')[2]['extra_specs'])
        self.nova('Pod1').flavors['x']['description'] = 'd'
        self.cloud.runtime.replicator.writes.read_back('flavor', 'x', self.view('Pod1'), Prepared())
        self.cloud.runtime.replicator.objects.sync_everywhere('flavor', 'x')
        self.assertEqual([], self.out_of_sync('Old'))
        self.assertFalse(self.cloud.runtime.replicator.pods.find_drift(self.view('Old')))


class TestReads(JobsCase):
    def test_links_in_list_name_the_gateway(self):
        answer = self.cloud.nova.get('/flavors')
        self.assertEqual(200, answer.status)
        self.assertEqual(3, len(answer['flavors']))
        self.assertNotIn('pod1', answer.text)

    def test_show_sends_one_request_to_one_pod(self):
        self.cloud.nova.get('/flavors/1')
        self.assertEqual(1, len(self.nova('Pod1').requests) + len(self.nova('Pod2').requests))

    def test_show_with_first_pod_unreachable_is_answered_by_the_next(self):
        self.nova('Pod1').faults.add(Refuse())
        self.assertEqual(200, self.cloud.nova.get('/flavors/1').status)


class TestEnsure(JobsCase):
    def test_ensure_syncs_only_the_given_flavor(self):
        self.nova('Pod2').faults.add(Refuse())
        made, other = self.make_flavor(), self.make_flavor(name='g')
        self.nova('Pod2').faults.clear()
        replicator = self.cloud.runtime.replicator
        replicator.ensure(self.view('Pod2'), [('flavor', made['id'])], '')
        self.assertIsNotNone(self.flavors(made['id'])[1])
        self.assertIsNone(self.flavors(other['id'])[1])
        self.assertEqual([other['id']], self.out_of_sync('Pod2'))
