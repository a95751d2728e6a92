# SPDX-License-Identifier: Apache-2.0
"""The snapshot of the pods: what is read again after which change."""

import logging
import threading

import fixtures
import sqlalchemy
import testtools
from hypothesis import given, settings
from hypothesis import strategies as st

from trio2o.db import moved_resources, moves, pod_usages, pods, replicas, routings, versions
from trio2o.db.database import Database, utcnow
from trio2o.db.moves import NewItem, Switch
from trio2o.db.records import NewRouting, Pod
from trio2o.pods import registry as pods_registry
from trio2o.pods.registry import Registry
from trio2o.tests.fixtures.conf import ConfFixture
from trio2o.tests.fixtures.database import DatabaseFixture
from trio2o.tests.fixtures.moves import ID, insert_move, new_move

ENDPOINT = {'url': 'http://pod/v2.1', 'roots': ['http://pod'], 'min_version': '2.1', 'max_version': '2.96'}


class RegistryTest(testtools.TestCase):
    def setUp(self):
        super().setUp()
        database = self.useFixture(DatabaseFixture())
        self.db, self.conf_of_database = database.db, database.conf
        self.conf = self.useFixture(ConfFixture()).conf
        self.pod_ids = [self.make_pod(f'Pod{number}') for number in (1, 2)]
        self.registry = Registry(self.conf, self.db)

    def make_pod(self, name):
        pod_id = pods.create(self.db, pod_name=name, az_name='az').pod_id
        pods.set_endpoints(self.db, pod_id, {'compute': ENDPOINT})
        return pod_id

    def out_of_sync(self, registry=None):
        return {pod.name: pod.out_of_sync for pod in (registry or self.registry).refresh().pods}

    def set_replica(self, obj, pod_id, **values):
        values = {'generation': obj.generation, 'state': 'in_sync', **values}
        replicas.set_replica(self.db, obj.id, pod_id, **values)


class TestOpenFiles(RegistryTest):
    def test_too_few_files_for_the_pods_and_warning_is_logged_once(self):
        log = self.useFixture(fixtures.FakeLogger(level=logging.WARNING))
        self.useFixture(fixtures.MonkeyPatch('trio2o.pods.open_files.limit', lambda: 522))
        self.registry.refresh()
        self.assertEqual('', log.output)
        self.make_pod('Pod3')
        self.make_pod('Pod4')
        self.registry.refresh()
        self.assertIn('needs 528 for 4 endpoints', log.output)
        self.make_pod('Pod5')
        self.registry.refresh()
        self.assertEqual(1, log.output.count('LimitNOFILE'))


class TestStatements(RegistryTest):
    def setUp(self):
        super().setUp()
        self.statements = []
        sqlalchemy.event.listen(self.db.engine, 'before_cursor_execute', self.note)

    def note(self, _connection, _cursor, statement, *_others):
        self.statements.append(statement)

    def statements_of_refresh(self):
        self.statements.clear()
        self.registry.refresh()
        return list(self.statements)

    def test_desired_state_is_read_once_until_an_object_changes(self):
        obj = replicas.upsert_object(self.db, 'flavor', 'f', {'name': 'one'})
        self.registry.refresh()
        self.assertEqual({'name': 'one'}, self.registry.wanted('flavor', 'f'))
        self.assertIsNone(self.registry.wanted('flavor', 'other'))
        self.statements.clear()
        self.assertEqual({'name': 'one'}, self.registry.wanted('flavor', 'f'))
        self.assertEqual({'name': 'one'}, self.registry.wanted('flavor', 'one', by_name=True))
        self.assertIsNone(self.registry.wanted('flavor', 'other'))
        self.assertEqual(1, len(self.statements))
        replicas.upsert_object(self.db, 'flavor', 'f', {'name': 'two'}, expected=obj.generation)
        replicas.upsert_object(self.db, 'flavor', 'other', {'name': 'other'})
        self.registry.refresh()
        self.assertEqual({'name': 'two'}, self.registry.wanted('flavor', 'f'))
        self.assertEqual({'name': 'other'}, self.registry.wanted('flavor', 'other'))
        replicas.mark_object_deleted(self.db, 'flavor', 'f')
        self.registry.refresh()
        self.assertIsNone(self.registry.wanted('flavor', 'f'))

    def test_pod_changed_by_older_release_is_read(self):
        """It gives the table a version, but not the row."""
        self.registry.refresh()
        with self.db.writer() as connection:
            versions.advance(connection, versions.PODS)
            connection.execute(sqlalchemy.update(Pod.__table__).values(state='draining'))
        self.assertEqual({'draining'}, {pod.record.state for pod in self.registry.refresh().pods})

    def test_clients_ask_for_many_names_and_few_are_kept(self):
        self.useFixture(fixtures.MonkeyPatch(f'{pods_registry.__name__}._MOST_WANTED', 3))
        for number in range(5):
            self.assertIsNone(self.registry.wanted('flavor', str(number)))
        self.assertEqual(3, len(self.registry.snapshot().wanted))

    def test_nothing_changed_and_one_statement_is_executed(self):
        for number in range(3):
            replicas.upsert_object(self.db, 'keypair', f'user/{number}', {'name': str(number)})
        self.registry.refresh()
        (statement,) = self.statements_of_refresh()
        self.assertIn('table_versions', statement)
        self.assertIs(self.registry.snapshot(), self.registry.refresh())

    def test_only_changed_tables_are_read_again(self):
        self.registry.refresh()
        pod_usages.set_(self.db, self.pod_ids[0], 'compute', {})
        self.assertEqual(2, len(self.statements_of_refresh()))
        pods.update(self.db, self.pod_ids[0], state='draining')
        # The second one counts the pods.
        self.assertEqual(3, len(self.statements_of_refresh()))
        routings.record(self.db, NewRouting('server', 'one', self.pod_ids[0], 'project'))
        self.assertEqual(1, len(self.statements_of_refresh()))

    def test_one_object_changed_and_no_other_is_read(self):
        made = [replicas.upsert_object(self.db, 'keypair', f'user/{number}', {}) for number in range(3)]
        for obj in made:
            for pod_id in self.pod_ids:
                self.set_replica(obj, pod_id)
        self.registry.refresh()
        replicas.upsert_object(self.db, 'keypair', 'user/1', {})
        statements = self.statements_of_refresh()
        self.assertEqual(5, len(statements))
        self.assertTrue(all('replicated_objects.id IN' in each for each in statements[3:]), statements)

    def test_one_pod_changed_and_the_views_of_others_stay(self):
        changed, other = self.pod_ids
        obj = replicas.upsert_object(self.db, 'flavor', 'one', {})
        for change in (
            lambda: pods.set_adopted(self.db, changed, utcnow()),
            lambda: self.set_replica(obj, changed),
            lambda: self.make_pod('Pod3'),
        ):
            before = self.registry.refresh()
            change()
            statements = self.statements_of_refresh()
            after = self.registry.snapshot()
            self.assertIsNot(before, after)
            self.assertIs(before.by_id[other], after.by_id[other])
            everywhere = [each for each in statements if 'changed_in >' not in each and ' IN (' not in each]
            self.assertTrue(all('table_versions' in each or 'count(' in each for each in everywhere), everywhere)
        self.assertEqual(3, len(after.pods))


class TestChanges(RegistryTest):
    def test_changed_pod_is_read_again(self):
        self.registry.refresh()
        pods.update(self.db, self.pod_ids[0], state='maintenance')
        self.assertTrue(self.registry.refresh().by_id[self.pod_ids[0]].in_maintenance)
        pods.delete(self.db, self.pod_ids[0])
        self.assertEqual(['Pod2'], [pod.name for pod in self.registry.refresh().pods])

    def test_switch_while_moves_are_read_is_seen_as_a_whole(self):
        source, target = self.pod_ids
        routings.record(self.db, NewRouting('server', 'top', source, 'p'))
        items = [
            NewItem('source/server', source, 'server', 'web', 'top', 'top', 'confirmed', is_resource=True),
            NewItem('target/server', target, 'server', 'web', 'top', 'copy', 'reverted'),
        ]
        insert_move(self.db, new_move(source=source, target=target), items)
        self.registry.refresh()
        there = Switch('server', 'top', (source, 'top'), (target, 'copy'))
        back = Switch('server', 'top', (target, 'copy'), (source, 'top'))
        between = []

        def is_executed(_connection, _cursor, statement, *_others):
            # Just before the moves are read: what has moved was read before.
            if 'FROM moves' in statement and between:
                between.pop()()

        sqlalchemy.event.listen(self.db.engine, 'before_cursor_execute', is_executed)
        another = Database(self.conf_of_database)
        self.addCleanup(another.dispose)
        for each, is_back, moved, hidden in (
            (there, False, {'top': target}, 'top'),
            (back, True, {'top': source}, 'copy'),
        ):
            # Something else has changed, so that the moves are read.
            moves.update(self.db, ID, is_forward=not is_back, hold='')
            between.append(lambda each=each, is_back=is_back: moves.switch(another, ID, [each], is_back=is_back))
            found = self.registry.refresh()
            self.assertEqual([], between)
            self.assertEqual((moved, {hidden}), (found.moved, set(found.moving.hidden)))

    def test_moved_server_is_read_again(self):
        routings.record(self.db, NewRouting('server', 'one', self.pod_ids[0], 'project'))
        self.registry.refresh()
        moved_resources.move(self.db, 'server', 'one', (self.pod_ids[0], 'one'), (self.pod_ids[1], 'two'))
        found = self.registry.refresh()
        self.assertEqual(({'one': self.pod_ids[1]}, {'two': 'one'}), (found.moved, found.ids_up))
        self.assertEqual({'two': 'one'}, found.by_id[self.pod_ids[1]].ids_up)

    def test_change_with_sql_alone_is_read_later(self):
        self.registry.refresh()
        with self.db.writer() as connection:
            connection.execute(sqlalchemy.text("UPDATE pods SET state = 'draining'"))
        self.assertTrue(self.registry.refresh().pods[0].is_enabled)
        self.useFixture(fixtures.MonkeyPatch(f'{pods_registry.__name__}.READ_ALL_SECONDS', 0))
        self.assertFalse(self.registry.refresh().pods[0].is_enabled)

    def test_object_is_out_of_sync_until_each_pod_has_it(self):
        self.assertEqual({'Pod1': 0, 'Pod2': 0}, self.out_of_sync())
        obj = replicas.upsert_object(self.db, 'volume_type', 'top', {}, 'top')
        self.assertEqual({'Pod1': 1, 'Pod2': 1}, self.out_of_sync())
        self.set_replica(obj, self.pod_ids[0], bottom_id='below')
        self.assertEqual({'Pod1': 0, 'Pod2': 1}, self.out_of_sync())
        self.assertEqual({'below': 'top'}, self.registry.refresh().by_id[self.pod_ids[0]].ids_up)
        self.set_replica(obj, self.pod_ids[0], state='gone')
        self.assertEqual({}, self.registry.refresh().by_id[self.pod_ids[0]].ids_up)

    def test_objects_are_out_of_sync_in_new_pod(self):
        obj = replicas.upsert_object(self.db, 'flavor', 'one', {})
        for pod_id in self.pod_ids:
            self.set_replica(obj, pod_id)
        self.assertEqual({'Pod1': 0, 'Pod2': 0}, self.out_of_sync())
        self.make_pod('Pod3')
        self.assertEqual({'Pod1': 0, 'Pod2': 0, 'Pod3': 1}, self.out_of_sync())

    def test_one_pod_is_deleted_and_another_one_new(self):
        obj = replicas.upsert_object(self.db, 'flavor', 'one', {})
        self.set_replica(obj, self.pod_ids[1])
        self.assertEqual({'Pod1': 1, 'Pod2': 0}, self.out_of_sync())
        pods.delete(self.db, self.pod_ids[0])
        self.make_pod('Pod3')
        self.assertEqual({'Pod2': 0, 'Pod3': 1}, self.out_of_sync())

    def test_many_changes_are_read_at_once(self):
        self.useFixture(fixtures.MonkeyPatch(f'{pods_registry.__name__}.MAX_CHANGED_OBJECTS', 1))
        self.registry.refresh()
        made = [replicas.upsert_object(self.db, 'flavor', str(number), {}) for number in range(3)]
        self.assertEqual({'Pod1': 3, 'Pod2': 3}, self.out_of_sync())
        self.set_replica(made[0], self.pod_ids[0])
        self.assertEqual({'Pod1': 2, 'Pod2': 3}, self.out_of_sync())

    def test_restored_database_is_read_completely(self):
        replicas.upsert_object(self.db, 'flavor', 'one', {})
        self.registry.refresh()
        with self.db.writer() as connection:
            connection.execute(sqlalchemy.text('DELETE FROM replicated_objects'))
            connection.execute(sqlalchemy.text('DELETE FROM table_versions'))
        self.assertEqual({'Pod1': 0, 'Pod2': 0}, self.out_of_sync())

    @settings(max_examples=30)
    @given(
        st.lists(
            st.tuples(
                st.sampled_from(['upsert', 'delete', 'drop', 'in_sync', 'failed', 'gone', 'refresh', 'tag']),
                st.integers(0, 2),
                st.integers(0, 1),
            ),
            max_size=20,
        )
    )
    def test_snapshot_after_any_changes_equals_new_one(self, steps):
        for step, number, pod in steps:
            obj = replicas.get_object(self.db, 'volume_type', str(number))
            if step == 'refresh':
                self.registry.refresh()
            elif step == 'tag':
                pods.update(self.db, self.pod_ids[pod], resource_affinity_tag={'a': str(number)})
            elif step == 'upsert':
                replicas.upsert_object(self.db, 'volume_type', str(number), {}, f'top{number}')
            elif step == 'delete':
                replicas.mark_object_deleted(self.db, 'volume_type', str(number))
            elif obj is not None and step == 'drop':
                replicas.drop_object(self.db, obj)
            elif obj is not None:
                self.set_replica(obj, self.pod_ids[pod], state=step, bottom_id=f'{pod}-{number}')
        kept, new = self.registry.refresh(), Registry(self.conf, self.db).refresh()
        self.assertEqual([pod.out_of_sync for pod in new.pods], [pod.out_of_sync for pod in kept.pods])
        self.assertEqual([pod.record for pod in new.pods], [pod.record for pod in kept.pods])
        # The id of an object that was dropped names nothing any more.
        for kept_pod, new_pod in zip(kept.pods, new.pods, strict=True):
            self.assertLessEqual(new_pod.ids_up.items(), kept_pod.ids_up.items())


class TestConcurrency(RegistryTest):
    def test_refresh_that_began_earlier_does_not_replace_later_one(self):
        """The first refresh has read the pods and waits; the second one begins after a change."""
        self.registry.refresh()
        has_read, go_on = threading.Event(), threading.Event()
        self.addCleanup(go_on.set)
        pods.update(self.db, self.pod_ids[0], state='draining')
        first = threading.Thread(target=self.registry.refresh)

        def wait(_connection, _cursor, statement, *_others):
            if 'FROM pods' in statement and threading.current_thread() is first:
                has_read.set()
                go_on.wait(10)

        sqlalchemy.event.listen(self.db.engine, 'after_cursor_execute', wait)
        first.start()
        self.assertTrue(has_read.wait(10))
        pods.update(self.db, self.pod_ids[0], state='maintenance')
        found = []
        second = threading.Thread(target=lambda: found.append(self.registry.refresh()))
        second.start()
        second.join(0.05)
        # A request goes on with the snapshot that it has.
        self.assertTrue(self.registry.snapshot().by_id[self.pod_ids[0]].is_enabled)
        go_on.set()
        first.join()
        second.join()
        self.assertEqual('maintenance', found[0].by_id[self.pod_ids[0]].record.state)
        self.assertEqual('maintenance', self.registry.snapshot().by_id[self.pod_ids[0]].record.state)


class TestVersionsOfTables(RegistryTest):
    def test_version_is_read_before_tables(self):
        """A change that is committed while the tables are read is found by the next refresh."""
        self.registry.refresh()
        pods.update(self.db, self.pod_ids[0], state='draining')
        changes = [lambda: pods.update(self.db, self.pod_ids[0], state='maintenance')]

        def change(_connection, _cursor, statement, *_others):
            if 'FROM pods' in statement and changes:
                changes.pop()()

        sqlalchemy.event.listen(self.db.engine, 'after_cursor_execute', change)
        self.registry.refresh()
        self.assertEqual([], changes)
        self.assertTrue(self.registry.refresh().by_id[self.pod_ids[0]].in_maintenance)
        self.assertGreater(versions.read(self.db)[versions.PODS], 0)
