# SPDX-License-Identifier: Apache-2.0
"""Transactions of several processes, threads and green threads."""

import subprocess
import sys
import time
from concurrent import futures

import fixtures
import sqlalchemy
import testtools
from oslo_db import exception as db_exc

from trio2o.db import errors, pods, quotas, routings
from trio2o.db.database import Database, retry_if_rolled_back, retry_on_deadlock
from trio2o.db.errors import DatabaseBusy
from trio2o.db.records import Pod, PodUsage, QuotaUsage
from trio2o.tests.fixtures.database import DatabaseFixture, on_every_server
from trio2o.tests.unit.db.base import NOON, DatabaseTest

_OPEN = """
import sys, time
import sqlalchemy
from trio2o.db import pods
from trio2o.db.records import Pod
from trio2o.db.database import Database
from trio2o.tests.fixtures.database import config
endpoints = sqlalchemy.select(Pod.__table__.c.endpoints).where(Pod.__table__.c.pod_id == sys.argv[2])
change = sqlalchemy.update(Pod.__table__).where(Pod.__table__.c.pod_id == sys.argv[2])
db = Database(config(sys.argv[1], '.'))
"""

_WRITER = f"""
{_OPEN}
for i in range(200):
    with db.writer() as connection:
        count = connection.scalar(endpoints.with_for_update())['count']
        connection.execute(change.values(endpoints={{'count': count + 1}}))
"""

_GREEN = f"""
import eventlet
eventlet.monkey_patch()
{_OPEN}
other = Database(config(sys.argv[1], '.'))

def write(db):
    for i in range(20):
        with db.writer() as connection:
            count = connection.scalar(endpoints)['count']
            eventlet.sleep(0)
            connection.execute(change.values(endpoints={{'count': count + 1}}))
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

    def test_sqlite_pragmas_are_set(self):
        with self.db.engine.connect() as connection:
            found = [
                connection.exec_driver_sql(f'PRAGMA {name}').scalar()
                for name in ('journal_mode', 'synchronous', 'busy_timeout', 'foreign_keys')
            ]
        self.assertEqual(['wal', 1, 30000, 1], found)

    def test_concurrent_processes_lose_no_write(self):
        writers = [subprocess.Popen([sys.executable, '-c', _WRITER, self.url, self.pod1]) for _ in range(4)]
        self.assertEqual([0, 0, 0, 0], [writer.wait() for writer in writers])
        self.assertEqual(800, self.count())

    def test_concurrent_green_threads_lose_no_write(self):
        subprocess.run([sys.executable, '-c', _GREEN, self.url, self.pod1], check=True)
        self.assertEqual(400, self.count())

    def test_connections_are_pooled(self):
        seen = set()
        for _ in range(3):
            with self.db.engine.connect() as connection:
                seen.add(id(connection.connection.dbapi_connection))
        self.assertEqual(1, len(seen))

    def test_unknown_foreign_key_is_refused(self):
        def insert():
            with self.db.writer() as connection:
                row = {'pod_id': 'nowhere', 'service': 'compute', 'data': {}, 'collected_at': NOON}
                connection.execute(sqlalchemy.insert(PodUsage.__table__), row)

        self.assertRaises(db_exc.DBReferenceError, insert)


@on_every_server
class TestTransactions(DatabaseTest):
    def test_concurrent_threads_lose_no_write(self):
        pods.set_endpoints(self.db, self.pod1, {'count': 0})

        @retry_on_deadlock
        def add(_):
            is_pod1 = Pod.__table__.c.pod_id == self.pod1
            with self.db.writer() as connection:
                endpoints = sqlalchemy.select(Pod.__table__.c.endpoints).where(is_pod1)
                count = connection.scalar(endpoints.with_for_update())['count']
                change = sqlalchemy.update(Pod.__table__).where(is_pod1)
                connection.execute(change.values(endpoints={'count': count + 1}))

        with futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(add, range(80)))
        self.assertEqual(80, pods.get(self.db, self.pod1).endpoints['count'])

    def test_exception_rolls_back(self):
        def fail():
            with self.db.writer() as connection:
                connection.execute(sqlalchemy.delete(Pod.__table__))
                raise KeyError

        self.assertRaises(KeyError, fail)
        self.assertEqual(2, len(pods.list_all(self.db)))

    def test_two_databases_are_separate(self):
        other = self.useFixture(DatabaseFixture(self.server)).db
        pods.create(other, pod_name='Elsewhere')
        self.assertEqual(2, len(pods.list_all(self.db)))
        self.assertEqual(1, len(pods.list_all(other)))

    def test_database_is_opened_twice(self):
        second = Database(self.fixture.conf)
        self.addCleanup(second.dispose)
        pods.create(second, pod_name='Pod3')
        self.assertEqual(3, len(pods.list_all(self.db)))

    def test_text_of_any_script_is_stored(self):
        pod = pods.create(
            self.db,
            pod_name='Pod \N{CLOUD} \N{SNAKE}',
            dc_name='\N{SNAKE}',
            resource_affinity_tag={'\N{SNAKE}': '\N{SNAKE}'},
        )
        self.assertEqual(pod, pods.get(self.db, pod.pod_id))
        self.assertEqual('Pod \N{CLOUD} \N{SNAKE}', pod.pod_name)

    def test_rows_reads_without_a_match(self):
        rows = self.db.rows(routings._GET, {'top_id': 'a', 'resource_type': 'server'})
        self.assertEqual([], list(rows))


@on_every_server
class TestTexts(DatabaseTest):
    """Texts of clients in statements that fail."""

    def test_text_that_cannot_be_stored_is_unfit(self):
        texts = ['\ud800'] + ['a\0b'] * (self.db.dialect == 'postgresql') + ['x' * 300] * (self.db.dialect != 'sqlite')
        for text in texts:
            self.assertRaises(errors.UnfitText, pods.update, self.db, self.pod1, pod_name=text)

    def test_text_that_reads_like_an_error_changes_no_error(self):
        for number, text in enumerate(
            ('cannot contain NUL', 'value too long for type', '1406 Data too long for column')
        ):
            pods.create(self.db, pod_name=text, az_name=f'az{number}')
            self.assertRaises(errors.Duplicate, pods.update, self.db, self.pod1, pod_name=text)


class LocksTest(DatabaseTest):
    """Another host holds the counters of project p, and does nothing."""

    def setUp(self):
        super().setUp()
        for name in ('lock_timeout', 'idle_transaction_timeout'):
            self.fixture.conf.set_override(name, 1, 'database')
        self.db = Database(self.fixture.conf)
        self.addCleanup(self.db.dispose)
        self.add_with_retries('p')

    def add(self, project_id, times=1):
        for _ in range(times):
            with self.db.writer() as connection:
                quotas.add(connection, {(project_id, '', 'instances'): 1})

    @retry_on_deadlock
    def add_with_retries(self, project_id):
        self.add(project_id)

    def lock(self, engine):
        connection = engine.connect()
        self.addCleanup(connection.close)
        self.addCleanup(connection.invalidate)
        rows = sqlalchemy.select(QuotaUsage.__table__).where(QuotaUsage.__table__.c.project_id == 'p')
        self.assertEqual(1, len(connection.execute(rows.with_for_update()).all()))

    def test_locked_row_is_database_busy_after_lock_timeout(self):
        engine = sqlalchemy.create_engine(self.db.url, isolation_level='READ COMMITTED')
        self.addCleanup(engine.dispose)
        self.lock(engine)
        started = time.monotonic()
        self.assertRaises(DatabaseBusy, self.add_with_retries, 'p')
        self.assertLess(time.monotonic() - started, 8)
        self.add_with_retries('q')

    def test_lock_on_counters_of_one_project_does_not_stop_others(self):
        engine = sqlalchemy.create_engine(self.db.url, isolation_level='READ COMMITTED')
        self.addCleanup(engine.dispose)
        self.lock(engine)
        for project_id in ('a', 'q', 'z'):
            keys = [(project_id, user, name) for user in ('', 'u') for name in ('cores', 'instances', 'ram')]
            for _ in range(3):
                with self.db.writer() as connection:
                    quotas.add(connection, dict.fromkeys(keys, 1))

    def test_idle_transaction_is_ended_and_its_locks_are_released(self):
        self.lock(self.db.engine)
        # Longer than idle_transaction_timeout.
        time.sleep(1.5)
        self.add_with_retries('p')
        self.assertEqual(2, quotas.usage(self.db, 'p')['instances'].in_use)

    def test_first_connection_has_the_timeouts(self):
        """oslo.db opens a connection to try the engine."""
        with self.db.engine.connect() as connection:
            shown = {row[0]: row[1] for row in connection.exec_driver_sql(self.show)}
        self.assertEqual(self.shown, {name: shown[name] for name in self.shown})


class TestLocksOnMysql(LocksTest):
    server = 'mysql'
    show = 'SHOW SESSION VARIABLES'
    shown = {'innodb_lock_wait_timeout': '1', 'idle_transaction_timeout': '1', 'tx_isolation': 'READ-COMMITTED'}


class TestLocksOnPostgres(LocksTest):
    server = 'postgres'
    show = 'SHOW ALL'
    shown = {'lock_timeout': '1s', 'idle_in_transaction_session_timeout': '1s'}


del LocksTest


class ConnectionsTest(DatabaseTest):
    """A database server, which counts statements and may close connections."""

    def own_process(self, engine=None):
        with (engine or self.db.reading_engine).connect() as connection:
            return connection.execute(sqlalchemy.text(f'SELECT {self.process_id}')).scalar()

    def close_connection_of_transactions(self):
        first = self.own_process(self.db.engine)
        with self.db.reading_engine.connect() as connection:
            connection.execute(sqlalchemy.text(self.kill.format(first)))

    def write(self):
        with self.db.writer() as connection:
            connection.execute(sqlalchemy.delete(PodUsage.__table__))

    def read(self):
        with self.db.reader() as connection:
            connection.execute(sqlalchemy.select(PodUsage.__table__))

    def test_server_closed_a_connection_of_transactions_and_next_one_is_used(self):
        """So a request whose pod has done the work does not fail afterwards."""
        for use in (self.read, self.write, retry_on_deadlock(self.write), retry_if_rolled_back(self.write)):
            self.close_connection_of_transactions()
            use()

    def test_attempt_of_repeated_function_does_not_try_a_connection_that_was_just_used(self):
        attempts = []

        @retry_on_deadlock
        def write():
            attempts.append(1)
            self.write()

        self.close_connection_of_transactions()
        write()
        self.assertEqual(2, len(attempts))
        self.useFixture(fixtures.MonkeyPatch('trio2o.db.database._TRIED_AFTER', 0.0))
        self.close_connection_of_transactions()
        write()
        self.assertEqual(3, len(attempts))

    def test_connection_is_used_again_after_a_transaction_was_rolled_back(self):
        row = {'pod_id': self.pod1, 'service': 'x', 'data': {}, 'collected_at': NOON}

        def fail():
            with self.db.writer() as connection:
                connection.execute(sqlalchemy.insert(PodUsage.__table__), row)
                raise KeyError

        self.write()
        first = self.own_process(self.db.engine)
        self.assertRaises(KeyError, fail)
        with self.db.reader() as connection:
            self.assertEqual([], connection.execute(sqlalchemy.select(PodUsage.__table__)).all())
        self.assertEqual(first, self.own_process(self.db.engine))

    def test_server_closed_the_pooled_connection_and_next_one_is_used(self):
        first = self.own_process()
        with self.db.engine.connect() as connection:
            connection.execute(sqlalchemy.text(self.kill.format(first)))
        self.assertIsNone(routings.get(self.db, 'server', 'a'))
        self.assertNotEqual(first, self.own_process())

    def test_transactions_hold_all_their_connections_and_reads_go_on(self):
        for name, value in (('max_pool_size', 1), ('max_overflow', 0), ('pool_timeout', 0)):
            self.fixture.conf.set_override(name, value, 'database')
        db = Database(self.fixture.conf)
        self.addCleanup(db.dispose)
        with db.engine.connect():
            self.assertRaises(DatabaseBusy, pods.get, db, self.pod1)
            self.assertIsNone(routings.get(db, 'server', 'a'))


class TestConnectionsToMysql(ConnectionsTest):
    server = 'mysql'
    process_id = 'CONNECTION_ID()'
    kill = 'KILL {}'

    def count(self, engine, *names):
        """Return how often statements were executed on the connection of an engine."""
        with engine.connect() as connection:
            shown = connection.exec_driver_sql("SHOW SESSION STATUS LIKE 'Com_%%'")
            counts = {row[0]: row[1] for row in shown}
        return tuple(int(counts[f'Com_{name}']) for name in names)

    def test_read_is_one_statement(self):
        routings.get(self.db, 'server', 'a')
        before = self.count(self.db.reading_engine, 'select', 'rollback', 'commit')
        routings.get(self.db, 'server', 'a')
        after = self.count(self.db.reading_engine, 'select', 'rollback', 'commit')
        self.assertEqual((1, 0, 0), tuple(new - old for old, new in zip(before, after, strict=True)))

    def test_repeated_transaction_is_its_statements_and_a_commit(self):
        write = retry_on_deadlock(self.write)
        write()
        # Each count is a transaction of its own: a ping, which is an admin command, the statement and a rollback.
        before = self.count(self.db.engine, 'delete', 'commit', 'rollback', 'admin_commands')
        write()
        after = self.count(self.db.engine, 'delete', 'commit', 'rollback', 'admin_commands')
        self.assertEqual((1, 1, 1, 1), tuple(new - old for old, new in zip(before, after, strict=True)))


class TestConnectionsToPostgres(ConnectionsTest):
    server = 'postgres'
    process_id = 'pg_backend_pid()'
    kill = 'SELECT pg_terminate_backend({})'


del ConnectionsTest


class TestExhaustedPool(DatabaseTest):
    def test_no_free_connection_is_database_busy(self):
        pool = self.db.engine.pool
        pool._timeout = 0.01
        held = [self.db.engine.connect() for _ in range(pool.size() + pool._max_overflow)]
        try:
            for use in (self.db.reader, self.db.writer):
                self.assertRaises(DatabaseBusy, self.read, use)
            self.assertRaises(DatabaseBusy, routings.get, self.db, 'server', 'a')
        finally:
            for connection in held:
                connection.close()
        self.assertIsNone(routings.get(self.db, 'server', 'a'))

    @staticmethod
    def read(use):
        with use() as connection:
            connection.execute(sqlalchemy.select(Pod.__table__))


class TestRetry(testtools.TestCase):
    def test_deadlock_and_lost_connection_are_retried(self):
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

    def test_other_error_is_not_retried(self):
        calls = []

        @retry_on_deadlock
        def write():
            calls.append(1)
            raise db_exc.DBError(Exception('no'))

        self.assertRaises(db_exc.DBError, write)
        self.assertEqual(1, len(calls))

    def test_exhausted_pool_is_not_retried(self):
        calls = []

        @retry_on_deadlock
        def write():
            calls.append(1)
            raise DatabaseBusy

        self.assertRaises(DatabaseBusy, write)
        self.assertEqual(1, len(calls))
