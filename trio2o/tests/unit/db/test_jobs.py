# SPDX-License-Identifier: Apache-2.0
"""Jobs: one active job for each resource and one worker for each job; the tests pass the time as argument."""

import datetime
import subprocess
import sys
from collections import Counter
from concurrent import futures

import sqlalchemy

from trio2o.db import jobs
from trio2o.db.jobs.history import MAX_EVENTS
from trio2o.db.records import Job, JobEvent
from trio2o.tests.fixtures.database import on_every_server
from trio2o.tests.unit.db.base import NOON, DatabaseTest, seconds

_WORKER = """
import sys
from trio2o.db import jobs
from trio2o.db.database import Database
from trio2o.tests.fixtures.database import config
import datetime
db = Database(config(sys.argv[1], '.'))
now = datetime.datetime(2026, 3, 1, 12)
while True:
    job = jobs.claim(db, sys.argv[2], 60, now)
    if job is None:
        break
    print(job.id)
    assert jobs.finish(db, job.id, sys.argv[2], 'success', now=now)
"""


@on_every_server
class TestJobs(DatabaseTest):
    def submit(self, key='r', **options):
        options.setdefault('now', NOON)
        return jobs.submit(self.db, 'sync', key, {'of': key}, **options)

    def claim(self, owner='w1', at=0.0, **options):
        return jobs.claim(self.db, owner, 60, NOON + seconds(at), **options)

    def test_job_is_claimed_and_finished(self):
        job = self.submit(request_id='req-1', max_attempts=3)
        self.assertEqual(
            ('new', 0, 3, 'req-1', {'of': 'r'}),
            (job.state, job.attempts, job.max_attempts, job.request_id, job.payload),
        )
        taken = self.claim()
        self.assertEqual(
            (job.id, 'running', 1, 'w1', NOON + seconds(60), NOON),
            (
                taken.id,
                taken.state,
                taken.attempts,
                taken.lease_owner,
                taken.lease_until,
                taken.started_at,
            ),
        )
        self.assertTrue(jobs.progress(self.db, job.id, 'w1', {'done': 1}, NOON))
        self.assertEqual(
            NOON + seconds(90),
            jobs.heartbeat(self.db, job.id, 'w1', 60, NOON + seconds(30)).lease_until,
        )
        done = jobs.finish(self.db, job.id, 'w1', 'success', now=NOON + seconds(40))
        self.assertEqual(
            ('success', NOON + seconds(40), {'done': 1}, None),
            (done.state, done.finished_at, done.progress, done.lease_owner),
        )
        self.assertEqual(done, jobs.get(self.db, job.id))
        self.assertIsNone(self.claim(at=1000))
        self.assertEqual(
            [('success', 1, 'w1')],
            [(event.state, event.attempt, event.owner) for event in jobs.list_events(self.db, job.id)],
        )

    def test_second_submit_returns_waiting_job(self):
        first = self.submit(run_after=NOON + seconds(60))
        self.assertEqual(first.id, self.submit(run_after=NOON + seconds(90)).id)
        self.assertEqual(NOON + seconds(60), jobs.get(self.db, first.id).run_after)
        self.assertEqual(NOON, self.submit().run_after)
        self.assertNotEqual(first.id, self.submit('other').id)
        self.assertEqual(2, len(jobs.list_(self.db)))

    def test_racing_submits_make_one_job(self):
        with futures.ThreadPoolExecutor(8) as pool:
            made = list(pool.map(lambda _: self.submit(), range(24)))
        self.assertEqual(1, len({job.id for job in made}))

    def test_submit_during_run_causes_another_run(self):
        job = self.submit()
        self.claim()
        again = jobs.submit(self.db, 'sync', 'r', {'newer': True}, now=NOON)
        self.assertEqual((job.id, True), (again.id, again.is_rerun_wanted))
        self.assertIsNone(self.claim('w2'))
        jobs.finish(self.db, job.id, 'w1', 'success', now=NOON)
        follow_up = self.claim('w2')
        self.assertNotEqual(job.id, follow_up.id)
        self.assertEqual(({'newer': True}, 1), (follow_up.payload, follow_up.attempts))
        jobs.finish(self.db, follow_up.id, 'w2', 'success', now=NOON)
        self.assertIsNone(self.claim())

    def test_waiting_job_gets_what_a_later_submit_adds(self):
        self.submit(run_after=NOON + seconds(60))
        jobs.submit(self.db, 'sync', 'r', {'of': 'r', 'is_full': False, 'looks': [5]}, now=NOON)
        jobs.submit(self.db, 'sync', 'r', {'of': 'r', 'is_full': True, 'looks': [10, 20]}, NOON + seconds(90))
        job = self.submit(run_after=NOON + seconds(95))
        self.assertEqual({'of': 'r', 'is_full': True, 'looks': [10, 20]}, job.payload)
        self.assertEqual(NOON, job.run_after)

    def test_submits_during_run_are_merged_for_the_next_run(self):
        job = self.submit()
        self.claim()
        jobs.submit(self.db, 'sync', 'r', {'is_full': True}, now=NOON)
        jobs.submit(self.db, 'sync', 'r', {'is_full': False, 'looks': [10]}, now=NOON)
        # What runs now is repeated as it is if its worker is lost.
        self.assertEqual({'of': 'r'}, jobs.get(self.db, job.id).payload)
        again = jobs.Again(NOON + seconds(60), {'looks': [5, 5]})
        jobs.finish(self.db, job.id, 'w1', 'success', now=NOON, again=again)
        self.assertEqual({'is_full': True, 'looks': [5, 5]}, self.claim('w2').payload)

    def test_submit_during_failing_run_is_merged_into_the_retry(self):
        job = self.submit()
        self.claim()
        jobs.submit(self.db, 'sync', 'r', {'is_full': True}, now=NOON)
        job = jobs.retry_later(self.db, job.id, 'w1', NOON, now=NOON)
        self.assertEqual(({'of': 'r', 'is_full': True}, None), (job.payload, job.rerun_payload))

    def test_job_is_submitted_in_the_transaction_of_its_cause(self):
        def submit(is_failing):
            with self.db.writer() as connection:
                jobs.submit_in(connection, jobs.new_row('sync', 'r', None, NOON, 3, None, NOON))
                if is_failing:
                    raise KeyError

        self.assertRaises(KeyError, submit, True)
        self.assertEqual([], jobs.list_(self.db))
        submit(False)
        self.assertEqual(1, len(jobs.list_(self.db)))

    def submit_many(self, count, type_, pod_id, since):
        row = jobs.new_row(type_, '', {'pod_id': pod_id}, NOON - seconds(since), 3, None, NOON)
        rows = [
            {**row, 'id': f'{type_}-{pod_id}-{number}', 'resource_key': str(number), 'active_key': None}
            for number in range(count)
        ]
        with self.db.writer() as connection:
            connection.execute(sqlalchemy.insert(Job.__table__), rows)

    def test_thousands_of_older_jobs_delay_no_other_type_or_pod(self):
        self.submit_many(2500, 'recount_quota', None, 100)
        self.submit_many(2500, 'record_write', 'pod1', 90)
        self.submit_many(1, 'record_write', 'pod2', 5)
        self.submit('settle')
        claimed = [self.claim(f'w{number}') for number in range(5)]
        self.assertEqual(
            {('recount_quota', None), ('record_write', 'pod1'), ('record_write', 'pod2'), ('sync', None)},
            {(job.type, job.pod_id) for job in claimed},
        )

    def test_claim_reads_few_rows_however_many_pods_have_due_jobs(self):
        for number in range(200):
            self.submit_many(1, 'sync', f'pod{number}', number)
        self.claim('w1')
        selected = []

        def note(_connection, _cursor, statement, parameters, *_others):
            selected.append((statement, parameters))

        sqlalchemy.event.listen(self.db.engine, 'before_cursor_execute', note)
        self.assertIsNotNone(self.claim('w2'))
        sqlalchemy.event.remove(self.db.engine, 'before_cursor_execute', note)
        with self.db.engine.connect() as connection:
            rows = [
                len(connection.exec_driver_sql(statement, parameters).all())
                for statement, parameters in selected
                if statement.startswith('SELECT') and 'FOR ' not in statement
            ]
        self.assertLess(sum(rows), 20, rows)

    def test_claim_without_pods_takes_no_job_of_a_pod(self):
        self.submit_many(20, 'record_write', 'pod1', 90)
        self.assertIsNone(self.claim(with_pod=False))
        job = self.submit()
        self.assertEqual(job.id, self.claim(with_pod=False).id)

    def test_submit_after_end_makes_new_job(self):
        job = self.submit()
        jobs.finish(self.db, self.claim().id, 'w1', 'fail', 'why', NOON)
        self.assertNotEqual(job.id, self.submit().id)

    def test_submits_racing_with_finishes_are_not_lost(self):
        self.submit()

        def work(owner):
            runs = 0
            while (job := self.claim(owner)) is not None:
                runs += 1
                jobs.finish(self.db, job.id, owner, 'success', now=NOON)
            return runs

        def ask(_):
            # The returned job has not finished, or another run will follow.
            return jobs.submit(self.db, 'sync', 'r', {}, now=NOON)

        with futures.ThreadPoolExecutor(6) as pool:
            asked = [pool.submit(ask, i) for i in range(30)]
            worked = [pool.submit(work, f'w{i}') for i in range(2)]
            futures.wait([*asked, *worked])
            for future in [*asked, *worked]:
                future.result()
        self.claim('last')
        self.assertEqual(
            0,
            len([job for job in jobs.list_(self.db) if job.is_active and job.lease_owner is None]),
        )

    def test_claim_takes_job_that_is_due_first(self):
        self.submit('late', run_after=NOON + seconds(20))
        self.submit('early', run_after=NOON + seconds(10))
        self.assertIsNone(self.claim(at=9))
        self.assertEqual('early', self.claim(at=30).resource_key)
        self.assertEqual('late', self.claim(at=30).resource_key)

    def test_claim_is_limited_to_given_types(self):
        self.submit()
        self.assertIsNone(self.claim(types=['usage']))
        self.assertIsNotNone(self.claim(types=['usage', 'sync']))

    def test_claim_is_fair_between_types(self):
        """A hundred jobs of one type do not delay a job of another type that is due later."""
        for number in range(100):
            self.submit(str(number))
        late = jobs.submit(self.db, 'other', 'r', now=NOON + seconds(50))
        taken = [self.claim(f'w{number}', at=59) for number in range(3)]
        self.assertEqual(['sync', 'other', 'sync'], [job.type for job in taken])
        self.assertEqual(late.id, taken[1].id)

    def test_claim_is_fair_between_pods(self):
        for number in range(30):
            jobs.submit(self.db, 'sync', f'one-{number}', {'pod_id': self.pod1}, now=NOON)
        jobs.submit(self.db, 'sync', 'two', {'pod_id': self.pod2}, now=NOON + seconds(50))
        taken = [self.claim(f'w{number}', at=59) for number in range(3)]
        self.assertEqual([self.pod1, self.pod2, self.pod1], [job.pod_id for job in taken])

    def test_claims_for_one_pod_are_limited(self):
        made = [jobs.submit(self.db, 'sync', str(number), {'pod_id': self.pod1}, now=NOON) for number in range(4)]
        other = jobs.submit(self.db, 'sync', 'of no pod', now=NOON + seconds(1))
        taken = [self.claim(f'w{number}', at=5, most_of_pod=2) for number in range(4)]
        self.assertEqual({self.pod1: 2, None: 1}, Counter(job.pod_id for job in taken if job))
        self.assertIn(other.id, [job.id for job in taken if job])
        waiting = next(job for job in made if jobs.get(self.db, job.id).state == 'new')
        self.assertIsNone(jobs.claim_id(self.db, waiting.id, 'w5', 60, NOON + seconds(5), most_of_pod=2))
        # A finished job makes room, and so does one whose lease ran out.
        first = next(job for job in taken if job and job.pod_id)
        jobs.finish(self.db, first.id, first.lease_owner, 'success', now=NOON + seconds(6))
        self.assertIsNotNone(self.claim('w5', at=6, most_of_pod=2))
        self.assertIsNone(self.claim('w6', at=6, most_of_pod=2))
        self.assertIsNotNone(self.claim('w6', at=100, most_of_pod=2))

    def test_racing_claims_for_one_pod_are_limited(self):
        for number in range(12):
            jobs.submit(self.db, 'sync', str(number), {'pod_id': self.pod1}, now=NOON)
        with futures.ThreadPoolExecutor(8) as pool:
            taken = list(pool.map(lambda number: self.claim(f'w{number}', most_of_pod=3), range(8)))
        self.assertEqual(3, len([job for job in taken if job]))

    def test_periodic_job_is_one_row(self):
        def ask(at):
            return jobs.submit_again(self.db, 'check', 'r', {'n': 1}, 30, now=NOON + seconds(at))

        def run(at, state='success', error=None):
            job = self.claim(at=at)
            jobs.finish(self.db, job.id, 'w1', state, error, now=NOON + seconds(at))

        first = ask(0)
        self.assertIsNone(ask(1), 'it waits')
        run(2)
        self.assertIsNone(ask(31), 'it ran 29 seconds ago')
        again = ask(32)
        self.assertEqual((first.id, 'new', 0), (again.id, again.state, again.attempts))
        run(33)
        ask(70)
        run(71, 'fail', 'no')
        ask(110)
        run(111)
        self.assertEqual(1, len(jobs.list_(self.db)))
        reported = [(event.state, event.error, event.at) for event in jobs.list_events(self.db, first.id)]
        self.assertEqual(
            [
                ('success', None, NOON + seconds(33)),
                ('fail', 'no', NOON + seconds(71)),
                ('success', None, NOON + seconds(111)),
            ],
            reported,
        )

    def test_job_of_request_is_kept_and_delays_periodic_one(self):
        asked = self.submit(request_id='req-1')
        jobs.finish(self.db, self.claim().id, 'w1', 'success', now=NOON)
        self.assertIsNone(jobs.submit_again(self.db, 'sync', 'r', None, 30, now=NOON + seconds(5)))
        again = jobs.submit_again(self.db, 'sync', 'r', None, 30, now=NOON + seconds(31))
        self.assertNotEqual(asked.id, again.id)
        self.assertEqual('success', jobs.get(self.db, asked.id).state)

    def test_racing_periodic_submits_make_one_job(self):
        def ask(_number):
            return jobs.submit_again(self.db, 'check', 'r', None, 30, now=NOON + seconds(40))

        jobs.submit(self.db, 'check', 'r', now=NOON)
        jobs.finish(self.db, self.claim().id, 'w1', 'success', now=NOON)
        with futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(ask, range(8)))
        self.assertEqual(['new'], [job.state for job in jobs.list_(self.db)])

    def test_finish_stores_result_and_submits_next_run(self):
        job = self.submit(request_id='req-1')
        self.claim()
        again = jobs.Again(NOON + seconds(30), {'looks': 1})
        done = jobs.finish(self.db, job.id, 'w1', 'success', now=NOON, result={'n': 1}, again=again)
        self.assertEqual({'n': 1}, done.result)
        self.assertIsNone(self.claim(at=29))
        follower = self.claim(at=30)
        self.assertEqual(({'looks': 1}, 'req-1'), (follower.payload, follower.request_id))

    def test_claim_by_id_needs_due_job(self):
        job = self.submit(run_after=NOON + seconds(5))
        self.assertIsNone(jobs.claim_id(self.db, job.id, 'w1', 60, NOON))
        self.assertIsNotNone(jobs.claim_id(self.db, job.id, 'w1', 60, NOON + seconds(5)))
        self.assertIsNone(jobs.claim_id(self.db, job.id, 'w2', 60, NOON + seconds(6)))
        self.assertIsNone(jobs.claim_id(self.db, 'nothing', 'w2', 60, NOON))

    def test_job_with_expired_lease_is_claimed_by_other_worker(self):
        job = self.submit()
        self.claim('w1')
        self.assertIsNone(self.claim('w2', at=59))
        self.assertEqual((job.id, 2), (self.claim('w2', at=60).id, jobs.get(self.db, job.id).attempts))
        now = NOON + seconds(61)
        self.assertIsNone(jobs.heartbeat(self.db, job.id, 'w1', 60, now))
        self.assertFalse(jobs.progress(self.db, job.id, 'w1', {}, now))
        self.assertIsNone(jobs.finish(self.db, job.id, 'w1', 'success', now=now))
        self.assertIsNone(jobs.retry_later(self.db, job.id, 'w1', now, now=now))
        self.assertEqual('w2', jobs.get(self.db, job.id).lease_owner)

    def test_job_that_lost_its_worker_too_often_fails(self):
        job = self.submit(max_attempts=2)
        self.claim('w1')
        self.claim('w2', at=60)
        self.assertIsNone(self.claim('w3', at=120))
        ended = jobs.get(self.db, job.id)
        self.assertEqual(
            ('fail', jobs.LOST_WORKER, NOON + seconds(120)),
            (ended.state, ended.error, ended.finished_at),
        )

    def test_retried_job_is_due_later(self):
        job = self.submit()
        self.claim()
        back = jobs.retry_later(self.db, job.id, 'w1', NOON + seconds(30), 'pod is down', NOON)
        self.assertEqual(
            ('new', 'pod is down', NOON + seconds(30), None),
            (back.state, back.error, back.run_after, back.lease_owner),
        )
        self.assertIsNone(self.claim(at=29))
        self.assertEqual(2, self.claim(at=30).attempts)
        self.assertEqual(['pod is down'], [e.error for e in jobs.list_events(self.db, job.id)])

    def test_finish_refuses_state_that_is_no_end(self):
        self.submit()
        job = self.claim()
        self.assertRaises(ValueError, jobs.finish, self.db, job.id, 'w1', 'running')
        self.assertRaises(ValueError, jobs.finish, self.db, job.id, 'w1', 'whatever')

    def test_cancel_ends_waiting_job_and_marks_running_one(self):
        waiting = self.submit()
        self.assertEqual('cancelled', jobs.cancel(self.db, waiting.id, NOON).state)
        self.assertIsNone(self.claim())
        self.submit()
        running = self.claim()
        reported = jobs.cancel(self.db, running.id, NOON)
        self.assertEqual(('running', True), (reported.state, reported.is_cancel_wanted))
        self.assertTrue(jobs.heartbeat(self.db, running.id, 'w1', 60, NOON).is_cancel_wanted)
        back = jobs.retry_later(self.db, running.id, 'w1', NOON, 'stopped', NOON)
        self.assertEqual(('cancelled', 'stopped'), (back.state, back.error))
        self.assertEqual(back, jobs.cancel(self.db, running.id, NOON))
        self.assertIsNone(jobs.cancel(self.db, 'nothing', NOON))

    def test_cancelled_job_with_expired_lease_is_not_claimed(self):
        self.submit()
        job = self.claim()
        jobs.cancel(self.db, job.id, NOON)
        self.assertIsNone(self.claim(at=60))
        self.assertEqual('cancelled', jobs.get(self.db, job.id).state)

    def test_redo_resets_job_unless_another_is_active(self):
        job = self.submit()
        self.claim()
        jobs.finish(self.db, job.id, 'w1', 'fail', 'why', NOON)
        again = jobs.redo(self.db, job.id, NOON + seconds(5))
        self.assertEqual(
            (job.id, 'new', 0, None, None),
            (again.id, again.state, again.attempts, again.error, again.finished_at),
        )
        self.assertEqual(['fail', 'new'], [e.state for e in jobs.list_events(self.db, job.id)])
        self.assertEqual(job.id, jobs.redo(self.db, job.id, NOON).id)
        self.assertIsNone(jobs.redo(self.db, 'nothing', NOON))
        jobs.cancel(self.db, job.id, NOON)
        other = self.submit()
        self.assertEqual(other.id, jobs.redo(self.db, job.id, NOON).id)

    def test_redo_keeps_progress_unless_job_succeeded(self):
        for state, progress in (('fail', {'done': 1}), ('cancelled', {'done': 1}), ('success', None)):
            job = self.submit(state)
            self.claim()
            jobs.progress(self.db, job.id, 'w1', {'done': 1}, NOON)
            jobs.finish(self.db, job.id, 'w1', state, now=NOON)
            self.assertEqual(progress, jobs.redo(self.db, job.id, NOON).progress, state)
            jobs.cancel(self.db, job.id)

    def test_racing_redos_for_one_resource_leave_one_job(self):
        ended = []
        for _ in range(2):
            self.submit()
            ended.append(self.claim().id)
            jobs.finish(self.db, ended[-1], 'w1', 'fail', now=NOON)
        with futures.ThreadPoolExecutor(6) as pool:
            made = list(pool.map(lambda i: jobs.redo(self.db, ended[i % 2], NOON), range(12)))
        self.assertEqual(1, len({job.id for job in made}))

    def test_list_is_filtered_and_paged(self):
        made = [self.submit(str(i), now=NOON + seconds(i)).id for i in range(5)]
        page = jobs.list_(self.db, limit=2)
        page += jobs.list_(self.db, limit=5, marker=page[-1].id)
        self.assertEqual(made[::-1], [job.id for job in page])
        self.assertEqual(
            [made[3]],
            [
                job.id
                for job in jobs.list_(
                    self.db,
                    filters={'resource_key': '3', 'type': 'sync', 'state': ['new', 'fail']},
                )
            ],
        )
        self.assertEqual({'new': 5}, jobs.count_by_state(self.db))

    def test_purge_deletes_old_ended_jobs(self):
        self.submit('old')
        job = self.claim()
        jobs.finish(self.db, job.id, 'w1', 'success', now=NOON)
        self.submit('waiting')
        self.assertEqual(0, jobs.purge(self.db, NOON))
        self.assertEqual(1, jobs.purge(self.db, NOON + datetime.timedelta(days=1)))
        self.assertIsNone(jobs.get(self.db, job.id))
        self.assertEqual(1, len(jobs.list_(self.db)))

    def test_events_of_job_that_stays_are_limited_and_purged(self):
        job_id = self.submit().id
        event = {'job_id': job_id, 'state': 'new'}
        with self.db.writer() as connection:
            connection.execute(
                sqlalchemy.insert(JobEvent.__table__),
                [
                    {**event, 'at': NOON + seconds(at), 'attempt': at + 1, 'error': f'failure {at}'}
                    for at in range(MAX_EVENTS)
                ],
            )
        for at in (MAX_EVENTS, MAX_EVENTS + 1):
            job = self.claim(at=at)
            jobs.retry_later(self.db, job.id, 'w1', NOON + seconds(at + 1), f'failure {at}', NOON + seconds(at))
        shown = [each.error for each in jobs.list_events(self.db, job.id)]
        self.assertEqual([f'failure {at}' for at in range(2, MAX_EVENTS + 2)], shown)
        self.assertEqual(100, jobs.purge_events(self.db, NOON + seconds(MAX_EVENTS), 100))
        self.assertEqual(100, jobs.purge_events(self.db, NOON + seconds(MAX_EVENTS)))
        self.assertEqual(0, jobs.purge_events(self.db, NOON + seconds(MAX_EVENTS)))
        self.assertEqual(2, len(jobs.list_events(self.db, job.id)))
        self.assertEqual('new', jobs.get(self.db, job.id).state)

    def test_threads_claim_each_job_once(self):
        for i in range(40):
            self.submit(str(i))

        def work(owner):
            taken = []
            while (job := self.claim(owner)) is not None:
                taken.append(job.id)
            return taken

        with futures.ThreadPoolExecutor(5) as pool:
            taken = [job for some in pool.map(work, 'abcde') for job in some]
        self.assertEqual(40, len(taken))
        self.assertEqual(40, len(set(taken)))

    def test_processes_claim_each_job_once(self):
        for i in range(40):
            self.submit(str(i))
        url = self.db.engine.url.render_as_string(hide_password=False)
        workers = [
            subprocess.Popen([sys.executable, '-c', _WORKER, url, f'w{i}'], stdout=subprocess.PIPE, text=True)
            for i in range(3)
        ]
        taken = ''.join(worker.communicate()[0] for worker in workers).split()
        self.assertEqual([0, 0, 0], [worker.returncode for worker in workers])
        self.assertEqual(40, len(taken))
        self.assertEqual(40, len(set(taken)))
