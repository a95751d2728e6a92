# SPDX-License-Identifier: Apache-2.0
"""Resources that move to another pod: their routing and their ids change together, or not at all."""

from datetime import timedelta

import sqlalchemy
from oslo_db import exception as db_exc

from trio2o.db import moved_resources, quotas, routings
from trio2o.db.database import utcnow
from trio2o.db.records import NewRouting
from trio2o.tests.fixtures.database import on_every_server
from trio2o.tests.unit.db.base import DatabaseTest


@on_every_server
class TestMove(DatabaseTest):
    def setUp(self):
        super().setUp()
        self.record('top', self.pod1)

    def record(self, top_id, pod_id):
        new = NewRouting(
            top_id=top_id,
            bottom_id=top_id,
            pod_id=pod_id,
            project_id='p',
            resource_type='server',
            deltas={'instances': 1},
        )
        routings.record(self.db, new)

    def move(self):
        return moved_resources.move(self.db, 'server', 'top', (self.pod1, 'top'), (self.pod2, 'bottom'))

    def state(self):
        """Return where the live routings lead, the recorded ids, and the usage."""
        live = routings.list_(self.db, filters={'state': 'active'})
        moved = [(each.top_id, each.pod_id, each.bottom_id) for each in moved_resources.list_all(self.db)]
        return (
            [(each.top_id, each.pod_id, each.bottom_id) for each in live],
            moved,
            quotas.usage(self.db, 'p')['instances'].in_use,
        )

    def test_move_changes_routing_and_ids(self):
        self.assertTrue(self.move())
        there = [('top', self.pod2, 'bottom')]
        self.assertEqual((there, there, 1), self.state())
        # As after a commit whose answer was lost.
        self.assertTrue(self.move())
        self.assertEqual((there, there, 1), self.state())

    def test_resource_that_goes_back_has_its_first_id(self):
        self.move()
        self.assertTrue(moved_resources.move(self.db, 'server', 'top', (self.pod2, 'bottom'), (self.pod1, 'top')))
        there = [('top', self.pod1, 'top')]
        self.assertEqual((there, there, 1), self.state())

    def test_creation_time_is_not_known_after_move(self):
        routing = routings.get(self.db, 'server', 'top')
        routings.update(self.db, routing.id, created_at=utcnow())
        self.move()
        self.assertIsNone(routings.get(self.db, 'server', 'top').created_at)

    def test_server_listed_under_its_id_in_the_pod_counts_once_after_move(self):
        self.record('bottom', self.pod2)
        self.assertTrue(self.move())
        there = [('top', self.pod2, 'bottom')]
        self.assertEqual((there, there, 1), self.state())

    def test_process_killed_before_any_statement_changes_nothing(self):
        self.record('bottom', self.pod2)
        before = self.state()
        seen = []

        def kill(_connection, _cursor, statement, _parameters, _context, _many):
            if statement.split()[0] in ('INSERT', 'UPDATE', 'DELETE', 'SELECT'):
                seen.append(statement)
                if len(seen) == at:
                    raise OSError('the process is killed')

        sqlalchemy.event.listen(self.db.engine, 'before_cursor_execute', kill)
        for at in range(1, 20):  # noqa: B007 (the last one is checked)
            seen.clear()
            try:
                moved = self.move()
            except db_exc.DBError:
                self.assertEqual(before, self.state())
            else:
                break
        self.assertTrue(moved)
        self.assertGreater(at, 5)

    def test_move_of_deleted_server_changes_nothing(self):
        routings.mark_deleted(self.db, 'server', 'top')
        before = self.state()
        self.assertFalse(self.move())
        self.assertEqual(before, self.state())
        self.assertFalse(
            moved_resources.move(self.db, 'server', 'unknown', (self.pod1, 'unknown'), (self.pod2, 'bottom'))
        )

    def test_move_of_server_that_is_elsewhere_by_now_changes_nothing(self):
        self.move()
        before = self.state()
        self.assertFalse(moved_resources.move(self.db, 'server', 'top', (self.pod1, 'top'), (self.pod2, 'other')))
        self.assertEqual(before, self.state())

    def test_time_of_move_is_kept(self):
        self.assertIsNone(moved_resources.moved_at(self.db, 'server', 'top'))
        before = utcnow()
        self.move()
        self.assertGreaterEqual(moved_resources.moved_at(self.db, 'server', 'top'), before.replace(microsecond=0))

    def test_purge_keeps_ids_of_servers_that_exist(self):
        self.move()
        later = utcnow() + timedelta(seconds=60)
        self.assertEqual(0, moved_resources.purge(self.db, later))
        routings.mark_deleted(self.db, 'server', 'top')
        self.assertEqual(1, moved_resources.purge(self.db, later))
