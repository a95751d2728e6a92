# SPDX-License-Identifier: Apache-2.0
"""Shared by the tests of the database layer."""

import datetime

import testtools

from trio2o.db import pods
from trio2o.tests.fixtures import database

NOON = datetime.datetime(2026, 3, 1, 12)


def seconds(count: float) -> datetime.timedelta:
    return datetime.timedelta(seconds=count)


class DatabaseTest(testtools.TestCase):
    """A test with `db`, and two pods in it."""

    server = None

    def setUp(self):
        super().setUp()
        self.fixture = self.useFixture(database.DatabaseFixture(self.server))
        self.db = self.fixture.db
        self.pod1 = pods.create(self.db, pod_name='Pod1', az_name='az1').pod_id
        self.pod2 = pods.create(self.db, pod_name='Pod2', az_name='az2').pod_id
