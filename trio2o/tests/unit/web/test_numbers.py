# SPDX-License-Identifier: Apache-2.0
"""Reading numbers in texts."""

import testtools

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
