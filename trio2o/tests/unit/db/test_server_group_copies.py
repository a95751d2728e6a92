# SPDX-License-Identifier: Apache-2.0
"""Copies of server groups: one in each pod, and groups that are held in one pod."""

from concurrent import futures

from trio2o.db import errors, pods, server_group_copies
from trio2o.tests.fixtures.database import on_every_server
from trio2o.tests.unit.db.base import DatabaseTest


@on_every_server
class TestServerGroupCopies(DatabaseTest):
    def setUp(self):
        super().setUp()
        self.pods = [pods.create(self.db, pod_name=f'Pod{number}', az_name='az').pod_id for number in range(3, 6)]
        self.original = server_group_copies.record_original(self.db, 'top', self.pods[0], 'project', {'name': 'x'})

    def begin(self, pod, seconds=60.0):
        return server_group_copies.begin(self.db, 'top', self.pods[pod], 'project', seconds)

    def test_original_recorded_twice_keeps_first_definition(self):
        again = server_group_copies.record_original(self.db, 'top', self.pods[0], 'project', {'name': 'y'})
        self.assertEqual(self.original, again)
        self.assertEqual(({'name': 'x'}, True), (again.definition, again.is_original))
        self.assertRaises(
            errors.RecordNotFound, server_group_copies.record_original, self.db, 'other', 'no pod', 'project', {}
        )

    def test_one_of_racing_requests_makes_copy(self):
        with futures.ThreadPoolExecutor(8) as pool:
            begun = list(pool.map(lambda number: self.begin(1), range(16)))
        self.assertEqual(1, sum(is_mine for copy, is_mine in begun))
        copy = begun[0][0]
        self.assertEqual({copy.id}, {one.id for one, is_mine in begun})
        self.assertTrue(server_group_copies.record_made(self.db, copy.id, 'bottom'))
        known, is_mine = self.begin(1)
        self.assertEqual(('made', 'bottom', False), (known.state, known.bottom_id, is_mine))
        self.assertEqual([self.original, known], server_group_copies.list_for_group(self.db, 'top'))

    def test_copy_of_dead_request_is_taken_over_once(self):
        self.assertTrue(self.begin(1, seconds=-1.0)[1])
        with futures.ThreadPoolExecutor(8) as pool:
            begun = list(pool.map(lambda number: self.begin(1), range(16)))
        self.assertEqual(1, sum(is_mine for copy, is_mine in begun))

    def test_find_copies_by_ids_of_pod(self):
        for pod, bottom_id in ((1, 'one'), (2, 'two')):
            server_group_copies.record_made(self.db, self.begin(pod)[0].id, bottom_id)
        wanted = ['one', 'two', 'top', 'three']
        self.assertEqual({}, server_group_copies.find_copies(self.db, self.pods[0], wanted))
        self.assertEqual({'one': ('top', 'made')}, server_group_copies.find_copies(self.db, self.pods[1], wanted))

    def test_begin_delete_marks_made_and_unfinished_copies(self):
        made, making = self.begin(1)[0], self.begin(2)[0]
        server_group_copies.record_made(self.db, made.id, 'one')
        self.assertEqual([made.id], [copy.id for copy in server_group_copies.begin_delete(self.db, 'top')])
        self.assertEqual([made.id], [copy.id for copy in server_group_copies.list_deleting(self.db, self.pods[1])])
        # The request that was making the other copy learns that it must delete it.
        self.assertFalse(server_group_copies.record_made(self.db, making.id, 'two'))
        self.assertTrue(
            server_group_copies.delete(self.db, making.id) and server_group_copies.delete(self.db, made.id)
        )
        self.assertEqual([], server_group_copies.list_for_group(self.db, 'top'))

    def test_deleted_pod_deletes_its_copies(self):
        server_group_copies.record_made(self.db, self.begin(1)[0].id, 'one')
        pods.delete(self.db, self.pods[1])
        self.assertEqual([self.original], server_group_copies.list_for_group(self.db, 'top'))

    def hold(self, pod, seconds=60.0):
        return server_group_copies.hold(self.db, self.original.id, self.pods[pod], seconds)

    def test_group_is_held_in_one_pod_until_released_as_often(self):
        self.assertEqual((True, None), self.hold(0))
        self.assertEqual((True, self.pods[0]), self.hold(0))
        self.assertEqual((False, self.pods[0]), self.hold(1))
        server_group_copies.release(self.db, self.original.id, self.pods[0])
        self.assertEqual((False, self.pods[0]), self.hold(1))
        server_group_copies.release(self.db, self.original.id, self.pods[0])
        server_group_copies.release(self.db, self.original.id, self.pods[0])
        self.assertEqual((True, self.pods[0]), self.hold(1))
        self.assertEqual((False, self.pods[1]), self.hold(0))

    def test_hold_of_dead_request_expires(self):
        self.hold(0, seconds=-1.0)
        self.assertEqual((True, self.pods[0]), self.hold(1))

    def test_racing_holds_succeed_in_one_pod_only(self):
        with futures.ThreadPoolExecutor(8) as pool:
            held = list(pool.map(lambda number: (number % 3, self.hold(number % 3)[0]), range(18)))
        self.assertEqual(1, len({pod for pod, is_held in held if is_held}))
        self.assertEqual(6, sum(is_held for pod, is_held in held))
