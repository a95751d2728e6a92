# SPDX-License-Identifier: Apache-2.0
"""Outcomes that are recorded while other processes change the same rows."""

from types import SimpleNamespace

from trio2o.db import replicas
from trio2o.replication.replica_store import Outcome, ReplicaStore
from trio2o.tests.fixtures.database import on_every_server
from trio2o.tests.unit.db.base import DatabaseTest


@on_every_server
class TestAddedOutcomes(DatabaseTest):
    def setUp(self):
        super().setUp()
        self.pod = SimpleNamespace(id=self.pod1, name='Pod1')
        self.store = ReplicaStore(self.db)
        self.objects = [replicas.upsert_object(self.db, 'flavor', key, {}) for key in 'abc']

    def add_all(self):
        outcome = Outcome('failed', 0, error='it is another one')
        self.store.add_outcomes(self.pod, [(obj, outcome) for obj in self.objects])

    def states(self):
        rows = replicas.list_replicas(self.db, pod_id=self.pod1)
        return {row.object_id: (row.state, row.generation, row.error) for row in rows}

    def test_object_is_removed_meanwhile_and_others_are_recorded_where_nothing_was(self):
        known, removed, other = self.objects
        replicas.set_replica(self.db, known.id, self.pod1, generation=2, state='in_sync')
        replicas.drop_object(self.db, removed)
        self.add_all()
        added = ('failed', 0, 'it is another one')
        self.assertEqual({known.id: ('in_sync', 2, None), other.id: added}, self.states())

    def test_pod_is_removed_meanwhile_and_nothing_is_recorded(self):
        self.pod.id = 'unknown'
        self.add_all()
        self.assertEqual([], replicas.list_replicas(self.db))
