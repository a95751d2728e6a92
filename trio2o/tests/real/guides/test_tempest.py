# SPDX-License-Identifier: Apache-2.0
"""The tests of the tempest plug-in, run by tempest as ``tools/tempest trio2o`` does."""

import pathlib
import tempfile
import unittest

from trio2o.lab import tempest
from trio2o.lab.real.topology import TOP_REGION
from trio2o.tests.fixtures.real import RealGateway, real_lab

#: Moves are carried out faster than an operator needs.
MORE = """
[moves]
poll_seconds = 0.3

[xjob]
scan_interval = 0.3
"""


class TestTempest(unittest.TestCase):
    def test_tests_of_tempest_plugin_pass(self):
        lab = real_lab()
        lab.start()
        gateway = RealGateway(lab, more=MORE)
        gateway.setUp()
        self.addCleanup(gateway.cleanUp)
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix='tempest-')))
        outcome = tempest.run(lab, TOP_REGION, [r'trio2o\.tempestplugin'], folder, concurrency=2)
        self.assertEqual(set(), outcome.of('fail'), (folder / TOP_REGION / 'run.log').read_text()[-20000:])
        for part in ('pods', 'bindings', 'routings', 'jobs', 'zones', 'together', 'adoption', 'quota', 'moved'):
            self.assertTrue(any(f'.test_{part}.' in test for test in outcome.passed), part)
