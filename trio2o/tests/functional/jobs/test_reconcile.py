# SPDX-License-Identifier: Apache-2.0
"""Routings follow what the pods have; endpoints what Keystone and the pods say."""

import datetime

from trio2o.db import pods as db_pods
from trio2o.db import routings
from trio2o.lab.emulated.faults import Refuse, Status
from trio2o.tests.functional.jobs.base import JobsCase


class TestRoutings(JobsCase):
    def reconcile(self, name='Pod1', state='success'):
        pod_id = self.cloud.pod_ids[name]
        self.cloud.runtime.jobs.submit('reconcile_routings', pod_id, {'pod_id': pod_id})
        (job,) = self.cloud.run_jobs()[-1:]
        self.assertEqual(state, job.state, job.error)
        return job.progress

    def get(self, kind, top_id):
        return routings.get(self.cloud.runtime.db, kind, top_id)

    def test_records_what_is_there(self):
        (server,) = self.cloud.lab.add_servers('Pod1', 'alt')
        (volume,) = self.cloud.lab.add_volumes('Pod1', 'demo')
        progress = self.reconcile()
        self.assertEqual(1, progress['new_servers'])
        found = self.get('server', server['id'])
        self.assertEqual(self.cloud.project_id('alt'), found.project_id)
        self.assertEqual(server['created_at'], found.created_at)
        self.assertEqual(self.cloud.project_id('demo'), self.get('volume', volume['id']).project_id)
        pod = db_pods.get(self.cloud.runtime.db, self.cloud.pod_ids['Pod1'])
        self.assertTrue(pod.is_reconciled)

    def test_by_pages(self):
        self.nova('Pod1').settings.max_limit = 7
        self.cinder('Pod1').settings.max_limit = 7
        self.cloud.lab.add_servers('Pod1', 'demo', 30)
        self.cloud.lab.add_volumes('Pod1', 'demo', 21)
        progress = self.reconcile()
        self.assertEqual(
            (30, 30, 21, 21),
            tuple(progress[name] for name in ('servers', 'new_servers', 'volumes', 'new_volumes')),
        )

    def test_knows_what_it_knew(self):
        self.cloud.lab.add_servers('Pod1', 'demo', 3)
        self.reconcile()
        progress = self.reconcile()
        self.assertEqual((3, 0, 0), tuple(progress[name] for name in ('servers', 'new_servers', 'gone_servers')))

    def test_ends_what_is_gone(self):
        kept, gone = self.cloud.lab.add_servers('Pod1', 'demo', 2)
        self.reconcile()
        self.nova('Pod1').servers.pop(gone['id'])
        self.assertEqual(1, self.reconcile()['gone_servers'])
        self.assertFalse(self.get('server', gone['id']).is_live)
        self.assertTrue(self.get('server', kept['id']).is_live)

    def test_what_a_list_misses_is_asked_for(self):
        """Only the pod's own word that it is gone ends a routing."""
        (server,) = self.cloud.lab.add_servers('Pod1', 'demo')
        self.reconcile()
        empty = Status(
            200,
            path='/servers/detail',
            body=b'{"servers": []}',
            headers=(('Content-Type', 'application/json'),),
        )
        self.nova('Pod1').faults.add(empty)
        self.assertEqual(0, self.reconcile()['gone_servers'])
        self.assertTrue(self.get('server', server['id']).is_live)

    def test_what_came_while_it_looked_stays(self):
        routings.record(
            self.cloud.runtime.db,
            resource_type='server',
            top_id='new',
            pod_id=self.cloud.pod_ids['Pod1'],
            project_id='p',
            state='creating',
        )
        found = self.get('server', 'new')
        routings.update(
            self.cloud.runtime.db,
            found.id,
            recorded_at=found.recorded_at + datetime.timedelta(seconds=30),
        )
        self.reconcile()
        self.assertTrue(self.get('server', 'new').is_live)

    def test_one_that_is_there_again(self):
        (server,) = self.cloud.lab.add_servers('Pod1', 'demo')
        self.reconcile()
        routings.mark_deleted(self.cloud.runtime.db, 'server', server['id'])
        self.reconcile()
        self.assertTrue(self.get('server', server['id']).is_live)

    def test_one_that_was_moved(self):
        (server,) = self.cloud.lab.add_servers('Pod1', 'demo')
        routings.record(
            self.cloud.runtime.db,
            resource_type='server',
            top_id='top',
            bottom_id=server['id'],
            pod_id=self.cloud.pod_ids['Pod1'],
            project_id='p',
        )
        self.assertEqual(0, self.reconcile()['new_servers'])
        self.assertIsNone(self.get('server', server['id']))
        self.assertEqual(server['created_at'], self.get('server', 'top').created_at)

    def test_a_pod_that_is_away(self):
        self.nova('Pod1').faults.add(Refuse())
        pod_id = self.cloud.pod_ids['Pod1']
        self.cloud.runtime.jobs.submit('reconcile_routings', pod_id, {'pod_id': pod_id})
        ran = self.cloud.run_jobs()
        self.assertEqual('fail', ran[-1].state)
        self.assertIn('Pod1', ran[-1].error)


class TestEndpoints(JobsCase):
    def refresh(self):
        self.cloud.runtime.jobs.submit('refresh_endpoints', 'all')
        self.assertRan('success', 'refresh_endpoints')
        return {pod.name: pod.endpoints for pod in self.cloud.runtime.registry.refresh().pods}

    def test_an_upgraded_pod(self):
        self.nova('Pod1').settings.max_minor = 90
        found = self.refresh()
        self.assertEqual('2.90', found['Pod1']['compute'].max_version)
        self.assertEqual('2.104', found['Pod2']['compute'].max_version)

    def test_a_pod_that_is_away_keeps_what_it_told(self):
        before = self.refresh()
        self.nova('Pod1').faults.add(Refuse())
        self.assertEqual(before, self.refresh())

    def test_a_pod_that_moved(self):
        self.cloud.lab.move_endpoints('http://pod2.nova.test:8774', 'http://elsewhere:1')
        self.assertEqual('http://elsewhere:1/v2.1', self.refresh()['Pod2']['compute'].url)
