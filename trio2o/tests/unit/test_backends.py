# SPDX-License-Identifier: Apache-2.0
"""The choice of functional tests that run on both concurrency backends."""

import json
import pathlib

import fixtures
import testtools

from trio2o.tests.functional import backends

THREADS = 'import threading\n'
SLOW = 'from trio2o.lab.emulated import faults\n\nfaults.Slow(2.0)\n'
REFUSED = 'from trio2o.lab.emulated import faults\n\nfaults.Refuse()\n'
PROCESSES = 'from trio2o.tests.fixtures import conf, launch\n'


class TestBackends(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)

    def depends(self, text):
        path = self.folder / 'test_x.py'
        path.write_text(text)
        return bool(backends.imports(path) & backends.DEPENDS)

    def write(self, backend, **places):
        path = self.folder / backend / '1.json'
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(places))

    def test_imports_show_dependence_on_backend(self):
        for text, depends in ((THREADS, True), (SLOW, True), (PROCESSES, True), (REFUSED, False)):
            self.assertEqual(depends, self.depends(text), text)

    def test_named_modules_exist(self):
        self.assertEqual(set(), (backends.SLICE | backends.ONCE) - set(backends.modules()))
        self.assertEqual(set(), backends.SLICE & backends.ONCE)

    def test_both_backends_run_dependent_modules_and_slice(self):
        both = set(backends.on_both())
        self.assertLessEqual({'processes.test_commands', 'jobs.test_service', *backends.SLICE}, both)
        self.assertEqual(set(), both & backends.ONCE)

    def test_place_on_first_backend_only_fails(self):
        self.write('eventlet', a='test 1', b='test 2')
        self.write('threading', a='test 1')
        self.assertEqual(1, backends.compare(self.folder))
        self.write('threading', a='test 1', b='', c='test 3')
        self.assertEqual(0, backends.compare(self.folder))

    def test_missing_records_fail(self):
        self.assertEqual(1, backends.compare(self.folder))
