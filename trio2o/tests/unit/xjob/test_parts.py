# SPDX-License-Identifier: Apache-2.0
"""Parts of the pods, and the intervals of jobs that concern all pods."""

import types
import uuid

import testtools
from hypothesis import given
from hypothesis import strategies as st

from trio2o import job_types
from trio2o.xjob import parts

PODS = [types.SimpleNamespace(id=str(uuid.UUID(int=number))) for number in range(1000)]


class TestParts(testtools.TestCase):
    @given(st.integers(0, len(PODS)))
    def test_each_pod_is_in_one_part(self, count):
        pods = PODS[:count]
        found = [pod.id for _key, payload in parts.parts(count) for pod in parts.pods_of(payload, pods)]
        self.assertEqual(sorted(pod.id for pod in pods), sorted(found))

    def test_parts_of_a_thousand_pods_are_about_equal(self):
        keys = dict(parts.parts(1000))
        self.assertEqual(16, len(keys))
        sizes = [len(parts.pods_of(payload, PODS)) for payload in keys.values()]
        self.assertTrue(all(30 < size < 100 for size in sizes), sizes)

    def test_few_pods_are_one_part(self):
        self.assertEqual([('all', None)], parts.parts(parts.PODS_IN_PART))
        self.assertEqual(2, len(parts.parts(parts.PODS_IN_PART + 1)))


class TestInterval(testtools.TestCase):
    def test_few_pods_keep_the_configured_interval(self):
        self.assertEqual(300.0, parts.interval(job_types.REPAIR_REPLICAS, 300.0, 300))

    def test_many_pods_have_a_longer_interval(self):
        self.assertEqual(1000.0, parts.interval(job_types.REPAIR_REPLICAS, 300.0, 1000))
        self.assertEqual(250.0, parts.interval(job_types.COLLECT_USAGE, 60.0, 1000))

    def test_job_that_is_switched_off_stays_so(self):
        self.assertEqual(0.0, parts.interval(job_types.REPAIR_REPLICAS, 0.0, 1000))
