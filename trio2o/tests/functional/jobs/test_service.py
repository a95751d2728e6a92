# SPDX-License-Identifier: Apache-2.0
"""The worker as a service: started by messages or by its scan, on both backends."""

import datetime
import os
import socket
import subprocess
import sys
import textwrap
import threading
import time
import types
import wsgiref.util

import fixtures
import testtools
from sqlalchemy import event

from trio2o import metrics, rpc
from trio2o.db import jobs as db_jobs
from trio2o.db import pods as db_pods
from trio2o.db.database import Database, utcnow
from trio2o.db.errors import DatabaseBusy
from trio2o.jobqueue import JobQueue
from trio2o.pods.registry import Registry
from trio2o.tests.fixtures.conf import ConfFixture
from trio2o.tests.fixtures.waiting import wait_until
from trio2o.web.middleware.public_paths import Monitoring
from trio2o.xjob import parts
from trio2o.xjob.manager import JobManager
from trio2o.xjob.periodic import Periodic
from trio2o.xjob.service import XJobService

PATIENCE = 20.0


class Noted:
    """A job that releases a semaphore when it runs, and runs until ``go_on`` is set."""

    max_seconds = 100.0

    def __init__(self):
        self.ran = threading.Semaphore(0)
        self.go_on = threading.Event()
        self.go_on.set()

    def run(self, task):
        self.ran.release()
        while not self.go_on.wait(0.01):
            task.check()


class ServiceCase(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.job = Noted()

    def service(self, **options):
        xjob = {'scan_interval': 0.05, 'concurrency': 2} | options.pop('xjob', {})
        self.conf = self.useFixture(ConfFixture(xjob=xjob, **options)).conf
        self.db = Database(self.conf)
        self.addCleanup(self.db.dispose)
        jobs = JobQueue(self.conf, self.db, rpc.Notifier(self.conf).notify)
        registry = Registry(self.conf, self.db)
        runtime = types.SimpleNamespace(db=self.db, jobs=jobs, registry=registry)
        manager = JobManager(self.conf, runtime, jobs={'noted': self.job})
        self.jobs = jobs
        service = XJobService(self.conf, runtime, manager)
        service.start()
        self.addCleanup(service.stop)
        return service

    def assertRuns(self):
        self.assertTrue(self.job.ran.acquire(timeout=PATIENCE), 'the job did not run')


class TestService(ServiceCase):
    def test_message_starts_job_before_scan(self):
        """The scan would find the job after ten minutes."""
        service = self.service(xjob={'scan_interval': 600}, transport_url='fake://')
        wait_until(lambda: service.is_connected, PATIENCE, 'it takes too long', 0.01)
        for number in range(3):
            self.jobs.submit('noted', str(number))
            self.assertRuns()

    def test_message_starts_redone_job_before_scan(self):
        service = self.service(xjob={'scan_interval': 600}, transport_url='fake://')
        wait_until(lambda: service.is_connected, PATIENCE, 'it takes too long', 0.01)
        job = self.jobs.submit('noted', 'key')
        self.assertRuns()
        wait_until(lambda: db_jobs.get(self.db, job.id).state == 'success', PATIENCE, 'it takes too long', 0.01)
        self.assertEqual(job.id, self.jobs.redo(job.id).id)
        self.assertRuns()

    def test_scan_finds_job_without_message(self):
        self.service(transport_url='fake://')
        db_jobs.submit(self.db, 'noted', 'key')
        self.assertRuns()

    def test_broker_is_unreachable_and_scan_finds_job(self):
        with socket.socket() as free:
            free.bind(('127.0.0.1', 0))
            port = free.getsockname()[1]
        self.service(transport_url=f'rabbit://guest:guest@127.0.0.1:{port}/')
        started = time.monotonic()
        self.jobs.submit('noted', 'key')
        self.assertLess(time.monotonic() - started, 1.0)
        self.assertRuns()

    def test_scan_finds_job_without_broker(self):
        self.service()
        self.jobs.submit('noted', 'key')
        self.assertRuns()

    def test_jobs_run_concurrently_up_to_option(self):
        self.job.go_on.clear()
        self.service(xjob={'concurrency': 3})
        for number in range(5):
            self.jobs.submit('noted', str(number))
        for _ in range(3):
            self.assertRuns()
        self.assertFalse(self.job.ran.acquire(timeout=0.3), 'more jobs run at once than [xjob] concurrency')
        self.job.go_on.set()
        for _ in range(2):
            self.assertRuns()

    def test_jobs_of_pods_leave_a_thread_for_other_jobs(self):
        """Pods that do not answer hold their jobs for minutes."""
        self.job.go_on.clear()
        service = self.service(xjob={'concurrency': 3, 'pod_concurrency': 3})
        for number in range(3):
            self.jobs.submit('noted', str(number), {'pod_id': f'pod{number}'})
        for _ in range(2):
            self.assertRuns()
        self.assertFalse(self.job.ran.acquire(timeout=0.3), 'jobs of pods run in all threads')
        self.jobs.submit('noted', 'settle')
        self.assertRuns()
        self.assertEqual('', service.problem())

    def test_job_that_does_not_end_makes_the_worker_unhealthy(self):
        self.job.go_on.clear()
        service = self.service(xjob={'concurrency': 1})
        self.jobs.submit('noted', 'stuck')
        self.assertRuns()
        now = service.manager.clock()
        service.manager.clock = lambda: now + datetime.timedelta(seconds=699)
        self.assertEqual('', service.problem())
        service.manager.clock = lambda: now + datetime.timedelta(seconds=702)
        self.assertIn('noted stuck', service.problem())
        self.job.go_on.set()
        wait_until(lambda: not service.problem(), PATIENCE, 'the worker stays unhealthy', 0.01)

    def test_loop_that_is_stuck_is_seen_in_healthcheck_and_metrics(self):
        service = self.service()
        app = Monitoring(self.conf, None, service)
        last_run = metrics.LAST_RUN.labels('periodic_jobs')._value.get
        before = last_run()
        wait_until(lambda: last_run() > before, PATIENCE, 'no loop ran', 0.01)
        self.assertEqual('200 OK', self.healthcheck(app)[0])
        hanging, go_on = threading.Event(), threading.Event()
        self.addCleanup(go_on.set)

        def hang():
            hanging.set()
            go_on.wait(PATIENCE)

        service._periodic.tick = hang
        self.assertTrue(hanging.wait(PATIENCE))
        service._ticked -= 61
        status, body = self.healthcheck(app)
        self.assertEqual('503 Service Unavailable', status)
        self.assertIn(b'periodic jobs', body)
        go_on.set()
        wait_until(lambda: self.healthcheck(app)[0] == '200 OK', PATIENCE, 'the worker stays unhealthy', 0.01)

    def healthcheck(self, app):
        statuses = []
        environ = {}
        wsgiref.util.setup_testing_defaults(environ)
        body = b''.join(
            app({**environ, 'PATH_INFO': '/healthcheck'}, lambda status, _headers: statuses.append(status))
        )
        return statuses[0], body

    def test_stopped_service_releases_running_job(self):
        self.job.go_on.clear()
        service = self.service()
        job = self.jobs.submit('noted', 'key')
        self.assertRuns()
        service.stop()
        self.assertEqual('new', db_jobs.get(self.db, job.id).state)
        self.assertFalse(any(thread.is_alive() for thread in service._threads))

    def test_stop_ends_wait(self):
        service = self.service()
        waiter = threading.Thread(target=service.wait)
        waiter.start()
        service.stop()
        waiter.join(PATIENCE)
        self.assertFalse(waiter.is_alive())


class TestFailingLoops(ServiceCase):
    """Each exception that a loop may meet: the database is busy, or an error in Trio2o."""

    ERRORS = (DatabaseBusy, KeyError)

    def failing(self, owner, name, errors=ERRORS * 3):
        """Let a function fail with each of some errors. :returns: a function that waits until it has"""
        done, method, errors = threading.Event(), getattr(owner, name), list(errors)

        def fail(*args, **given):
            if errors:
                raise errors.pop()
            done.set()
            return method(*args, **given)

        self.useFixture(fixtures.MockPatchObject(owner, name, fail))
        return lambda: self.assertTrue(done.wait(PATIENCE), f'{name} is not called any more')

    def test_failing_claims_are_logged_and_jobs_run(self):
        wait = self.failing(db_jobs, 'claim')
        self.service()
        wait()
        self.jobs.submit('noted', 'key')
        self.assertRuns()

    def test_failing_ticks_are_logged_and_periodic_jobs_are_submitted(self):
        log = self.useFixture(fixtures.FakeLogger())
        wait = self.failing(Periodic, 'tick')
        service = self.service()
        wait()
        self.assertIn('Failed to submit periodic jobs', log.output)
        self.assertTrue(all(thread.is_alive() for thread in service._threads))

    def test_failing_heartbeats_are_logged_and_job_keeps_its_lease(self):
        wait = self.failing(JobManager, 'prolong', [KeyError])
        self.job.go_on.clear()
        self.job.run = lambda task: (self.job.ran.release(), self.job.go_on.wait(PATIENCE))
        self.service(xjob={'lease_seconds': 1.2})
        self.jobs.submit('noted', 'key')
        self.assertRuns()
        wait()
        self.assertFalse(self.job.ran.acquire(timeout=1.5), 'another worker runs the job')
        self.job.go_on.set()

    def test_job_ends_loop_and_process_is_ended(self):
        ended = threading.Event()
        self.useFixture(fixtures.MonkeyPatch('trio2o.xjob.service.end_process', ended.set))
        self.job.run = lambda task: sys.exit()
        self.service()
        self.jobs.submit('noted', 'key')
        self.assertTrue(ended.wait(PATIENCE), 'the process lives on')

    def test_service_is_stopped_and_process_is_not_ended(self):
        ended = threading.Event()
        self.useFixture(fixtures.MonkeyPatch('trio2o.xjob.service.end_process', ended.set))
        self.service().stop()
        self.assertFalse(ended.is_set())


class TestPeriodic(testtools.TestCase):
    def setUp(self):
        super().setUp()
        options = {'repair_interval': 300, 'reconcile_interval': 0, 'endpoint_interval': 30, 'usage_interval': 0}
        quota = {'settle_interval': 0, 'recount_interval': 0, 'raise_limits_interval': 0}
        self.conf = self.useFixture(ConfFixture(xjob=options, quota=quota)).conf
        self.db = Database(self.conf)
        self.addCleanup(self.db.dispose)
        self.create('Pod1')
        self.create('Pod2', state='maintenance')
        db_pods.create(self.db, pod_name='RegionOne')
        self.runtime = types.SimpleNamespace(
            db=self.db, jobs=JobQueue(self.conf, self.db), registry=Registry(self.conf, self.db)
        )
        self.seconds = 0.0
        self.periodic = Periodic(self.conf, self.runtime, lambda: utcnow() + datetime.timedelta(seconds=self.seconds))

    def create(self, name, joined_before=86400.0, **fields):
        """Record a pod. :returns: its id"""
        pod_id = db_pods.create(self.db, pod_name=name, az_name='az1', **fields).pod_id
        if joined_before is not None:
            db_pods.set_adopted(self.db, pod_id, utcnow() - datetime.timedelta(seconds=joined_before))
        return pod_id

    def end_all(self):
        for job in db_jobs.list_(self.db, filters={'state': 'new'}):
            db_jobs.cancel(self.db, job.id)

    def waiting(self):
        return sorted(job.type for job in db_jobs.list_(self.db, filters={'state': 'new'}))

    def test_jobs_are_submitted_at_their_intervals(self):
        self.assertEqual(3, self.periodic.tick())
        self.assertEqual(['purge_history', 'refresh_endpoints', 'repair_replicas'], self.waiting())
        self.assertEqual(0, self.periodic.tick())
        self.end_all()
        self.assertEqual(0, self.periodic.tick())
        self.seconds = 31
        self.periodic.tick()
        self.assertEqual(['refresh_endpoints'], self.waiting())
        self.end_all()
        self.seconds = 301
        self.periodic.tick()
        self.assertEqual(['refresh_endpoints', 'repair_replicas'], self.waiting())

    def test_repeated_ticks_submit_jobs_once(self):
        for _ in range(5):
            self.periodic.tick()
        self.assertEqual(3, len(db_jobs.list_(self.db)))

    def test_tick_reads_the_jobs_of_all_pods_with_one_statement(self):
        for number in range(3, 20):
            self.create(f'Pod{number}')
        self.periodic.tick()
        statements = []
        event.listen(self.db.engine, 'before_cursor_execute', lambda *args: statements.append(args[2]))
        self.assertEqual(0, self.periodic.tick())
        self.assertEqual(1, len([each for each in statements if 'FROM jobs' in each]), statements)

    def set_option(self, name, value):
        self.conf.set_override(name, value, 'xjob')
        self.addCleanup(self.conf.clear_override, name, 'xjob')

    def submitted(self, pods=(), **options):
        """Names of pods are recorded; returns the keys and payloads of the jobs of a first tick, by type."""
        for name, value in options.items():
            self.set_option(name, value)
        for name in pods:
            self.create(name)
        self.periodic.tick()
        found = {}
        for job in db_jobs.list_(self.db):
            found.setdefault(job.type, {})[job.resource_key] = job.payload
        return found

    def test_many_pods_have_a_job_for_each_part(self):
        names = [f'Pod{number}' for number in range(3, 3 + parts.PODS_IN_PART)]
        found = self.submitted(names, reconcile_interval=40, usage_interval=60)
        for type in 'read_changes', 'collect_usage':
            self.assertEqual(dict(parts.parts(len(names) + 1)), found[type])
            self.assertEqual(2, len(found[type]))

    def test_only_pods_whose_comparison_is_due_are_compared(self):
        self.set_option('full_reconcile_interval', 3600)
        pods = {name: self.create(name) for name in ('Pod3', 'Pod4', 'Pod5')}
        db_pods.set_reconciled(self.db, pods['Pod3'], utcnow())
        db_pods.set_reconciled(self.db, pods['Pod4'], utcnow() - datetime.timedelta(seconds=3601))
        found = self.submitted(reconcile_interval=40)
        pod1 = db_pods.get_by_name(self.db, 'Pod1').pod_id
        self.assertEqual({pod1, pods['Pod4'], pods['Pod5']}, set(found['reconcile_routings']))

    def test_comparisons_are_switched_off_and_new_pods_are_compared(self):
        pod = self.create('Pod3')
        db_pods.set_reconciled(self.db, pod, utcnow() - datetime.timedelta(days=365))
        found = self.submitted(reconcile_interval=40, full_reconcile_interval=0)
        self.assertEqual({db_pods.get_by_name(self.db, 'Pod1').pod_id}, set(found['reconcile_routings']))

    def jobs_of(self, pod_id):
        self.periodic.tick()
        return {job.type for job in db_jobs.list_(self.db, filters={'state': 'new'}) if job.pod_id == pod_id}

    def test_pod_that_joins_gets_no_job_besides_sync_pod_for_an_hour(self):
        self.set_option('reconcile_interval', 40)
        pod = self.create('Pod3', joined_before=None)
        self.assertEqual(set(), self.jobs_of(pod))
        self.seconds = 3601
        self.assertEqual({'repair_replicas', 'reconcile_routings'}, self.jobs_of(pod))

    def test_pod_that_joined_is_repaired_after_the_interval(self):
        pod = self.create('Pod3', joined_before=100)
        self.assertEqual(set(), self.jobs_of(pod))
        self.seconds = 201
        self.assertEqual({'repair_replicas'}, self.jobs_of(pod))

    def test_limits_are_raised_when_the_resources_of_a_pod_are_known(self):
        self.conf.set_override('raise_limits_interval', 600, 'quota')
        self.addCleanup(self.conf.clear_override, 'raise_limits_interval', 'quota')
        pod = self.create('Pod3')
        self.assertEqual({'repair_replicas'}, self.jobs_of(pod))
        db_pods.set_reconciled(self.db, pod, utcnow())
        self.runtime.registry.refresh()
        self.assertEqual({'repair_replicas', 'raise_pod_limits'}, self.jobs_of(pod))


class TestBackends(testtools.TestCase):
    """The same service on green and native threads, each in a process of its own."""

    PROGRAM = textwrap.dedent("""
        import sys
        from trio2o import concurrency
        concurrency.init(sys.argv[1])
        from trio2o import rpc
        from trio2o.tests.functional.jobs import test_service
        class One(test_service.TestService):
            pass
        import unittest
        names = ('test_message_starts_job_before_scan', 'test_broker_is_unreachable_and_scan_finds_job',
                 'test_jobs_run_concurrently_up_to_option', 'test_stopped_service_releases_running_job')
        suite = unittest.TestSuite(One(name) for name in names)
        result = unittest.TextTestRunner(verbosity=2).run(suite)
        assert concurrency.backend() == sys.argv[1]
        sys.stdout.flush()
        import os
        os._exit(not result.wasSuccessful())
    """)

    def run_on(self, backend):
        done = subprocess.run(
            [sys.executable, '-W', 'ignore', '-c', self.PROGRAM, backend],
            capture_output=True,
            timeout=120,
            env={name: value for name, value in os.environ.items() if name != 'TRIO2O_TEST_BACKEND'},
        )
        self.assertEqual(0, done.returncode, done.stderr.decode()[-4000:])

    def test_service_works_on_eventlet(self):
        self.run_on('eventlet')

    def test_service_works_on_threads(self):
        self.run_on('threading')
