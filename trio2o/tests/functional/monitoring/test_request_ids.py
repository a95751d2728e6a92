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
    """Log lines as oslo.log formats them, with request ids."""

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
            # Pods without resources of the project get no requests.
            self.cloud.lab.add_servers(name, 'demo')
            self.cloud.lab.add_volumes(name, 'demo')
        self.cloud.run_jobs()
        self.cloud.lab.clear_logs()
        self.log = self.useFixture(Log(self.cloud.conf))
        self.addCleanup(compat.clear_current_context)

    def reported(self, name, service='nova'):
        """{(method, path): request id} of the requests that a pod got."""
        return {
            (seen.method, seen.path): seen.headers.get('x-openstack-request-id')
            for seen in getattr(self.cloud.pod(name), service).requests
        }


class TestRequestsToPods(RequestIdTestCase):
    def test_pods_get_request_id_of_gateway(self):
        answer = self.cloud.nova.get('/servers/detail')
        (ours,) = set(self.reported('Pod1').values()) | set(self.reported('Pod2').values())
        self.assertRegex(ours, _ID)
        self.assertEqual(ours, answer.headers['x-openstack-request-id'])

    def test_pods_get_request_id_of_client(self):
        self.cloud.nova.get('/servers/detail', headers={'X-OpenStack-Request-ID': OURS})
        self.cloud.cinder.get('/volumes', headers={'X-OpenStack-Request-ID': OURS})
        for name in ('Pod1', 'Pod2'):
            self.assertEqual({OURS}, set(self.reported(name).values()) | set(self.reported(name, 'cinder').values()))

    def test_malformed_request_id_of_client_is_replaced(self):
        self.cloud.nova.get('/servers', headers={'X-OpenStack-Request-ID': 'req-1\tand more'})
        (reported,) = set(self.reported('Pod1').values())
        self.assertRegex(reported, f'^{_ID}$')


class TestLogs(RequestIdTestCase):
    def test_line_end_in_text_of_others_begins_no_line(self):
        text = 'a\r\n2026-01-01 INFO admin logged in\x1b[2J\u2028\tb \u00e9'
        logging.getLogger('trio2o.test').warning('the name is %s', text)
        (line,) = self.log.about('admin logged in')
        self.assertIn(r'the name is a\r\n2026-01-01 INFO admin logged in\x1b[2J\u2028' + '\tb \u00e9', line)

    def test_log_lines_of_other_threads_have_request_id(self):
        """A pod without an answer is logged in the thread that calls it or in the one that merges answers."""
        self.cloud.pod('Pod2').nova.faults.add(faults.Refuse())
        self.cloud.nova.get('/servers', headers={'X-OpenStack-Request-ID': OURS})
        lines = self.log.about('Pod2')
        self.assertTrue(lines, self.log.lines)
        for line in lines:
            self.assertRegex(line, rf'\[{OURS} {_ID} ')

    def test_executor_thread_has_request_id_of_its_submitter(self):
        executor = Executor(1)
        self.addCleanup(executor.shutdown)
        RequestContext(request_id='req-one')
        self.assertEqual('req-one', executor.submit(trio2o_context.current_request_id).result())
        compat.clear_current_context()
        self.assertIsNone(executor.submit(trio2o_context.current_request_id).result())

    def test_request_without_token_has_no_earlier_request_id(self):
        """Lines logged before the token is validated do not have the id of the thread's last request."""
        self.cloud.nova.get('/servers')
        self.assertIsNotNone(trio2o_context.current_request_id())
        self.cloud.nova.get('/servers', as_=None)
        self.assertIsNone(trio2o_context.current_request_id())

    def test_access_log_shows_request_id_of_pod(self):
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


class TestJobs(RequestIdTestCase):
    def test_job_and_its_requests_have_id_of_the_write(self):
        """One pod misses a flavor: the job, its log lines and its request to the pod have the id of the request."""
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

    def test_jobs_of_registration_have_its_request_id(self):
        self.cloud.lab.add_pod('Pod3')
        answer = self.cloud.api.post('/pods', {'pod': {'pod_name': 'Pod3', 'az_name': 'az3'}})
        ours = answer.headers['x-openstack-request-id']
        pod_id = answer['pod']['pod_id']
        ran = self.cloud.run_jobs()
        mine = {job.type for job in ran if job.resource_key == pod_id and job.request_id == ours}
        # Jobs that a job submits have the id of the same request.
        self.assertLessEqual({'sync_pod', 'reconcile_routings'}, mine)
        self.assertIn(ours, self.reported('Pod3').values())

    def test_periodic_jobs_have_request_ids_of_their_own(self):
        self.cloud.runtime.jobs.submit(
            'repair_replicas', self.cloud.pod_ids['Pod1'], {'pod_id': self.cloud.pod_ids['Pod1']}
        )
        (job,) = self.cloud.run_jobs()
        self.assertIsNone(job.request_id)
        (line, *_more) = self.log.about(f'Job {job.id}')
        self.assertRegex(line, rf'\[(-|None) {_ID} ')
        self.assertIsNone(trio2o_context.current_request_id())

    def test_concurrent_threads_keep_their_request_ids(self):
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
