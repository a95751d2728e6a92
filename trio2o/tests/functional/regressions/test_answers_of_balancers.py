# SPDX-License-Identifier: Apache-2.0
"""A 404 that does not come from the service itself ends no routing, frees no quota and hides no resources."""

from trio2o.db import pods, quotas, routings
from trio2o.lab.emulated.faults import BalancerAnswers, Status
from trio2o.quota.settle import Settler
from trio2o.tests.functional.quota.base import QuotaCase

#: What the router of a service answers to a path that it does not have, as if the catalog had a wrong one.
ROUTER = Status(
    404,
    body=b'{"message": "The resource could not be found.<br />", "code": "404 Not Found", "title": "Not Found"}',
    headers=(('Content-Type', 'application/json'),),
)
FOREIGN = (*(BalancerAnswers(form) for form in ('html', 'text', 'json', 'empty')), ROUTER)


class TestAnswersOfBalancers(QuotaCase):
    limits = {'instances': 10, 'volumes': 10}
    options = {'pods.breaker_failures': 1000, 'xjob': {'retry_seconds': 0, 'max_attempts': 1}}

    def setUp(self):
        super().setUp()
        self.server_id, self.volume_id = self.server(zone='az1'), self.volume(zone='az1')
        self.cloud.run_jobs()
        self.settle()
        self.cloud.lab.clear_logs()
        self.pod = self.cloud.pod('Pod1')
        self.pod_id = self.cloud.pod_ids['Pod1']

    def behind(self, fault):
        """Put something in front of the services of the pod."""
        for service in (self.pod.nova, self.pod.cinder):
            service.faults.clear()
            service.faults.add(fault)

    def assertKept(self, fault=None):
        for kind, top_id in (('server', self.server_id), ('volume', self.volume_id)):
            self.assertTrue(routings.get(self.db, kind, top_id).is_live, (kind, fault))
        used = self.used()
        self.assertEqual((1, 1), (used['instances'][0], used['volumes'][0]), fault)

    def reconcile(self):
        self.cloud.runtime.jobs.submit('reconcile_routings', self.pod_id, {'pod_id': self.pod_id, 'is_full': True})
        return [job for job in self.cloud.run_jobs() if job.type == 'reconcile_routings'][-1]

    def test_show_and_delete_of_resource_end_nothing(self):
        for fault in FOREIGN:
            self.behind(fault)
            self.cloud.nova.get(f'/servers/{self.server_id}')
            self.cloud.nova.delete(f'/servers/{self.server_id}')
            self.cloud.cinder.get(f'/volumes/{self.volume_id}')
            self.cloud.cinder.delete(f'/volumes/{self.volume_id}')
            self.assertKept(fault)

    def test_show_answered_by_balancer_is_503(self):
        for form in ('html', 'text', 'json', 'empty'):
            self.behind(BalancerAnswers(form))
            self.assertEqual(503, self.cloud.cinder.get(f'/volumes/{self.volume_id}').status, form)

    def test_full_comparison_ends_nothing_and_fails(self):
        for fault in FOREIGN:
            self.behind(fault)
            self.assertNotEqual('success', self.reconcile().state, fault)
            self.assertKept(fault)
        self.behind(BalancerAnswers(path='/(servers|volumes)/[0-9a-f]{8}-'))
        self.assertEqual('success', self.reconcile().state)
        self.assertKept()

    def test_recount_of_project_ends_nothing(self):
        for fault in FOREIGN:
            self.behind(fault)
            self.cloud.api.post(f'/projects/{self.project}/recount')
            self.cloud.run_jobs()
            self.assertKept(fault)

    def test_settling_a_change_ends_nothing(self):
        quota = self.cloud.runtime.quota
        quota.watch_again(self.project, self.pod_id, 'server', self.server_id)
        quota.watch_again(self.project, self.pod_id, 'volume', self.volume_id)
        self.assertEqual(2, len(self.claims()))
        for fault in FOREIGN:
            self.behind(fault)
            for claim in quotas.list_claims(self.db, project_id=self.project):
                self.assertFalse(Settler(self.cloud.runtime).settle(claim), fault)
            self.assertKept(fault)

    def test_unknown_id_may_be_in_pod_behind_balancer(self):
        pods.set_reconciled(self.db, self.pod_id, None)
        self.cloud.runtime.registry.refresh()
        (other,) = self.cloud.lab.add_servers('Pod1', 'demo')
        for fault in FOREIGN:
            self.behind(fault)
            self.assertEqual(503, self.cloud.nova.get(f'/servers/{other["id"]}').status, fault)

    def test_list_without_pod_is_not_taken_for_whole(self):
        self.server(zone='az2')
        for may_skip in (False, True):
            self.cloud.conf.set_override('list_records_by_skipping_down_pods', may_skip, 'nova_apigw')
            self.addCleanup(self.cloud.conf.clear_override, 'list_records_by_skipping_down_pods', 'nova_apigw')
            for fault in FOREIGN:
                self.behind(fault)
                self.assertEqual(503, self.cloud.nova.get('/servers/detail').status, fault)

    def test_word_of_service_ends_the_routing(self):
        del self.pod.nova.servers[self.server_id]
        self.assertEqual(404, self.cloud.nova.get(f'/servers/{self.server_id}').status)
        self.assertFalse(routings.get(self.db, 'server', self.server_id).is_live)
