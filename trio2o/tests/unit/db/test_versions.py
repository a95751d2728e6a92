# SPDX-License-Identifier: Apache-2.0
"""Versions of tables: every change of a table advances its version, and versions are committed in their order."""

import threading
from concurrent import futures

import sqlalchemy

from trio2o.db import moved_resources, pod_usages, pods, replicas, routings, versions
from trio2o.db.database import utcnow
from trio2o.db.records import NewRouting, PodUsage
from trio2o.tests.fixtures.database import on_every_server
from trio2o.tests.unit.db.base import DatabaseTest


@on_every_server
class TestVersions(DatabaseTest):
    def assert_advances(self, names, change, *args, **values):
        before = versions.read(self.db)
        result = change(self.db, *args, **values)
        after = versions.read(self.db)
        self.assertEqual(set(names), {name for name in after if after[name] != before[name]}, change.__name__)
        self.assertTrue(all(after[name] >= before[name] for name in after))
        return result

    def test_tables_without_changes_have_version_0(self):
        self.assertEqual({**dict.fromkeys(versions.TABLES, 0), versions.PODS: 2}, versions.read(self.db))

    def test_change_of_pod_advances_version(self):
        pod = self.assert_advances([versions.PODS], pods.create, pod_name='Pod3', az_name='az1')
        self.assert_advances([versions.PODS], pods.update, pod.pod_id, state='draining')
        self.assert_advances([versions.PODS], pods.set_endpoints, pod.pod_id, {})
        self.assert_advances([versions.PODS], pods.set_reconciled, pod.pod_id, utcnow())
        self.assert_advances([], pods.set_changes_read, [pod.pod_id], utcnow())
        self.assert_advances(set(versions.TABLES) - {versions.MOVES}, pods.delete, pod.pod_id)

    def test_change_of_usage_advances_version(self):
        self.assert_advances([versions.USAGES], pod_usages.set_, self.pod1, 'compute', {})
        self.assert_advances([versions.USAGES], pod_usages.set_, self.pod1, 'compute', {'a': 1})
        self.assert_advances(
            [versions.USAGES], pod_usages.set_many, [PodUsage(self.pod1, 'compute', {'a': 2}, utcnow())]
        )

    def test_change_of_moved_resource_advances_version(self):
        routings.record(self.db, NewRouting('server', 'one', self.pod1, 'project'))
        self.assert_advances(
            [versions.MOVED], moved_resources.move, 'server', 'one', (self.pod1, 'one'), (self.pod2, 'two')
        )
        self.assert_advances([versions.MOVED], moved_resources.purge, utcnow())

    def test_change_of_replica_or_object_advances_version_and_marks_object(self):
        def marked(before):
            return replicas.changed_since(self.db, before[versions.REPLICAS])

        def marked_replicas(before):
            return replicas.replicas_changed_since(self.db, before[versions.REPLICAS])

        before = versions.read(self.db)
        one = self.assert_advances([versions.REPLICAS], replicas.upsert_object, 'flavor', 'one', {})
        two = self.assert_advances([versions.REPLICAS], replicas.upsert_object, 'flavor', 'two', {})
        self.assertEqual([one.id, two.id], sorted(marked(before)))
        before = versions.read(self.db)
        self.assertEqual([], marked(before))
        state = {'generation': 1, 'state': 'in_sync'}
        self.assert_advances([versions.REPLICAS], replicas.set_replica, two.id, self.pod1, **state)
        self.assertEqual([(self.pod1, two.id)], marked_replicas(before))
        self.assertEqual([], marked(before))
        before = versions.read(self.db)
        self.assert_advances([versions.REPLICAS], replicas.set_replica, two.id, self.pod1, **state)
        self.assertEqual([(self.pod1, two.id)], marked_replicas(before))
        self.assertEqual([], marked(before))
        before = versions.read(self.db)
        limits = (('quotas', 'project', {'limits': {'old': 1}}), ('flavor', 'one', {}))
        self.assert_advances([versions.REPLICAS], replicas.upsert_object, *limits[0])
        renamed = (*limits[1], None, {'old': 'new'}, ['quotas'])
        self.assert_advances([versions.REPLICAS], replicas.upsert_with_limits, *renamed)
        self.assertEqual(2, len(marked(before)))
        before = versions.read(self.db)
        self.assert_advances([versions.REPLICAS], replicas.mark_object_deleted, 'flavor', 'two')
        self.assertEqual([two.id], marked(before))
        self.assert_advances([versions.REPLICAS], replicas.drop_object, replicas.get_object(self.db, 'flavor', 'two'))

    def test_racing_changes_get_different_versions(self):
        with futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda i: replicas.upsert_object(self.db, 'flavor', f'm{i % 3}', i), range(16)))
        self.assertEqual(16, versions.read(self.db)[versions.REPLICAS])

    def test_version_of_uncommitted_change_is_not_read_and_next_change_waits(self):
        order = []

        def change():
            with self.db.writer() as connection:
                versions.advance(connection, versions.MOVED)
                order.append(('second', connection.scalar(sqlalchemy.select(versions.current(versions.MOVED)))))

        with self.db.writer() as connection:
            versions.advance(connection, versions.MOVED)
            order.append(('first', connection.scalar(sqlalchemy.select(versions.current(versions.MOVED)))))
            self.assertEqual(0, versions.read(self.db)[versions.MOVED])
            other = threading.Thread(target=change)
            other.start()
            other.join(0.05)
            order.append(('end of first', None))
        other.join()
        self.assertEqual([('first', 1), ('end of first', None), ('second', 2)], order)
        self.assertEqual(2, versions.read(self.db)[versions.MOVED])
