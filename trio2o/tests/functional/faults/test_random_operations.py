# SPDX-License-Identifier: Apache-2.0
"""Random operations over failing pods: nothing is lost, made twice, or counted wrongly, and no list is short.

One seed runs here on each database. ``TRIO2O_RANDOM_SEEDS=1-500`` runs others, as a nightly job does, and
``TRIO2O_RANDOM_STEPS`` sets how many operations each of them has.
"""

import os

import testtools

from trio2o.tests.fixtures.database import DatabaseFixture
from trio2o.tests.functional.faults.random_operations import Simulation

STEPS = 100


def seeds(default):
    """Return the seeds to run, those of the environment if it names any."""
    first, _, last = os.environ.get('TRIO2O_RANDOM_SEEDS', '').partition('-')
    return range(int(first), int(last or first) + 1) if first else [default]


class RandomOperationsMixin:
    """:cvar server: the database server; None is SQLite"""

    server = None
    seed = 1

    def test_tenants_lose_nothing_while_pods_fail_and_processes_die(self):
        steps = int(os.environ.get('TRIO2O_RANDOM_STEPS', STEPS))
        for seed in seeds(self.seed):
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
    seed = 3


class TestOnMariaDB(RandomOperationsMixin, testtools.TestCase):
    server = 'mysql'


class TestOnPostgreSQL(RandomOperationsMixin, testtools.TestCase):
    server = 'postgres'
    seed = 2
