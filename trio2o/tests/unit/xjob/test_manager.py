# SPDX-License-Identifier: Apache-2.0
"""The job manager: claims, runs, retries and leases, on a clock of the test."""

import datetime
import threading
import types

import testtools
from oslo_context import context

from trio2o import exception
from trio2o.db import jobs as db_jobs
from trio2o.db.database import Database
from trio2o.tests.fixtures.conf import ConfFixture
from trio2o.xjob.jobs.base import GiveUp, TryAgain
from trio2o.xjob.manager import JobManager, load_jobs


class Clock:
    def __init__(self):
        self.now = datetime.datetime(2026, 1, 1)

    def __call__(self):
        return self.now

    def advance(self, seconds):
        self.now += datetime.timedelta(seconds=seconds)


class Kill(BaseException):
    """The process of the worker was killed: no code below the manager may catch this."""


class Scripted:
    """A job that runs the given functions or raises the given errors."""

    max_seconds = 1000.0

    def __init__(self, *acts):
        self.acts = list(acts)
        self.payloads = []

    def run(self, task):
        self.payloads.append(task.job.payload)
        act = self.acts.pop(0) if self.acts else None
        if isinstance(act, BaseException):
            raise act
        if act is not None:
            act(task)


class ManagerCase(testtools.TestCase):
    def setUp(self):
        super().setUp()
        options = {'lease_seconds': 60, 'retry_seconds': 2, 'max_attempts': 3}
        self.conf = self.useFixture(ConfFixture(xjob=options)).conf
        self.db = Database(self.conf)
        self.addCleanup(self.db.dispose)
        self.clock = Clock()

    def manager(self, job, owner='one', jitter=lambda: 0.5):
        return JobManager(
            self.conf,
            types.SimpleNamespace(db=self.db),
            jobs={'scripted': job},
            owner=owner,
            clock=self.clock,
            jitter=jitter,
        )

    def submit(self, key='key', payload=None, **kwargs):
        kwargs.setdefault('max_attempts', 3)
        return db_jobs.submit(self.db, 'scripted', key, payload, now=self.clock(), **kwargs)

    def get(self, job):
        return db_jobs.get(self.db, job.id)


class TestRuns(ManagerCase):
    def test_job_runs_and_succeeds(self):
        job = self.submit(payload={'a': 1})
        scripted = Scripted()
        ended = self.manager(scripted).run_one()
        self.assertEqual((job.id, 'success', 1), (ended.id, ended.state, ended.attempts))
        self.assertEqual([{'a': 1}], scripted.payloads)
        self.assertIsNone(ended.error)

    def test_no_job_is_due(self):
        self.assertIsNone(self.manager(Scripted()).run_one())

    def test_job_is_run_by_id(self):
        first, second = self.submit('1'), self.submit('2')
        self.assertEqual(second.id, self.manager(Scripted()).run_one(second.id).id)
        self.assertEqual('new', self.get(first).state)

    def test_unknown_type_is_not_run(self):
        job = db_jobs.submit(self.db, 'unknown', 'key', now=self.clock())
        manager = self.manager(Scripted())
        self.assertIsNone(manager.run_one())
        self.assertIsNone(manager.run_one(job.id))
        self.assertEqual('new', self.get(job).state)

    def test_job_is_not_run_before_it_is_due(self):
        job = self.submit(run_after=self.clock() + datetime.timedelta(seconds=10))
        manager = self.manager(Scripted())
        self.assertIsNone(manager.run_one(job.id))
        self.clock.advance(10)
        self.assertEqual('success', manager.run_one().state)

    def test_progress_is_recorded(self):
        job = self.submit()
        self.manager(Scripted(lambda task: task.progress(done=3))).run_one()
        self.assertEqual({'done': 3}, self.get(job).progress)

    def test_job_submitted_during_run_runs_again(self):
        self.submit(payload={'n': 1})
        scripted = Scripted(lambda task: self.submit(payload={'n': 2}))
        manager = self.manager(scripted)
        manager.run_one()
        self.assertEqual('success', manager.run_one().state)
        self.assertIsNone(manager.run_one())
        self.assertEqual([{'n': 1}, {'n': 2}], scripted.payloads)


class TestRetries(ManagerCase):
    def test_pause_between_attempts_doubles(self):
        job = self.submit()
        manager = self.manager(Scripted(TryAgain('not yet'), TryAgain('not yet')))
        manager.run_one()
        waiting = self.get(job)
        self.assertEqual(('new', 'not yet', 1), (waiting.state, waiting.error, waiting.attempts))
        self.assertEqual(2, (waiting.run_after - self.clock()).total_seconds())
        self.assertIsNone(manager.run_one())
        self.clock.advance(2)
        manager.run_one()
        self.assertEqual(4, (self.get(job).run_after - self.clock()).total_seconds())
        self.clock.advance(4)
        self.assertEqual('success', manager.run_one().state)

    def test_pause_has_jitter(self):
        pauses = set()
        for jitter in (0.0, 0.25, 1.0):
            job = self.submit(str(jitter))
            self.manager(Scripted(TryAgain('x')), jitter=lambda value=jitter: value).run_one()
            pauses.add((self.get(job).run_after - self.clock()).total_seconds())
        self.assertEqual({1, 1.5, 3}, pauses)

    def test_pause_has_a_maximum(self):
        manager = self.manager(Scripted(), jitter=lambda: 1.0)
        self.assertEqual(600, manager._pause(50))
        self.assertEqual(600, manager._pause(10000))

    def test_job_fails_after_last_attempt(self):
        job = self.submit()
        manager = self.manager(Scripted(*[TryAgain(f'try {number}') for number in range(3)]))
        for _ in range(3):
            manager.run_one()
            self.clock.advance(100)
        ended = self.get(job)
        self.assertEqual(('fail', 'try 2', 3), (ended.state, ended.error, ended.attempts))
        events = db_jobs.list_events(self.db, job.id)
        self.assertEqual(['try 0', 'try 1', 'try 2'], [event.error for event in events])

    def test_given_up_job_fails_at_once(self):
        job = self.submit()
        self.manager(Scripted(GiveUp('there is no pod x'))).run_one()
        ended = self.get(job)
        self.assertEqual(('fail', 'there is no pod x', 1), (ended.state, ended.error, 1))

    def test_unexpected_error_is_logged_and_retried(self):
        job = self.submit()
        self.manager(Scripted(KeyError('x'))).run_one()
        waiting = self.get(job)
        self.assertEqual(('new', "KeyError: 'x'"), (waiting.state, waiting.error))

    def test_pod_is_unreachable_and_job_is_retried(self):
        job = self.submit()
        self.manager(Scripted(exception.PodNotReached('Pod1', 'refused'))).run_one()
        self.assertEqual(('new', 'pod Pod1: refused'), (self.get(job).state, self.get(job).error))


class TestLeases(ManagerCase):
    def test_job_of_killed_worker_is_taken_over_after_lease(self):
        """Another worker takes the job over only after the lease has expired."""
        job = self.submit()
        dead = self.manager(Scripted(Kill()), 'dead')
        self.assertRaises(Kill, dead.run_one)
        self.assertEqual('running', self.get(job).state)
        other = self.manager(Scripted(), 'other')
        self.clock.advance(59)
        self.assertIsNone(other.run_one())
        self.clock.advance(1)
        ended = other.run_one()
        self.assertEqual((job.id, 'success', 2), (ended.id, ended.state, ended.attempts))

    def test_slow_worker_does_not_change_job_taken_over(self):
        """The slow worker notices that another one has its job, and changes nothing."""
        job = self.submit()
        other = self.manager(Scripted(), 'other')
        seen = []

        def hang(task):
            self.clock.advance(61)
            seen.append(other.run_one().state)
            task.heartbeat()
            task.check()

        slow = self.manager(Scripted(hang), 'slow')
        result = slow.run_one()
        self.assertEqual(['success'], seen)
        self.assertEqual('success', result.state)
        events = db_jobs.list_events(self.db, job.id)
        self.assertEqual([('other', 'success')], [(each.owner, each.state) for each in events])

    def test_slow_worker_stops_if_job_was_taken_over(self):
        """Its heartbeats may be late, too."""
        self.submit()
        other = self.manager(Scripted(), 'other')

        def hang(task):
            self.clock.advance(61)
            other.run_one()
            task.check()
            self.fail('it went on')

        self.assertEqual('success', self.manager(Scripted(hang), 'slow').run_one().state)

    def test_slow_worker_continues_if_job_was_not_taken_over(self):
        job = self.submit()

        def hang(task):
            self.clock.advance(61)
            task.check()
            self.assertIsNone(self.manager(Scripted(), 'other').run_one())

        self.assertEqual('success', self.manager(Scripted(hang), 'slow').run_one().state)
        self.assertEqual(1, self.get(job).attempts)

    def test_heartbeats_keep_the_lease(self):
        self.submit()
        other = self.manager(Scripted(), 'other')
        taken = []

        def work(task):
            for _ in range(5):
                self.clock.advance(50)
                task.heartbeat()
                taken.append(other.run_one())

        self.assertEqual('success', self.manager(Scripted(work)).run_one().state)
        self.assertEqual([None] * 5, taken)

    def test_hanging_job_loses_its_lease(self):
        self.submit()
        other = self.manager(Scripted(), 'other')
        taken = []

        def hang(task):
            for _ in range(30):
                self.clock.advance(50)
                task.heartbeat()
                taken.append(other.run_one())

        slow = self.manager(Scripted(hang), 'slow')
        slow.run_one()
        self.assertIn('success', [each.state for each in taken if each is not None])

    def test_job_whose_workers_were_killed_too_often_fails(self):
        job = self.submit()
        for number in range(3):
            dead = self.manager(Scripted(Kill()), f'dead-{number}')
            self.assertRaises(Kill, dead.run_one)
            self.clock.advance(61)
        self.assertIsNone(self.manager(Scripted(), 'last').run_one())
        ended = self.get(job)
        self.assertEqual('fail', ended.state)
        self.assertEqual(db_jobs.LOST_WORKER, ended.error)

    def test_running_job_is_cancelled(self):
        job = self.submit()

        def work(task):
            db_jobs.cancel(self.db, job.id, self.clock())
            task.heartbeat()
            task.check()
            self.fail('it went on')

        ended = self.manager(Scripted(work)).run_one()
        self.assertEqual(('cancelled', 'it was cancelled'), (ended.state, ended.error))

    def test_stopped_worker_releases_job(self):
        job = self.submit()

        def work(task):
            manager.stop()
            task.check()
            self.fail('it went on')

        manager = self.manager(Scripted(work))
        manager.run_one()
        self.assertEqual('new', self.get(job).state)
        self.assertIsNone(manager.run_one())
        self.assertEqual('success', self.manager(Scripted(), 'other').run_one().state)

    def test_stop_does_not_count_as_attempt(self):
        job = self.submit()
        for _ in range(5):
            scripted = Scripted()
            manager = self.manager(scripted)
            scripted.acts.append(lambda task, manager=manager: (manager.stop(), task.check()))
            manager.run_one()
        self.assertEqual(('new', 0), (self.get(job).state, self.get(job).attempts))

    def test_job_over_time_limit_fails_after_last_attempt(self):
        job = self.submit()

        def dawdle(task):
            self.clock.advance(1001)
            task.check()

        for _ in range(3):
            self.manager(Scripted(dawdle)).run_one()
            self.clock.advance(100)
        ended = self.get(job)
        self.assertEqual(('fail', 3), (ended.state, ended.attempts))
        self.assertEqual('it took too long: the limit is 1000 seconds', ended.error)

    def test_stop_ends_wait_of_job(self):
        self.submit()

        def work(task):
            threading.Timer(0.05, manager.stop).start()
            task.wait(60)
            self.fail('it went on')

        manager = self.manager(Scripted(work))
        self.assertEqual('new', manager.run_one().state)


class TestResults(ManagerCase):
    def test_result_is_recorded(self):
        job = self.submit()
        self.manager(Scripted(lambda task: task.result({'servers': 3}))).run_one()
        self.assertEqual({'servers': 3}, self.get(job).result)

    def test_failed_job_keeps_its_result(self):
        job = self.submit()

        def work(task):
            task.result({'refused': 1})
            raise GiveUp('no')

        self.manager(Scripted(work)).run_one()
        self.assertEqual(('fail', {'refused': 1}), (self.get(job).state, self.get(job).result))

    def test_second_attempt_gets_progress_of_first(self):
        self.submit()
        seen = []

        def work(task):
            seen.append(task.job.progress)
            task.progress(marker='m')
            raise TryAgain('later')

        manager = self.manager(Scripted(work, work))
        manager.run_one()
        self.clock.advance(10)
        manager.run_one()
        self.assertEqual([None, {'marker': 'm'}], seen)

    def test_run_again_submits_another_run(self):
        self.submit(payload={'looks': 2}, request_id='req-1')
        scripted = Scripted(lambda task: task.run_again({'looks': 1}, 30))
        manager = self.manager(scripted)
        manager.run_one()
        self.assertIsNone(manager.run_one())
        self.clock.advance(30)
        second = manager.run_one()
        self.assertEqual(('success', 'req-1'), (second.state, second.request_id))
        self.assertIsNone(manager.run_one())
        self.assertEqual([{'looks': 2}, {'looks': 1}], scripted.payloads)

    def test_job_has_request_id_of_its_request(self):
        """Logs and requests to pods have the id of the request; a periodic job has an id of its own."""
        self.submit('1', request_id='req-1')
        self.submit('2')
        seen = []
        manager = self.manager(Scripted(*[lambda task: seen.append(context.get_current().request_id)] * 2))
        manager.run_one()
        manager.run_one()
        self.assertEqual('req-1', seen[0])
        self.assertRegex(seen[1], '^req-[0-9a-f-]{36}$')


class TestSeveralWorkers(ManagerCase):
    def test_each_job_runs_once(self):
        ran, lock = [], threading.Lock()

        class Counting:
            max_seconds = 100.0

            def run(self, task):
                with lock:
                    ran.append(task.job.resource_key)

        for number in range(40):
            self.submit(str(number))

        def work(name):
            manager = self.manager(Counting(), name)
            while manager.run_one() is not None:
                pass

        threads = [threading.Thread(target=work, args=(f'w{n}',)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(sorted(map(str, range(40))), sorted(ran))


class TestInstalledJobs(testtools.TestCase):
    def test_installed_jobs_have_time_limit_and_run(self):
        jobs = load_jobs()
        self.assertLessEqual({'sync_pod', 'repair_replicas', 'reconcile_routings', 'record_write'}, set(jobs))
        for job in jobs.values():
            self.assertGreater(job.max_seconds, 0)
            self.assertTrue(callable(job.run))
