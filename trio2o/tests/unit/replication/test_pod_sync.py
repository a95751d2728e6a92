# SPDX-License-Identifier: Apache-2.0
"""The owners whose objects a turn compares."""

import testtools
from hypothesis import given
from hypothesis import strategies as st

from trio2o.replication.pod_sync import OWNERS_OF_TURN, owners_of_turn


class TestTurns(testtools.TestCase):
    @given(st.integers(0, 300), st.integers(0, 10**9))
    def test_all_owners_have_their_turn_in_a_round(self, count, first):
        owners = {f'user-{number}' for number in range(count)}
        turns = [owners_of_turn(owners, first + turn) for turn in range(-(-count // OWNERS_OF_TURN))]
        self.assertEqual(owners, set().union(*turns))
        self.assertEqual(count, sum(len(turn) for turn in turns))
        self.assertLessEqual(max((len(turn) for turn in turns), default=0), OWNERS_OF_TURN)
