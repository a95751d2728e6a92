# SPDX-License-Identifier: Apache-2.0
"""Resources in several pods: one twin a pod, and one pod at a time where that is wanted."""

from concurrent import futures

from trio2o.db import errors, pods, server_group_copies
from trio2o.tests.fixtures.database import on_every_server
from trio2o.tests.unit.db.base import DatabaseTest

KIND = 'server_group'


@on_every_server
class TestTwins(DatabaseTest):
    def setUp(self):
        super().setUp()
        self.pods = [pods.create(self.db, pod_name=f'Pod{number}', az_name='az').pod_id for number in range(3, 6)]
        self.origin = server_group_copies.define(self.db, KIND, 'top', self.pods[0], 'project', {'name': 'x'})

    def begin(self, pod, seconds=60.0):
        return server_group_copies.begin(self.db, KIND, 'top', self.pods[pod], 'project', seconds)

    def test_defined_once(self):
        again = server_group_copies.define(self.db, KIND, 'top', self.pods[0], 'project', {'name': 'y'})
        self.assertEqual(self.origin, again)
        self.assertEqual(({'name': 'x'}, True), (again.definition, again.is_origin))
        self.assertRaises(errors.NotFound, server_group_copies.define, self.db, KIND, 'other', 'no pod', 'project', {})

    def test_one_of_many_makes_it(self):
        with futures.ThreadPoolExecutor(8) as pool:
            begun = list(pool.map(lambda number: self.begin(1), range(16)))
        self.assertEqual(1, sum(is_mine for twin, is_mine in begun))
        twin = begun[0][0]
        self.assertEqual({twin.id}, {one.id for one, is_mine in begun})
        self.assertTrue(server_group_copies.made(self.db, twin.id, 'bottom'))
        known, is_mine = self.begin(1)
        self.assertEqual(('made', 'bottom', False), (known.state, known.bottom_id, is_mine))
        self.assertEqual([self.origin, known], server_group_copies.of(self.db, KIND, 'top'))

    def test_of_a_maker_that_died(self):
        self.assertTrue(self.begin(1, seconds=-1.0)[1])
        with futures.ThreadPoolExecutor(8) as pool:
            begun = list(pool.map(lambda number: self.begin(1), range(16)))
        self.assertEqual(1, sum(is_mine for twin, is_mine in begun))

    def test_ids(self):
        for pod, bottom_id in ((1, 'one'), (2, 'two')):
            server_group_copies.made(self.db, self.begin(pod)[0].id, bottom_id)
        wanted = ['one', 'two', 'top', 'three']
        self.assertEqual({}, server_group_copies.top_ids(self.db, KIND, self.pods[0], wanted))
        self.assertEqual({'one': ('top', 'made')}, server_group_copies.top_ids(self.db, KIND, self.pods[1], wanted))
        self.assertEqual({}, server_group_copies.top_ids(self.db, 'other', self.pods[1], wanted))
        self.assertEqual(
            (2, 0),
            (server_group_copies.count(self.db, KIND, 'project'), server_group_copies.count(self.db, KIND, 'other')),
        )

    def test_the_end(self):
        made, making = self.begin(1)[0], self.begin(2)[0]
        server_group_copies.made(self.db, made.id, 'one')
        self.assertEqual([made.id], [twin.id for twin in server_group_copies.end(self.db, KIND, 'top')])
        self.assertEqual([made.id], [twin.id for twin in server_group_copies.ending(self.db, self.pods[1])])
        # Whoever made the other meanwhile hears of it.
        self.assertFalse(server_group_copies.made(self.db, making.id, 'two'))
        self.assertTrue(server_group_copies.drop(self.db, making.id) and server_group_copies.drop(self.db, made.id))
        self.assertEqual([], server_group_copies.of(self.db, KIND, 'top'))

    def test_goes_with_its_pod(self):
        server_group_copies.made(self.db, self.begin(1)[0].id, 'one')
        pods.delete(self.db, self.pods[1])
        self.assertEqual([self.origin], server_group_copies.of(self.db, KIND, 'top'))

    def hold(self, pod, seconds=60.0):
        return server_group_copies.hold(self.db, self.origin.id, self.pods[pod], seconds)

    def test_held_in_one_pod(self):
        self.assertEqual((True, None), self.hold(0))
        self.assertEqual((True, self.pods[0]), self.hold(0))
        self.assertEqual((False, self.pods[0]), self.hold(1))
        server_group_copies.release(self.db, self.origin.id, self.pods[0])
        self.assertEqual((False, self.pods[0]), self.hold(1))
        server_group_copies.release(self.db, self.origin.id, self.pods[0])
        server_group_copies.release(self.db, self.origin.id, self.pods[0])
        self.assertEqual((True, self.pods[0]), self.hold(1))
        self.assertEqual((False, self.pods[1]), self.hold(0))

    def test_held_by_who_died(self):
        self.hold(0, seconds=-1.0)
        self.assertEqual((True, self.pods[0]), self.hold(1))

    def test_racing_holds(self):
        with futures.ThreadPoolExecutor(8) as pool:
            held = list(pool.map(lambda number: (number % 3, self.hold(number % 3)[0]), range(18)))
        self.assertEqual(1, len({pod for pod, is_held in held if is_held}))
        self.assertEqual(6, sum(is_held for pod, is_held in held))
