# SPDX-License-Identifier: Apache-2.0
"""One request id in the logs of the gateway, in the requests to pods, and in the jobs that a request submits."""

import logging
import threading

import fixtures
import testtools
from oslo_log import formatters

from trio2o import compat
from trio2o import context as trio2o_context
from trio2o.concurrency import Executor
from trio2o.context import RequestContext
from trio2o.db import jobs as db_jobs
from trio2o.lab.emulated import faults
from trio2o.tests.fixtures.cloud import GatewayFixture
from trio2o.tests.fixtures.wsgi import get
from trio2o.web.middleware.access_log import AccessLog

OURS = 'req-11111111-2222-3333-4444-555555555555'
FORMAT = '%(levelname)s %(name)s [%(global_request_id)s %(request_id)s %(user_identity)s] %(message)s'
_ID = r'req-[0-9a-f-]{36}'


class Log(fixtures.Fixture):
    """Lines as oslo.log writes them, with the ids of the request they belong to."""

    def __init__(self, conf):
        super().__init__()
        self._conf = conf
        self.lines = []

    def _setUp(self):
        self._conf.set_override('logging_context_format_string', FORMAT)
        formatter = formatters.ContextFormatter(project='trio2o', version='1', config=self._conf)
        lines = self.lines

        class Handler(logging.Handler):
            def emit(self, record):
                lines.append(formatter.format(record))

        handler = Handler()
        root = logging.getLogger('trio2o')
        level = root.level
        root.addHandler(handler)
        root.setLevel(logging.DEBUG)
        self.addCleanup(root.setLevel, level)
        self.addCleanup(root.removeHandler, handler)

    def about(self, words):
        return [line for line in self.lines if words in line]


class RequestIdTestCase(testtools.TestCase):
    options = {}

    def setUp(self):
        super().setUp()
        self.cloud = self.useFixture(GatewayFixture(pods=2, **self.options))
        for name in ('Pod1', 'Pod2'):
            # A pod where a project has nothing is not asked.
            self.cloud.lab.add_servers(name, 'demo')
            self.cloud.lab.add_volumes(name, 'demo')
        self.cloud.run_jobs()
        self.cloud.lab.clear_logs()
        self.log = self.useFixture(Log(self.cloud.conf))
        self.addCleanup(compat.clear_current_context)

    def reported(self, name, service='nova'):
        """The ids that a pod got, by path."""
        return {
            (seen.method, seen.path): seen.headers.get('x-openstack-request-id')
            for seen in getattr(self.cloud.pod(name), service).requests
        }


class TestToPods(RequestIdTestCase):
    def test_every_pod_gets_our_id(self):
        answer = self.cloud.nova.get('/servers/detail')
        (ours,) = set(self.reported('Pod1').values()) | set(self.reported('Pod2').values())
        self.assertRegex(ours, _ID)
        self.assertEqual(ours, answer.headers['x-openstack-request-id'])

    def test_or_the_one_the_client_brought(self):
        self.cloud.nova.get('/servers/detail', headers={'X-OpenStack-Request-ID': OURS})
        self.cloud.cinder.get('/volumes', headers={'X-OpenStack-Request-ID': OURS})
        for name in ('Pod1', 'Pod2'):
            self.assertEqual({OURS}, set(self.reported(name).values()) | set(self.reported(name, 'cinder').values()))

    def test_but_not_what_is_no_id(self):
        self.cloud.nova.get('/servers', headers={'X-OpenStack-Request-ID': 'req-1\tand more'})
        (reported,) = set(self.reported('Pod1').values())
        self.assertRegex(reported, f'^{_ID}$')


class TestInLogs(RequestIdTestCase):
    def test_lines_of_other_threads_carry_it(self):
        """Which pod did not answer is logged where it is asked, or where the answers meet."""
        self.cloud.pod('Pod2').nova.faults.add(faults.Refuse())
        self.cloud.nova.get('/servers', headers={'X-OpenStack-Request-ID': OURS})
        lines = self.log.about('Pod2')
        self.assertTrue(lines, self.log.lines)
        for line in lines:
            self.assertRegex(line, rf'\[{OURS} {_ID} ')

    def test_threads_work_for_one_request_at_a_time(self):
        executor = Executor(1)
        self.addCleanup(executor.shutdown)
        RequestContext(request_id='req-one')
        self.assertEqual('req-one', executor.submit(trio2o_context.current_request_id).result())
        compat.clear_current_context()
        self.assertIsNone(executor.submit(trio2o_context.current_request_id).result())

    def test_a_thread_forgets_its_last_request(self):
        """What is logged before the token is looked at belongs to nobody, not to whom the thread served last."""
        self.cloud.nova.get('/servers')
        self.assertIsNotNone(trio2o_context.current_request_id())
        self.cloud.nova.get('/servers', as_=None)
        self.assertIsNone(trio2o_context.current_request_id())

    def test_access_log_names_the_pods_id_too(self):
        def app(environ, start_response):
            environ['openstack.request_id'] = 'req-ours'
            start_response('200 OK', [('X-Openstack-Request-Id', environ['answered'])])
            return [b'']

        logged = self.useFixture(fixtures.FakeLogger('trio2o.web.middleware.access_log', level=logging.INFO))
        for answered, end in (('req-theirs', ' req-ours pod: req-theirs'), ('req-ours', ' req-ours')):
            get(AccessLog(app), '/x', answered=answered)
            self.assertTrue(logged.output.rstrip('\n').endswith(end), logged.output)
        get(AccessLog(app), '/x', answered='req-a\nforged "line"')
        self.assertTrue(logged.output.endswith(' pod: req-aforgedline\n'), logged.output)


class TestInJobs(RequestIdTestCase):
    def test_from_the_write_to_the_job_to_the_pod(self):
        """A flavor that one pod misses: job, log and pod all know the request that wanted it."""
        self.cloud.pod('Pod2').nova.faults.add(faults.Status(503, method='POST', times=1))
        body = {'flavor': {'name': 'm7', 'ram': 512, 'vcpus': 1, 'disk': 1}}
        answer = self.cloud.nova.post('/flavors', body, as_='admin')
        self.assertEqual(200, answer.status, answer.text)
        waiting = [job for job in db_jobs.list_(self.cloud.runtime.db) if job.is_active]
        (ours,) = {job.request_id for job in waiting}
        self.assertRegex(ours, _ID)
        self.assertEqual(ours, self.reported('Pod1')['POST', '/v2.1/flavors'])
        self.cloud.lab.clear_logs()
        ran = self.cloud.run_jobs()
        self.assertEqual({'success'}, {job.state for job in ran})
        self.assertEqual(ours, self.reported('Pod2')['POST', '/v2.1/flavors'])
        for job in ran:
            lines = self.log.about(f'Job {job.id}')
            self.assertTrue(lines)
            for line in lines:
                self.assertIn(f' {job.request_id} ', line)
        found = self.cloud.api.get('/jobs', query={'request_id': ours})['jobs']
        self.assertEqual({job.id for job in waiting}, {job['id'] for job in found})

    def test_registering_a_pod(self):
        self.cloud.lab.add_pod('Pod3')
        answer = self.cloud.api.post('/pods', {'pod': {'pod_name': 'Pod3', 'az_name': 'az3'}})
        ours = answer.headers['x-openstack-request-id']
        pod_id = answer['pod']['pod_id']
        ran = self.cloud.run_jobs()
        mine = {job.type for job in ran if job.resource_key == pod_id and job.request_id == ours}
        # Jobs that a job asks for are for the same request.
        self.assertLessEqual({'sync_pod', 'reconcile_routings'}, mine)
        self.assertIn(ours, self.reported('Pod3').values())

    def test_jobs_that_nobody_asked_for_have_ids_of_their_own(self):
        self.cloud.runtime.jobs.submit(
            'repair_replicas', self.cloud.pod_ids['Pod1'], {'pod_id': self.cloud.pod_ids['Pod1']}
        )
        (job,) = self.cloud.run_jobs()
        self.assertIsNone(job.request_id)
        (line, *_more) = self.log.about(f'Job {job.id}')
        self.assertRegex(line, rf'\[(-|None) {_ID} ')
        self.assertIsNone(trio2o_context.current_request_id())

    def test_two_at_once_do_not_mix(self):
        seen, barrier = {}, threading.Barrier(2, timeout=10)

        def work(name):
            with trio2o_context.working_for(name):
                barrier.wait()
                seen[name] = trio2o_context.current_request_id()
                barrier.wait()

        threads = [threading.Thread(target=work, args=(name,)) for name in ('req-a', 'req-b')]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual({'req-a': 'req-a', 'req-b': 'req-b'}, seen)
