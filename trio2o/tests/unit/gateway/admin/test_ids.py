# SPDX-License-Identifier: Apache-2.0
"""Integer ids that name a pod and a number in it."""

import itertools

import testtools
from hypothesis import given
from hypothesis import strategies as st

from trio2o.db.pods import MAX_NUMBER
from trio2o.gateway.admin.ids import MAX_DIGITS, free_ids, join_id, split_id

BOTTOMS = st.integers(0, 10**9 - 1)
NUMBERS = st.integers(1, MAX_NUMBER)


class TestIds(testtools.TestCase):
    @given(BOTTOMS, NUMBERS)
    def test_id_has_number_in_pod_and_number_of_pod(self, bottom, number):
        top = join_id(bottom, number)
        self.assertEqual((bottom, number), split_id(top))
        self.assertLessEqual(len(str(top)), MAX_DIGITS)

    @given(st.integers(0, 10**MAX_DIGITS - 1))
    def test_each_number_has_one_id_at_most(self, top):
        bottom, number = split_id(top)
        if number:
            self.assertEqual(top, join_id(bottom, number))

    def test_ids_of_the_first_999_pods_end_with_the_number_of_the_pod(self):
        self.assertEqual([7001, 7999], [join_id(7, number) for number in (1, 999)])
        self.assertEqual(7001000000, join_id(7, 1000))

    @given(BOTTOMS)
    def test_free_ids_are_of_no_pod(self, bottom):
        found = list(itertools.islice(free_ids(bottom), 10))
        self.assertEqual({0}, {split_id(top)[1] for top in found})
        self.assertEqual(10, len(set(found)))
