# SPDX-License-Identifier: Apache-2.0
"""The metrics of each service."""

import sqlite3

import testtools

from trio2o.conf import new_config
from trio2o.lab.emulated import faults
from trio2o.tests.fixtures.cloud import GatewayFixture
from trio2o.tests.fixtures.metrics import samples

PORTS = {'api': 19996, 'cinder': 19997, 'nova': 19998}


class MetricsTestCase(testtools.TestCase):
    options = {}

    def setUp(self):
        super().setUp()
        self.cloud = self.useFixture(GatewayFixture(pods=2, **self.options))

    def scrape(self, name='nova'):
        client = getattr(self.cloud, name)
        answer = client.get(f'http://gateway.test:{PORTS[name]}/metrics', as_=None)
        self.assertEqual(200, answer.status, answer.text)
        return samples(answer.text)

    def counted(self, work, name='nova'):
        """{(name, labels): what ``work`` added}. The values are those of the whole process."""
        before = self.scrape(name)
        work()
        after = self.scrape(name)
        return {key: value - before.get(key, 0) for key, value in after.items() if value != before.get(key, 0)}


def key(name, **labels):
    return name, tuple(sorted(labels.items()))


class TestRequests(MetricsTestCase):
    def requests(self, work, name='nova'):
        service = {'nova': 'nova_apigw', 'cinder': 'cinder_apigw', 'api': 'api'}[name]
        found = {}
        for (series, labels), value in self.counted(work, name).items():
            labels = dict(labels)
            if series == 'trio2o_http_requests_total' and labels['service'] == service:
                found[labels['operation'], labels['status']] = value
        return found

    def test_requests_are_counted_by_operation_and_status(self):
        server = self.cloud.lab.add_servers('Pod1', 'demo')[0]

        def work():
            for _again in range(3):
                self.cloud.nova.get(f'/servers/{server["id"]}')
            self.cloud.nova.get('/servers/' + '0' * 32)
            self.cloud.nova.get('/servers/detail')

        found = self.requests(work)
        self.assertEqual(
            {('servers.show', '200'): 3, ('servers.show', '404'): 1, ('servers.list_detail', '200'): 1}, found
        )

    def test_requests_without_operation_are_counted_as_none(self):
        def work():
            for number in range(20):
                self.cloud.nova.get(f'/nowhere/{number}')
                self.cloud.nova.get(f'http://gateway.test:19998/other/{number}', as_=None)
            self.cloud.nova.get('/servers', as_=None)
            self.cloud.nova.get('http://gateway.test:19998/', as_=None)
            self.cloud.nova.get('http://gateway.test:19998/healthcheck', as_=None)

        found = self.requests(work)
        self.assertEqual({('none', '404'): 20, ('none', '300'): 20, ('none', '401'): 1, ('versions', '200'): 1}, found)

    def test_action_is_counted_as_operation(self):
        server = self.cloud.lab.add_servers('Pod1', 'demo')[0]
        path = f'/servers/{server["id"]}/action'
        found = self.requests(lambda: self.cloud.nova.post(path, {'os-stop': None}))
        ((operation, status),) = found
        self.assertTrue(operation.endswith('os-stop'), operation)
        self.assertEqual('202', status)

    def test_requests_of_other_services_are_counted(self):
        self.assertEqual({('pods.list', '200'): 1}, self.requests(lambda: self.cloud.api.get('/pods'), 'api'))
        self.assertEqual(
            {('dashboard', '303'): 1},
            self.requests(lambda: self.cloud.api.get('http://gateway.test:19996/dashboard', as_=None), 'api'),
        )
        found = self.requests(lambda: self.cloud.cinder.get('/volumes'), 'cinder')
        self.assertEqual([('200', 1)], [(status, count) for (_name, status), count in found.items()])

    def test_latency_is_measured_by_operation(self):
        found = self.counted(lambda: self.cloud.api.get('/pods'), 'api')
        labels = {'service': 'api', 'operation': 'pods.list'}
        self.assertEqual(1, found[key('trio2o_http_request_seconds_count', **labels)])
        self.assertGreater(found[key('trio2o_http_request_seconds_sum', **labels)], 0)
        self.assertEqual(1, found[key('trio2o_http_request_seconds_bucket', le='+Inf', **labels)])

    def test_number_of_series_does_not_grow_with_paths(self):
        """Text of clients never becomes a label."""
        before = len(self.scrape())
        for number in range(50):
            self.cloud.nova.request(f'ODD{number}', f'/servers/{number}')
            self.cloud.nova.post(f'/servers/{number}/action', {f'action-{number}': None})
            self.cloud.nova.get('/servers', query={f'filter{number}': 'x'})
        self.assertLess(len(self.scrape()) - before, 60)


class TestPods(MetricsTestCase):
    options = {'pods.breaker_failures': 2, 'pods.breaker_seconds': 0.05}

    def calls(self, found):
        return {
            (dict(labels)['pod'], dict(labels)['outcome']): value
            for (name, labels), value in found.items()
            if name == 'trio2o_pod_calls_total'
        }

    def test_calls_to_pods_are_counted_by_outcome(self):
        self.cloud.nova.get('/servers')
        self.cloud.pod('Pod2').nova.faults.add(faults.Refuse(times=1))
        found = self.counted(lambda: self.cloud.nova.get('/servers'))
        self.assertEqual({('Pod1', '2xx'): 1, ('Pod2', 'not_reached'): 1}, self.calls(found))
        self.assertEqual(1, found[key('trio2o_pod_call_seconds_count', pod='Pod1', service='compute')])
        self.assertEqual(1, found[key('trio2o_pod_call_seconds_count', pod='Pod2', service='compute')])
        self.cloud.pod('Pod2').nova.faults.add(faults.Status(503, times=1))
        found = self.counted(lambda: self.cloud.nova.get('/servers'))
        self.assertEqual({('Pod1', '2xx'): 1, ('Pod2', 'unavailable'): 1}, self.calls(found))

    def test_number_of_pods_in_fanout_is_measured(self):
        found = self.counted(lambda: self.cloud.nova.get('/servers'))
        self.assertEqual(1, found[key('trio2o_fanout_pods_count')])
        self.assertEqual(2, found[key('trio2o_fanout_pods_sum')])

    def test_breaker_metric_is_1_while_open(self):
        name = key('trio2o_breaker_open', pod='Pod2', service='compute')
        fault = faults.Refuse()
        self.cloud.pod('Pod2').nova.faults.add(fault)
        for _again in range(3):
            self.cloud.nova.get('/servers')
        self.assertEqual(1, self.scrape()[name])
        self.cloud.pod('Pod2').nova.faults.remove(fault)
        deadline = 200
        while self.scrape()[name] and deadline:
            self.cloud.nova.get('/servers')
            deadline -= 1
        self.assertEqual(0, self.scrape()[name])


class TestMaintenance(MetricsTestCase):
    options = {'pods.breaker_failures': 1, 'metrics': {'database_seconds': 0.1}}

    def test_pod_in_maintenance_has_no_breaker_series(self):
        name = key('trio2o_breaker_open', pod='Pod2', service='compute')
        self.cloud.pod('Pod2').nova.faults.add(faults.Refuse())
        self.cloud.nova.get('/servers')
        self.assertEqual(1, self.scrape()[name])
        self.cloud.set_pod('Pod2', state='maintenance')
        for _again in range(100):
            if name not in self.scrape():
                return
        self.fail('the breaker of a pod in maintenance still has a series')


class TestJobs(MetricsTestCase):
    def test_job_runs_are_counted_by_type_and_outcome(self):
        found = self.counted(self.cloud.run_jobs, 'api')
        self.assertEqual(2, found[key('trio2o_job_runs_total', type='sync_pod', outcome='success')])
        self.assertEqual(2, found[key('trio2o_job_run_seconds_count', type='sync_pod')])


class TestUnreadableDatabase(MetricsTestCase):
    options = {'metrics': {'database_seconds': 0.1}}

    def test_missing_tables_set_database_up_to_0(self):
        self.cloud.nova.get('/servers')
        self.scrape()
        with sqlite3.connect(self.cloud.runtime.db.url.database) as connection:
            for table in ('job_history', 'jobs'):
                connection.execute(f'DROP TABLE {table}')
        for name in PORTS:
            for _again in range(100):
                found = self.scrape(name)
                if not found[key('trio2o_database_up')]:
                    break
            self.assertEqual(0, found[key('trio2o_database_up')], name)
            self.assertTrue([series for series, _labels in found if series == 'trio2o_http_requests_total'])


class TestDefaults(testtools.TestCase):
    def test_only_admin_api_exports_metrics(self):
        conf = new_config(files=[])
        self.assertEqual(
            {'api': True, 'nova_apigw': False, 'cinder_apigw': False},
            {name: conf[name].metrics for name in ('api', 'nova_apigw', 'cinder_apigw')},
        )


class TestDisabled(MetricsTestCase):
    options = {'nova_apigw': {'metrics': False}}

    def test_disabled_metrics_path_is_unknown(self):
        answer = self.cloud.nova.get('http://gateway.test:19998/metrics', as_=None)
        # Nova answers so for any unknown path.
        self.assertEqual(300, answer.status)
        self.assertNotIn('trio2o_', answer.text)
        self.scrape('cinder')
