# SPDX-License-Identifier: Apache-2.0
"""The job that reads the changes in all pods of a part."""

import datetime
import logging

import fixtures
from sqlalchemy import event

from trio2o.db import jobs as db_jobs
from trio2o.db import pods as db_pods
from trio2o.db import routings
from trio2o.db.database import utcnow
from trio2o.lab.emulated.faults import Alter, Refuse, Slow, Status
from trio2o.tests.functional.jobs.base import JobsCase
from trio2o.xjob.jobs import read_changes
from trio2o.xjob.manager import JobManager

LONG_AGO = datetime.datetime(2025, 1, 1)


class ReadChangesCase(JobsCase):
    pods = 3

    def read(self, payload=None):
        """Run the job; returns its progress."""
        job = self.run_job(payload)
        self.assertEqual('success', job.state, job.error)
        return job.progress

    def run_job(self, payload=None):
        runtime = self.cloud.runtime
        submitted = runtime.jobs.submit('read_changes', 'all', payload)
        self.manager = JobManager(self.cloud.conf, runtime)
        return self.manager.run_one(submitted.id)

    def before_pod_is_read(self, name, function):
        """Call a function in the thread of a pod, before the first request to it."""
        record_since = read_changes.record_since

        def call_first(inventory, since):
            if inventory.pod.name == name:
                function()
            return record_since(inventory, since)

        self.useFixture(fixtures.MonkeyPatch(f'{read_changes.__name__}.record_since', call_first))

    def get(self, kind, top_id):
        return routings.get(self.cloud.runtime.db, kind, top_id)

    def read_until(self, pod):
        return db_pods.get(self.cloud.runtime.db, self.cloud.pod_ids[pod]).followed_at


class TestReadChanges(ReadChangesCase):
    def test_changes_in_all_pods_are_recorded(self):
        servers = {name: self.cloud.lab.add_servers(name, 'alt')[0] for name in self.cloud.pod_ids}
        (volume,) = self.cloud.lab.add_volumes('Pod2', 'demo')
        self.assertEqual({'pods': 3, 'servers': 3, 'new_servers': 3, 'volumes': 1, 'new_volumes': 1}, self.read())
        for name, server in servers.items():
            self.assertEqual(self.cloud.pod_ids[name], self.get('server', server['id']).pod_id)
        self.assertTrue(self.get('volume', volume['id']).is_live)
        self.cloud.direct('Pod3').delete(f'/servers/{servers["Pod3"]["id"]}', as_='alt')
        self.assertEqual(1, self.read()['gone_servers'])

    def test_owner_and_creation_time_that_a_pod_shows_are_recorded(self):
        (volume,) = self.cloud.lab.add_volumes('Pod2', 'demo')
        self.read()
        project_id, created_at = self.cloud.project_id('alt'), volume['created_at'] + datetime.timedelta(seconds=1)
        self.cinder('Pod2').volumes[volume['id']].update(project_id=project_id, created_at=created_at)
        self.read()
        routing = self.get('volume', volume['id'])
        self.assertEqual((project_id, created_at), (routing.project_id, routing.created_at))

    def test_only_changes_are_read(self):
        self.cloud.lab.add_servers('Pod1', 'demo', 100, start=LONG_AGO)
        self.cloud.lab.add_volumes('Pod1', 'demo', 100, start=LONG_AGO)
        self.assertEqual({'pods': 3}, self.read())
        paths = [request.path for request in self.cinder('Pod1').requests]
        self.assertEqual(1, len([path for path in paths if path.endswith('/volumes/detail')]), paths)

    def test_pod_that_fails_is_named_and_read_from_its_last_time(self):
        before = self.read_until('Pod1')
        (server,) = self.cloud.lab.add_servers('Pod2', 'demo')
        for fault in Refuse(), Status(403), Status(200, body=b'[]'):
            self.nova('Pod1').faults.clear()
            self.nova('Pod1').faults.add(fault)
            self.assertEqual(['Pod1'], self.read()['failed'])
        self.assertTrue(self.get('server', server['id']).is_live)
        self.assertEqual(before, self.read_until('Pod1'))
        self.assertLess(before, self.read_until('Pod2'))
        self.nova('Pod1').faults.clear()
        self.assertNotIn('failed', self.read())
        self.assertLess(before, self.read_until('Pod1'))

    def test_pods_not_compared_yet_and_in_maintenance_are_not_called(self):
        db_pods.set_reconciled(self.cloud.runtime.db, self.cloud.pod_ids['Pod1'], None)
        self.cloud.set_pod('Pod2', state='maintenance')
        self.cloud.lab.clear_logs()
        self.assertEqual(1, self.read()['pods'])
        self.assertEqual([], [*self.nova('Pod1').requests, *self.nova('Pod2').requests])
        self.assertIsNone(self.read_until('Pod1'))

    def test_pods_of_other_parts_are_not_called(self):
        read = [self.read({'part': number, 'parts': 2})['pods'] for number in (1, 2)]
        self.assertEqual(3, sum(read))

    def test_changes_before_a_comparison_are_read_again(self):
        then = utcnow() - datetime.timedelta(hours=1)
        db_pods.set_reconciled(self.cloud.runtime.db, self.cloud.pod_ids['Pod1'], then)
        (server,) = self.cloud.lab.add_servers('Pod1', 'demo', start=then - datetime.timedelta(minutes=4))
        self.read()
        self.assertTrue(self.get('server', server['id']).is_live)


class TestFailures(ReadChangesCase):
    def setUp(self):
        super().setUp()
        self.servers = {name: self.cloud.lab.add_servers(name, 'alt')[0]['id'] for name in self.cloud.pod_ids}
        self.log = self.useFixture(fixtures.FakeLogger(level=logging.WARNING))

    def recorded(self):
        return [name for name, top_id in self.servers.items() if self.get('server', top_id)]

    def test_values_that_cannot_be_stored_fail_their_pod_only(self):
        self.nova('Pod2').faults.add(Alter({'id': 'x' * 400}))
        progress = self.read()
        self.assertEqual((2, ['Pod2']), (progress['pods'], progress['failed']))
        self.assertEqual(['Pod1', 'Pod3'], self.recorded())
        self.assertIn('Failed to read or record the changes in pod Pod2\nTraceback', self.log.output)

    def test_pod_deleted_meanwhile_fails_alone(self):
        pod_id = self.cloud.pod_ids['Pod2']
        self.before_pod_is_read('Pod2', lambda: db_pods.delete(self.cloud.runtime.db, pod_id))
        progress = self.read()
        self.assertEqual((2, ['Pod2']), (progress['pods'], progress['failed']))
        self.assertEqual(['Pod1', 'Pod3'], self.recorded())

    def test_interrupted_run_ends_and_reads_no_pod_to_its_end(self):
        before = {name: self.read_until(name) for name in self.servers}
        self.before_pod_is_read('Pod2', lambda: self.manager.stop())
        job = self.run_job()
        self.assertEqual(('new', None, 'its worker is stopping'), (job.state, job.progress, job.error))
        self.assertNotIn('Pod2', self.recorded())
        self.assertEqual(before, {name: self.read_until(name) for name in self.servers})


class TestPodsBehind(ReadChangesCase):
    def setUp(self):
        super().setUp()
        (self.server,) = self.cloud.lab.add_servers('Pod2', 'alt')
        self.before = self.read_until('Pod2')

    def run_others(self):
        """Run the jobs that are due; returns their resource keys and states by type."""
        return {job.type: (job.resource_key, job.state) for job in self.cloud.run_jobs()}

    def assert_read_by_own_job(self):
        self.assertEqual((self.cloud.pod_ids['Pod2'], 'success'), self.run_others()['reconcile_routings'])
        self.assertTrue(self.get('server', self.server['id']).is_live)
        self.assertLess(self.before, self.read_until('Pod2'))

    def test_pod_that_answers_slowly_is_read_by_its_own_job(self):
        self.nova('Pod2').faults.add(Slow(20))  # within [pods] read_timeout
        progress = self.read()
        self.assertEqual((2, ['Pod2']), (progress['pods'], progress['behind']))
        self.assertNotIn('failed', progress)
        self.assertIsNone(self.get('server', self.server['id']))
        self.assert_read_by_own_job()

    def test_pod_with_many_changes_is_read_by_its_own_job(self):
        volumes = self.cloud.lab.add_volumes('Pod2', 'alt', 100)
        self.useFixture(fixtures.MonkeyPatch(f'{read_changes.__name__}._SECONDS', 0))
        self.cloud.lab.clear_logs()
        self.assertIn('Pod2', self.read()['behind'])
        pages = [each for each in self.nova('Pod2').requests if each.path.endswith('/servers/detail')]
        self.assertLessEqual(len(pages), 1, 'The thread of the pod reads on after the time of the job.')
        self.assertEqual([], list(self.cinder('Pod2').requests))
        self.assertEqual(self.before, self.read_until('Pod2'))
        self.cloud.run_jobs()
        self.assertTrue(all(self.get('volume', volume['id']).is_live for volume in volumes))
        self.assertLess(self.before, self.read_until('Pod2'))

    def test_own_job_waits_already_and_no_other_is_submitted(self):
        self.nova('Pod2').faults.add(Slow(20))
        pod_id = self.cloud.pod_ids['Pod2']
        waiting = self.cloud.runtime.jobs.submit('reconcile_routings', pod_id, {'pod_id': pod_id}, delay_seconds=99)
        self.read()
        self.read()
        jobs = db_jobs.list_(self.cloud.runtime.db, filters={'type': 'reconcile_routings', 'resource_key': pod_id})
        self.assertEqual([waiting.run_after], [job.run_after for job in jobs if job.is_active])

    def test_pod_that_is_down_gets_no_job(self):
        self.nova('Pod2').faults.add(Refuse())
        self.assertEqual(['Pod2'], self.read()['failed'])
        self.assertNotIn('reconcile_routings', self.run_others())


class TestGrowth(ReadChangesCase):
    def statements(self):
        """The statements of a run without changes."""
        found = []
        self.read()
        event.listen(self.cloud.runtime.db.engine, 'before_cursor_execute', lambda *args: found.append(args[2]))
        self.read()
        return found

    def test_run_without_changes_needs_as_many_statements_for_more_pods(self):
        few = self.statements()
        self.pods = 6
        self.cloud = self.gateway()
        self.assertEqual(len(few), len(self.statements()))
