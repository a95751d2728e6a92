# SPDX-License-Identifier: Apache-2.0
"""Draining a pod: its remaining resources with their projects and candidate pods, and no new resources."""

import testtools

from trio2o.runtime import build_runtime
from trio2o.tests.fixtures.cloud import GatewayFixture


class DrainingCase(testtools.TestCase):
    """Pod1 and Pod2 in az1, Pod3 in az2; Pod1 holds servers and volumes of two projects."""

    def setUp(self):
        super().setUp()
        self.cloud = self.useFixture(GatewayFixture(pods={'Pod1': 'az1', 'Pod2': 'az1', 'Pod3': 'az2'}, run_jobs=True))
        self.api = self.cloud.api
        self.servers = self.cloud.lab.add_servers('Pod1', 'demo', 2) + self.cloud.lab.add_servers('Pod1', 'alt')
        self.volumes = self.cloud.lab.add_volumes('Pod1', 'demo', 2)
        self.path = f'/pods/{self.cloud.pod_ids["Pod1"]}'
        self.assertEqual(202, self.api.post(f'{self.path}/reconcile').status)
        self.cloud.run_jobs()

    def get(self, **query):
        answer = self.api.get(f'{self.path}/remaining', query=query)
        self.assertEqual(200, answer.status, answer.text)
        return answer.json


class TestDrain(DrainingCase):
    def test_drained_pod_gets_no_creates_and_answer_counts_remaining_resources(self):
        answer = self.api.post(f'{self.path}/drain', {'reason': 'old hardware'})
        self.assertEqual(200, answer.status, answer.text)
        self.assertEqual(('draining', 'old hardware'), (answer['pod']['state'], answer['pod']['state_reason']))
        demo, alt = self.cloud.project_id('demo'), self.cloud.project_id('alt')
        self.assertEqual(5, answer['remaining']['total'])
        self.assertEqual({'server': 3, 'volume': 2}, answer['remaining']['resources'])
        projects = {row['project_id']: row['resources'] for row in answer['remaining']['projects']}
        self.assertEqual({demo: {'server': 2, 'volume': 2}, alt: {'server': 1}}, projects)
        made = self.cloud.cinder.post('/volumes', {'volume': {'size': 1, 'availability_zone': 'az1'}})
        self.assertEqual(202, made.status, made.text)
        self.assertIn(made['volume']['id'], self.cloud.pod('Pod2').cinder.volumes)

    def test_drain_needs_no_body(self):
        self.assertEqual('draining', self.api.post(f'{self.path}/drain')['pod']['state'])

    def test_invalid_reason_is_422_and_unknown_pod_404(self):
        answer = self.api.post(f'{self.path}/drain', {'reason': 7})
        self.assertEqual(422, answer.status)
        self.assertIn('drain.reason', answer.text)
        self.assertEqual(404, self.api.post('/pods/nope/drain').status)

    def test_drain_is_refused_to_members_and_readers(self):
        for user in ('demo', 'reader'):
            self.assertEqual(403, self.api.post(f'{self.path}/drain', as_=user).status)


class TestRemaining(DrainingCase):
    def test_remaining_resources_are_listed_with_candidate_pods(self):
        found = self.get()
        self.assertEqual(
            {item['id'] for item in self.servers + self.volumes}, {row['resource_id'] for row in found['remaining']}
        )
        self.assertEqual(
            {('Pod2',)}, {tuple(pod['pod_name'] for pod in row['candidates']) for row in found['remaining']}
        )
        self.assertEqual({''}, {row['reason'] for row in found['remaining']})
        self.assertEqual(5, found['summary']['total'])

    def test_no_candidate_pod_and_reason_is_given(self):
        """Pods of other zones do not count, and the answer names the reason."""
        self.cloud.set_pod('Pod2', state='disabled')
        rows = self.get()['remaining']
        self.assertEqual([], [pod for row in rows for pod in row['candidates']])
        self.assertIn('Pod2', rows[0]['reason'])
        self.assertNotIn('Pod1', rows[0]['reason'])

    def test_list_makes_no_binding(self):
        before = self.api.get('/bindings?history=true')['pod_bindings']
        self.get()
        self.assertEqual(before, self.api.get('/bindings?history=true')['pod_bindings'])

    def test_list_is_filtered_by_project_and_type(self):
        found = self.get(project_id=self.cloud.project_id('alt'), resource_type='server')
        self.assertEqual([self.servers[2]['id']], [row['resource_id'] for row in found['remaining']])

    def test_pages_contain_each_resource_once(self):
        url, seen = f'{self.path}/remaining?limit=2', []
        while url:
            answer = self.api.get(url)
            seen += [row['resource_id'] for row in answer['remaining']]
            url = answer.json.get('remaining_links', [{}])[0].get('href')
        self.assertEqual(5, len(set(seen)))
        self.assertEqual(5, len(seen))

    def test_empty_pod_has_no_remaining_resources(self):
        answer = self.api.get(f'/pods/{self.cloud.pod_ids["Pod3"]}/remaining')
        self.assertEqual(([], 0), (answer['remaining'], answer['summary']['total']))

    def test_deleted_server_is_not_listed(self):
        self.cloud.nova.delete(f'/servers/{self.servers[0]["id"]}')
        self.cloud.run_jobs()
        self.cloud.nova.get(f'/servers/{self.servers[0]["id"]}')
        self.assertEqual(4, self.get()['summary']['total'])

    def test_invalid_query_is_400_and_unknown_pod_404(self):
        for query in ('marker=x', 'marker=99999', 'limit=-1', 'colour=red'):
            answer = self.api.get(f'{self.path}/remaining?{query}')
            self.assertEqual(400, answer.status, query)
        self.assertEqual(404, self.api.get('/pods/nope/remaining').status)

    def test_list_is_refused_to_members_and_readers(self):
        for user in ('demo', 'reader'):
            self.assertEqual(403, self.api.get(f'{self.path}/remaining', as_=user).status)


class TestOtherProcesses(DrainingCase):
    """Each process reads a change of state within ``[pods] refresh_seconds``."""

    def test_state_change_is_read_after_refresh_seconds(self):
        from trio2o.nova_apigw import SERVICE

        runtime = build_runtime(
            self.cloud.conf, transport=self.cloud.lab.transport(), identity_transport=self.cloud.lab.adapter()
        )
        self.addCleanup(runtime.db.dispose)
        self.addCleanup(runtime.shutdown)
        other = self.cloud.build(SERVICE, runtime)
        self.assertIsNotNone(other)
        seconds = self.cloud.conf.pods.refresh_seconds
        runtime.registry.snapshot()
        for state, in_maintenance, is_enabled in (
            ('draining', False, False),
            ('maintenance', True, False),
            ('disabled', False, False),
            ('enabled', False, True),
        ):
            self.cloud.set_pod('Pod1', state=state)
            runtime.registry._read_at -= seconds
            pod = runtime.registry.snapshot().by_id[self.cloud.pod_ids['Pod1']]
            self.assertEqual((in_maintenance, is_enabled), (pod.in_maintenance, pod.is_enabled), state)
