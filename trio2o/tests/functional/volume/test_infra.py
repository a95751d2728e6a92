# SPDX-License-Identifier: Apache-2.0
"""Services, hosts, pools and unmanaged volumes of all pods, for admins."""

import dataclasses

from trio2o.lab.emulated.faults import BalancerAnswers, DropAfter, Garbage, Hang, Refusal, Refuse, Status, StatusAfter
from trio2o.tests.functional.operations.base import ConversationTest


class InfraTest(ConversationTest):
    def call(self, method, path, json=None, status=200, **kwargs):
        answer = self.cinder.request(method, path, json, **{'as_': 'admin', **kwargs})
        self.assertEqual(status, answer.status, answer.text)
        return answer

    def reached(self, suffix):
        """Names of the pods that got a request to a path."""
        return sorted(
            name for name in self.pods if any(row.path.endswith(suffix) for row in self.seen(name, 'cinder'))
        )


class TestServices(InfraTest):
    def test_list_has_services_of_all_pods_with_zones_of_gateway(self):
        answer = self.call('GET', '/os-services')
        hosts = {row['host']: row['zone'] for row in answer['services'] if row['binary'] == 'cinder-volume'}
        self.assertEqual({'pod1-volume-1@fake': 'az1', 'pod2-volume-1@fake': 'az2'}, hosts)
        answer = self.call('GET', '/os-services?host=pod2-volume-1@fake')
        self.assertEqual(['pod2-volume-1@fake'], [row['host'] for row in answer['services']])
        answer = self.call('GET', '/os-services?host=Pod1@control')
        self.assertEqual(['az1'], [row['zone'] for row in answer['services']])
        self.call('GET', '/os-services', status=403, as_='demo')

    def test_action_on_service_is_sent_to_pod_of_host(self):
        for path in ('enable', 'disable', 'freeze', 'thaw', 'failover_host'):
            self.cloud.lab.clear_logs()
            self.call('PUT', f'/os-services/{path}', {'host': 'pod2-volume-1@fake', 'binary': 'cinder-volume'}, 200)
            self.assertEqual(['Pod2'], self.reached(path))

    def test_ambiguous_host_is_409_and_qualified_name_works(self):
        body = {'host': 'control', 'binary': 'cinder-scheduler'}
        answer = self.call('PUT', '/os-services/disable', body, 409)
        self.assertIn('Pod2@control', answer.fault)
        answer = self.call('PUT', '/os-services/disable', {**body, 'host': 'Pod2@control'})
        self.assertEqual(['Pod2'], self.reached('disable'))

    def test_unknown_host_is_404(self):
        self.call('PUT', '/os-services/disable', {'host': 'nobody', 'binary': 'cinder-volume'}, 404)

    def test_log_levels_are_read_and_set_in_all_pods(self):
        answer = self.call('PUT', '/os-services/get-log', {}, version='3.32')
        self.assertEqual(2, len(answer['log_levels']))
        answer = self.call('PUT', '/os-services/get-log', {'server': 'pod2-volume-1@fake'}, version='3.32')
        self.assertEqual(['pod2-volume-1@fake'], [row['host'] for row in answer['log_levels']])
        self.cloud.lab.clear_logs()
        self.call('PUT', '/os-services/set-log', {'level': 'DEBUG'}, 202, version='3.32')
        self.assertEqual(['Pod1', 'Pod2'], self.reached('set-log'))


class TestWritesWithoutClearAnswer(InfraTest):
    """Writes to all pods, to any pod and to the pod of a backend. Pod2, or Pod1 for the writes to any, has a fault."""

    options = {'pods.read_timeout': 0.5, 'pods.breaker_failures': 1000}
    #: The pod may have carried out the request.
    unclear = (
        DropAfter(), Hang(), StatusAfter(500), StatusAfter(502), StatusAfter(504),
        BalancerAnswers('text', 503, True), BalancerAnswers('json', 503, True),
    )  # fmt: skip
    #: The pod has certainly not carried it out.
    not_sent = (Refuse(), Status(503), Refusal(503))
    writes = (
        ('PUT', '/os-services/set-log', {'level': 'DEBUG'}, '3.32'),
        ('POST', '/workers/cleanup', {}, '3.24'),
    )

    def with_fault(self, fault, pod, method, path, body, version):
        faults = self.cloud.pod(pod).cinder.faults
        faults.add(fault)
        try:
            return self.cinder.request(method, path, body, as_='admin', version=version)
        finally:
            faults.clear()

    def test_write_to_all_pods_without_clear_answer_is_504_that_names_the_pod(self):
        # Something else than the service answered 200.
        for fault in (*self.unclear, Garbage(b'<html>'), Garbage(b'[]')):
            for write in self.writes:
                answer = self.with_fault(fault, 'Pod2', *write)
                self.assertEqual(504, answer.status, (fault, write, answer.text))
                self.assertIn('pod Pod2. The request may or may not have been carried out there; check', answer.fault)

    def test_write_to_all_pods_that_was_not_sent_to_one_is_503(self):
        for fault in self.not_sent:
            for write in self.writes:
                answer = self.with_fault(fault, 'Pod2', *write)
                self.assertEqual(503, answer.status, (fault, write, answer.text))
                self.assertIn('carried out in the rest only', answer.fault)

    def test_write_to_all_pods_that_was_sent_to_none_is_503(self):
        self.cloud.pod('Pod1').cinder.faults.add(Refuse())
        for write in self.writes:
            answer = self.with_fault(Refuse(), 'Pod2', *write)
            self.assertEqual(503, answer.status, answer.text)
            self.assertNotIn('carried out', answer.fault)

    def test_read_of_log_levels_without_answer_is_503(self):
        for fault in self.unclear:
            answer = self.with_fault(fault, 'Pod2', 'PUT', '/os-services/get-log', {}, '3.32')
            self.assertEqual(503, answer.status, (fault, answer.text))

    def test_write_that_any_pod_may_carry_out_without_clear_answer_is_504(self):
        for fault in self.unclear:
            self.cloud.lab.clear_logs()
            answer = self.with_fault(fault, 'Pod1', 'POST', '/groups/action', {'x': {}}, '3.13')
            self.assertEqual(504, answer.status, (fault, answer.text))
            self.assertIn('before you retry', answer.fault)
            self.assertEqual(['Pod1'], self.reached('/groups/action'))

    def test_write_that_any_pod_may_carry_out_goes_to_the_next_one_if_not_sent(self):
        for fault in self.not_sent:
            self.cloud.lab.clear_logs()
            answer = self.with_fault(fault, 'Pod1', 'POST', '/groups/action', {'x': {}}, '3.13')
            self.assertNotIn(answer.status, (503, 504), answer.text)
            self.assertIn('Pod2', self.reached('/groups/action'))

    def test_write_to_the_pod_of_a_backend_without_clear_answer_is_504(self):
        body = {'host': 'pod2-volume-1@fake', 'binary': 'cinder-volume'}
        for fault in self.unclear:
            fault = dataclasses.replace(fault, method='PUT')
            answer = self.with_fault(fault, 'Pod2', 'PUT', '/os-services/disable', body, None)
            self.assertEqual(504, answer.status, (fault, answer.text))
            self.assertIn('check there before you retry', answer.fault)


class TestWriteLogLevelsWithSkippedPods(InfraTest):
    options = {'cinder_apigw.list_records_by_skipping_down_pods': True}

    def test_no_option_lets_a_write_skip_a_pod(self):
        self.cloud.pod('Pod2').cinder.faults.add(Refuse())
        self.call('PUT', '/os-services/set-log', {'level': 'DEBUG'}, 503, version='3.32')
        self.assertEqual(1, len(self.call('PUT', '/os-services/get-log', {}, version='3.32')['log_levels']))


class TestHostsAndPools(InfraTest):
    def test_pools_of_all_pods_are_listed(self):
        answer = self.call('GET', '/scheduler-stats/get_pools?detail=True')
        names = [row['name'] for row in answer['pools']]
        self.assertEqual(['pod1-volume-1@fake#fake', 'pod2-volume-1@fake#fake'], names)

    def test_hosts_of_all_pods_are_listed_by_zone(self):
        answer = self.call('GET', '/os-hosts')
        self.assertEqual({'az1', 'az2'}, {row['zone'] for row in answer['hosts']})
        answer = self.call('GET', '/os-hosts?zone=az2')
        self.assertEqual({'az2'}, {row['zone'] for row in answer['hosts']})
        answer = self.call('GET', '/os-hosts/pod2-volume-1@fake')
        self.assertEqual('pod2-volume-1@fake', answer['host'][0]['resource']['host'])

    def test_capabilities_are_read_from_pod_of_host(self):
        answer = self.call('GET', '/capabilities/pod2-volume-1@fake')
        self.assertEqual('pod2-volume-1@fake', answer['pool_name'])
        self.call('GET', '/capabilities/nobody@fake', status=404)

    def test_clusters_are_empty_and_unknown_one_is_404(self):
        self.assertEqual([], self.call('GET', '/clusters', version='3.7')['clusters'])
        self.call('GET', '/clusters/none', status=404, version='3.7')

    def test_cleanup_is_sent_to_all_pods(self):
        self.cloud.lab.clear_logs()
        answer = self.call('POST', '/workers/cleanup', {}, 202, version='3.24')
        self.assertEqual({'cleaning': [], 'unavailable': []}, answer.json)
        self.assertEqual(['Pod1', 'Pod2'], self.reached('cleanup'))

    def test_resource_filters_are_those_that_all_pods_have(self):
        known = self.call('GET', '/resource_filters', version='3.33')['resource_filters']
        cinder = self.cloud.pod('Pod2').cinder
        cinder.filters = {name: list(each) for name, each in cinder.filters.items() if name != 'group'}
        cinder.filters['volume'].remove('bootable')
        answer = self.call('GET', '/resource_filters', version='3.33')
        rows = {row['resource']: row['filters'] for row in answer['resource_filters']}
        self.assertEqual(len(known) - 1, len(rows))
        self.assertNotIn('bootable', rows['volume'])
        answer = self.call('GET', '/resource_filters?resource=volume', version='3.33')
        self.assertEqual(['volume'], [row['resource'] for row in answer['resource_filters']])


class TestManage(InfraTest):
    host = 'pod2-volume-1@fake#fake'

    def test_volume_is_managed_in_pod_of_host(self):
        body = {'volume': {'host': self.host, 'ref': {'source-name': 'raw'}, 'name': 'taken'}}
        for path in ('/manageable_volumes', '/os-volume-manage'):
            answer = self.call('POST', path, body, 202, version='3.8')
            self.assertEqual('Pod2', self.pod_of('volume', answer['volume']['id']))
            self.assertEqual('az2', answer['volume']['availability_zone'])

    def test_managed_volume_in_other_zone_is_refused_with_400(self):
        body = {'volume': {'host': self.host, 'ref': {'source-name': 'raw'}, 'availability_zone': 'az1'}}
        answer = self.call('POST', '/manageable_volumes', body, 400, version='3.8')
        self.assertIn('az1', answer.fault)

    def test_snapshot_is_managed_in_pod_of_volume(self):
        volume_id = self.cloud.lab.add_volumes('Pod2', 'admin')[0]['id']
        body = {'snapshot': {'volume_id': volume_id, 'ref': {'source-name': 'raw'}}}
        for path in ('/manageable_snapshots', '/os-snapshot-manage'):
            answer = self.call('POST', path, body, 202, version='3.8')
            self.assertEqual('Pod2', self.pod_of('snapshot', answer['snapshot']['id']))

    def test_manageable_resources_are_listed_from_pod_of_host(self):
        for kind in ('volumes', 'snapshots'):
            for path in (f'/manageable_{kind}', f'/manageable_{kind}/detail', f'/os-{kind[:-1]}-manage'):
                self.cloud.lab.clear_logs()
                answer = self.call('GET', f'{path}?host=Pod2@{self.host}', version='3.8')
                self.assertEqual([], answer[f'manageable-{kind}'])
                self.assertEqual(['Pod2'], self.reached(path))
                self.call('GET', f'{path}?host={self.host}', version='3.8')

    def test_manageable_volumes_below_3_8_are_404(self):
        self.call('GET', f'/manageable_volumes?host={self.host}', status=404)
