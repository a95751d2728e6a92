# SPDX-License-Identifier: Apache-2.0
"""``openstack trio2o job``, and waiting for jobs."""

import threading

import fixtures

from trio2o.db import jobs
from trio2o.osc.v1 import waiting
from trio2o.tests.fixtures.waiting import wait_until
from trio2o.tests.functional.osc.base import CommandTestCase


class TestJobs(CommandTestCase):
    def setUp(self):
        super().setUp()
        self.useFixture(fixtures.MonkeyPatch('trio2o.osc.v1.waiting.PAUSE_SECONDS', 0.05))
        self.cloud.run_jobs()

    def submit(self, key='k', **more):
        return jobs.submit(self.db, 'sync_pod', key, {'n': 1}, **more)

    def failed(self, error='Pod1 is away'):
        job = self.submit()
        jobs.claim_id(self.db, job.id, 'me', 60)
        return jobs.finish(self.db, job.id, 'me', 'fail', error)

    def test_list_is_filtered_and_paged(self):
        failed, other = self.failed(), self.submit('k2', request_id='req-1')
        listed = self.read('job list --type sync_pod')
        self.assertEqual(
            [(other.id, 'k2'), (failed.id, 'k'), 'Pod2', 'Pod1'],
            [(row['ID'], row['Resource']) for row in listed[:2]] + [row['Resource'] for row in listed[2:4]],
        )
        self.assertEqual(['Pod1 is away'], self.names('job list --state fail', 'Error'))
        self.assertEqual([other.id], self.names('job list --request req-1', 'ID'))
        self.assertEqual([failed.id], self.names('job list --resource k', 'ID'))
        self.assertIn(self.names('job list --pod Pod1 --type sync_pod', 'Resource'), [['Pod1']])
        self.assertEqual([failed.id], self.names(f'job list --type sync_pod --marker {other.id} --limit 1', 'ID'))
        self.assertIn('Progress', self.read('job list --long')[0])

    def test_job_is_shown_with_history(self):
        failed = self.failed()
        shown = self.read(f'job show {failed.id}')
        self.assertEqual(('fail', 'Pod1 is away'), (shown['state'], shown['error']))
        self.assertEqual('fail', shown['history'][-1]['state'])
        self.assertIn('state=fail', self.run_command(f'job show {failed.id}').out)
        self.refused('(404)', 'job show nope')

    def test_job_is_cancelled_and_redone(self):
        job = self.submit()
        self.run_command(f'job cancel {job.id}')
        self.assertEqual('cancelled', self.read(f'job show {job.id}')['state'])
        self.assertEqual('new', self.read(f'job redo {job.id}')['state'])
        self.refused('(404)', 'job redo nope')
        self.refused(['1 of 2 done', 'nope:'], f'job cancel {job.id} nope')

    def test_redo_waits_for_success(self):
        (job,) = (
            job
            for job in jobs.list_(self.db)
            if job.resource_key == self.cloud.pod_ids['Pod1'] and job.type == 'sync_pod'
        )
        self.start_worker('sync_pod')
        printed = self.run_command(f'job redo --wait --timeout 60 {job.id}')
        self.assertIn('(sync_pod): new', printed.err)
        self.assertIn('(sync_pod): success', printed.err)

    def test_redo_waits_for_failure_or_until_timeout(self):
        failed = self.failed()
        is_shown = threading.Event()
        status_line = waiting.status_line

        def show(job):
            line = status_line(job)
            if 'done 3' in line:
                is_shown.set()
            return line

        self.useFixture(fixtures.MonkeyPatch('trio2o.osc.v1.waiting.status_line', show))

        def fail():
            wait_until(lambda: jobs.claim_id(self.db, failed.id, 'me', 60), 60, 'the job was not redone', 0.05)
            jobs.progress(self.db, failed.id, 'me', {'done': 3, 'of': 7})
            is_shown.wait(60)
            jobs.finish(self.db, failed.id, 'me', 'fail', 'still away')

        worker = threading.Thread(target=fail, daemon=True)
        worker.start()
        self.addCleanup(worker.join)
        printed = self.refused(['still away', f'job redo {failed.id}'], f'job redo --wait --timeout 60 {failed.id}')
        self.assertIn('running, done 3, of 7', printed.err)
        waits = self.submit('other')
        self.refused([f'job show {waits.id}', 'goes on'], f'job redo --wait --timeout 0 {waits.id}')

    def test_status_line_shows_error_of_last_attempt(self):
        job = self.submit()
        jobs.claim_id(self.db, job.id, 'me', 60)
        jobs.retry_later(self.db, job.id, 'me', job.run_after, 'no room')
        line = waiting.status_line(self.api.get(f'/jobs/{job.id}')['job'])
        self.assertIn('attempt 1 failed: no room', line)
