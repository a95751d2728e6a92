# SPDX-License-Identifier: Apache-2.0
"""What the tests of the Admin API share."""

import testtools

from trio2o.tests.fixtures.cloud import GatewayFixture


class AdminApiTestCase(testtools.TestCase):
    """``self.api``: the Admin API before two emulated pods; registered unless the class says no."""

    registers = True

    def setUp(self):
        super().setUp()
        self.cloud = self.useFixture(GatewayFixture(pods=2, register=self.registers))
        self.api = self.cloud.api
        self.db = self.cloud.runtime.db

    def assertAnswer(self, status, answer):
        self.assertEqual(status, answer.status, answer.text)
        return answer

    def assertRefused(self, status, words, answer):
        """An error of this code whose message holds the words."""
        self.assertAnswer(status, answer)
        (inner,) = answer.json.values()
        self.assertEqual(status, inner['code'])
        self.assertIn(words, inner['message'])
