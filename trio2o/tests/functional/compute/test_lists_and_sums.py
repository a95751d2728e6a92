# SPDX-License-Identifier: Apache-2.0
"""Server groups, usage of projects, quotas, and Nova's proxies for other services."""

import datetime

from trio2o.lab.emulated.faults import Refuse
from trio2o.tests.functional.compute.base import InfrastructureTest
from trio2o.tests.functional.operations.base import ids

NOON = datetime.datetime(2026, 1, 1, 12)
MISSING = '6f1f8d4c-6f1f-4e83-9a5e-3a8a4a6a0000'


class TestServerGroups(InfrastructureTest):
    def make(self, name='group', **kwargs):
        body = {'server_group': {'name': name, 'policies': ['affinity']}}
        answer = self.nova.post('/os-server-groups', body, **kwargs)
        self.assertEqual(200, answer.status, answer.text)
        return answer['server_group']

    def in_pod(self, pod, name):
        """Create a group directly in a pod."""
        body = {'server_group': {'name': name, 'policies': ['affinity']}}
        return self.cloud.direct(pod).post('/os-server-groups', body)['server_group']

    def test_group_is_created_shown_and_deleted(self):
        group = self.make()
        path = f'/os-server-groups/{group["id"]}'
        self.assertEqual(group, self.nova.get(path)['server_group'])
        self.assertEqual([group], self.nova.get('/os-server-groups')['server_groups'])
        self.assertEqual(404, self.nova.get(path, as_='alt').status)
        self.assertEqual(204, self.nova.delete(path).status)
        answer = self.nova.get(path)
        self.assertEqual((404, f'Instance group {group["id"]} could not be found.'), (answer.status, answer.fault))

    def test_limit_and_offset_apply_to_groups_of_all_pods(self):
        groups = [self.in_pod(pod, f'{pod}-{number}') for pod in ('Pod1', 'Pod2') for number in range(3)]
        self.assertEqual(groups, self.nova.get('/os-server-groups')['server_groups'])
        for offset in range(8):
            for limit in range(1, 8):
                answer = self.nova.get(f'/os-server-groups?limit={limit}&offset={offset}')
                self.assertEqual(groups[offset : offset + limit], answer['server_groups'])
        self.assertEqual([], self.nova.get('/os-server-groups', as_='alt')['server_groups'])
        everybody = self.get('/os-server-groups?all_projects=True')['server_groups']
        self.assertEqual(ids(groups), ids(everybody))
        self.assertEqual(400, self.nova.get('/os-server-groups?limit=x').status)
        self.wait_for(lambda: self.pod_of('server_group', groups[5]['id']) == 'Pod2')

    def test_list_is_complete_though_max_limit_of_pod_is_small(self):
        for pod in ('Pod1', 'Pod2'):
            self.cloud.pod(pod).nova.settings.max_limit = 100
        groups = [self.in_pod('Pod2', f'g{number}') for number in range(250)]
        self.assertEqual(ids(groups), ids(self.nova.get('/os-server-groups')['server_groups']))

    def test_groups_of_unreachable_pod_are_left_out_if_option_is_on_and_503_by_id(self):
        self.skip_down_pods()
        group = self.in_pod('Pod1', 'one')
        other = self.in_pod('Pod2', 'two')
        self.nova.get(f'/os-server-groups/{other["id"]}')
        self.break_pod('Pod2', Refuse())
        self.assertEqual([group['id']], ids(self.nova.get('/os-server-groups')['server_groups']))
        answer = self.nova.get(f'/os-server-groups/{other["id"]}')
        self.assertIn('Server group', self.assert_own_words(answer, 503))


class TestUsage(InfrastructureTest):
    def setUp(self):
        super().setUp()
        for pod, projects in (('Pod1', ('demo', 'demo', 'alt')), ('Pod2', ('demo', 'alt', 'alt'))):
            for project in projects:
                self.cloud.lab.add_servers(pod, project, created_at=NOON)
        self.period = 'start=2026-01-01T12:00:00&end=2026-01-01T13:00:00'

    def test_usage_is_sum_over_pods(self):
        usages = self.get(f'/os-simple-tenant-usage?{self.period}')['tenant_usages']
        self.assertEqual({3.0}, {usage['total_hours'] for usage in usages})
        self.assertEqual(2, len(usages))
        self.assertNotIn('server_usages', usages[0])
        direct = self.direct('Pod1', f'/os-simple-tenant-usage?{self.period}')['tenant_usages'][0]
        self.assertEqual(set(direct), set(usages[0]))
        self.assertEqual((direct['start'], direct['stop']), (usages[0]['start'], usages[0]['stop']))
        detailed = self.get(f'/os-simple-tenant-usage?{self.period}&detailed=1')['tenant_usages']
        self.assertEqual([3, 3], [len(usage['server_usages']) for usage in detailed])
        first_counts = self.get(f'/os-simple-tenant-usage?{self.period}&detailed=0&detailed=1')['tenant_usages']
        self.assertNotIn('server_usages', first_counts[0])

    def test_usage_of_own_project_is_shown_and_of_other_is_403(self):
        usage = self.nova.get(f'/os-simple-tenant-usage/{self.cloud.project_id()}?{self.period}')['tenant_usage']
        self.assertEqual((3.0, 3), (usage['total_hours'], len(usage['server_usages'])))
        self.assertEqual(3 * 512.0, usage['total_memory_mb_usage'])
        answer = self.nova.get(f'/os-simple-tenant-usage/{self.cloud.project_id("alt")}?{self.period}')
        self.assertEqual(403, answer.status)
        answer = self.get(f'/os-simple-tenant-usage/{MISSING}?{self.period}')
        self.assertEqual({'tenant_usage': {}}, answer.json)

    def test_pages_contain_each_server_once(self):
        whole = self.get(f'/os-simple-tenant-usage?{self.period}&detailed=1', '2.40')['tenant_usages']
        servers = [server['instance_id'] for usage in whole for server in usage['server_usages']]
        self.assertEqual(6, len(servers))
        for limit in (1, 2, 4, 5):
            found, path = [], f'/os-simple-tenant-usage?{self.period}&detailed=1&limit={limit}'
            while path:
                answer = self.get(path, '2.40')
                page = [one['instance_id'] for usage in answer['tenant_usages'] for one in usage['server_usages']]
                for usage in answer['tenant_usages']:
                    self.assertEqual(len(usage['server_usages']), usage['total_hours'])
                self.assertLessEqual(len(page), limit)
                found += page
                links = answer.json.get('tenant_usages_links')
                path = links and links[0]['href']
            self.assertEqual(servers, found)
        self.assertEqual(400, self.get(f'/os-simple-tenant-usage?marker={MISSING}', '2.40').status)

    def test_all_pods_get_the_same_period(self):
        self.get('/os-simple-tenant-usage')
        queries = {self.seen(pod)[-1].query for pod in ('Pod1', 'Pod2')}
        self.assertEqual(1, len(queries))

    def test_audit_log_has_hosts_of_all_pods(self):
        for path, key in (
            ('/os-instance_usage_audit_log', 'instance_usage_audit_logs'),
            ('/os-instance_usage_audit_log/2026-02-01%2000:00:00', 'instance_usage_audit_log'),
        ):
            answer = self.get(path)
            self.assertEqual(200, answer.status, answer.text)
            log = answer[key]
            self.assertEqual((2, 2, 6), (log['num_hosts'], log['num_hosts_done'], log['total_instances']))
            self.assertEqual('ALL hosts done. 0 errors.', log['overall_status'])
            self.assertEqual({'pod1-compute-1', 'pod2-compute-1'}, set(log['log']))


class TestProxies(InfrastructureTest):
    def test_volumes_of_all_pods_are_listed_and_deleted(self):
        older = self.cloud.lab.add_volumes('Pod1', 'demo', created_at=NOON)[0]
        newer = self.cloud.lab.add_volumes('Pod2', 'demo', created_at=NOON + datetime.timedelta(seconds=1))[0]
        volumes = self.nova.get('/os-volumes')['volumes']
        self.assertEqual([newer['id'], older['id']], ids(volumes))
        self.assertEqual([older['id']], ids(self.nova.get('/os-volumes/detail?offset=1')['volumes']))
        self.assertEqual('az2', self.nova.get(f'/os-volumes/{newer["id"]}')['volume']['availabilityZone'])
        self.assertEqual(404, self.nova.get(f'/os-volumes/{newer["id"]}', version='2.36').status)
        self.assertEqual(202, self.nova.delete(f'/os-volumes/{older["id"]}').status)
        self.assertEqual(404, self.nova.get(f'/os-volumes/{MISSING}').status)

    def test_volume_is_created_in_pod_of_zone(self):
        answer = self.nova.post('/os-volumes', {'volume': {'size': 1, 'availability_zone': 'az2'}})
        self.assertEqual((200, 'az2'), (answer.status, answer['volume']['availabilityZone']))
        made = answer['volume']['id']
        self.assertEqual('Pod2', self.pod_of('volume', made))
        self.assertEqual('az2', self.cloud.cinder.get(f'/volumes/{made}')['volume']['availability_zone'])
        answer = self.nova.post('/os-volumes', {'volume': {'size': 1, 'availability_zone': 'az9'}})
        self.assertEqual((400, "Availability zone 'az9' is invalid."), (answer.status, answer.fault))

    def test_snapshot_is_created_in_pod_of_its_volume(self):
        volume = self.cloud.lab.add_volumes('Pod2', 'demo')[0]
        answer = self.nova.post('/os-snapshots', {'snapshot': {'volume_id': volume['id']}})
        self.assertEqual(200, answer.status, answer.text)
        made = answer['snapshot']['id']
        self.assertEqual('Pod2', self.pod_of('snapshot', made))
        self.assertEqual([made], ids(self.nova.get('/os-snapshots')['snapshots']))
        self.assertEqual(202, self.nova.delete(f'/os-snapshots/{made}').status)
        self.assertEqual(404, self.nova.post('/os-snapshots', {'snapshot': {'volume_id': MISSING}}).status)

    def test_assisted_snapshot_is_created_in_pod_of_its_volume(self):
        volume = self.cloud.lab.add_volumes('Pod2', 'demo')[0]
        body = {'snapshot': {'volume_id': volume['id'], 'create_info': {'snapshot_id': MISSING}}}
        answer = self.admin('POST', '/os-assisted-volume-snapshots', body)
        self.assertEqual(200, answer.status, answer.text)
        self.assertEqual([volume['id']], self.cloud.pod('Pod2').nova.assisted)
        query = {'delete_info': f'{{"volume_id": "{volume["id"]}"}}'}
        answer = self.admin('DELETE', f'/os-assisted-volume-snapshots/{MISSING}', query=query)
        self.assertEqual(204, answer.status, answer.text)
        self.assertEqual([], self.cloud.pod('Pod2').nova.assisted)

    def test_removed_api_is_410_and_not_sent_to_pods(self):
        self.cloud.lab.clear_logs()
        for version in ('2.1', '2.96'):
            answer = self.nova.get('/os-cells', version=version)
            self.assertEqual(410, answer.status)
            self.assertEqual(
                {
                    'computeFault': {
                        'code': 410,
                        'message': 'This resource is no longer available. No forwarding address is given.',
                    }
                },
                answer.json,
            )
            self.assertEqual(f'compute {version}', answer.headers['OpenStack-API-Version'])
        self.assertEqual(0, len(self.seen('Pod1')) + len(self.seen('Pod2')))
        server = self.cloud.lab.add_servers('Pod1', 'demo')[0]['id']
        body = {'os-getRDPConsole': {'type': 'rdp-html5'}}
        self.assertEqual(400, self.nova.post(f'/servers/{server}/action', body).status)
        self.assertEqual(404, self.nova.post(f'/servers/{server}/action', body, version='2.6').status)


class TestQuotas(InfrastructureTest):
    def limits(self, pod, path='/os-quota-sets', of=None, **kwargs):
        answer = self.cloud.direct(pod).get(f'{path}/{of or self.cloud.project_id()}', as_='admin', **kwargs)
        return next(iter(answer.json.values()))

    def set(self, limits, of=None, path='/os-quota-sets', member='quota_set'):
        return self.admin('PUT', f'{path}/{of or self.cloud.project_id()}', {member: limits})

    def test_uncounted_limits_are_replicated(self):
        answer = self.set({'metadata_items': 7, 'key_pairs': '1024'})
        self.assertEqual(200, answer.status, answer.text)
        self.assertEqual(7, answer['quota_set']['metadata_items'])
        for pod in ('Pod1', 'Pod2'):
            self.assertEqual((7, 1024), (self.limits(pod)['metadata_items'], self.limits(pod)['key_pairs']))
            self.assertEqual(5, self.limits(pod)['injected_files'])
        self.assertEqual(7, self.nova.get(f'/os-quota-sets/{self.cloud.project_id()}')['quota_set']['metadata_items'])
        answer = self.admin('DELETE', f'/os-quota-sets/{self.cloud.project_id()}')
        self.assertEqual(202, answer.status)
        for pod in ('Pod1', 'Pod2'):
            self.assertEqual(128, self.limits(pod)['metadata_items'])

    def test_counted_limits_are_unlimited_in_pods(self):
        answer = self.set({'instances': 7, 'ram': '1024'})
        self.assertEqual((7, 1024), (answer['quota_set']['instances'], answer['quota_set']['ram']), answer.text)
        for pod in ('Pod1', 'Pod2'):
            self.assertEqual((-1, -1), (self.limits(pod)['instances'], self.limits(pod)['ram']))
        shown = self.nova.get(f'/os-quota-sets/{self.cloud.project_id()}')['quota_set']
        self.assertEqual((7, 1024, -1), (shown['instances'], shown['ram'], shown['cores']))
        self.assertEqual(202, self.admin('DELETE', f'/os-quota-sets/{self.cloud.project_id()}').status)
        shown = self.nova.get(f'/os-quota-sets/{self.cloud.project_id()}')['quota_set']
        self.assertEqual((-1, -1), (shown['instances'], shown['ram']))

    def test_default_class_is_replicated(self):
        limits = {'instances': 9, 'metadata_items': 99}
        answer = self.set(limits, 'default', '/os-quota-class-sets', 'quota_class_set')
        self.assertEqual(200, answer.status, answer.text)
        self.assertEqual(9, answer['quota_class_set']['instances'])
        for pod in ('Pod1', 'Pod2'):
            for path, of in (('/os-quota-class-sets', 'default'), ('/os-quota-sets', None)):
                there = self.limits(pod, path, of)
                self.assertEqual((-1, 99), (there['instances'], there['metadata_items']))
        for path in ('', '/defaults'):
            shown = self.nova.get(f'/os-quota-sets/{self.cloud.project_id()}{path}')['quota_set']
            self.assertEqual((9, 99), (shown['instances'], shown['metadata_items']))
        shown = self.admin('GET', '/os-quota-class-sets/default')['quota_class_set']
        self.assertEqual((9, 99), (shown['instances'], shown['metadata_items']))

    def test_limits_are_refused_to_members(self):
        path = f'/os-quota-sets/{self.cloud.project_id()}'
        self.assertEqual(403, self.nova.put(path, {'quota_set': {'instances': 7}}).status)
        self.assertEqual(403, self.nova.delete(path).status)
        self.assertEqual(403, self.nova.get('/os-quota-class-sets/default').status)

    def test_limit_below_usage_of_all_pods_needs_force(self):
        for pod in ('Pod1', 'Pod2'):
            self.cloud.lab.add_servers(pod, 'demo', 2)
        self.cloud.run_jobs()
        answer = self.set({'instances': 3})
        self.assertEqual(400, answer.status)
        self.assertEqual(
            'Quota limit 3 for instances must be greater than or equal to already used and reserved 4.', answer.fault
        )
        for force in (True, 'True'):
            self.assertEqual(200, self.set({'instances': 3, 'force': force}).status)
            self.assertEqual([-1, -1], [self.limits(pod)['instances'] for pod in ('Pod1', 'Pod2')])

    def test_detail_shows_usage_of_all_pods(self):
        for pod in ('Pod1', 'Pod2'):
            self.cloud.lab.add_servers(pod, 'demo', 2)
        self.cloud.run_jobs()
        self.set({'instances': 8})
        detail = self.nova.get(f'/os-quota-sets/{self.cloud.project_id()}/detail')['quota_set']
        self.assertEqual({'limit': 8, 'in_use': 4, 'reserved': 0}, detail['instances'])
        self.assertEqual(self.cloud.project_id(), detail['id'])

    def test_unreachable_pod_gets_limit_from_job(self):
        self.cloud.run_jobs()
        self.break_pod('Pod2', Refuse())
        self.assertEqual(200, self.set({'metadata_items': 7}).status)
        self.cloud.pod('Pod2').nova.faults.clear()
        self.cloud.run_jobs()
        self.assertEqual(7, self.limits('Pod2')['metadata_items'])
