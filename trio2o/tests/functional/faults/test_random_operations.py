# SPDX-License-Identifier: Apache-2.0
"""Random operations over failing pods: nothing is lost, made twice, or counted wrongly, and no list is short.

A few seeds run here. ``TRIO2O_RANDOM_SEEDS=1-500`` runs others, as a nightly job does, and ``TRIO2O_RANDOM_STEPS``
sets how many operations each of them has. A seed that failed once stays in ``SEEDS``.
"""

import os

import testtools

from trio2o.tests.fixtures.database import DatabaseFixture
from trio2o.tests.functional.faults.random_operations import Simulation

SEEDS = (1, 2)
STEPS = 120


def seeds():
    """Return the seeds to run, those of the environment if it names any."""
    first, _, last = os.environ.get('TRIO2O_RANDOM_SEEDS', '').partition('-')
    return range(int(first), int(last or first) + 1) if first else SEEDS


class RandomOperationsMixin:
    """:cvar server: the database server; None is SQLite"""

    server = None

    def test_tenants_lose_nothing_while_pods_fail_and_processes_die(self):
        steps = int(os.environ.get('TRIO2O_RANDOM_STEPS', STEPS))
        for seed in seeds():
            options = {}
            if self.server:
                database = self.useFixture(DatabaseFixture(self.server))
                options['database.connection'] = database.conf.database.connection
            simulation = Simulation(self, seed, options)
            try:
                simulation.run(steps)
            except AssertionError as error:
                self.fail('\n'.join([f'seed {seed}: {error}', *simulation.log[-60:]]))


class TestOnSQLite(RandomOperationsMixin, testtools.TestCase):
    server = None


class TestOnMariaDB(RandomOperationsMixin, testtools.TestCase):
    server = 'mysql'


class TestOnPostgreSQL(RandomOperationsMixin, testtools.TestCase):
    server = 'postgres'
