# SPDX-License-Identifier: Apache-2.0
"""Answers of pods whose own quota refuses a request."""

import testtools

from trio2o.gateway.pod_quota import is_over_quota
from trio2o.web.call import Answer


class TestIsOverQuota(testtools.TestCase):
    def test_answers_over_quota_are_recognized(self):
        for status, message in (
            (403, 'Quota exceeded for instances: Requested 1, but already used 3 of 3 instances'),
            (403, 'Quota exceeded, too many server groups.'),
            (413, "VolumeLimitExceeded: Maximum number of volumes allowed (3) exceeded for quota 'volumes'."),
        ):
            self.assertTrue(is_over_quota(Answer.of({'fault': {'message': message}}, status)), message)

    def test_other_answers_are_not_over_quota(self):
        for status, message in (
            (202, 'Quota exceeded'),
            (400, 'Quota exceeded'),
            (403, 'Policy does not allow this request to be performed.'),
            (413, 'Requested volume size 20 is larger than maximum allowed limit 10.'),
        ):
            self.assertFalse(is_over_quota(Answer.of({'fault': {'message': message}}, status)), message)
