# SPDX-License-Identifier: Apache-2.0
"""Reading numbers in texts."""

import hypothesis
import testtools
from hypothesis import strategies as st

from trio2o.web.numbers import parse_number


class TestParseNumber(testtools.TestCase):
    def test_ascii_digits_are_a_number(self):
        self.assertEqual([0, 7, 10], [parse_number(text) for text in ('0', '7', '010')])

    def test_anything_else_is_none(self):
        for text in ('', ' 1', '1 ', '+1', '-1', '1.0', '1e3', '0x1', 'one', '\u0661', '\u00b2', '1_000'):
            with self.subTest(text=text):
                self.assertIsNone(parse_number(text))

    def test_longer_text_than_allowed_is_none(self):
        self.assertEqual(999999999, parse_number('9' * 9))
        self.assertIsNone(parse_number('9' * 10))
        self.assertEqual(10**17, parse_number(str(10**17), 18))
        self.assertIsNone(parse_number('9' * 5000, 18))

    @hypothesis.given(st.from_regex(r'0{0,80}[0-9]{1,80}', fullmatch=True), st.integers(1, 10**12))
    def test_clamped_number_is_what_int_reads(self, text, clamp):
        self.assertEqual(min(int(text), clamp), parse_number(text, clamp=clamp))

    def test_clamp_accepts_any_length(self):
        self.assertEqual(5, parse_number('0' * 9000 + '5', clamp=9))
        self.assertEqual(9, parse_number('9' * 9000, clamp=9))
        self.assertIsNone(parse_number('-' + '9' * 9000, clamp=9))
