# SPDX-License-Identifier: Apache-2.0
"""Waves and windows of move groups."""

from datetime import datetime, timedelta

import testtools
from hypothesis import given
from hypothesis import strategies as st

from trio2o.moves.groups.options import Options, seconds_until_open

_MINUTES = st.integers(0, 24 * 60 - 1)
_NOW = st.datetimes(datetime(2026, 1, 1), datetime(2030, 1, 1))


def options(**given):
    values = {
        'on_failure': 'continue',
        'max_failures': 0,
        'parallel': 1,
        'canary': 0,
        'wave': 0,
        'bytes_per_second': 0,
        'window': '',
        'confirm_seconds': 0,
    }
    return Options(**(values | given))


def text(begin, end):
    return f'{begin // 60:02}:{begin % 60:02}-{end // 60:02}:{end % 60:02}'


class TestOptions(testtools.TestCase):
    def test_stored_options_are_read_back(self):
        self.assertEqual(options(wave=3), Options.from_json(options(wave=3).to_json()))

    @given(st.integers(0, 20), st.integers(0, 20), st.integers(1, 100))
    def test_waves_have_the_sizes_asked_for(self, canary, wave, members):
        chosen = options(canary=canary, wave=wave)
        waves = [chosen.wave_of(position) for position in range(members)]
        self.assertEqual(sorted(waves), waves)
        self.assertEqual(list(range(len(set(waves)))), sorted(set(waves)))
        sizes = [waves.count(number) for number in sorted(set(waves))]
        if canary:
            self.assertEqual(min(canary, members), sizes[0])
        later = sizes[1:] if canary else sizes
        if wave:
            self.assertTrue(all(size == wave for size in later[:-1]))
            self.assertTrue(all(size <= wave for size in later))
        else:
            self.assertLessEqual(len(later), 1)


class TestWindow(testtools.TestCase):
    def test_window_opens_at_its_begin_and_closes_at_its_end(self):
        at = datetime(2026, 12, 1, 21, 30)
        for window, seconds in (
            ('', 0),
            ('21:00-22:00', 0),
            ('21:30-22:00', 0),
            ('21:00-21:30', 23.5 * 3600),
            ('22:00-06:00', 1800),
            ('20:00-06:00', 0),
            ('06:00-06:00', 0),
        ):
            self.assertEqual(seconds, seconds_until_open(window, at), window)

    @given(_MINUTES, _MINUTES, _NOW)
    def test_window_is_open_when_it_says_so(self, begin, end, now):
        seconds = seconds_until_open(text(begin, end), now)
        self.assertTrue(0 <= seconds <= 24 * 3600)
        self.assertEqual(0, seconds_until_open(text(begin, end), now + timedelta(seconds=seconds)))
        if seconds:
            before = now + timedelta(seconds=seconds, microseconds=-1)
            self.assertGreater(seconds_until_open(text(begin, end), before), 0)

    @given(_MINUTES, _MINUTES, _NOW)
    def test_window_and_the_rest_of_the_day_exclude_each_other(self, begin, end, now):
        if begin != end:
            is_open = [seconds_until_open(each, now) == 0 for each in (text(begin, end), text(end, begin))]
            self.assertEqual([False, True], sorted(is_open))
