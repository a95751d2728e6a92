# SPDX-License-Identifier: Apache-2.0
"""Bindings made through the Admin API, and the binding of racing first creates."""

from concurrent import futures

from trio2o.tests.functional.scheduling.base import SchedulingTest


class TestManualBindings(SchedulingTest):
    def bind(self, pod, **more):
        body = {'tenant_id': self.cloud.project_id(), 'pod_id': self.cloud.pod_ids[pod], **more}
        answer = self.api.post('/bindings', {'pod_binding': body})
        self.assertEqual(200, answer.status, answer.text)
        return answer['pod_binding']['id']

    def test_project_bound_to_several_pods_uses_first_available(self):
        for pod in ('Pod3', 'Pod2'):
            self.bind(pod)
        # The first that was bound, then the other, then any.
        self.assertEqual(['Pod3', 'Pod3'], [self.pod_of(self.boot()), self.pod_of(self.volume())])
        self.cloud.set_pod('Pod3', state='draining', reason='test')
        self.assertEqual(['Pod2', 'Pod2'], [self.pod_of(self.boot()), self.pod_of(self.volume())])
        self.cloud.set_pod('Pod2', state='draining', reason='test')
        self.assertEqual('Pod1', self.pod_of(self.boot()))
        self.cloud.set_pod('Pod3', state='enabled')
        self.assertEqual('Pod3', self.pod_of(self.boot()))
        # Only the Admin API ends bindings that it made.
        self.assertEqual([('Pod3', '', True), ('Pod2', '', True), ('Pod1', '', True)], self.bindings(history=True))

    def test_manual_binding_overrides_automatic_one(self):
        self.assertEqual('Pod1', self.pod_of(self.boot()))
        binding = self.bind('Pod2')
        self.assertEqual('Pod2', self.pod_of(self.boot()))
        self.assertEqual(200, self.api.delete(f'/bindings/{binding}').status)
        self.assertEqual('Pod1', self.pod_of(self.boot()))
        self.assertEqual([('Pod1', '', True), ('Pod2', '', False)], self.bindings(history=True))

    def test_pinned_binding_is_used_again_after_draining(self):
        self.assertEqual('Pod1', self.pod_of(self.boot()))
        (binding,) = self.api.get('/bindings')['pod_bindings']
        answer = self.api.patch(f'/bindings/{binding["id"]}', {'pod_binding': {'is_pinned': True}})
        self.assertEqual(200, answer.status, answer.text)
        self.cloud.set_pod('Pod1', state='draining', reason='test')
        self.assertEqual('Pod2', self.pod_of(self.boot()))
        self.cloud.set_pod('Pod1', state='enabled')
        self.assertEqual('Pod1', self.pod_of(self.boot()))

    def test_exclusive_binding_allows_no_other_pod_in_zone(self):
        self.bind('Pod2', is_exclusive=True)
        self.assertEqual('Pod2', self.pod_of(self.boot()))
        self.cloud.set_pod('Pod2', state='draining', reason='test')
        for answer in (self.boot(), self.volume()):
            self.assertEqual(503, answer.status)
            self.assertIn('az1', answer.fault)
        # The binding does not apply to another zone or to another project.
        self.assertEqual('Pod4', self.pod_of(self.boot('az2')))
        self.assertEqual('Pod1', self.pod_of(self.boot(as_='alt')))

    def test_changed_tag_of_pod_changes_affinity_group_of_its_bindings(self):
        self.assertEqual('Pod1', self.pod_of(self.boot()))
        binding = self.bind('Pod2', is_exclusive=True)
        self.cloud.set_pod('Pod2', resource_affinity_tag={'gpu': 'a'})
        shown = self.api.get(f'/bindings/{binding}')['pod_binding']
        self.assertEqual(('gpu=a', True), (shown['affinity_group'], shown['is_exclusive']))
        # The binding no longer applies to pods without the tag.
        self.assertEqual('Pod1', self.pod_of(self.boot()))
        self.cloud.set_pod('Pod1', resource_affinity_tag={'gpu': 'b'})
        self.assertEqual([('Pod2', 'gpu=a', True)], self.bindings())


class TestRaces(SchedulingTest):
    """By free capacity, servers go to one pod and volumes to another; the first create binds the project."""

    options = {'scheduler.weighers': 'binding,idle_capacity'}

    def setUp(self):
        super().setUp()
        for number, pod in enumerate(('Pod1', 'Pod2', 'Pod3')):
            self.capacity(pod, 100 - 10 * number)
            self.cloud.pod(pod).cinder.capacity_gb = 1000 + 1000 * number
        self.collect()

    def test_servers_and_volumes_of_different_projects_go_to_different_pods(self):
        self.assertEqual('Pod1', self.pod_of(self.boot()))
        self.assertEqual('Pod3', self.pod_of(self.volume(as_='alt')))

    def test_racing_first_creates_share_one_binding(self):
        with futures.ThreadPoolExecutor(8) as pool:
            made = list(pool.map(lambda number: self.boot() if number % 2 else self.volume(), range(8)))
        self.assertEqual(1, len({self.pod_of(answer) for answer in made}))
        self.assertEqual(1, len(self.bindings(history=True)))
