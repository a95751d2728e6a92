# SPDX-License-Identifier: Apache-2.0
"""A request was 500 if a pod answered with JSON of another shape."""

import json

import testtools

from trio2o.lab.emulated.faults import BalancerAnswers, Garbage
from trio2o.tests.fixtures.cloud import GatewayFixture
from trio2o.tests.functional.compute.base import InfrastructureTest

FLAVOR = {'flavor': {'name': 'odd', 'ram': 64, 'vcpus': 1, 'disk': 1, 'id': 'odd'}}


class TestOddDocuments(testtools.TestCase):
    def test_write_succeeds_though_other_pod_answers_odd_document(self):
        cloud = self.useFixture(GatewayFixture(pods=2))
        cloud.run_jobs()
        cloud.pod('Pod2').nova.faults.add(Garbage(body=b'{"surprise": []}', path=r'/flavors'))
        answer = cloud.nova.post('/flavors', FLAVOR, as_='admin')
        self.assertEqual(200, answer.status, answer.text)
        self.assertIn('odd', cloud.pod('Pod1').nova.flavors)
        cloud.pod('Pod2').nova.faults.clear()
        cloud.run_jobs()
        self.assertIn('odd', cloud.pod('Pod2').nova.flavors)


class TestListsForAdmins(InfrastructureTest):
    """Items of lists that are no objects, and objects that are not those that were asked for, are left out."""

    def test_odd_items_cause_no_500(self):
        bodies = (b'{"%s": [null, 7, {"id": true, "name": [], "host": {}}]}', b'{"%s": 7}', b'{"%s": [[]]}', b'{}')
        for service, method, path, key, given in (
            ('nova', 'GET', '/os-aggregates', 'aggregates', None),
            ('nova', 'POST', '/os-aggregates', 'aggregates', {'aggregate': {'name': 'a'}}),
            ('nova', 'GET', '/os-services', 'services', None),
            ('nova', 'GET', '/os-aggregates', 'services', None),
            ('cinder', 'PUT', '/os-services/get-log', 'log_levels', {}),
            ('cinder', 'POST', '/workers/cleanup', 'cleaning', {}),
        ):
            for body in bodies:
                fault = Garbage(body=body % key.encode() if b'%' in body else body, path=f'{key}|{path}')
                getattr(self.cloud.pod('Pod2'), service).faults.add(fault)
                version = '3.70' if service == 'cinder' else '2.96'
                answer = getattr(self.cloud, service).request(method, path, given, as_='admin', version=version)
                getattr(self.cloud.pod('Pod2'), service).faults.clear()
                self.assertNotEqual(500, answer.status, (path, body, answer.text))

    def test_list_with_odd_items_is_503(self):
        """One pod's part cannot be read, so the list would not be whole."""
        self.cloud.lab.add_servers('Pod1', 'demo')
        self.cloud.lab.add_volumes('Pod1', 'demo')
        usage = {'tenant_id': 'x', 'start': 's', 'stop': 's', 'server_usages': [{'tenant_id': 'x'}]}
        for service, path, version, document in (
            ('nova', '/servers/detail?limit=1', '2.1', {'servers': [{}]}),
            ('nova', '/os-server-groups', '2.1', {'server_groups': [{'id': []}]}),
            ('nova', '/os-simple-tenant-usage', '2.40', {'tenant_usages': [usage]}),
            ('nova', '/os-simple-tenant-usage?detailed=1', '2.1', {'tenant_usages': [{'server_usages': [7]}]}),
            ('nova', '/os-availability-zone/detail', '2.1', {'availabilityZoneInfo': [
                {'zoneName': 7, 'zoneState': {'available': True}, 'hosts': None}
            ]}),
            ('nova', '/os-instance_usage_audit_log', '2.1', {'instance_usage_audit_logs': {'num_hosts': []}}),
            ('cinder', '/volumes/detail?limit=1', '3.70', {'volumes': [{'id': None}]}),
            ('cinder', '/snapshots?limit=1', '3.70', {'snapshots': [{}]}),
        ):  # fmt: skip
            app, client = getattr(self.cloud.pod('Pod2'), service), getattr(self.cloud, service)
            self.assertEqual(200, client.get(path, version=version, as_='admin').status, path)
            app.faults.add(Garbage(body=json.dumps(document).encode()))
            self.assert_own_words(client.get(path, version=version, as_='admin'), 503)
            app.faults.clear()

    def test_document_of_something_else_is_no_audit_log(self):
        self.cloud.pod('Pod2').nova.faults.add(BalancerAnswers('json', 200))
        self.assertEqual(503, self.get('/os-instance_usage_audit_log').status)

    def test_pod_that_shows_another_hypervisor_has_not_the_one_asked_for(self):
        shown = self.nova.get('/os-hypervisors', as_='admin', version='2.96')['hypervisors']
        wanted = next(item for item in shown if 'pod2' in item['hypervisor_hostname'])
        self.cloud.pod('Pod1').nova.faults.add(Garbage(body=b'{"hypervisor": {"id": "x"}}', path='/os-hypervisors/'))
        answer = self.nova.get(f'/os-hypervisors/{wanted["id"]}', as_='admin', version='2.96')
        self.assertEqual((200, wanted['id']), (answer.status, answer['hypervisor']['id']))
