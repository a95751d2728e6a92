# SPDX-License-Identifier: Apache-2.0
"""Compare breakers with a simple model, on a clock of the test."""

from concurrent import futures

import testtools
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from trio2o.pods.breakers import Breakers

KEY, OTHER = ('pod', 'compute'), ('pod', 'volume')


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class Model(RuleBasedStateMachine):
    """After three failures in a row, no calls for a while, and then one call at a time."""

    def __init__(self):
        super().__init__()
        self.clock = Clock()
        self.breakers = Breakers(3, 5.0, self.clock)
        self.failures, self.until, self.trial_until = 0, 0.0, 0.0

    @rule()
    def fail(self):
        self.breakers.failed(KEY)
        self.failures += 1
        if self.failures >= 3:
            self.until, self.trial_until = self.clock.now + 5.0, 0.0

    @rule()
    def succeed(self):
        self.breakers.succeeded(KEY)
        self.failures = 0

    @rule(seconds=st.sampled_from([0.0, 1.0, 4.9, 5.0, 100.0]))
    def wait(self, seconds):
        self.clock.now += seconds

    @rule()
    def ask(self):
        is_open = self.failures >= 3 and self.clock.now < self.until
        # For a moment, others wait for the call that tries the pod.
        assert self.breakers.is_open(KEY) == (is_open and self.clock.now >= self.trial_until)
        assert not self.breakers.is_open(OTHER) and self.breakers.may_call(OTHER)
        assert self.breakers.may_call(KEY) is not is_open
        if self.failures >= 3 and not is_open:
            # That was the one allowed call; the next ones wait.
            self.until, self.trial_until = self.clock.now + 5.0, self.clock.now + Breakers.TRIAL_SECONDS
            assert not self.breakers.may_call(KEY)


Model.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestAgainstModel = Model.TestCase


class TestBreakers(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.clock = Clock()
        self.breakers = Breakers(2, 5.0, self.clock)

    def test_failed_trial_call_opens_breaker_again(self):
        for _ in range(2):
            self.breakers.failed(KEY)
        self.clock.now += 5
        self.assertTrue(self.breakers.may_call(KEY))
        self.breakers.failed(KEY)
        self.clock.now += 4.9
        self.assertFalse(self.breakers.may_call(KEY))
        self.clock.now += 0.2
        self.assertTrue(self.breakers.may_call(KEY))
        self.breakers.succeeded(KEY)
        self.assertTrue(self.breakers.may_call(KEY) and self.breakers.may_call(KEY))

    def test_is_open_does_not_use_the_trial_call(self):
        for _ in range(2):
            self.breakers.failed(KEY)
        self.clock.now += 6
        for _ in range(3):
            self.assertFalse(self.breakers.is_open(KEY))
        self.assertTrue(self.breakers.may_call(KEY))
        self.clock.now += Breakers.TRIAL_SECONDS
        self.assertTrue(self.breakers.is_open(KEY))

    def test_only_failures_in_a_row_open_breaker(self):
        for _ in range(10):
            self.breakers.failed(KEY)
            self.breakers.succeeded(KEY)
        self.assertTrue(self.breakers.may_call(KEY))

    def test_many_callers_want_a_pod_that_is_tried_and_few_of_them_wait(self):
        """The others are refused at once, as they would hold the threads of the process."""
        breakers = Breakers(1, 5.0)
        breakers.TRIAL_SECONDS = 60.0
        breakers.failed(KEY)
        breakers._states[KEY].open_until = 0.0
        self.assertTrue(breakers.may_call(KEY))
        others = Breakers.MOST_WAITING + 20
        with futures.ThreadPoolExecutor(others) as executor:
            calls = [executor.submit(breakers.may_call, KEY, 60.0) for _ in range(others)]
            refused = set()
            for call in futures.as_completed(calls):
                refused.add(call)
                if len(refused) == others - Breakers.MOST_WAITING:
                    break
            self.assertEqual({False}, {call.result() for call in refused})
            breakers.succeeded(KEY)
            self.assertEqual({True}, {call.result() for call in calls if call not in refused})
