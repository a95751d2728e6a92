# SPDX-License-Identifier: Apache-2.0
"""Replicated objects: generations, pods that are out of sync, and ids that pods assign."""

from concurrent import futures

from trio2o.db import errors, pods, replicas
from trio2o.tests.fixtures.database import on_every_server
from trio2o.tests.unit.db.base import DatabaseTest


@on_every_server
class TestReplicas(DatabaseTest):
    def set_replica(self, wanted, pod_id, **values):
        values = {'generation': wanted.generation, 'state': 'in_sync', **values}
        return replicas.set_replica(self.db, wanted.id, pod_id, **values)

    def test_each_change_increments_generation(self):
        first = replicas.upsert_object(self.db, 'flavor', 'm1', {'ram': 1}, 'id-1')
        self.assertEqual(
            (1, {'ram': 1}, 'id-1', False),
            (first.generation, first.wanted, first.top_id, first.is_deleted),
        )
        second = replicas.upsert_object(self.db, 'flavor', 'm1', {'ram': 2})
        self.assertEqual(
            (first.id, 2, {'ram': 2}, 'id-1'),
            (second.id, second.generation, second.wanted, second.top_id),
        )
        self.assertEqual(second, replicas.get_object(self.db, 'flavor', 'm1'))
        self.assertIsNone(replicas.get_object(self.db, 'keypair', 'm1'))

    def test_racing_changes_get_different_generations(self):
        with futures.ThreadPoolExecutor(8) as pool:
            made = list(pool.map(lambda i: replicas.upsert_object(self.db, 'flavor', 'm1', i), range(16)))
        self.assertEqual(list(range(1, 17)), sorted(one.generation for one in made))

    def test_deleted_object_is_kept_until_dropped(self):
        kept = replicas.upsert_object(self.db, 'flavor', 'a', {})
        wanted = replicas.upsert_object(self.db, 'flavor', 'b', {}, 'x')
        self.set_replica(wanted, self.pod1)
        gone = replicas.mark_object_deleted(self.db, 'flavor', 'b')
        self.assertEqual((2, True), (gone.generation, gone.is_deleted))
        self.assertIsNone(replicas.mark_object_deleted(self.db, 'flavor', 'no'))
        self.assertEqual([kept], replicas.list_objects(self.db, 'flavor'))
        self.assertEqual([kept, gone], replicas.list_objects(self.db, 'flavor', with_deleted=True))
        self.assertEqual('x', gone.top_id)
        again = replicas.upsert_object(self.db, 'flavor', 'b', {})
        self.assertEqual((3, False), (again.generation, again.is_deleted))
        self.assertTrue(replicas.drop_object(self.db, again))
        self.assertFalse(replicas.drop_object(self.db, again))
        self.assertEqual([], replicas.list_replicas(self.db))

    def test_object_created_again_since_it_was_read_is_not_dropped(self):
        replicas.upsert_object(self.db, 'flavor', 'a', {})
        gone = replicas.mark_object_deleted(self.db, 'flavor', 'a')
        again = replicas.upsert_object(self.db, 'flavor', 'a', {})
        self.set_replica(again, self.pod1)
        self.assertFalse(replicas.drop_object(self.db, gone))
        self.assertEqual([again], replicas.list_objects(self.db, 'flavor'))
        self.assertEqual(1, len(replicas.list_replicas(self.db)))

    def test_one_of_racing_changes_of_a_generation_succeeds(self):
        def change(value):
            try:
                replicas.upsert_object(self.db, 'flavor', 'm1', value, expected=expected)
            except replicas.Superseded:
                return None
            return value

        for expected in (0, 1, 2):
            with futures.ThreadPoolExecutor(8) as pool:
                (winner,) = [value for value in pool.map(change, range(16)) if value is not None]
            obj = replicas.get_object(self.db, 'flavor', 'm1')
            self.assertEqual((expected + 1, winner), (obj.generation, obj.wanted))
        self.assertRaises(
            replicas.Superseded, replicas.mark_object_deleted, self.db, 'flavor', 'm1', expected=expected
        )

    def test_pod_that_has_the_new_state_is_recorded_with_it(self):
        origin = replicas.Origin(self.pod1, 'there')
        obj = replicas.upsert_object(self.db, 'flavor', 'm1', {}, origin=origin)
        (replica,) = replicas.list_replicas(self.db, object_id=obj.id)
        self.assertEqual((1, 'in_sync', 'there'), (replica.generation, replica.state, replica.bottom_id))
        replicas.mark_object_deleted(self.db, 'flavor', 'm1', origin=replicas.Origin(self.pod1, None))
        (replica,) = replicas.list_replicas(self.db, object_id=obj.id)
        self.assertEqual((2, 'gone', None), (replica.generation, replica.state, replica.bottom_id))
        # The pod was removed while it answered.
        obj = replicas.upsert_object(self.db, 'flavor', 'm2', {}, origin=replicas.Origin('nowhere', 'there'))
        self.assertEqual([], replicas.list_replicas(self.db, object_id=obj.id))

    def test_unrecorded_object_is_recorded_as_deleted(self):
        gone = replicas.mark_object_deleted(self.db, 'quota_set', 'p', unrecorded={'name': 'p'})
        self.assertEqual((1, True, {'name': 'p'}), (gone.generation, gone.is_deleted, gone.wanted))
        again = replicas.mark_object_deleted(self.db, 'quota_set', 'p', unrecorded={'name': 'p'})
        self.assertEqual((gone.id, 2), (again.id, again.generation))

    def test_attempts_are_counted_until_in_sync(self):
        wanted = replicas.upsert_object(self.db, 'type', 'gold', {}, 'top')
        first = self.set_replica(wanted, self.pod1, state='failed', generation=0, error='down')
        self.assertEqual((1, 'down', None), (first.attempts, first.error, first.bottom_id))
        self.assertEqual(2, self.set_replica(wanted, self.pod1, state='out_of_sync').attempts)
        done = self.set_replica(wanted, self.pod1, bottom_id='picked')
        self.assertEqual((0, None, 'picked'), (done.attempts, done.error, done.bottom_id))
        self.assertEqual('picked', self.set_replica(wanted, self.pod1, state='failed').bottom_id)
        self.assertIsNone(self.set_replica(wanted, self.pod1, state='gone').bottom_id)

    def test_unknown_object_or_pod_is_refused(self):
        wanted = replicas.upsert_object(self.db, 'type', 'gold', {})
        self.assertRaises(errors.RecordNotFound, self.set_replica, wanted, 'nowhere')
        self.assertRaises(
            errors.RecordNotFound,
            replicas.set_replica,
            self.db,
            999,
            self.pod1,
            generation=1,
            state='in_sync',
        )

    def add(self, pod_id, *object_ids, **values):
        values = {'bottom_id': None, 'generation': 1, 'state': 'in_sync', 'error': None, **values}
        replicas.add_replicas(self.db, pod_id, [replicas.NewReplica(object_id, **values) for object_id in object_ids])

    def test_replicas_are_added_where_none_is_recorded(self):
        first, second = (replicas.upsert_object(self.db, 'flavor', key, {}) for key in 'ab')
        known = self.set_replica(first, self.pod1, state='out_of_sync', bottom_id='known')
        before = replicas.changed_since(self.db, 0)
        self.add(self.pod1, first.id, second.id, bottom_id='new')
        self.assertEqual(known, replicas.list_replicas(self.db, object_id=first.id)[0])
        (added,) = replicas.list_replicas(self.db, object_id=second.id)
        self.assertEqual(
            (self.pod1, 'new', 1, 'in_sync', 0, None),
            (added.pod_id, added.bottom_id, added.generation, added.state, added.attempts, added.error),
        )
        self.assertEqual(set(before), {first.id, second.id})
        self.add(self.pod2, first.id, state='failed', error='it is another one')
        (refused,) = replicas.list_replicas(self.db, pod_id=self.pod2)
        self.assertEqual((1, 'it is another one'), (refused.attempts, refused.error))

    def test_replica_of_unknown_object_or_pod_is_not_added(self):
        known = replicas.upsert_object(self.db, 'flavor', 'a', {})
        for pod_id, object_id in ((self.pod1, known.id + 1), ('unknown', known.id)):
            self.assertRaises(errors.RecordNotFound, self.add, pod_id, object_id)
        self.assertEqual([], replicas.list_replicas(self.db))
        self.add(self.pod1)

    def test_replicas_are_filtered(self):
        flavor = replicas.upsert_object(self.db, 'flavor', 'a', {})
        keypair = replicas.upsert_object(self.db, 'keypair', 'a', {})
        one = self.set_replica(flavor, self.pod1)
        two = self.set_replica(flavor, self.pod2, state='failed')
        three = self.set_replica(keypair, self.pod1)
        self.assertEqual({one, two, three}, set(replicas.list_replicas(self.db)))
        self.assertEqual({one, three}, set(replicas.list_replicas(self.db, pod_id=self.pod1)))
        self.assertEqual({one, two}, set(replicas.list_replicas(self.db, kind='flavor')))
        self.assertEqual([two], replicas.list_replicas(self.db, state='failed'))
        self.assertEqual([three], replicas.list_replicas(self.db, object_id=keypair.id))

    def test_replicas_out_of_sync_are_listed_and_counted(self):
        pods.create(self.db, pod_name='RegionOne')
        made = [replicas.upsert_object(self.db, 'flavor', key, {}) for key in 'abcdef']
        in_sync, older, failed, missing, never, gone = made
        self.set_replica(in_sync, self.pod1)
        self.set_replica(older, self.pod1)
        older = replicas.upsert_object(self.db, 'flavor', 'b', {'more': 1})
        self.set_replica(failed, self.pod1, state='failed')
        replicas.mark_object_deleted(self.db, 'flavor', 'e')
        self.set_replica(gone, self.pod1)
        gone = replicas.mark_object_deleted(self.db, 'flavor', 'f')
        found = replicas.out_of_sync(self.db, self.pod1)
        self.assertEqual([older, failed, missing, gone], [wanted for wanted, _ in found])
        self.assertEqual([1, 1, None, 1], [replica and replica.generation for _, replica in found])
        self.assertEqual({self.pod1: 4, self.pod2: 4}, replicas.count_out_of_sync(self.db))
        self.set_replica(gone, self.pod1, state='gone')
        self.assertEqual(3, len(replicas.out_of_sync(self.db, self.pod1)))

    def test_count_without_objects_is_zero(self):
        self.assertEqual({self.pod1: 0, self.pod2: 0}, replicas.count_out_of_sync(self.db))

    def test_ids_up_are_those_of_one_pod_that_differ(self):
        gold = replicas.upsert_object(self.db, 'type', 'gold', {}, 'top-gold')
        tin = replicas.upsert_object(self.db, 'type', 'tin', {}, 'top-tin')
        self.set_replica(gold, self.pod1, bottom_id='top-gold')
        self.set_replica(gold, self.pod2, bottom_id='pod2-gold')
        self.set_replica(tin, self.pod2, bottom_id='pod2-tin')
        self.set_replica(tin, self.pod1, bottom_id='pod1-tin')
        self.set_replica(tin, self.pod1, state='gone')
        self.assertEqual({}, replicas.ids_up(self.db, self.pod1))
        self.assertEqual({'pod2-gold': 'top-gold', 'pod2-tin': 'top-tin'}, replicas.ids_up(self.db, self.pod2))
