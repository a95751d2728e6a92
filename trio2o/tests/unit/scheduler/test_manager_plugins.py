# SPDX-License-Identifier: Apache-2.0
"""A filter and a weigher of an operator, installed with pip from their own package."""

import os
import subprocess
import sys
import textwrap

import fixtures
import testtools

from trio2o.tests.fixtures.conf import ConfFixture

PACKAGE = {
    'pyproject.toml': """
        [build-system]
        requires = ["setuptools"]
        build-backend = "setuptools.build_meta"

        [project]
        name = "acme-scheduling"
        version = "1.0"

        [project.entry-points."trio2o.scheduler.filters"]
        acme_even = "acme_scheduling:EvenFilter"
        acme_broken = "acme_scheduling:Nothing"

        [project.entry-points."trio2o.scheduler.weighers"]
        acme_last = "acme_scheduling:LastWeigher"

        [tool.setuptools]
        py-modules = ["acme_scheduling"]
        """,
    'acme_scheduling.py': """
        from trio2o.scheduler.base import BaseFilter, BaseWeigher


        class EvenFilter(BaseFilter):
            def passes(self, pod, request):
                return pod.record.number % 2 == 0

            def why(self, pod, request):
                return 'odd'


        class LastWeigher(BaseWeigher):
            def weigh(self, pod, request):
                return pod.record.number
        """,
}

# Runs in another process, because a process looks for plug-ins only once.
PROGRAM = """
    import sys

    from trio2o import conf
    from trio2o.db import pods
    from trio2o.db.database import Database
    from trio2o.pods.breakers import Breakers
    from trio2o.pods.registry import Registry
    from trio2o.scheduler.manager import Scheduler
    from trio2o.scheduler.spec import PodRequest

    for path in sys.argv[1:]:
        configuration = conf.new_config(files=[path])
        db = Database(configuration)
        try:
            scheduler = Scheduler(configuration, db, Registry(configuration, db), Breakers(1, 1.0))
        except ValueError as error:
            print(error)
            continue
        for number in range(1, 5):
            pods.create(db, pod_name=f'Pod{number}', az_name='az1')
        print(scheduler.decide(PodRequest('compute', 'project', 'az1')))
    """


class TestInstalledPlugins(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.directory = self.useFixture(fixtures.TempDir()).path
        source, self.site = (os.path.join(self.directory, name) for name in ('source', 'site'))
        os.mkdir(source)
        for name, text in PACKAGE.items():
            with open(os.path.join(source, name), 'w') as file:
                file.write(textwrap.dedent(text))
        install = ['-m', 'pip', '-q', 'install', '--no-deps', '--no-build-isolation', '--no-index', '--target']
        subprocess.run([sys.executable, *install, self.site, source], check=True, capture_output=True)

    def run_with(self, *options):
        """Decide with each of these options.

        :returns: a line for each
        """
        paths = [self.useFixture(ConfFixture(scheduler=each)).path for each in options]
        program = [sys.executable, '-c', textwrap.dedent(PROGRAM), *paths]
        environment = {**os.environ, 'PYTHONPATH': self.site, 'XDG_CACHE_HOME': self.directory}
        ran = subprocess.run(program, env=environment, capture_output=True, text=True, check=False)
        self.assertEqual(0, ran.returncode, ran.stderr)
        return ran.stdout.splitlines()

    def test_plugins_are_used_and_unknown_ones_are_errors(self):
        decided, broken, unknown = self.run_with(
            {'filters': 'acme_even', 'weighers': 'acme_last', 'weight_multipliers': 'acme_last:3'},
            {'filters': 'state,acme_broken'},
            {'weighers': 'acme_first'},
        )
        self.assertEqual(
            'acme_even dropped Pod1 (odd), Pod3 (odd); Pod4 3 (acme_last 3), Pod2 0 (acme_last 0)', decided
        )
        self.assertIn('[scheduler] filters: acme_broken cannot be loaded', broken)
        self.assertIn('[scheduler] weighers: there is no acme_first; installed are acme_last, binding', unknown)
