# SPDX-License-Identifier: Apache-2.0
"""Moves: one for each resource, what may be asked for in each state, and the switch in one transaction."""

import threading

from trio2o.db import jobs, moved_resources, moves, routings
from trio2o.db.database import utcnow
from trio2o.db.records import Move, NewRouting
from trio2o.tests.fixtures.database import on_every_server
from trio2o.tests.fixtures.moves import ID, insert_move, new_job, new_move
from trio2o.tests.unit.db.base import DatabaseTest

#: State, direction, hold, wish -> status.
STATUSES = (
    (('planned', True, '', ''), 'planned'),
    (('copied', True, 'paused', ''), 'paused'),
    (('built', True, 'stuck', ''), 'stuck'),
    (('built', False, 'stuck', ''), 'stuck'),
    (('built', False, '', ''), 'cancelling'),
    (('switched', False, '', ''), 'cancelling'),
    (('switched', True, '', ''), 'switched'),
    (('switched', True, '', 'confirm'), 'confirming'),
    (('switched', True, 'paused', 'confirm'), 'paused'),
    (('confirmed', True, '', 'confirm'), 'confirmed'),
    (('reverted', False, '', ''), 'reverted'),
)


class MovesCase(DatabaseTest):
    def setUp(self):
        super().setUp()
        self.items = [
            moves.NewItem('source/server', self.pod1, 'server', 'web', 'top', 'top', 'confirmed', True),
            moves.NewItem('target/server', self.pod2, 'server', 'web', 'top', '', 'reverted'),
        ]

    def move(self, move_id=ID, **given):
        return new_move(move_id, **{'source': self.pod1, 'target': self.pod2, **given})

    def create(self, move_id=ID, **given):
        return insert_move(self.db, self.move(move_id, **given), self.items)

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

    def at_once(self, *functions):
        """Call functions in threads that begin together. :returns: what each returned or raised"""
        found = [None] * len(functions)
        barrier = threading.Barrier(len(functions))

        def call(at, function):
            barrier.wait(30)
            try:
                found[at] = function()
            except (moves.AlreadyMoving, moves.Refused) as error:
                found[at] = error

        threads = [threading.Thread(target=call, args=each) for each in enumerate(functions)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return found

    def test_one_of_two_creates_at_once_wins(self):
        ids = [ID.replace('1', digit) for digit in '1234']
        for _round in range(5):
            found = self.at_once(*(lambda move_id=move_id: self.create(move_id) for move_id in ids))
            (won,) = (each for each in found if isinstance(each, Move))
            self.assertEqual({won.id}, {each.move_id for each in found if not isinstance(each, Move)})
            self.assertEqual([won.id], [each.id for each, _items in moves.list_open(self.db)])
            moves.end(self.db, won.id, 'reverted')
            moves.purge(self.db, utcnow())

    def test_cancel_and_switch_at_once_agree(self):
        switches = [moves.Switch('server', 'top', (self.pod1, 'top'), (self.pod2, 'bottom'))]
        for number in range(10):
            move_id = ID.replace('1', str(number))
            self.record()
            self.create(move_id, state='built')
            switched, cancelled = self.at_once(
                lambda move_id=move_id: moves.switch(self.db, move_id, switches),
                lambda move_id=move_id: moves.cancel(self.db, move_id),
            )
            found = moves.get(self.db, move_id)
            if switched is None:
                self.assertEqual(('built', False, self.pod1), (found.state, found.is_forward, self.leads_to()[0]))
                self.assertEqual(move_id, cancelled.id)
            else:
                self.assertEqual(('switched', True, self.pod2), (found.state, found.is_forward, self.leads_to()[0]))
                self.assertIsInstance(cancelled, moves.Refused)
                moves.revert(self.db, move_id)
                back = [moves.Switch('server', 'top', (self.pod2, 'bottom'), (self.pod1, 'top'))]
                self.assertIsNotNone(moves.switch(self.db, move_id, back, is_back=True))
            moves.end(self.db, move_id, 'reverted')

    def test_confirm_and_revert_at_once_agree(self):
        for number in range(10):
            move_id = ID.replace('1', str(number))
            self.create(move_id, state='switched')
            self.at_once(
                lambda move_id=move_id: moves.confirm(self.db, move_id),
                lambda move_id=move_id: moves.revert(self.db, move_id),
            )
            found = moves.get(self.db, move_id)
            self.assertIn((found.wish, found.is_forward), [('confirm', True), ('', False)])
            moves.end(self.db, move_id, 'reverted')

    def test_list_and_counts_know_each_status(self):
        self.items = []
        for number, (fields, status) in enumerate(STATUSES):
            state, is_forward, hold, wish = fields
            move = self.move(f'{number}', state=state, is_forward=is_forward, hold=hold, wish=wish)
            self.assertEqual(status, move.status)
            insert_move(self.db, move)
            self.assertIn(move.id, [each.id for each in moves.list_(self.db, status=status)])
        for status in {status for _fields, status in STATUSES}:
            self.assertEqual({status}, {each.status for each in moves.list_(self.db, status=status)})
        counted = {}
        for move in moves.list_(self.db, is_active=True):
            counted[move.status] = counted.get(move.status, 0) + 1
        self.assertEqual(counted, moves.count_active_by_status(self.db))

    def test_list_of_pod_has_moves_from_and_to_it(self):
        self.items = []
        self.create('there')
        self.create('back', source=self.pod2, target=self.pod1)
        self.create('other', source=self.pod2, target=self.pod2)
        self.assertEqual({'there', 'back'}, {each.id for each in moves.list_(self.db, pod_id=self.pod1)})

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
            move = self.move(state=state, is_forward=is_forward, hold=hold, wish=wish)
            self.assertEqual(allowed, set(moves.allowed_verbs(move)))

    def test_job_goes_on_with_resumed_move(self):
        move = self.create(hold='stuck')
        (job,) = jobs.list_(self.db)
        jobs.cancel(self.db, job.id)
        moves.resume(self.db, move.id, new_job())
        self.assertEqual([ID], [each.resource_key for each in jobs.list_(self.db, filters={'state': 'new'})])

    def test_refused_verb_submits_no_job(self):
        move = self.create()
        (job,) = jobs.list_(self.db)
        jobs.cancel(self.db, job.id)
        self.assertRaises(moves.Refused, moves.confirm, self.db, move.id, new_job())
        self.assertEqual(['cancelled'], [each.state for each in jobs.list_(self.db)])

    def test_unknown_move_is_none(self):
        self.assertIsNone(moves.pause(self.db, ID))


class TestSending(MovesCase):
    def test_only_one_of_two_workers_sends_a_request(self):
        self.create()
        item = moves.items(self.db, ID)[1]
        sent = moves.sending(self.db, item)
        self.assertEqual('sent', sent.state)
        self.assertIsNone(moves.sending(self.db, item))
        self.assertIsNotNone(moves.sending(self.db, sent))
        self.assertIsNone(moves.sending(self.db, sent))
