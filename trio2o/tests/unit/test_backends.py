# SPDX-License-Identifier: Apache-2.0
"""The choice of functional tests that run on both concurrency backends."""

import json
import pathlib

import fixtures
import testtools

from trio2o.tests.functional import backends

TEXT = """
import os
import threading as threads
from trio2o.lab.emulated import faults
from trio2o.tests.fixtures import conf, launch

SLOW = faults.Slow(2.0)

def started():
    return launch.Process('x')

class Base:
    lock = threads.Lock()

class TestThreads(Base): pass
class TestSlow:
    fault = SLOW
class TestProcesses:
    def test_x(self): self.process = started()
class TestImport:
    def test_x(self):
        from socket import socket
class TestOthers:
    fault = faults.Refuse()
    def test_x(self): conf.write(os.sep)
"""


class TestBackends(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)

    def write(self, backend, **places):
        path = self.folder / backend / '1.json'
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(places))

    def test_imports_that_a_class_uses_show_dependence_on_backend(self):
        path = self.folder / 'test_x.py'
        path.write_text(TEXT)
        depend = {
            'TestThreads': True,
            'TestSlow': True,
            'TestProcesses': True,
            'TestImport': True,
            'TestOthers': False,
        }
        self.assertEqual(depend, backends.classes(path))

    def test_named_modules_and_classes_exist(self):
        modules = backends.modules()
        known = {f'{module}.{name}' for module, path in modules.items() for name in backends.classes(path)}
        self.assertEqual(set(), backends.ONCE - set(modules))
        self.assertEqual(set(), backends.SLICE - set(modules) - known)
        self.assertEqual(set(), backends.SLICE & backends.ONCE)

    def test_both_backends_run_dependent_classes_and_slice(self):
        both = set(backends.on_both())
        expected = {'processes.test_commands.TestAllInOne', 'jobs.test_service.TestService'}
        self.assertLessEqual(
            expected | {'admin_api.test_draining.TestDrain', 'volume.test_dead_pod.TestUnreachablePod'}, both
        )
        self.assertEqual(set(), {name.rpartition('.')[0] for name in both} & backends.ONCE)

    def test_place_on_first_backend_only_fails(self):
        self.write('eventlet', a='test 1', b='test 2')
        self.write('threading', a='test 1')
        self.assertEqual(1, backends.compare(self.folder))
        self.write('threading', a='test 1', b='', c='test 3')
        self.assertEqual(0, backends.compare(self.folder))

    def test_missing_records_fail(self):
        self.assertEqual(1, backends.compare(self.folder))
