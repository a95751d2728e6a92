# SPDX-License-Identifier: Apache-2.0
"""Upgrades of a database with data: rows are kept, and services of the previous release still work.

While there is only the first revision, `TestNextRelease` upgrades to two that it writes itself.
"""

import datetime
import pathlib
import shutil

import fixtures
import sqlalchemy
import testtools
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from hypothesis import given
from hypothesis import strategies as st
from oslo_upgradecheck.upgradecheck import Code

from trio2o.cmd import checks
from trio2o.db import bindings, jobs, migration, pods, routings
from trio2o.db.errors import Unusable
from trio2o.db.migration import CONTRACT, EXPAND, Revision
from trio2o.tests.fixtures.database import DatabaseFixture, on_every_server

FIRST_RELEASE = '0001'
NOW = datetime.datetime(2026, 11, 1, 12, 30, 15, 250000)
#: Values of columns in the rows of the first release; other columns get a value by type.
KNOWN = {
    ('pods', 'state'): 'enabled',
    ('pods', 'az_name'): 'az1',
    ('routings', 'state'): 'active',
    ('routings', 'resource_type'): 'server',
    ('jobs', 'state'): 'done',
    ('jobs', 'lease_until'): None,
    ('jobs', 'lease_owner'): None,
    ('jobs', 'active_key'): None,
    ('pod_bindings', 'ended_at'): None,
}
JSON = '{"a":1}'


def tables_of(db):
    metadata = sqlalchemy.MetaData()
    metadata.reflect(db.engine)
    return {name: table for name, table in metadata.tables.items() if name != 'alembic_version'}


def value_for(table, column):
    if (table, column.name) in KNOWN:
        return KNOWN[table, column.name]
    kind = column.type.python_type
    if kind is datetime.datetime:
        return NOW
    if kind is not str:
        return 1
    return JSON if getattr(column.type, 'length', None) is None else 'one'


def rows_for(tables):
    return {name: {c.name: value_for(name, c) for c in table.columns} for name, table in tables.items()}


def insert(db, tables, rows):
    with db.engine.begin() as connection:
        for table in next(iter(tables.values())).metadata.sorted_tables:
            if table.name in rows:
                connection.execute(table.insert().values(rows[table.name]))


@on_every_server
class TestUpgrade(testtools.TestCase):
    server = None

    def setUp(self):
        super().setUp()
        self.db = self.useFixture(DatabaseFixture(self.server, with_tables=False)).db
        migration.upgrade(self.db, FIRST_RELEASE)
        self.old_tables = tables_of(self.db)
        self.rows = rows_for(self.old_tables)

    def read(self, name):
        table = self.old_tables[name]
        with self.db.engine.connect() as connection:
            return [dict(row._mapping) for row in connection.execute(sqlalchemy.select(table))]

    def test_db_sync_keeps_all_rows(self):
        insert(self.db, self.old_tables, self.rows)
        before = {name: self.read(name) for name in self.old_tables}
        self.assertEqual([{**before['pods'][0], 'pod_id': 'one'}], before['pods'])
        migration.run_phase(self.db, EXPAND)
        self.assertEqual(before, {name: self.read(name) for name in self.old_tables})
        for _ in range(2):
            migration.upgrade(self.db)
        self.assertEqual(before, {name: self.read(name) for name in self.old_tables})
        self.assertEqual(['one'], [pod.pod_id for pod in pods.list_all(self.db)])
        self.assertEqual('one', routings.get(self.db, 'server', 'one').bottom_id)
        self.assertEqual(['one'], [binding.pod_id for binding in bindings.current(self.db, 'one')])
        self.assertEqual(NOW, jobs.get(self.db, 'one').created_at)

    def test_previous_release_can_write_after_expand(self):
        """Its statements do not name newer columns, which therefore need a default."""
        migration.run_phase(self.db, EXPAND)
        insert(self.db, self.old_tables, self.rows)
        self.assertEqual(['one'], [pod.pod_id for pod in pods.list_all(self.db)])
        self.assertEqual('one', routings.get(self.db, 'server', 'one').bottom_id)

    def test_referenced_table_can_be_recreated(self):
        """SQLite has no ALTER for most changes, so alembic copies the table and drops the old one."""
        insert(self.db, self.old_tables, self.rows)
        with migration.connected(self.db) as connection:
            operations = Operations(MigrationContext.configure(connection))
            with operations.batch_alter_table('pods', recreate='auto') as pods_table:
                pods_table.alter_column('dc_name', nullable=True, existing_type=sqlalchemy.String(255))
            connection.commit()
        migration.upgrade(self.db)
        self.assertEqual('one', routings.get(self.db, 'server', 'one').pod_id)

    def test_expand_keeps_all_columns(self):
        before = self._columns()
        for revision in migration.history()[1:]:
            if revision.phase == CONTRACT:
                continue
            migration.upgrade(self.db, revision.id)
            after = self._columns()
            self.assertEqual(before, {key: after.get(key) for key in before}, revision.id)
            before = after

    def _columns(self):
        return {
            (name, column.name): (repr(column.type), column.nullable)
            for name, table in tables_of(self.db).items()
            for column in table.columns
        }


NEXT_RELEASE = (
    """
    op.add_column('pods', sa.Column('country', sa.String(2), nullable=False, server_default='xx'))
""",
    """
    with op.batch_alter_table('pods') as pods:
        pods.drop_column('dc_name')
""",
)
REVISION = """
import sqlalchemy as sa
from alembic import op

revision = '{id}'
down_revision = '{before}'
branch_labels = None
depends_on = None
phase = '{phase}'


def upgrade() -> None:{body}"""


@on_every_server
class TestNextRelease(testtools.TestCase):
    """`expand` adds a column, and `contract` drops one."""

    server = None

    def setUp(self):
        super().setUp()
        scripts = pathlib.Path(self.useFixture(fixtures.TempDir()).path, 'migrations')
        shutil.copytree(migration.SCRIPTS, scripts, ignore=shutil.ignore_patterns('__pycache__'))
        last = migration.head()
        self.added = [(f'{int(last) + at:04}', phase) for at, phase in ((1, EXPAND), (2, CONTRACT))]
        before = last
        for (revision, phase), body in zip(self.added, NEXT_RELEASE, strict=True):
            text = REVISION.format(id=revision, before=before, phase=phase, body=body)
            (scripts / 'versions' / f'{revision}_next.py').write_text(text)
            before = revision
        self.db = self.useFixture(DatabaseFixture(self.server, with_tables=False)).db
        migration.upgrade(self.db)
        self.tables = tables_of(self.db)
        self.rows = rows_for(self.tables)
        self.useFixture(fixtures.MonkeyPatch('trio2o.db.migration.SCRIPTS', str(scripts)))

    def pods(self):
        with self.db.engine.connect() as connection:
            return [dict(row._mapping) for row in connection.execute(sqlalchemy.text('SELECT * FROM pods'))]

    def test_rows_are_kept_by_both_phases(self):
        insert(self.db, self.tables, self.rows)
        for revision, phase in self.added:
            migration.run_phase(self.db, phase)
            self.assertEqual(revision, migration.version(self.db))
            migration.run_phase(self.db, phase)
        (pod,) = self.pods()
        self.assertEqual(('one', 'xx', False), (pod['pod_id'], pod['country'], 'dc_name' in pod))
        self.assertEqual('one', routings.get(self.db, 'server', 'one').pod_id)

    def test_previous_release_can_write_between_phases(self):
        migration.run_phase(self.db, EXPAND)
        insert(self.db, self.tables, self.rows)
        self.assertEqual('one', self.pods()[0]['dc_name'])
        self.assertEqual(['one'], [pod.pod_id for pod in pods.list_all(self.db)])

    def test_contract_before_expand_is_refused(self):
        error = self.assertRaises(Unusable, migration.run_phase, self.db, CONTRACT)
        self.assertIn('--expand', str(error))


def revisions(phases):
    return [Revision(f'{number:04}', phase) for number, phase in enumerate(phases, 1)]


class TestPhases(testtools.TestCase):
    KNOWN = revisions([EXPAND, EXPAND, CONTRACT, EXPAND, CONTRACT])

    def test_phases_end_in_order(self):
        self.assertEqual('0002', migration.phase_end(self.KNOWN, None, EXPAND))
        self.assertIsNone(migration.phase_end(self.KNOWN[:3], '0002', EXPAND))
        self.assertEqual('0003', migration.phase_end(self.KNOWN, '0002', CONTRACT))
        self.assertEqual('0004', migration.phase_end(self.KNOWN, '0003', EXPAND))
        self.assertEqual('0005', migration.phase_end(self.KNOWN, '0004', CONTRACT))
        self.assertIsNone(migration.phase_end(self.KNOWN, '0005', EXPAND))

    def test_phase_out_of_order_is_refused(self):
        error = self.assertRaises(Unusable, migration.phase_end, self.KNOWN, '0002', EXPAND)
        self.assertIn('--contract', str(error))
        error = self.assertRaises(Unusable, migration.phase_end, self.KNOWN, '0001', CONTRACT)
        self.assertIn('--expand', str(error))

    def test_database_of_later_release_is_refused(self):
        self.assertRaises(Unusable, migration.pending, self.KNOWN, '0009')

    @given(st.lists(st.sampled_from([EXPAND, CONTRACT]), min_size=1, max_size=8))
    def test_alternating_phases_end_at_head(self, phases):
        known = revisions(phases)
        current, turns = None, 0
        while migration.pending(known, current):
            phase = migration.pending(known, current)[0].phase
            current = migration.phase_end(known, current, phase)
            turns += 1
        self.assertEqual(known[-1].id, current)
        self.assertEqual(1 + sum(a != b for a, b in zip(phases, phases[1:], strict=False)), turns)

    def test_check_result_depends_on_missing_phases(self):
        def code(known, revision):
            return checks.schema_result(known, revision).code

        self.assertEqual(Code.SUCCESS, code(self.KNOWN, '0005'))
        self.assertEqual(Code.WARNING, code(self.KNOWN, '0004'))
        self.assertEqual(Code.FAILURE, code(self.KNOWN, '0003'))
        self.assertEqual(Code.FAILURE, code(self.KNOWN, None))
        self.assertEqual(Code.FAILURE, code(self.KNOWN, '0009'))
