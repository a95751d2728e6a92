# SPDX-License-Identifier: Apache-2.0
"""Spellings of names and ids that a pod may take for the same."""

import testtools
from hypothesis import given
from hypothesis import strategies as st

from trio2o.lab.emulated.collation import is_same
from trio2o.resources import folded_name, normalized_id


class TestSpellings(testtools.TestCase):
    @given(st.text(max_size=8), st.text(max_size=8))
    def test_names_that_mysql_takes_for_the_same_are_folded_to_one(self, one, other):
        for name in (other, one, one.upper(), one.lower(), one + '  '):
            if is_same(one, name, ignores_case=True):
                self.assertEqual(folded_name(one), folded_name(name))

    @given(st.text(max_size=8))
    def test_folded_name_is_folded_to_itself(self, name):
        self.assertEqual(folded_name(name), folded_name(folded_name(name)))

    def test_accents_are_ignored_and_blanks_at_the_beginning_are_not(self):
        self.assertEqual('cafe', folded_name('Caf\u00e9 '))
        self.assertEqual(' cafe', folded_name(' cafe'))

    @given(st.uuids())
    def test_id_in_capitals_is_written_as_pods_write_it(self, value):
        self.assertEqual(str(value), normalized_id(str(value).upper()))
        self.assertEqual(value.hex.upper(), normalized_id(value.hex.upper()))
