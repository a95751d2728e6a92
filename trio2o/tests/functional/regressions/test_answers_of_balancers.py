# SPDX-License-Identifier: Apache-2.0
"""Answers that do not come from the service itself.

A 404 ends no routing, frees no quota and hides no resources. A refusal does not show that a write was not carried out.
"""

from trio2o.db import jobs as db_jobs
from trio2o.db import pods, quotas, routings
from trio2o.lab.emulated.faults import BalancerAnswers, Status, StatusAfter
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
        for status in (300, 304):
            self.behind(Status(status, body=b'', headers=()))
            for path in (f'/servers/{self.server_id}', '/servers/detail'):
                self.assertEqual(503, self.cloud.nova.get(path).status, (status, path))

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


class TestRefusedWrites(QuotaCase):
    """The service carries out a write, and something in front of it then answers with a refusal."""

    limits = {'instances': 10, 'cores': 100, 'volumes': 10, 'gigabytes': 100, 'server_groups': 10}
    options = {'pods.breaker_failures': 1000}

    #: Form and status. Proxies also say 503 when a connection breaks after the request.
    REFUSALS = (('html', 401), ('json', 403), ('empty', 409), ('text', 413), ('html', 429), ('text', 503))
    COUNT = len(REFUSALS)

    def refused(self, call, service='nova'):
        """Send a write of each kind and check that the answer says that its outcome is unknown."""
        app = getattr(self.cloud.pod('Pod1'), service)
        for form, status in self.REFUSALS:
            app.faults.clear()
            app.faults.add(BalancerAnswers(form, status, is_processed=True, times=1))
            answer = call()
            self.assertEqual(504, answer.status, (form, status, answer.text))
            self.assertIn('may or may not have been carried out', answer.fault)

    def test_deleted_resources_are_no_longer_counted(self):
        servers = [self.server(zone='az1') for _ in self.REFUSALS]
        volumes = [self.volume(zone='az1') for _ in self.REFUSALS]
        self.settle()
        self.assertUsed(instances=self.COUNT, volumes=self.COUNT)
        self.refused(lambda: self.cloud.nova.delete(f'/servers/{servers.pop()}'))
        self.refused(lambda: self.cloud.cinder.delete(f'/volumes/{volumes.pop()}'), 'cinder')
        self.settle()
        self.assertUsed(instances=0, volumes=0)

    def test_grown_resources_are_counted(self):
        self.make_flavor('f2', vcpus=4, ram=512)
        servers = [self.server(zone='az1') for _ in self.REFUSALS]
        volumes = [self.volume(zone='az1') for _ in self.REFUSALS]
        self.settle()
        resize, extend = {'resize': {'flavorRef': 'f2'}}, {'os-extend': {'new_size': 3}}
        self.refused(lambda: self.cloud.nova.post(f'/servers/{servers.pop()}/action', resize))
        self.refused(lambda: self.cloud.cinder.post(f'/volumes/{volumes.pop()}/action', extend), 'cinder')
        self.settle()
        self.assertUsed(cores=4 * self.COUNT, gigabytes=3 * self.COUNT)

    def test_several_servers_without_one_in_the_answer_are_unknown(self):
        app = self.cloud.pod('Pod1').nova
        json = (('Content-Type', 'application/json'),)
        for status, body in ((200, b''), (200, b'{}'), (202, b'null'), (204, b'')):
            app.faults.add(StatusAfter(status, body=body, headers=json, method='POST', path='/servers$', times=1))
            self.boot(504, zone='az1', min_count=2)
            app.faults.clear()
        self.settle()
        self.assertUsed(instances=8)

    def test_write_answered_by_a_cache_is_unknown(self):
        for status in (300, 304):
            fault = StatusAfter(status, body=b'', headers=(), method='POST', times=1)
            for app in self.cloud.pod('Pod1').each():
                app.faults.clear()
                app.faults.add(fault)
            self.boot(504, zone='az1')
            self.make_volume(504, zone='az1')
        self.settle()
        self.assertUsed(instances=2, volumes=2)

    def test_created_server_groups_are_counted_once(self):
        body = {'server_group': {'name': 'g', 'policies': ['affinity']}}
        for pod in ('Pod1', 'Pod2'):
            self.cloud.pod(pod).nova.faults.add(BalancerAnswers('html', 401, is_processed=True, method='POST'))
        self.assertEqual(504, self.cloud.nova.post('/os-server-groups', body).status)
        self.assertEqual((0, 1), self.used()['server_groups'])
        self.settle()
        self.assertUsed(server_groups=1)

    def test_replicated_objects_reach_all_pods(self):
        names = [f'x{number}' for number in range(self.COUNT)]
        left = list(names)

        def create():
            flavor = {'name': (name := left.pop()), 'id': name, 'vcpus': 1, 'ram': 1, 'disk': 1}
            return self.cloud.nova.post('/flavors', {'flavor': flavor}, as_='admin')

        app = self.cloud.pod('Pod1').nova
        for form, status in self.REFUSALS:
            app.faults.clear()
            app.faults.add(BalancerAnswers(form, status, is_processed=True, method='POST', path='/flavors$', times=1))
            self.assertEqual(504, create().status)
        for job in db_jobs.list_(self.db, filters={'type': 'record_write'}):
            db_jobs.redo(self.db, job.id)
        self.cloud.run_jobs()
        self.assertEqual(set(), set(names) - set(self.cloud.pod('Pod2').nova.flavors))
