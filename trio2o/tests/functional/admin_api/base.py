# SPDX-License-Identifier: Apache-2.0
"""Shared by the tests of the Admin API."""

import testtools

from trio2o.tests.fixtures.cloud import GatewayFixture


class AdminApiTestCase(testtools.TestCase):
    """``self.api``: the Admin API before two emulated pods, registered unless ``registers`` is False."""

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
        """Assert that the answer is an error with this status whose message contains the words."""
        self.assertAnswer(status, answer)
        (inner,) = answer.json.values()
        self.assertEqual(status, inner['code'])
        self.assertIn(words, inner['message'])
