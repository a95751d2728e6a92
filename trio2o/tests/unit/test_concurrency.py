# SPDX-License-Identifier: Apache-2.0
"""Delayed functions, the end of an executor, and the order of eventlet's patches and imports in a subprocess."""

import queue
import subprocess
import sys
import threading
import time

import testtools

from trio2o.concurrency import BACKENDS, Executor

_LOOK = """
import threading
from trio2o import concurrency
concurrency.init('eventlet')
from oslo_context import context
assert isinstance(context._request_store, threading.local), type(context._request_store)
"""

_DELAY = """
from trio2o import concurrency
concurrency.init('eventlet')
import queue
results = queue.Queue()
executor = concurrency.Executor(2)
executor.submit_after(0.2, results.put, 'second')
executor.submit_after(0.01, results.put, 'first')
assert [results.get(timeout=30), results.get(timeout=30)] == ['first', 'second']
executor.shutdown()
"""

_INPUT = """
from trio2o import concurrency
concurrency.init('{backend}')
import socket
near, far = socket.socketpair()
assert not concurrency.has_input(near)
far.send(b'x')
assert concurrency.has_input(near)
near.recv(1)
assert not concurrency.has_input(near)
far.close()
assert concurrency.has_input(near)
"""


def run(code):
    return subprocess.run([sys.executable, '-W', 'ignore', '-c', code], capture_output=True, text=True)


class TestExecutor(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.results = queue.Queue()
        self.executor = Executor(2)
        self.addCleanup(self.executor.shutdown)

    def test_functions_run_in_order_of_due_times(self):
        for seconds in (0.2, 0.01, 0.1):
            self.executor.submit_after(seconds, self.results.put, seconds)
        self.assertEqual([0.01, 0.1, 0.2], [self.results.get(timeout=30) for _ in range(3)])
        self.assertEqual(0, self.executor.delayed)

    def test_failing_function_does_not_stop_the_next(self):
        self.executor.submit_after(0.01, self.results.get_nowait)
        self.executor.submit_after(0.02, self.results.put, 'next')
        self.assertEqual('next', self.results.get(timeout=30))

    def test_shutdown_drops_delayed_functions(self):
        self.executor.submit_after(60, self.results.put, 'never')
        self.assertEqual(1, self.executor.delayed)
        self.executor.shutdown()
        self.executor.submit_after(60, self.results.put, 'never')
        self.assertEqual(0, self.executor.delayed)
        self.executor._timer.join(30)
        self.assertFalse(self.executor._timer.is_alive())

    def test_shutdown_waits_for_a_function_that_runs(self):
        is_running = threading.Event()

        def run():
            is_running.set()
            # Longer than a shutdown that does not wait.
            time.sleep(0.2)
            self.results.put('ended')

        self.executor.submit(run)
        is_running.wait(30)
        self.executor.shutdown(wait_seconds=30)
        self.assertEqual('ended', self.results.get_nowait())

    def test_shutdown_stops_waiting(self):
        is_running, may_end = threading.Event(), threading.Event()
        self.addCleanup(may_end.set)
        self.executor.submit(lambda: (is_running.set(), may_end.wait(30)))
        is_running.wait(30)
        began = time.monotonic()
        self.executor.shutdown(wait_seconds=0.1)
        self.assertLess(time.monotonic() - began, 20)

    def test_eventlet_backend_runs_delayed_functions(self):
        done = run(_DELAY)
        self.assertEqual(0, done.returncode, done.stderr)


class TestPatching(testtools.TestCase):
    def test_each_green_thread_has_a_context_of_its_own(self):
        done = run(_LOOK)
        self.assertEqual(0, done.returncode, done.stderr)


class TestSockets(testtools.TestCase):
    def test_socket_has_input_when_data_or_the_end_arrives(self):
        for backend in BACKENDS:
            done = run(_INPUT.format(backend=backend))
            self.assertEqual(0, done.returncode, done.stderr)
