# SPDX-License-Identifier: Apache-2.0
"""Requests to a pod: repeated requests, failures that breakers count, and requests to many pods."""

import threading
import time

import testtools

from trio2o import exception
from trio2o.concurrency import Deadline
from trio2o.db import pods
from trio2o.lab.emulated.faults import Refuse
from trio2o.lab.emulated.topology import Cloud
from trio2o.pods.breakers import Breakers
from trio2o.pods.client import PodClient
from trio2o.pods.fanout import PodThreads, ask_all
from trio2o.pods.identity import Identity
from trio2o.pods.registry import Registry
from trio2o.tests.fixtures.conf import ConfFixture
from trio2o.tests.fixtures.database import DatabaseFixture
from trio2o.web.microversion import Version, VersionRange

OK = (200, [('Content-Type', 'application/json')], b'"body"')


class Script:
    """A transport with a script: one outcome for each call."""

    def __init__(self, *steps):
        self.steps = list(steps)
        self.calls = []

    def request(self, method, url, headers, body, timeout):
        self.calls.append((method, url, headers, body, timeout))
        step = self.steps.pop(0)
        if isinstance(step, Exception):
            raise step
        return step


def endpoint(minimum='2.1', maximum='2.96'):
    return {'url': 'http://pod/v2.1', 'roots': ['http://pod'], 'min_version': minimum, 'max_version': maximum}


class PodTest(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.db = self.useFixture(DatabaseFixture()).db
        self.conf = self.useFixture(ConfFixture()).conf
        self.registry = Registry(self.conf, self.db)

    def pod(self, name='Pod', compute=None, **fields):
        pod_id = pods.create(self.db, pod_name=name, az_name='az').pod_id
        pods.update(self.db, pod_id, endpoints={'compute': compute or endpoint()}, **fields)
        return self.registry.refresh().by_id[pod_id]


class TestSend(PodTest):
    def setUp(self):
        super().setUp()
        cloud = Cloud(pods=0)
        self.keystone = cloud.keystone
        self.identity = Identity(self.conf, cloud.adapter())
        self.breakers = Breakers(3, 1000.0)
        self.view = self.pod()
        self.key = (self.view.id, 'compute')

    def send(self, transport, method='GET', service='compute', **kwargs):
        client = PodClient(self.conf, transport, self.breakers, self.identity)
        return client.send(self.view, service, method, '/x?y=z', [('H', 'v')], **kwargs)

    def test_request_and_answer_are_passed_unchanged(self):
        script = Script(OK)
        answer = self.send(script, 'PUT', body=b'in', timeout=3.0)
        self.assertEqual(OK, (answer.status, answer.headers, answer.body))
        ((*sent, timeout),) = script.calls
        self.assertEqual(['PUT', 'http://pod/v2.1/x?y=z', [('H', 'v')], b'in'], sent)
        self.assertTrue(2.9 < timeout <= 3.0, timeout)

    def test_read_is_repeated_once_after_lost_connection(self):
        for method in ('GET', 'HEAD'):
            script = Script(ConnectionResetError(), OK)
            self.assertEqual(200, self.send(script, method).status)
            self.assertLessEqual(script.calls[1][4], script.calls[0][4])
        script = Script(ConnectionResetError(), ConnectionResetError())
        self.assertRaises(exception.PodNoAnswer, self.send, script)

    def test_write_is_not_repeated(self):
        for method in ('POST', 'PUT', 'DELETE', 'PATCH'):
            script = Script(ConnectionResetError(), OK)
            self.assertRaises(exception.PodNoAnswer, self.send, script, method)
            self.assertEqual(1, len(script.calls))
            self.breakers.succeeded(self.key)

    def test_refused_or_late_request_is_not_repeated(self):
        refused, late = ConnectionRefusedError(), TimeoutError()
        for error, wanted in ((refused, exception.PodNotReached), (late, exception.PodNoAnswer)):
            script = Script(error, OK)
            self.assertRaises(wanted, self.send, script)
            self.assertEqual(1, len(script.calls))

    def test_breaker_counts_failures_and_502_to_504(self):
        for step, counts in (
            (OK, False), ((404, [], b''), False), ((500, [], b''), False), ((501, [], b''), False),
            ((502, [], b''), True), ((503, [], b''), True), ((504, [], b''), True),
            (ConnectionRefusedError(), True), (TimeoutError(), True),
        ):  # fmt: skip
            self.breakers.succeeded(self.key)
            for _ in range(3):
                try:
                    # The second step is for the check of the pod.
                    self.send(Script(step, step), 'POST')
                except exception.PodError:
                    pass
            self.assertEqual(counts, self.breakers.is_open(self.key), step)

    def test_failures_of_one_project_do_not_open_the_breaker_of_a_pod_that_answers(self):
        for step in ((502, [], b''), (503, [], b''), (504, [], b''), TimeoutError()):
            for _ in range(7):
                try:
                    self.send(Script(step, (401, [], b'')), 'POST')
                except exception.PodError:
                    pass
            self.assertFalse(self.breakers.is_open(self.key), step)

    def test_pod_that_may_have_failed_is_asked_for_a_short_list_with_own_token(self):
        for _ in range(2):
            self.assertRaises(exception.PodNoAnswer, self.send, Script(TimeoutError()))
        script = Script(TimeoutError(), OK)
        self.assertRaises(exception.PodNoAnswer, self.send, script)
        method, url, headers, _body, _timeout = script.calls[1]
        self.assertEqual(('GET', 'http://pod/v2.1/servers?limit=1'), (method, url))
        self.assertEqual(self.identity.token(), dict(headers)['X-Auth-Token'])

    def test_pod_is_asked_for_its_versions_without_a_token_while_keystone_gives_none(self):
        self.keystone.faults.add(Refuse())
        for _ in range(2):
            self.assertRaises(exception.PodNoAnswer, self.send, Script(TimeoutError()))
        script = Script(TimeoutError(), TimeoutError())
        self.assertRaises(exception.PodNoAnswer, self.send, script)
        method, url, headers, _body, _timeout = script.calls[1]
        self.assertEqual(('GET', 'http://pod/v2.1/', []), (method, url, headers))
        self.assertTrue(self.breakers.is_open(self.key))

    def test_pod_with_open_breaker_is_not_called(self):
        for _ in range(3):
            self.breakers.failed(self.key)
        script = Script()
        self.assertRaises(exception.PodNotReached, self.send, script)
        self.assertEqual([], script.calls)

    def test_no_time_left_is_not_reached_and_no_failure_of_pod(self):
        for timeout in (0, 0.0, -1.0):
            for _ in range(3):
                script = Script(OK)
                self.assertRaises(exception.PodNotReached, self.send, script, timeout=timeout)
                self.assertEqual([], script.calls)
        self.assertFalse(self.breakers.is_open(self.key))

    def test_missing_service_is_not_reached(self):
        self.assertRaises(exception.PodNotReached, self.send, Script(), service='volume')


class TestAskAll(PodTest):
    def setUp(self):
        super().setUp()
        self.views = [self.pod(f'Pod{number}') for number in range(4)]
        self.threads = PodThreads(8)
        self.addCleanup(self.threads.shutdown)

    def test_pods_are_asked_concurrently_and_results_keep_order(self):
        barrier = threading.Barrier(4, timeout=5)

        def ask(pod):
            barrier.wait()
            if pod is self.views[1]:
                raise exception.PodNoAnswer(pod.name, 'no')
            return pod.name

        results = ask_all(self.threads, self.views, ask, Deadline(5))
        self.assertEqual(self.views, list(results))
        self.assertIsInstance(results[self.views[1]], exception.PodNoAnswer)
        self.assertEqual(['Pod0', 'Pod2', 'Pod3'], [value for value in results.values() if isinstance(value, str)])

    def test_late_pod_is_no_answer(self):
        release = threading.Event()
        self.addCleanup(release.set)

        def ask(pod):
            if pod is self.views[2]:
                release.wait(10)
            return pod.name

        started = time.monotonic()
        results = ask_all(self.threads, self.views, ask, Deadline(0.05))
        self.assertLess(time.monotonic() - started, 2)
        self.assertIsInstance(results[self.views[2]], exception.PodNoAnswer)
        self.assertEqual('Pod3', results[self.views[3]])

    def test_unexpected_error_is_raised(self):
        def ask(pod):
            raise RuntimeError('a bug')

        for views in (self.views, self.views[:1]):
            self.assertRaises(RuntimeError, ask_all, self.threads, views, ask, Deadline(1))

    def test_no_pods_give_no_results(self):
        self.assertEqual({}, ask_all(self.threads, [], None, Deadline(1)))

    def test_sufficient_answer_ends_the_wait(self):
        never = threading.Event()
        self.addCleanup(never.set)

        def ask(pod):
            if pod is not self.views[-1]:
                never.wait(30)
            return pod.name

        results = ask_all(self.threads, self.views, ask, Deadline(20), lambda name: name == self.views[-1].name)
        self.assertEqual(self.views[-1].name, results[self.views[-1]])
        self.assertIsInstance(results[self.views[0]], exception.PodNoAnswer)


class TestVersions(PodTest):
    known = VersionRange(Version(2, 1), Version(2, 104))

    def range(self):
        found = self.registry.versions('compute', self.known)
        return str(found.min), str(found.max)

    def test_range_is_common_to_all_pods(self):
        self.assertEqual(('2.1', '2.104'), self.range())
        self.pod('A', endpoint('2.1', '2.200'))
        self.assertEqual(('2.1', '2.104'), self.range())
        self.pod('B', endpoint('2.10', '2.96'))
        self.pod('C', endpoint('2.1', '2.60'))
        self.assertEqual(('2.10', '2.60'), self.range())

    def test_pod_without_versions_does_not_narrow_the_range(self):
        self.pod('A', endpoint('', ''))
        self.assertEqual(('2.1', '2.104'), self.range())

    def test_pod_in_maintenance_does_not_narrow_the_range(self):
        self.pod('A', endpoint('2.1', '2.5'), state='maintenance')
        self.pod('B', endpoint('2.1', '2.70'), state='draining')
        self.assertEqual(('2.1', '2.70'), self.range())
