# SPDX-License-Identifier: Apache-2.0
"""Claiming, running, retrying, losing and taking over jobs, on a clock of the test's own."""

import datetime
import threading
import types

import testtools
from oslo_context import context

from trio2o import exception
from trio2o.db import jobs as db_jobs
from trio2o.db.session import Database
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
    """The worker's process is gone: nothing below the manager may handle it."""


class Scripted:
    """A job that does what the test says."""

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
    def test_success(self):
        job = self.submit(payload={'a': 1})
        scripted = Scripted()
        ended = self.manager(scripted).run_one()
        self.assertEqual((job.id, 'success', 1), (ended.id, ended.state, ended.attempts))
        self.assertEqual([{'a': 1}], scripted.payloads)
        self.assertIsNone(ended.error)

    def test_nothing_to_do(self):
        self.assertIsNone(self.manager(Scripted()).run_one())

    def test_one_by_its_id(self):
        first, second = self.submit('1'), self.submit('2')
        self.assertEqual(second.id, self.manager(Scripted()).run_one(second.id).id)
        self.assertEqual('new', self.get(first).state)

    def test_a_type_nobody_installed_is_left_alone(self):
        job = db_jobs.submit(self.db, 'unknown', 'key', now=self.clock())
        manager = self.manager(Scripted())
        self.assertIsNone(manager.run_one())
        self.assertIsNone(manager.run_one(job.id))
        self.assertEqual('new', self.get(job).state)

    def test_one_that_is_not_due_yet(self):
        job = self.submit(run_after=self.clock() + datetime.timedelta(seconds=10))
        manager = self.manager(Scripted())
        self.assertIsNone(manager.run_one(job.id))
        self.clock.advance(10)
        self.assertEqual('success', manager.run_one().state)

    def test_progress(self):
        job = self.submit()
        self.manager(Scripted(lambda task: task.progress(done=3))).run_one()
        self.assertEqual({'done': 3}, self.get(job).progress)

    def test_asked_for_again_while_it_runs(self):
        self.submit(payload={'n': 1})
        scripted = Scripted(lambda task: self.submit(payload={'n': 2}))
        manager = self.manager(scripted)
        manager.run_one()
        self.assertEqual('success', manager.run_one().state)
        self.assertIsNone(manager.run_one())
        self.assertEqual([{'n': 1}, {'n': 2}], scripted.payloads)


class TestRetries(ManagerCase):
    def test_with_a_growing_pause(self):
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

    def test_the_pause_is_spread(self):
        pauses = set()
        for jitter in (0.0, 0.25, 1.0):
            job = self.submit(str(jitter))
            self.manager(Scripted(TryAgain('x')), jitter=lambda value=jitter: value).run_one()
            pauses.add((self.get(job).run_after - self.clock()).total_seconds())
        self.assertEqual({1, 1.5, 3}, pauses)

    def test_the_pause_has_an_end(self):
        manager = self.manager(Scripted(), jitter=lambda: 1.0)
        self.assertEqual(600, manager._pause(50))
        self.assertEqual(600, manager._pause(10000))

    def test_until_the_attempts_are_used_up(self):
        job = self.submit()
        manager = self.manager(Scripted(*[TryAgain(f'try {number}') for number in range(3)]))
        for _ in range(3):
            manager.run_one()
            self.clock.advance(100)
        ended = self.get(job)
        self.assertEqual(('fail', 'try 2', 3), (ended.state, ended.error, ended.attempts))
        events = db_jobs.list_events(self.db, job.id)
        self.assertEqual(['try 0', 'try 1', 'try 2'], [event.error for event in events])

    def test_what_can_never_be_done(self):
        job = self.submit()
        self.manager(Scripted(GiveUp('there is no pod x'))).run_one()
        ended = self.get(job)
        self.assertEqual(('fail', 'there is no pod x', 1), (ended.state, ended.error, 1))

    def test_unexpected_error_is_logged_and_retried(self):
        job = self.submit()
        self.manager(Scripted(KeyError('x'))).run_one()
        waiting = self.get(job)
        self.assertEqual(('new', "KeyError: 'x'"), (waiting.state, waiting.error))

    def test_a_pod_that_is_away(self):
        job = self.submit()
        self.manager(Scripted(exception.PodNotReached('Pod1', 'refused'))).run_one()
        self.assertEqual(('new', 'pod Pod1: refused'), (self.get(job).state, self.get(job).error))


class TestLeases(ManagerCase):
    def test_a_worker_that_was_killed(self):
        """Its job is taken over when the lease has run out, and not before."""
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

    def test_a_worker_that_was_only_slow(self):
        """It finds out that another has its job, and changes nothing any more."""
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

    def test_a_worker_that_was_slow_looks_before_it_goes_on(self):
        """Its heartbeats may be as late as itself."""
        self.submit()
        other = self.manager(Scripted(), 'other')

        def hang(task):
            self.clock.advance(61)
            other.run_one()
            task.check()
            self.fail('it went on')

        self.assertEqual('success', self.manager(Scripted(hang), 'slow').run_one().state)

    def test_one_that_nobody_took_over_goes_on(self):
        job = self.submit()

        def hang(task):
            self.clock.advance(61)
            task.check()
            self.assertIsNone(self.manager(Scripted(), 'other').run_one())

        self.assertEqual('success', self.manager(Scripted(hang), 'slow').run_one().state)
        self.assertEqual(1, self.get(job).attempts)

    def test_heartbeats_keep_it(self):
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

    def test_one_that_hangs_loses_it_in_the_end(self):
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

    def test_killed_as_often_as_it_may_be_tried(self):
        job = self.submit()
        for number in range(3):
            dead = self.manager(Scripted(Kill()), f'dead-{number}')
            self.assertRaises(Kill, dead.run_one)
            self.clock.advance(61)
        self.assertIsNone(self.manager(Scripted(), 'last').run_one())
        ended = self.get(job)
        self.assertEqual('fail', ended.state)
        self.assertEqual(db_jobs.LOST_WORKER, ended.error)

    def test_cancelled_while_it_runs(self):
        job = self.submit()

        def work(task):
            db_jobs.cancel(self.db, job.id, self.clock())
            task.heartbeat()
            task.check()
            self.fail('it went on')

        ended = self.manager(Scripted(work)).run_one()
        self.assertEqual(('cancelled', 'it was cancelled'), (ended.state, ended.error))

    def test_the_worker_stops(self):
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

    def test_a_stop_costs_no_attempt(self):
        job = self.submit()
        for _ in range(5):
            scripted = Scripted()
            manager = self.manager(scripted)
            scripted.acts.append(lambda task, manager=manager: (manager.stop(), task.check()))
            manager.run_one()
        self.assertEqual(('new', 0), (self.get(job).state, self.get(job).attempts))

    def test_one_that_takes_too_long_fails_in_the_end(self):
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

    def test_a_wait_ends_when_the_run_has_to(self):
        self.submit()

        def work(task):
            threading.Timer(0.05, manager.stop).start()
            task.wait(60)
            self.fail('it went on')

        manager = self.manager(Scripted(work))
        self.assertEqual('new', manager.run_one().state)


class TestResults(ManagerCase):
    def test_result(self):
        job = self.submit()
        self.manager(Scripted(lambda task: task.result({'servers': 3}))).run_one()
        self.assertEqual({'servers': 3}, self.get(job).result)

    def test_a_result_of_one_that_failed(self):
        job = self.submit()

        def work(task):
            task.result({'refused': 1})
            raise GiveUp('no')

        self.manager(Scripted(work)).run_one()
        self.assertEqual(('fail', {'refused': 1}), (self.get(job).state, self.get(job).result))

    def test_where_the_run_before_it_stopped(self):
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

    def test_another_run_that_follows(self):
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

    def test_the_request_that_caused_it(self):
        """What is logged meanwhile, and sent to pods, has its id; a job that none caused has one of its own."""
        self.submit('1', request_id='req-1')
        self.submit('2')
        seen = []
        manager = self.manager(Scripted(*[lambda task: seen.append(context.get_current().request_id)] * 2))
        manager.run_one()
        manager.run_one()
        self.assertEqual('req-1', seen[0])
        self.assertRegex(seen[1], '^req-[0-9a-f-]{36}$')


class TestManyWorkers(ManagerCase):
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


class TestInstalled(testtools.TestCase):
    def test_every_job_has_what_the_runner_needs(self):
        jobs = load_jobs()
        self.assertLessEqual({'sync_pod', 'repair_replicas', 'reconcile_routings', 'record_write'}, set(jobs))
        for job in jobs.values():
            self.assertGreater(job.max_seconds, 0)
            self.assertTrue(callable(job.run))
