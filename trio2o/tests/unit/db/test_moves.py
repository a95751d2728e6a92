# SPDX-License-Identifier: Apache-2.0
"""Moves: one for each resource, what may be asked for in each state, and the switch in one transaction."""

from trio2o.db import jobs, moved_resources, moves, routings
from trio2o.db.database import utcnow
from trio2o.db.records import Move, NewRouting
from trio2o.tests.fixtures.database import on_every_server
from trio2o.tests.unit.db.base import DatabaseTest

ID = '11111111-1111-1111-1111-111111111111'


class MovesCase(DatabaseTest):
    def setUp(self):
        super().setUp()
        self.items = [
            moves.NewItem('source/server', self.pod1, 'server', 'web', 'top', 'top', 'confirmed', True),
            moves.NewItem('target/server', self.pod2, 'server', 'web', 'top', '', 'reverted'),
        ]

    def move(self, move_id=ID, **given):
        now = utcnow()
        values = {
            'id': move_id,
            'project_id': 'p',
            'user_id': 'u',
            'resource_type': 'server',
            'resource_id': 'top',
            'name': 'web',
            'source_pod_id': self.pod1,
            'target_pod_id': self.pod2,
            'state': 'planned',
            'is_forward': True,
            'hold': '',
            'wish': '',
            'step': None,
            'steps_done': 0,
            'steps_total': 9,
            'bytes_done': 0,
            'bytes_total': 0,
            'plan': {},
            'facts': {},
            'error': None,
            'confirm_seconds': 60,
            'confirm_at': None,
            'request_id': None,
            'created_at': now,
            'updated_at': now,
            'ended_at': None,
        }
        return Move(**values | given)

    def create(self, move_id=ID, **given):
        job = jobs.new_row('run_move', move_id, {'move_id': move_id}, utcnow(), 3, None, utcnow())
        return moves.create(self.db, self.move(move_id, **given), self.items, job)

    def record(self):
        routings.record(self.db, NewRouting('server', 'top', self.pod1, 'p', deltas={'instances': 1}))


@on_every_server
class TestMoves(MovesCase):
    def test_resource_has_one_active_move(self):
        self.create()
        error = self.assertRaises(moves.AlreadyMoving, self.create, ID.replace('1', '2'))
        self.assertEqual(ID, error.move_id)
        self.assertEqual([ID], [each.id for each in moves.list_(self.db)])
        moves.end(self.db, ID, 'reverted')
        self.create(ID.replace('1', '2'))
        self.assertEqual(2, len(moves.list_(self.db)))

    def test_counts_never_go_backwards(self):
        self.create()
        moves.update(self.db, ID, steps_done=3, bytes_done=10)
        found = moves.update(self.db, ID, steps_done=2, bytes_done=4, step='x')
        self.assertEqual((3, 10, 'x'), (found.steps_done, found.bytes_done, found.step))

    def test_switch_changes_routing_ids_and_state_together(self):
        self.record()
        self.create(state='built')
        item = moves.made(self.db, moves.items(self.db, ID)[1].id, 'bottom')
        switches = [moves.Switch('server', 'top', (self.pod1, 'top'), (self.pod2, item.bottom_id), shown={'a': 1})]
        found = moves.switch(self.db, ID, switches)
        self.assertEqual('switched', found.state)
        self.assertIsNotNone(found.confirm_at)
        self.assertEqual((self.pod2, 'bottom'), self.leads_to())
        self.assertEqual({'a': 1}, moved_resources.shown(self.db, 'server', 'top'))

    def test_switch_to_where_a_routing_does_not_lead_changes_nothing(self):
        self.record()
        self.create(state='built')
        switches = [
            moves.Switch('server', 'top', (self.pod1, 'top'), (self.pod2, 'bottom')),
            moves.Switch('volume', 'vol', (self.pod1, 'vol'), (self.pod2, 'other')),
        ]
        self.assertIsNone(moves.switch(self.db, ID, switches))
        self.assertEqual((self.pod1, 'top'), self.leads_to())
        self.assertEqual('built', moves.get(self.db, ID).state)

    def test_cancelled_move_does_not_switch(self):
        self.record()
        self.create(state='built')
        moves.cancel(self.db, ID)
        switches = [moves.Switch('server', 'top', (self.pod1, 'top'), (self.pod2, 'bottom'))]
        self.assertIsNone(moves.switch(self.db, ID, switches))
        self.assertEqual((self.pod1, 'top'), self.leads_to())

    def leads_to(self):
        routing = routings.get(self.db, 'server', 'top')
        return routing.pod_id, routing.bottom_id

    def test_purge_keeps_active_moves(self):
        self.create()
        moves.purge(self.db, utcnow())
        self.assertIsNotNone(moves.get(self.db, ID))
        moves.end(self.db, ID, 'confirmed')
        self.assertEqual(1, moves.purge(self.db, utcnow()))
        self.assertEqual([], moves.items(self.db, ID))


class TestVerbs(MovesCase):
    #: State, direction, hold, wish -> verbs that are allowed.
    ALLOWED = (
        (('planned', True, '', ''), {'pause', 'cancel'}),
        (('copied', True, 'paused', ''), {'resume', 'cancel'}),
        (('verified', True, 'stuck', ''), {'resume', 'cancel'}),
        (('built', False, '', ''), {'pause'}),
        (('built', False, 'stuck', ''), {'resume'}),
        (('switched', True, '', ''), {'pause', 'confirm', 'revert'}),
        (('switched', True, 'stuck', ''), {'resume', 'confirm', 'revert'}),
        (('switched', True, '', 'confirm'), {'pause', 'confirm'}),
        (('switched', False, '', ''), {'pause'}),
        (('confirmed', True, '', 'confirm'), set()),
        (('reverted', False, '', ''), set()),
    )

    def test_each_state_allows_its_verbs(self):
        verbs = {
            each.__name__: each for each in (moves.pause, moves.resume, moves.cancel, moves.confirm, moves.revert)
        }
        for number, ((state, is_forward, hold, wish), allowed) in enumerate(self.ALLOWED):
            for name, verb in verbs.items():
                move_id = f'{number}-{name}'
                self.items = []
                self.create(move_id, state=state, is_forward=is_forward, hold=hold, wish=wish)
                try:
                    verb(self.db, move_id)
                except moves.Refused as error:
                    self.assertNotIn(name, allowed, f'{state} {hold} {error}')
                else:
                    self.assertIn(name, allowed, f'{state} {is_forward} {hold} {wish}')

    def test_unknown_move_is_none(self):
        self.assertIsNone(moves.pause(self.db, ID))
