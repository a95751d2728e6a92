# SPDX-License-Identifier: Apache-2.0
"""Upgrade through each revision on each database server, and compare the result with the records."""

import contextlib
import io
import os

import sqlalchemy
import testtools
from alembic import autogenerate
from alembic.runtime import migration as alembic_migration

from trio2o.cmd import manage
from trio2o.db import migration, pods, records
from trio2o.db.database import Database
from trio2o.tests.fixtures.database import DatabaseFixture, on_every_server


@on_every_server
class TestMigrations(testtools.TestCase):
    server = None

    def setUp(self):
        super().setUp()
        self.fixture = self.useFixture(DatabaseFixture(self.server, with_tables=False))
        self.db = self.fixture.db

    def test_each_revision_is_applied(self):
        self.assertIsNone(migration.version(self.db))
        for revision in migration.revisions():
            migration.upgrade(self.db, revision)
            self.assertEqual(revision, migration.version(self.db))
        self.assertEqual(migration.head(), migration.version(self.db))

    def test_upgraded_tables_equal_records(self):
        migration.upgrade(self.db)
        with self.db.engine.connect() as connection:
            context = alembic_migration.MigrationContext.configure(connection, opts={'compare_type': True})
            self.assertEqual([], autogenerate.compare_metadata(context, records.METADATA))

    def test_upgraded_column_types_equal_records(self):
        """Alembic does not distinguish DATETIME from DATETIME(6)."""
        migration.upgrade(self.db)
        inspector = sqlalchemy.inspect(self.db.engine)
        migrated = self._types(inspector)
        other = self.useFixture(DatabaseFixture(self.server)).db
        self.assertEqual(self._types(sqlalchemy.inspect(other.engine)), migrated)

    def _types(self, inspector):
        return {
            (table, column['name']): (repr(column['type']), column['nullable'])
            for table in records.METADATA.tables
            for column in inspector.get_columns(table)
        }

    def test_second_upgrade_changes_nothing(self):
        migration.upgrade(self.fixture.conf)
        pods.create(self.db, pod_name='Pod1')
        migration.upgrade(self.fixture.conf)
        self.assertEqual(1, len(pods.list_all(self.db)))


class TestManage(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.fixture = self.useFixture(DatabaseFixture(with_tables=False))
        folder = self.fixture.conf.state_path
        self.file = os.path.join(folder, 'trio2o.conf')
        with open(self.file, 'w') as conf:
            conf.write(f'[DEFAULT]\nstate_path = {folder}/state\n')
        self.state = f'{folder}/state'

    def run_command(self, *args):
        output, errors = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            status = manage.main(['--config-file', self.file, *args])
        return status, output.getvalue().strip(), errors.getvalue().strip()

    def test_db_sync_upgrades_to_head(self):
        self.assertEqual((0, 'none', ''), self.run_command('version'))
        upgraded = f'the database sqlite:///{self.state}/trio2o.sqlite is at {migration.head()}'
        self.assertEqual((0, upgraded, ''), self.run_command('db_sync'))
        self.assertEqual((0, migration.head(), ''), self.run_command('current'))
        self.assertEqual((0, migration.head(), ''), self.run_command('heads'))
        self.assertTrue(os.path.exists(f'{self.state}/trio2o.sqlite'))

    def test_expand_and_contract_upgrade_to_head(self):
        for phase in ('--expand', '--contract'):
            status, printed, errors = self.run_command('db_sync', phase)
            self.assertEqual((0, ''), (status, errors))
            self.assertTrue(printed.endswith(f' is at {migration.head()}'), printed)

    def test_upgrade_to_revision_and_unknown_one_is_refused(self):
        first = migration.revisions()[0]
        self.assertEqual(0, self.run_command('upgrade', '--revision', first)[0])
        self.assertEqual(first, self.run_command('version')[1])
        status, _, error = self.run_command('upgrade', '--revision', 'no-such')
        self.assertEqual(1, status)
        self.assertIn('no-such', error)

    def test_server_does_not_answer_and_error_is_one_line(self):
        with open(self.file, 'w') as conf:
            conf.write(
                '[database]\nmax_retries = 1\nretry_interval = 0\n'
                'connection = mysql+pymysql://u:secret@127.0.0.1:1/trio2o\n'
            )
        status, _, error = self.run_command('db_sync')
        self.assertEqual(1, status)
        self.assertNotIn('secret', error)
        self.assertNotIn('Traceback', error)

    def test_configured_connection_is_used(self):
        with open(self.file, 'a') as conf:
            conf.write(f'[database]\nconnection = {self.db_url()}\n')
        self.run_command('db_sync')
        self.assertEqual(migration.head(), migration.version(Database(self.fixture.conf)))

    def db_url(self):
        return self.fixture.conf.database.connection
