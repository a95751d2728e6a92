# SPDX-License-Identifier: Apache-2.0
"""What eventlet patches has to be imported after it did; seen in a process of its own."""

import subprocess
import sys

import testtools

_LOOK = """
import threading
from trio2o import concurrency
concurrency.init('eventlet')
from oslo_context import context
assert isinstance(context._request_store, threading.local), type(context._request_store)
"""


class TestPatching(testtools.TestCase):
    def test_each_green_thread_has_a_context_of_its_own(self):
        done = subprocess.run([sys.executable, '-W', 'ignore', '-c', _LOOK], capture_output=True, text=True)
        self.assertEqual(0, done.returncode, done.stderr)
