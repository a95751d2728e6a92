# SPDX-License-Identifier: Apache-2.0
"""Bindings made by hand over the Admin API, and those of creates that race for the first."""

from concurrent import futures

from trio2o.tests.functional.scheduling.base import SchedulingTest


class TestByHand(SchedulingTest):
    def bind(self, pod, **more):
        body = {'tenant_id': self.cloud.project_id(), 'pod_id': self.cloud.pod_ids[pod], **more}
        answer = self.api.post('/bindings', {'pod_binding': body})
        self.assertEqual(200, answer.status, answer.text)
        return answer['pod_binding']['id']

    def test_to_several_pods(self):
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
        # Those made by hand have no end but by hand.
        self.assertEqual([('Pod3', '', True), ('Pod2', '', True), ('Pod1', '', True)], self.bindings(history=True))

    def test_over_one_made_on_first_use(self):
        self.assertEqual('Pod1', self.pod_of(self.boot()))
        binding = self.bind('Pod2')
        self.assertEqual('Pod2', self.pod_of(self.boot()))
        self.assertEqual(200, self.api.delete(f'/bindings/{binding}').status)
        self.assertEqual('Pod1', self.pod_of(self.boot()))
        self.assertEqual([('Pod1', '', True), ('Pod2', '', False)], self.bindings(history=True))

    def test_pinned_where_it_is(self):
        self.assertEqual('Pod1', self.pod_of(self.boot()))
        (binding,) = self.api.get('/bindings')['pod_bindings']
        answer = self.api.patch(f'/bindings/{binding["id"]}', {'pod_binding': {'is_pinned': True}})
        self.assertEqual(200, answer.status, answer.text)
        self.cloud.set_pod('Pod1', state='draining', reason='test')
        self.assertEqual('Pod2', self.pod_of(self.boot()))
        self.cloud.set_pod('Pod1', state='enabled')
        self.assertEqual('Pod1', self.pod_of(self.boot()))

    def test_exclusively(self):
        self.bind('Pod2', is_exclusive=True)
        self.assertEqual('Pod2', self.pod_of(self.boot()))
        self.cloud.set_pod('Pod2', state='draining', reason='test')
        for answer in (self.boot(), self.volume()):
            self.assertEqual(503, answer.status)
            self.assertIn('az1', answer.fault)
        # In another zone, and to another project, nothing was said.
        self.assertEqual('Pod4', self.pod_of(self.boot('az2')))
        self.assertEqual('Pod1', self.pod_of(self.boot(as_='alt')))

    def test_go_with_their_pod(self):
        self.assertEqual('Pod1', self.pod_of(self.boot()))
        binding = self.bind('Pod2', is_exclusive=True)
        self.cloud.set_pod('Pod2', resource_affinity_tag={'gpu': 'a'})
        shown = self.api.get(f'/bindings/{binding}')['pod_binding']
        self.assertEqual(('gpu=a', True), (shown['affinity_group'], shown['is_exclusive']))
        # Where the project may be otherwise is no longer said by it.
        self.assertEqual('Pod1', self.pod_of(self.boot()))
        self.cloud.set_pod('Pod1', resource_affinity_tag={'gpu': 'b'})
        self.assertEqual([('Pod2', 'gpu=a', True)], self.bindings())


class TestRaces(SchedulingTest):
    """Servers would go to one pod, and volumes to another: whoever is first takes the others along."""

    options = {'scheduler.weighers': 'binding,idle_capacity'}

    def setUp(self):
        super().setUp()
        for number, pod in enumerate(('Pod1', 'Pod2', 'Pod3')):
            self.capacity(pod, 100 - 10 * number)
            self.cloud.pod(pod).cinder.capacity_gb = 1000 + 1000 * number
        self.collect()

    def test_they_differ(self):
        self.assertEqual('Pod1', self.pod_of(self.boot()))
        self.assertEqual('Pod3', self.pod_of(self.volume(as_='alt')))

    def test_first_creates_at_once(self):
        with futures.ThreadPoolExecutor(8) as pool:
            made = list(pool.map(lambda number: self.boot() if number % 2 else self.volume(), range(8)))
        self.assertEqual(1, len({self.pod_of(answer) for answer in made}))
        self.assertEqual(1, len(self.bindings(history=True)))
