# SPDX-License-Identifier: Apache-2.0
"""Shares of pods: who waits, and who is refused at once."""

import threading

import testtools

from trio2o.pods.shares import Shares, ShareUsedUp

KEY, OTHER = ('pod', 'compute'), ('other', 'compute')


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class TestShares(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.clock = Clock()
        self.shares = Shares({'compute': 4, 'volume': 8}, self.clock)

    def fill(self, number=4, key=KEY):
        return [self.shares.enter(key, 0) for _each in range(number)]

    def test_call_beyond_share_is_refused_and_other_pods_are_not_affected(self):
        places = self.fill()
        self.assertRaises(ShareUsedUp, self.shares.enter, KEY, 0)
        self.fill(4, OTHER)
        self.fill(8, ('pod', 'volume'))
        self.shares.leave(KEY, places[0])
        self.fill(1)

    def test_call_waits_for_room_while_pod_answers_fast(self):
        places = self.fill()
        entered = threading.Event()
        waiting = threading.Thread(target=lambda: (self.shares.enter(KEY, 30), entered.set()))
        waiting.start()
        self.assertFalse(entered.wait(0.01))
        self.shares.leave(KEY, places[0])
        waiting.join(30)
        self.assertTrue(entered.is_set())

    def test_slow_calls_in_full_share_refuse_others_at_once(self):
        self.fill()
        self.clock.now += Shares.SLOW_CALL_SECONDS
        self.assertRaises(ShareUsedUp, self.shares.enter, KEY, 30)

    def test_few_slow_calls_do_not_make_a_pod_slow(self):
        self.fill(1)
        self.clock.now += Shares.SLOW_CALL_SECONDS
        places = self.fill(3)
        entered = threading.Event()
        waiting = threading.Thread(target=lambda: (self.shares.enter(KEY, 30), entered.set()))
        waiting.start()
        self.assertFalse(entered.wait(0.01))
        self.shares.leave(KEY, places[0])
        waiting.join(30)

    def test_slow_pod_has_half_of_its_share_for_some_seconds(self):
        places = self.fill()
        self.clock.now += Shares.SLOW_CALL_SECONDS
        self.assertRaises(ShareUsedUp, self.shares.enter, KEY, 30)
        for place in places:
            self.shares.leave(KEY, place)
        self.fill(2)
        self.assertRaises(ShareUsedUp, self.shares.enter, KEY, 30)
        self.clock.now += Shares.SLOW_POD_SECONDS
        self.fill(2)
