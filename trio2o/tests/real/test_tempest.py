# SPDX-License-Identifier: Apache-2.0
"""The tests of the tempest plug-in that cost little, run by tempest; ``tools/tempest trio2o`` runs them all."""

import pathlib
import tempfile
import unittest

from trio2o.lab import tempest
from trio2o.lab.real.topology import TOP_REGION
from trio2o.tests.fixtures.real import RealGateway, real_lab

CHEAP = (
    r'trio2o\.tempestplugin\.tests\.api\.',
    r'trio2o\.tempestplugin\.tests\.scenario\.test_zones\.TestZones\.test_(a_volume|the_zones|a_zone)',
    r'trio2o\.tempestplugin\.tests\.scenario\.test_together\.TestTogether\.test_attach_across_pods',
    r'trio2o\.tempestplugin\.tests\.scenario\.test_adoption\.TestAdoption\.test_a_volume',
    r'trio2o\.tempestplugin\.tests\.scenario\.test_quota\.TestQuota\.test_volumes',
)


class TestTempest(unittest.TestCase):
    def test_cheap_ones(self):
        lab = real_lab()
        lab.start()
        gateway = RealGateway(lab)
        gateway.setUp()
        self.addCleanup(gateway.cleanUp)
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix='tempest-')))
        outcome = tempest.run(lab, TOP_REGION, list(CHEAP), folder, concurrency=2)
        self.assertEqual(set(), outcome.of('fail'), (folder / TOP_REGION / 'run.log').read_text()[-20000:])
        for part in ('pods', 'bindings', 'routings', 'jobs', 'zones', 'together', 'adoption', 'quota'):
            self.assertTrue(any(f'.test_{part}.' in test for test in outcome.passed), part)
