# SPDX-License-Identifier: Apache-2.0
"""Transactions: several processes, threads and green threads write to one SQLite file."""

import subprocess
import sys
from concurrent import futures

import sqlalchemy
import testtools
from oslo_db import exception as db_exc

from trio2o.db import models, pods, routings
from trio2o.db.session import Database, retry_on_deadlock
from trio2o.tests.fixtures.database import DatabaseFixture, on_every_server
from trio2o.tests.unit.db.base import DatabaseTest

_WRITER = """
import sys
from trio2o.db import pods
from trio2o.db.session import Database
from trio2o.tests.fixtures.database import config
db = Database(config(sys.argv[1], '.'))
for i in range(200):
    with db.writer() as session:
        pod = session.get(pods.models.Pod, sys.argv[2], with_for_update=True)
        pod.endpoints = {'count': pod.endpoints['count'] + 1}
"""

_GREEN = """
import eventlet
eventlet.monkey_patch()
import sys, time
from trio2o.db import pods
from trio2o.db.session import Database
from trio2o.tests.fixtures.database import config
db = Database(config(sys.argv[1], '.'))
other = Database(config(sys.argv[1], '.'))

def write(db):
    for i in range(20):
        with db.writer() as session:
            pod = session.get(pods.models.Pod, sys.argv[2])
            count = pod.endpoints['count']
            eventlet.sleep(0)
            pod.endpoints = {'count': count + 1}
        pods.get(db, sys.argv[2])

began = time.monotonic()
threads = [eventlet.spawn(write, which) for which in (db, other) * 10]
for thread in threads:
    thread.wait()
assert time.monotonic() - began < 20
"""


class TestSqlite(DatabaseTest):
    def setUp(self):
        super().setUp()
        pods.set_endpoints(self.db, self.pod1, {'count': 0})
        self.url = str(self.db.engine.url)

    def count(self):
        return pods.get(self.db, self.pod1).endpoints['count']

    def test_pragmas(self):
        with self.db.engine.connect() as connection:
            found = [
                connection.exec_driver_sql(f'PRAGMA {name}').scalar()
                for name in ('journal_mode', 'synchronous', 'busy_timeout', 'foreign_keys')
            ]
        self.assertEqual(['wal', 1, 30000, 1], found)

    def test_processes(self):
        writers = [subprocess.Popen([sys.executable, '-c', _WRITER, self.url, self.pod1]) for _ in range(4)]
        self.assertEqual([0, 0, 0, 0], [writer.wait() for writer in writers])
        self.assertEqual(800, self.count())

    def test_green_threads(self):
        subprocess.run([sys.executable, '-c', _GREEN, self.url, self.pod1], check=True)
        self.assertEqual(400, self.count())

    def test_connections_are_pooled(self):
        seen = set()
        for _ in range(3):
            with self.db.engine.connect() as connection:
                seen.add(id(connection.connection.dbapi_connection))
        self.assertEqual(1, len(seen))

    def test_foreign_keys_hold(self):
        def insert():
            with self.db.writer() as session:
                session.add(
                    models.PodUsage(
                        pod_id='nowhere',
                        service='compute',
                        data={},
                        collected_at=models.datetime(2026, 1, 1),
                    )
                )

        self.assertRaises(db_exc.DBReferenceError, insert)


@on_every_server
class TestTransactions(DatabaseTest):
    def test_threads_lose_nothing(self):
        pods.set_endpoints(self.db, self.pod1, {'count': 0})

        @retry_on_deadlock
        def add(_):
            with self.db.writer() as session:
                pod = session.get(models.Pod, self.pod1, with_for_update=True)
                pod.endpoints = {'count': pod.endpoints['count'] + 1}

        with futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(add, range(80)))
        self.assertEqual(80, pods.get(self.db, self.pod1).endpoints['count'])

    def test_an_exception_rolls_back(self):
        def fail():
            with self.db.writer() as session:
                session.execute(sqlalchemy.delete(models.Pod))
                raise KeyError

        self.assertRaises(KeyError, fail)
        self.assertEqual(2, len(pods.list_all(self.db)))

    def test_two_databases_in_one_process(self):
        other = self.useFixture(DatabaseFixture(self.server)).db
        pods.create(other, pod_name='Elsewhere')
        self.assertEqual(2, len(pods.list_all(self.db)))
        self.assertEqual(1, len(pods.list_all(other)))

    def test_one_database_opened_twice(self):
        second = Database(self.fixture.conf)
        self.addCleanup(second.dispose)
        pods.create(second, pod_name='Pod3')
        self.assertEqual(3, len(pods.list_all(self.db)))

    def test_any_letter(self):
        pod = pods.create(
            self.db,
            pod_name='Pod \N{CLOUD} \N{SNAKE}',
            dc_name='\N{SNAKE}',
            resource_affinity_tag={'\N{SNAKE}': '\N{SNAKE}'},
        )
        self.assertEqual(pod, pods.get(self.db, pod.pod_id))
        self.assertEqual('Pod \N{CLOUD} \N{SNAKE}', pod.pod_name)

    def test_rows_reads(self):
        rows = self.db.rows(routings._GET, {'top_id': 'a', 'resource_type': 'server'})
        self.assertEqual([], list(rows))


class TestRetry(testtools.TestCase):
    def test_retries_deadlocks_and_lost_connections(self):
        errors = [
            db_exc.DBDeadlock(),
            db_exc.DBConnectionError(),
            sqlalchemy.exc.OperationalError('', {}, Exception('database is locked')),
        ]

        @retry_on_deadlock
        def write():
            if errors:
                raise errors.pop()
            return 'written'

        self.assertEqual('written', write())

    def test_nothing_else(self):
        calls = []

        @retry_on_deadlock
        def write():
            calls.append(1)
            raise db_exc.DBError(Exception('no'))

        self.assertRaises(db_exc.DBError, write)
        self.assertEqual(1, len(calls))
