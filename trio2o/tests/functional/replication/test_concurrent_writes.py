# SPDX-License-Identifier: Apache-2.0
"""Writes to one object by two processes whose first pods differ: no write that was answered is lost."""

from urllib.parse import urlsplit

from trio2o.cinder_apigw import SERVICE as CINDER
from trio2o.db import jobs as db_jobs
from trio2o.db import replicas
from trio2o.lab.emulated.faults import DropAfter, Refuse
from trio2o.nova_apigw import SERVICE as NOVA
from trio2o.runtime import build_runtime
from trio2o.tests.fixtures.cloud import Client
from trio2o.tests.functional.jobs.base import JobsCase


class OtherHost:
    """Transport of a host that does not reach Pod1 for writes, until its own first write.

    :ivar then: called once, after the first write of the host and before it learns the answer
    """

    def __init__(self, inner):
        self._inner = inner
        self.then = None

    def request(self, method, url, headers=(), body=None, timeout=None):
        if self.then is None or method == 'GET' and '/associate' not in url:
            return self._inner.request(method, url, headers, body, timeout)
        if urlsplit(url).netloc.startswith('pod1'):
            raise ConnectionRefusedError
        answer = self._inner.request(method, url, headers, body, timeout)
        then, self.then = self.then, None
        then()
        return answer


class ConcurrentWritesCase(JobsCase):
    def setUp(self):
        super().setUp()
        self.host = OtherHost(self.cloud.transport)
        other = build_runtime(self.cloud.conf, transport=self.host, identity_transport=self.cloud.lab.adapter())
        self.addCleanup(other.db.dispose)
        self.addCleanup(other.pod_threads.shutdown, wait_seconds=5.0)
        self.other_nova, self.other_cinder = (
            Client(self.cloud, mine._base, mine.prefix, word).mount(self.cloud.build(service, other))
            for mine, service, word in (
                (self.cloud.nova, NOVA, 'compute'),
                (self.cloud.cinder, CINDER, 'volume'),
            )
        )

    def both(self, mine, other, *, status=200, other_status=200, **kwargs):
        """Send a request by the other process, and one by this process while the other's is under way.

        :param mine: (client, method, path, body)
        """
        statuses = []

        def send(client, method, path, body):
            answer = client.request(method, path, body, as_='admin', **kwargs)
            statuses.append(answer.status)
            return answer

        self.host.then = lambda: send(*mine)
        send(*other)
        self.assertEqual([status, other_status], statuses)
        self.cloud.run_jobs()
        self.assertEqual([], self.out_of_sync('Pod1') + self.out_of_sync('Pod2'))


class TestFlavors(ConcurrentWritesCase):
    def setUp(self):
        super().setUp()
        self.flavor_id = self.make_flavor(id='shared', **{'os-flavor-access:is_public': False})['id']
        self.path = f'/flavors/{self.flavor_id}'
        self.specs = f'{self.path}/os-extra_specs'

    def assertFlavor(self, **wanted):
        for flavor in self.flavors(self.flavor_id):
            self.assertEqual(wanted, {name: flavor[name] for name in wanted})

    def test_extra_specs_of_both_are_in_all_pods(self):
        self.both(
            (self.cloud.nova, 'POST', self.specs, {'extra_specs': {'hw:x': '1'}}),
            (self.other_nova, 'POST', self.specs, {'extra_specs': {'hw:y': '2'}}),
        )
        self.assertFlavor(extra_specs={'hw:x': '1', 'hw:y': '2'})

    def test_added_and_deleted_extra_specs(self):
        self.cloud.nova.post(self.specs, {'extra_specs': {'old': '1', 'kept': '1'}}, as_='admin')
        self.both(
            (self.cloud.nova, 'POST', self.specs, {'extra_specs': {'hw:x': '1'}}),
            (self.other_nova, 'DELETE', f'{self.specs}/old', None),
        )
        self.assertFlavor(extra_specs={'hw:x': '1', 'kept': '1'})

    def test_projects_of_both_have_access(self):
        self.both(
            (self.cloud.nova, 'POST', f'{self.path}/action', {'addTenantAccess': {'tenant': 'p'}}),
            (self.other_nova, 'POST', f'{self.path}/action', {'addTenantAccess': {'tenant': 'q'}}),
        )
        self.assertFlavor(projects={'p', 'q'})

    def test_description_and_extra_spec(self):
        self.both(
            (self.cloud.nova, 'PUT', self.path, {'flavor': {'description': 'new'}}),
            (self.other_nova, 'POST', self.specs, {'extra_specs': {'hw:y': '2'}}),
            version='2.61',
        )
        self.assertFlavor(extra_specs={'hw:y': '2'}, description='new')

    def test_delete_during_a_change_stays_deleted(self):
        self.both(
            (self.cloud.nova, 'DELETE', self.path, None),
            (self.other_nova, 'POST', self.specs, {'extra_specs': {'hw:y': '2'}}),
            status=202,
        )
        self.assertEqual([None, None], self.flavors(self.flavor_id))

    def test_delete_that_a_change_has_undone_is_repeated(self):
        self.both(
            (self.cloud.nova, 'POST', self.specs, {'extra_specs': {'hw:y': '2'}}),
            (self.other_nova, 'DELETE', self.path, None),
            other_status=202,
        )
        self.assertEqual([None, None], self.flavors(self.flavor_id))

    def test_second_of_two_different_flavors_with_one_id_is_refused(self):
        self.both(
            (self.cloud.nova, 'POST', '/flavors', {'flavor': self.flavor('one', ram=64)}),
            (self.other_nova, 'POST', '/flavors', {'flavor': self.flavor('two', ram=128)}),
            other_status=409,
        )
        self.assertEqual(['one', 'one'], [flavor['name'] for flavor in self.flavors('new')])

    def flavor(self, name, ram):
        return {'id': 'new', 'name': name, 'ram': ram, 'vcpus': 1, 'disk': 1}

    def test_acknowledged_write_that_was_not_read_back_survives_one_in_another_pod(self):
        """Pod1 is unreachable right after its answer, and the next write goes to Pod2."""
        self.nova('Pod1').faults.add(Refuse(method='GET'))
        answer = self.cloud.nova.post(self.specs, {'extra_specs': {'hw:x': '1'}}, as_='admin')
        self.assertEqual(200, answer.status)
        self.nova('Pod1').faults.clear()
        self.host.then = int
        answer = self.other_nova.post(self.specs, {'extra_specs': {'hw:y': '2'}}, as_='admin')
        self.assertEqual(200, answer.status)
        self.cloud.run_jobs()
        self.assertFlavor(extra_specs={'hw:x': '1', 'hw:y': '2'})
        self.assertEqual([], self.out_of_sync('Pod1') + self.out_of_sync('Pod2'))

    def test_unanswered_writes_in_two_pods_are_both_recorded(self):
        self.nova('Pod1').faults.add(DropAfter(method='POST', times=1))
        self.nova('Pod2').faults.add(DropAfter(method='POST', times=1))
        self.cloud.nova.post(self.specs, {'extra_specs': {'hw:x': '1'}}, as_='admin')
        self.host.then = int
        self.other_nova.post(self.specs, {'extra_specs': {'hw:y': '2'}}, as_='admin')
        db = self.cloud.runtime.db
        waiting = db_jobs.list_(db, filters={'type': 'record_write'})
        self.assertEqual(2, len(waiting))
        for job in waiting:
            db_jobs.redo(db, job.id)
        self.cloud.run_jobs()
        self.assertFlavor(extra_specs={'hw:x': '1', 'hw:y': '2'})


class TestLimits(ConcurrentWritesCase):
    def test_limits_of_both_are_in_all_pods(self):
        project_id = self.cloud.project_id()
        path = f'/os-quota-sets/{project_id}'
        self.both(
            (self.cloud.nova, 'PUT', path, {'quota_set': {'metadata_items': 5}}),
            (self.other_nova, 'PUT', path, {'quota_set': {'key_pairs': 7}}),
        )
        wanted = {'metadata_items': 5, 'key_pairs': 7}
        recorded = replicas.get_object(self.cloud.runtime.db, 'quota_set', project_id)
        self.assertEqual(wanted, recorded.wanted['limits'])
        for pod in ('Pod1', 'Pod2'):
            self.assertEqual(wanted, self.nova(pod).quota_sets[project_id])

    def test_racing_changes_of_the_record_are_all_kept(self):
        desired = self.cloud.runtime.replicator.desired
        calls = []

        def change(attributes):
            calls.append(attributes)
            if len(calls) < 3:
                desired.set_limits('quota_set', 'p', {f'limit{len(calls)}': 1})
            return {'name': 'p', 'limits': {**(attributes or {}).get('limits', {}), 'mine': 1}}

        self.assertTrue(desired.change('quota_set', 'p', change))
        self.assertEqual({'limit1': 1, 'limit2': 1, 'mine': 1}, desired.get('quota_set', 'p')['limits'])


class TestVolumeTypes(ConcurrentWritesCase):
    def test_extra_specs_of_both_are_in_all_pods(self):
        path = f'/types/{self.make_type()["id"]}/extra_specs'
        self.both(
            (self.cloud.cinder, 'POST', path, {'extra_specs': {'x': '1', 'volume_backend_name': 'mine'}}),
            (self.other_cinder, 'POST', path, {'extra_specs': {'y': '2'}}),
        )
        for volume_type in self.types('gold'):
            self.assertEqual({'x': '1', 'y': '2', 'volume_backend_name': 'mine'}, volume_type['extra_specs'])

    def test_local_extra_spec_of_the_write_that_is_sent_again_is_in_all_pods(self):
        path = f'/types/{self.make_type()["id"]}/extra_specs'
        self.both(
            (self.cloud.cinder, 'POST', path, {'extra_specs': {'x': '1'}}),
            (self.other_cinder, 'POST', path, {'extra_specs': {'volume_backend_name': 'other'}}),
        )
        for volume_type in self.types('gold'):
            self.assertEqual({'x': '1', 'volume_backend_name': 'other'}, volume_type['extra_specs'])
