# SPDX-License-Identifier: Apache-2.0
"""Shares of pods: who waits, and who is refused at once."""

import contextlib
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

    def answer(self, key=KEY):
        self.shares.leave(key, self.shares.enter(key, 0), is_answered=True)

    def test_call_beyond_share_is_refused_and_other_pods_are_not_affected(self):
        places = self.fill()
        self.assertRaises(ShareUsedUp, self.shares.enter, KEY, 0)
        self.answer(OTHER)
        self.fill(4, OTHER)
        self.fill(8, ('pod', 'volume'))
        self.shares.leave(KEY, places[0], is_answered=True)
        self.fill(1)

    def test_call_waits_for_room_while_pod_answers_fast(self):
        places = self.fill()
        entered = threading.Event()
        waiting = threading.Thread(target=lambda: (self.shares.enter(KEY, 30), entered.set()))
        waiting.start()
        self.assertFalse(entered.wait(0.01))
        self.shares.leave(KEY, places[0], is_answered=True)
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
        self.shares.leave(KEY, places[0], is_answered=True)
        waiting.join(30)

    def test_pods_that_do_not_answer_have_one_share_together(self):
        for number in range(4):
            self.fill(1, (f'hung{number}', 'compute'))
        for number in range(4):
            self.assertRaises(ShareUsedUp, self.shares.enter, (f'hung{number}', 'compute'), 0)
        # Any other pod may show that it answers, and then it has its own share.
        self.answer()
        self.fill()
        self.fill(8, ('hung0', 'volume'))

    def test_pods_that_hang_in_a_burst_have_one_share_together(self):
        """They answered a moment ago, and get no more than the share of pods that hang and a few calls each."""
        limit, pods = 64, [(f'hung{number}', 'compute') for number in range(8)]
        self.shares = Shares({'compute': limit}, self.clock)
        for pod in pods:
            self.answer(pod)
        begun = 0
        for _each in range(limit):
            for pod in pods:
                with contextlib.suppress(ShareUsedUp):
                    self.fill(1, pod)
                    begun += 1
        self.assertLessEqual(begun, limit + len(pods) * limit * Shares.UNANSWERED)
        # A pod that answers has its own share.
        for _each in range(limit // 2):
            self.fill(1)
            self.answer()

    def test_pod_that_stops_answering_joins_the_others(self):
        self.answer()
        self.fill(2)
        self.fill(1, OTHER)
        self.clock.now += Shares.ANSWERING_SECONDS
        self.fill(1)
        self.assertRaises(ShareUsedUp, self.shares.enter, KEY, 0)
        self.assertRaises(ShareUsedUp, self.shares.enter, OTHER, 0)

    def test_call_to_hung_pod_waits_for_an_answer_and_is_refused_without(self):
        places = self.fill(3)
        self.fill(1, OTHER)
        entered = threading.Event()
        waiting = threading.Thread(target=lambda: (self.shares.enter(KEY, 30), entered.set()))
        waiting.start()
        self.assertFalse(entered.wait(0.01))
        self.shares.leave(KEY, places[0], is_answered=True)
        waiting.join(30)
        self.assertTrue(entered.is_set())
        self.clock.now += Shares.ANSWERING_SECONDS
        self.shares.ANSWERING_SECONDS = 0.0
        self.assertRaises(ShareUsedUp, self.shares.enter, OTHER, 30)

    def test_request_with_calls_to_many_hung_pods_counts_once(self):
        pods = [(f'hung{number}', 'compute') for number in range(8)]
        for request in ('one', 'two', 'three', 'four'):
            for pod in pods[:4]:
                self.shares.enter(pod, 0, request)
        self.assertRaises(ShareUsedUp, self.shares.enter, pods[0], 0, 'five')
        for pod in pods[4:]:
            self.shares.enter(pod, 0, 'one')

    def test_slow_pod_has_half_of_its_share_for_some_seconds(self):
        places = self.fill()
        self.clock.now += Shares.SLOW_CALL_SECONDS
        self.assertRaises(ShareUsedUp, self.shares.enter, KEY, 30)
        for place in places:
            self.shares.leave(KEY, place, is_answered=True)
        self.fill(2)
        self.assertRaises(ShareUsedUp, self.shares.enter, KEY, 30)
        self.clock.now += Shares.SLOW_POD_SECONDS
        self.fill(2)
