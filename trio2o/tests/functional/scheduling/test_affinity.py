# SPDX-License-Identifier: Apache-2.0
"""Pods with affinity tags, and flavors and volume types that request them."""

from trio2o.tests.functional.scheduling.base import SchedulingTest


class TestAffinity(SchedulingTest):
    def setUp(self):
        super().setUp()
        self.cloud.set_pod('Pod1', resource_affinity_tag={'gpu': 'a100'})
        self.flavor('gpu', gpu='a100')
        self.type('gpu', gpu='a100')

    def test_pod_with_tag_gets_only_servers_of_matching_flavor(self):
        self.assertEqual('Pod2', self.pod_of(self.boot()))
        self.assertEqual('Pod1', self.pod_of(self.boot(flavor='gpu')))
        self.assertEqual('Pod2', self.pod_of(self.boot()))
        self.assertEqual([('Pod2', '', True), ('Pod1', 'gpu=a100', True)], self.bindings())

    def test_volume_and_server_of_one_affinity_group_share_a_pod(self):
        self.assertEqual('Pod1', self.pod_of(self.volume(volume_type='gpu')))
        self.assertEqual('Pod1', self.pod_of(self.boot(flavor='gpu')))
        self.assertEqual('Pod2', self.pod_of(self.volume()))

    def test_volume_goes_to_pod_of_earlier_server_of_its_group(self):
        self.cloud.set_pod('Pod3', resource_affinity_tag={'gpu': 'a100'})
        self.cloud.set_pod('Pod1', state='disabled', reason='new cards')
        self.assertEqual('Pod3', self.pod_of(self.boot(flavor='gpu')))
        self.cloud.set_pod('Pod1', state='enabled')
        self.assertEqual('Pod3', self.pod_of(self.volume(volume_type='gpu')))

    def test_extra_specs_without_matching_pod_are_refused_with_400(self):
        self.flavor('tpu', tpu='v5')
        self.type('tpu', tpu='v5')
        answer = self.boot(flavor='tpu')
        self.assertEqual(400, answer.status)
        self.assertEqual(
            'No valid host was found. No part of availability zone az1 matches the extra specs of the flavor: tpu=v5.',
            answer.fault,
        )
        answer = self.volume(volume_type='tpu')
        self.assertEqual(400, answer.status)
        self.assertIn('No valid backend was found. No part of availability zone az1', answer.fault)
        self.assertEqual([], self.bindings())

    def test_matching_pod_in_maintenance_and_create_is_503(self):
        self.cloud.set_pod('Pod1', state='maintenance', reason='new cards')
        answer = self.boot(flavor='gpu')
        self.assertEqual(503, answer.status)
        self.assertIn('az1', answer.fault)
        self.assertNotIn('Pod1', answer.text)

    def test_flavor_without_extra_specs_is_refused_if_all_pods_have_tags(self):
        for pod in ('Pod2', 'Pod3'):
            self.cloud.set_pod(pod, resource_affinity_tag={'gpu': 't4'})
        answer = self.boot()
        self.assertEqual(400, answer.status)
        self.assertIn(
            'No valid host was found. Every part of availability zone az1 is reserved for a flavor with matching '
            'extra specs.',
            answer.fault,
        )
        self.assertEqual('Pod4', self.pod_of(self.boot('')))

    def test_full_pod_and_create_goes_to_pod_with_more_tags(self):
        self.cloud.set_pod('Pod3', resource_affinity_tag={'gpu': 'a100', 'disk': 'ssd'})
        self.flavor('both', gpu='a100', disk='ssd')
        self.assertEqual('Pod3', self.pod_of(self.boot(flavor='both')))
        self.assertEqual('Pod1', self.pod_of(self.boot(flavor='gpu')))
        self.capacity('Pod1', 1)
        self.collect()
        self.assertEqual('Pod3', self.pod_of(self.boot(flavor='gpu')))
