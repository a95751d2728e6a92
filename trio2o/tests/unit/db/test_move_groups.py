# SPDX-License-Identifier: Apache-2.0
"""Groups of moves: what may be asked for in each state, waves, and the begin of a move with its members."""

from collections import Counter

from trio2o.db import move_groups, moves
from trio2o.db.database import utcnow
from trio2o.db.move_groups import NewMember
from trio2o.db.moves import Start
from trio2o.tests.fixtures.database import on_every_server
from trio2o.tests.fixtures.moves import GROUP, ID, new_group, new_job, new_move
from trio2o.tests.unit.db.base import DatabaseTest

#: State, hold, wish -> status, and what may be asked for.
STATUSES = (
    (('running', '', ''), 'running', ['pause', 'cancel', 'confirm', 'revert']),
    (('running', 'paused', ''), 'paused', ['resume', 'cancel', 'confirm', 'revert']),
    (('running', '', 'cancel'), 'cancelling', ['confirm', 'revert']),
    (('running', '', 'revert'), 'reverting', []),
    (('completed', '', ''), 'completed', []),
    (('cancelled', '', 'cancel'), 'cancelled', []),
    (('reverted', '', 'revert'), 'reverted', []),
)

NO_LIMITS = {'parallel': 99, 'max_per_pod': 99, 'max_per_project': 99}


def member(at, wave=0, part=None, resource_id=None):
    return NewMember(at, at if part is None else part, wave, 'server', resource_id or f's{at}', 'p')


@on_every_server
class TestGroups(DatabaseTest):
    def create(self, *members, **given):
        return move_groups.create(self.db, new_group(**given), members, new_job(GROUP))

    def begin(self, *ids, move_id=ID, limits=None, **given):
        given = {'resource_id': move_id, 'group_id': GROUP, **given}
        move = new_move(move_id, source=self.pod1, target=self.pod2, **given)
        return moves.create(self.db, move, [], new_job(move_id), Start(ids, **{**NO_LIMITS, **(limits or {})}))

    def ids(self):
        return [each.id for each in move_groups.members(self.db, GROUP)]

    def states(self):
        return [each.state for each in move_groups.members(self.db, GROUP)]

    def test_pod_has_one_drain_at_a_time(self):
        self.create(active_key='drain:x')
        error = self.assertRaises(
            move_groups.AlreadyDraining, self.create, group_id=GROUP.replace('1', '2'), active_key='drain:x'
        )
        self.assertEqual(GROUP, error.group_id)
        move_groups.settle(self.db, GROUP)
        self.create(group_id=GROUP.replace('1', '2'), active_key='drain:x')

    def test_resource_is_a_member_once(self):
        self.create(member(0), member(1))
        self.assertEqual(1, move_groups.add_members(self.db, GROUP, [member(2, resource_id='s1'), member(3)]))
        self.assertEqual(3, move_groups.last_position(self.db, GROUP))

    def test_waves_begin_one_after_another(self):
        self.create(member(0), member(1, wave=1), member(2, wave=1))
        first, second, third = self.ids()
        self.assertEqual(0, move_groups.census(self.db, GROUP).wave)
        for state in ('moving', 'undoing', 'switched'):
            move_groups.set_members(self.db, [first], state=state)
            self.assertEqual(0, move_groups.census(self.db, GROUP).wave, state)
        move_groups.set_members(self.db, [first], state='moved')
        self.assertEqual(1, move_groups.census(self.db, GROUP).wave)
        waiting = move_groups.waiting(self.db, GROUP, 1, utcnow(), 10)
        self.assertEqual([second, third], [each.id for each in waiting])
        move_groups.set_members(self.db, [second, third], state='refused')
        self.assertIsNone(move_groups.census(self.db, GROUP).wave)

    def test_member_that_has_failed_waits_behind_the_others(self):
        self.create(member(0), member(1))
        first, second = self.ids()
        move_groups.set_members(self.db, [first], tries=1)
        waiting = move_groups.waiting(self.db, GROUP, 0, utcnow(), 10)
        self.assertEqual([second, first], [each.id for each in waiting])

    def test_move_begins_with_its_members_or_not_at_all(self):
        self.create(member(0), member(1))
        ids = self.ids()
        move_groups.set_members(self.db, ids[1:], state='undone')
        self.assertRaises(moves.NotWaiting, self.begin, *ids)
        self.assertEqual(['waiting', 'undone'], self.states())
        self.assertIsNone(moves.get(self.db, ID))
        self.begin(ids[0])
        self.assertEqual(['moving', 'undone'], self.states())
        (followed,) = move_groups.followed(self.db, GROUP)
        self.assertEqual((ids[0], ID, 1), (followed.member.id, followed.move.id, followed.member.tries))

    def test_move_begins_within_the_limits_or_not_at_all(self):
        self.create(*(member(at) for at in range(4)))
        first, second, third, fourth = self.ids()
        other = 'a' * 36
        self.begin(first)
        for name in NO_LIMITS:
            self.assertRaises(moves.NoRoom, self.begin, second, move_id=other, limits={name: 1})
        self.assertEqual(['moving', 'waiting', 'waiting', 'waiting'], self.states())
        # The group undoes a stuck move, so it still takes room. One that is stuck while it is undone does not.
        moves.update(self.db, ID, hold='stuck')
        self.assertRaises(moves.NoRoom, self.begin, second, move_id=other, limits={'parallel': 1})
        moves.update(self.db, ID, is_forward=False)
        self.begin(second, move_id=other, limits=dict.fromkeys(NO_LIMITS, 1))
        moves.update(self.db, other, state='switched')
        self.begin(third, move_id='b' * 36, limits=dict.fromkeys(NO_LIMITS, 1))
        self.assertEqual('waiting', self.states()[-1])

    def test_move_begins_at_the_rate_of_a_group_that_runs(self):
        self.create(member(0), member(1))
        first, second = self.ids()
        self.begin(first, limits={'seconds': 60.0})
        self.assertRaises(moves.NoRoom, self.begin, second, move_id='a' * 36)
        move_groups.update(self.db, GROUP, next_start_at=utcnow())
        for values in ({'hold': 'paused'}, {'wish': 'cancel'}):
            move_groups.update(self.db, GROUP, **values)
            self.assertRaises(moves.NoRoom, self.begin, second, move_id='a' * 36)
            move_groups.update(self.db, GROUP, hold='', wish='')
        self.begin(second, move_id='a' * 36)

    def test_group_ends_when_no_member_is_left(self):
        self.create(member(0))
        (only,) = self.ids()
        for state in ('waiting', 'moving', 'undoing', 'switched'):
            move_groups.set_members(self.db, [only], state=state)
            self.assertEqual({state: 1}, +Counter(move_groups.settle(self.db, GROUP)))
        move_groups.set_members(self.db, [only], state='failed')
        move_groups.update(self.db, GROUP, hold='paused')
        self.assertEqual({'failed': 1}, +Counter(move_groups.settle(self.db, GROUP)))
        move_groups.update(self.db, GROUP, hold='', wish='cancel')
        self.assertIsNone(move_groups.settle(self.db, GROUP))
        self.assertEqual('cancelled', move_groups.get(self.db, GROUP).state)
        self.assertIsNone(move_groups.update(self.db, GROUP, hold='paused'))

    def test_progress_is_the_share_of_members_and_of_the_bytes_of_their_moves(self):
        self.create(*(member(at) for at in range(5)))
        first, second, third, fourth, _waiting = self.ids()
        other = 'a' * 36
        self.begin(first, second, bytes_total=100)
        moves.update(self.db, ID, bytes_done=50)
        self.begin(third, move_id=other, steps_total=4)
        moves.update(self.db, other, steps_done=1)
        move_groups.set_members(self.db, [fourth], state='refused')
        move_groups.settle(self.db, GROUP)
        found = move_groups.get(self.db, GROUP)
        self.assertEqual(
            (50, 100, int(100 * (2 * 0.5 + 0.25 + 1) / 5)), (found.bytes_done, found.bytes_total, found.percent)
        )
        moves.update(self.db, ID, state='switched', bytes_done=100)
        move_groups.set_members(self.db, [first, second], state='switched')
        move_groups.settle(self.db, GROUP)
        found = move_groups.get(self.db, GROUP)
        self.assertEqual((100, int(100 * (2 + 0.25 + 1) / 5)), (found.bytes_done, found.percent))

    def test_resume_tries_failed_and_refused_members_again(self):
        self.create(*(member(at) for at in range(5)))
        for number, state in zip(self.ids(), ('failed', 'refused', 'moved', 'gone', 'undoing'), strict=True):
            move_groups.set_members(self.db, [number], state=state, tries=2, reason='why')
        move_groups.pause(self.db, GROUP)
        move_groups.resume(self.db, GROUP)
        self.assertEqual(['waiting', 'waiting', 'moved', 'gone', 'undoing'], self.states())
        members = move_groups.members(self.db, GROUP)
        self.assertEqual([0, 0, 2, 2, 0], [each.tries for each in members])
        # Why its move is being undone is why it will be tried again.
        self.assertEqual('why', members[-1].reason)

    def test_status_and_allowed_verbs(self):
        for (state, hold, wish), status, verbs in STATUSES:
            ended = None if state == 'running' else utcnow()
            group = new_group(state=state, hold=hold, wish=wish, ended_at=ended)
            self.assertEqual((status, verbs), (group.status, move_groups.allowed_verbs(group)))
            self.create(state=state, hold=hold, wish=wish, ended_at=ended)
            self.assertEqual([GROUP], [each.id for each in move_groups.list_(self.db, status=status)])
            for verb in ('pause', 'resume', 'cancel', 'confirm', 'revert'):
                if verb not in verbs:
                    error = self.assertRaises(moves.Refused, getattr(move_groups, verb), self.db, GROUP)
                    self.assertIn(GROUP, str(error))
            move_groups.update(self.db, GROUP, active_key=None)
            with self.db.writer() as connection:
                connection.exec_driver_sql('DELETE FROM move_groups')
                connection.exec_driver_sql('DELETE FROM jobs')

    def test_verb_about_an_unknown_group(self):
        for verb in ('pause', 'resume', 'cancel', 'confirm', 'revert'):
            self.assertIsNone(getattr(move_groups, verb)(self.db, 'nope'))

    def test_ended_groups_are_purged(self):
        self.create(member(0))
        move_groups.set_members(self.db, self.ids(), state='moved')
        self.assertEqual(0, move_groups.purge(self.db, utcnow()))
        move_groups.settle(self.db, GROUP)
        self.assertEqual(1, move_groups.purge(self.db, utcnow()))
        self.assertIsNone(move_groups.get(self.db, GROUP))
        self.assertEqual([], move_groups.members(self.db, GROUP))
