# SPDX-License-Identifier: Apache-2.0
"""Spellings of names and ids that a pod may take for the same, and times."""

import datetime

import testtools
from hypothesis import given
from hypothesis import strategies as st

from trio2o.lab.emulated.collation import is_same
from trio2o.resources import folded_name, normalized_id, parse_time


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


DAY = datetime.timedelta(days=1)


class TestTimes(testtools.TestCase):
    @given(st.datetimes(), st.sampled_from(['', 'Z', '+14:00', '-12:00', '+23:59:59.999999']))
    def test_time_is_read_if_days_can_be_added_and_subtracted(self, moment, zone):
        read = parse_time(moment.isoformat() + zone)
        if 1971 <= moment.year < 9998:
            self.assertLessEqual(abs(read - moment), DAY)
        elif not 1969 <= moment.year <= 9999:
            self.assertIsNone(read)
        if read is not None:
            self.assertIsNone(read.tzinfo)
            self.assertEqual(read, read - DAY + DAY + DAY - DAY)

    def test_first_and_last_times_are_no_creation_times(self):
        for text in ('0001-01-01T00:00:00Z', '0001-01-01T00:00:00+14:00', '9999-12-31T23:59:59-01:00', '9999-12-31'):
            self.assertIsNone(parse_time(text), text)
