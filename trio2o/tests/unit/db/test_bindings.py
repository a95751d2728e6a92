# SPDX-License-Identifier: Apache-2.0
"""Bindings: racing creates leave one current binding, and moved bindings are kept as history."""

from concurrent import futures

from trio2o.db import bindings, errors
from trio2o.tests.fixtures.database import on_every_server
from trio2o.tests.unit.db.base import DatabaseTest


@on_every_server
class TestBindings(DatabaseTest):
    def test_second_bind_returns_first_binding(self):
        first = bindings.bind(self.db, 'project', 'az', '', self.pod1)
        self.assertEqual(first, bindings.bind(self.db, 'project', 'az', '', self.pod2))
        self.assertEqual((self.pod1, False, True), (first.pod_id, first.is_pinned, first.is_current))
        self.assertEqual([first], bindings.current(self.db, 'project'))
        self.assertEqual(first, bindings.get(self.db, first.id))

    def test_bindings_differ_by_zone_and_group(self):
        for zone, group in (('az', ''), ('az2', ''), ('az', 'gpu')):
            bindings.bind(self.db, 'project', zone, group, self.pod1)
        bindings.bind(self.db, 'other', 'az', '', self.pod2)
        self.assertEqual(3, len(bindings.current(self.db, 'project')))

    def test_racing_binds_leave_one_binding(self):
        pods = [self.pod1, self.pod2] * 8
        with futures.ThreadPoolExecutor(8) as pool:
            made = list(pool.map(lambda pod: bindings.bind(self.db, 'project', 'az', '', pod), pods))
        self.assertEqual(1, len({binding.id for binding in made}))
        self.assertEqual(1, len(bindings.list_(self.db)))

    def test_move_keeps_history(self):
        old = bindings.bind(self.db, 'project', 'az', 'gpu', self.pod1)
        self.assertEqual(old, bindings.move(self.db, old.id, self.pod1))
        new = bindings.move(self.db, old.id, self.pod2)
        self.assertEqual((self.pod2, 'az', 'gpu'), (new.pod_id, new.az_name, new.affinity_group))
        self.assertEqual([new], bindings.current(self.db, 'project'))
        self.assertIsNotNone(bindings.get(self.db, old.id).ended_at)
        self.assertEqual(new, bindings.bind(self.db, 'project', 'az', 'gpu', self.pod1))

    def test_move_of_ended_binding_returns_current_one(self):
        old = bindings.bind(self.db, 'project', 'az', '', self.pod1)
        new = bindings.move(self.db, old.id, self.pod2)
        self.assertEqual(new, bindings.move(self.db, old.id, self.pod2))
        bindings.end(self.db, new.id)
        self.assertRaises(errors.RecordNotFound, bindings.move, self.db, old.id, self.pod2)

    def test_racing_moves_leave_one_binding(self):
        old = bindings.bind(self.db, 'project', 'az', '', self.pod1)
        with futures.ThreadPoolExecutor(8) as pool:
            made = list(pool.map(lambda _: bindings.move(self.db, old.id, self.pod2), range(16)))
        self.assertEqual(1, len({binding.id for binding in made}))
        self.assertEqual(2, len(bindings.list_(self.db)))

    def test_project_has_several_manual_bindings(self):
        first = bindings.create(self.db, tenant_id='project', pod_id=self.pod1)
        second = bindings.create(self.db, tenant_id='project', pod_id=self.pod2)
        automatic = bindings.bind(self.db, 'project', '', '', self.pod1)
        self.assertEqual({first, second, automatic}, set(bindings.current(self.db, 'project')))
        self.assertTrue(first.is_pinned)
        self.assertRaises(errors.Duplicate, bindings.create, self.db, tenant_id='project', pod_id=self.pod1)
        self.assertRaises(errors.Duplicate, bindings.move, self.db, first.id, self.pod2)

    def test_unknown_pod_or_binding_is_refused(self):
        self.assertRaises(errors.RecordNotFound, bindings.bind, self.db, 'project', 'az', '', 'no')
        self.assertRaises(errors.RecordNotFound, bindings.create, self.db, tenant_id='project', pod_id='no')
        old = bindings.bind(self.db, 'project', 'az', '', self.pod1)
        self.assertRaises(errors.RecordNotFound, bindings.move, self.db, old.id, 'no')
        self.assertTrue(bindings.get(self.db, old.id).is_current)
        self.assertRaises(errors.RecordNotFound, bindings.move, self.db, 'no', self.pod1)

    def test_binding_is_ended_and_deleted_once(self):
        binding = bindings.create(self.db, tenant_id='project', pod_id=self.pod1)
        self.assertTrue(bindings.end(self.db, binding.id))
        self.assertFalse(bindings.end(self.db, binding.id))
        self.assertEqual([], bindings.current(self.db, 'project'))
        bindings.create(self.db, tenant_id='project', pod_id=self.pod1)
        self.assertTrue(bindings.delete(self.db, binding.id))
        self.assertFalse(bindings.delete(self.db, binding.id))

    def test_list_is_filtered_and_paged(self):
        made = [bindings.bind(self.db, f'p{i}', 'az', '', self.pod1) for i in range(5)]
        page = bindings.list_(self.db, limit=2)
        page += bindings.list_(self.db, limit=9, marker=page[-1].id)
        self.assertEqual(made, page)
        bindings.end(self.db, made[0].id)
        self.assertEqual(made[1:], bindings.list_(self.db, filters={'ended_at': None}))
        self.assertEqual(
            [made[3]],
            bindings.list_(self.db, filters={'tenant_id': 'p3', 'pod_id': [self.pod1, self.pod2]}),
        )
        self.assertRaises(ValueError, bindings.list_, self.db, filters={'colour': 'red'})
        self.assertRaises(ValueError, bindings.list_, self.db, marker='no')
