# SPDX-License-Identifier: Apache-2.0
"""What a group costs that is under way."""

from collections import Counter

from sqlalchemy import event

from trio2o.db import move_groups, moves
from trio2o.db.move_groups import NewMember
from trio2o.moves.groups.conductor import Conductor
from trio2o.tests.functional.move_groups.base import GroupsCase

FEW, MANY = 2, 12


class CostsCase(GroupsCase):
    def setUp(self):
        super().setUp()
        self.statements = []
        event.listen(self.db.engine, 'before_cursor_execute', lambda *args: self.statements.append(args[2]))


class TestConductor(CostsCase):
    def gateway(self, **options):
        return super().gateway(**{'moves.poll_seconds': 60.0, 'moves.max_per_project': MANY, **options})

    def test_run_takes_as_many_statements_with_more_moves(self):
        for _ in range(MANY):
            self.server()
        group = self.begin(kind='drain', source_pod='Pod1', zone='az2', canary=0, parallel=FEW)
        costs = {}
        for number in (FEW, MANY):
            options = move_groups.get(self.db, group).options
            move_groups.update(self.db, group, options={**options, 'parallel': number})
            conductor = Conductor(self.cloud.runtime, group)
            conductor.advance()
            more = [NewMember(at, at, 1, 'server', f'{at}', 'p') for at in range(100 * number, 101 * number)]
            move_groups.add_members(self.db, group, more)
            self.assertEqual(number, len(moves.under_way(self.db)))
            conductor.advance()
            self.statements.clear()
            conductor.advance()
            costs[number] = Counter(self.statements)
        self.assertEqual(costs[FEW], costs[MANY])
        # Plans and facts of moves are long.
        self.assertEqual([], [each for each in costs[MANY] if 'moves.plan' in each or 'moves.facts' in each])
        self.assertLess(costs[MANY].total() - costs[MANY]['BEGIN'], 9, costs[MANY])
