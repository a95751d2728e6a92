# SPDX-License-Identifier: Apache-2.0
"""The job that reads the changes in all pods of a part."""

import datetime

from sqlalchemy import event

from trio2o.db import pods as db_pods
from trio2o.db import routings
from trio2o.db.database import utcnow
from trio2o.lab.emulated.faults import Refuse, Status
from trio2o.tests.functional.jobs.base import JobsCase

LONG_AGO = datetime.datetime(2025, 1, 1)


class ReadChangesCase(JobsCase):
    pods = 3

    def read(self, payload=None):
        """Run the job; returns its progress."""
        self.cloud.runtime.jobs.submit('read_changes', 'all', payload)
        (job,) = [each for each in self.cloud.run_jobs() if each.type == 'read_changes']
        self.assertEqual('success', job.state, job.error)
        return job.progress

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
