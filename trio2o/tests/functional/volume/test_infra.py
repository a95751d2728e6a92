# SPDX-License-Identifier: Apache-2.0
"""Services, hosts, pools and unmanaged volumes of all pods, for admins."""

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
