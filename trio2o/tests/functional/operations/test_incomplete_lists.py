# SPDX-License-Identifier: Apache-2.0
"""Lists that lack the part of a pod are never taken for whole."""

from trio2o.db import pods, routings
from trio2o.db.database import utcnow
from trio2o.lab.emulated.faults import BalancerAnswers, EndlessPages, Hang, Redirect, Refusal, Refuse, Slow, Status
from trio2o.tests.functional.operations.base import ConversationTest, ids

LISTS = (
    ('nova', '/servers', '2.1', 'demo'),
    ('nova', '/servers/detail', '2.1', 'demo'),
    ('nova', '/servers/detail?status=ACTIVE', '2.96', 'demo'),
    ('nova', '/servers/detail?limit=10', '2.96', 'demo'),
    ('nova', '/servers/detail?all_tenants=1', '2.1', 'admin'),
    ('nova', '/os-server-groups', '2.1', 'demo'),
    ('nova', '/os-services', '2.1', 'admin'),
    ('nova', '/os-hypervisors', '2.1', 'admin'),
    ('nova', '/os-hypervisors?limit=5', '2.53', 'admin'),
    ('nova', '/os-hypervisors/statistics', '2.1', 'admin'),
    ('nova', '/os-migrations', '2.59', 'admin'),
    ('nova', '/os-aggregates', '2.1', 'admin'),
    ('nova', '/os-simple-tenant-usage', '2.40', 'admin'),
    ('nova', '/os-volumes', '2.1', 'demo'),
    ('cinder', '/volumes', '3.0', 'demo'),
    ('cinder', '/volumes/detail', '3.70', 'demo'),
    ('cinder', '/volumes/summary', '3.36', 'demo'),
    ('cinder', '/attachments', '3.70', 'demo'),
    ('cinder', '/backups/detail', '3.70', 'demo'),
    ('cinder', '/os-services', '3.0', 'admin'),
    ('cinder', '/scheduler-stats/get_pools', '3.0', 'admin'),
)
#: Of these a list with partial records shows the gap.
UNKNOWN_LISTS = (
    ('nova', '/servers', '2.69', 'demo'),
    ('nova', '/servers/detail', '2.96', 'demo'),
    ('nova', '/servers/detail?all_tenants=1', '2.96', 'admin'),
    ('nova', '/os-services', '2.69', 'admin'),
)
NOT_SERVING = (
    Refusal(status=401),
    Refusal(status=404),
    Refusal(status=405),
    BalancerAnswers('html'),
    BalancerAnswers('json'),
    BalancerAnswers('text', status=401),
    BalancerAnswers('html', status=405),
    BalancerAnswers('html', status=200),
    BalancerAnswers('json', status=200),
    BalancerAnswers('empty', status=200),
    Redirect(),
    Redirect(status=303),
    Redirect(status=308),
)
JUDGING = (
    Refusal(status=400),
    Refusal(status=403),
    Refusal(status=413, retry_after=7),
    Refusal(status=429, retry_after=7),
    BalancerAnswers('html', status=403),
)


class IncompleteListTest(ConversationTest):
    options = {'pods.breaker_failures': 1000}

    def setUp(self):
        super().setUp()
        self.servers, self.volumes = {}, {}
        for name in self.pods:
            self.servers[name] = self.cloud.lab.add_servers(name, 'demo')[0]['id']
            self.volumes[name] = self.cloud.lab.add_volumes(name, 'demo')[0]['id']
        self.learn_servers()
        self.learn_volumes()
        self.nova.get('/os-services', as_='admin')

    def get(self, row, query=''):
        name, path, version, who = row
        return getattr(self.cloud, name).get(path + query, version=version, as_=who)

    def set_state(self, name, state):
        answer = self.cloud.api.patch(f'/pods/{self.cloud.pod_ids[name]}', {'pod': {'state': state}})
        self.assertEqual(200, answer.status, answer.text)
        self.cloud.runtime.registry.refresh()

    def assertUnknown(self, row, answer):
        self.assertEqual(200, answer.status, (row, answer.text))
        unknown = [item for item in answer.json[row[1].split('/')[1].split('?')[0].removeprefix('os-')]]
        self.assertIn('UNKNOWN', [item.get('status') for item in unknown], row)


class TestRefusingPod(IncompleteListTest):
    def test_list_is_503_when_something_else_than_the_service_answers_for_a_pod(self):
        for may_skip in (False, True):
            self.skip_down_pods(may_skip)
            for fault in NOT_SERVING:
                self.break_pod('Pod2', fault)
                for row in LISTS:
                    self.assert_own_words(self.get(row), 503)
                for row in UNKNOWN_LISTS:
                    self.assertUnknown(row, self.get(row))

    def test_list_is_the_refusal_when_a_pod_judges_the_request(self):
        self.skip_down_pods()
        for fault in JUDGING:
            self.break_pod('Pod2', fault)
            for row in (*LISTS, *UNKNOWN_LISTS):
                answer = self.get(row)
                self.assertEqual(fault.status, answer.status, (row, fault))
                if getattr(fault, 'retry_after', None):
                    self.assertEqual('7', answer.headers['Retry-After'])

    def test_list_is_the_refusal_when_all_pods_refuse(self):
        for status in (401, 403, 404, 429):
            for name in self.pods:
                self.break_pod(name, Refusal(status=status))
            for row in LISTS:
                self.assertEqual(status, self.get(row).status, row)

    def test_list_is_503_when_a_pod_refuses_and_another_is_down(self):
        self.break_pod('Pod1', Refuse())
        self.break_pod('Pod2', Refusal(status=401))
        for row in LISTS:
            self.assertEqual(503, self.get(row).status, row)

    def test_list_is_503_when_a_pod_is_slow_even_if_pods_that_are_down_are_skipped(self):
        self.skip_down_pods()
        self.break_pod('Pod2', Hang())
        for row in LISTS:
            answer = self.get(row)
            self.assert_own_words(answer, 503)
            self.assertIn('Retry-After', answer.headers)
        for row in UNKNOWN_LISTS:
            self.assertUnknown(row, self.get(row))

    def test_pods_that_are_down_are_skipped_only_if_the_option_is_on(self):
        for fault in (Refuse(), Status(status=502)):
            self.break_pod('Pod2', fault)
            self.skip_down_pods(False)
            for row in LISTS:
                self.assert_own_words(self.get(row), 503)
            self.skip_down_pods()
            for row in LISTS:
                self.assertEqual(200, self.get(row).status, row)

    def test_search_by_name_finds_what_one_pod_has_and_is_503_without_the_other(self):
        row = ('nova', '/os-hypervisors/pod1/search', '2.1', 'admin')
        self.assertEqual(200, self.get(row).status)
        self.assertEqual(404, self.get(('nova', '/os-hypervisors/nothing/search', '2.1', 'admin')).status)
        self.break_pod('Pod2', Refuse())
        for path in ('/os-hypervisors/pod1/search', '/os-hypervisors/nothing/search'):
            self.assertEqual(503, self.get(('nova', path, '2.1', 'admin')).status)

    def test_unrecorded_server_is_503_while_a_pod_refuses_the_probe(self):
        for status in (401, 403, 429):
            (server,) = self.cloud.lab.add_servers('Pod2', 'demo')
            self.break_pod('Pod2', Refusal(status=status))
            self.assertEqual(503, self.nova.get(f'/servers/{server["id"]}').status, status)
            self.cloud.pod('Pod2').nova.faults.clear()
            self.assertEqual(200, self.nova.get(f'/servers/{server["id"]}').status)

    def test_redirect_of_a_pod_is_not_handed_to_clients(self):
        for status in (301, 302, 303, 307, 308):
            self.break_pod('Pod2', Redirect(status=status))
            for answer in (
                self.nova.get(f'/servers/{self.servers["Pod2"]}'),
                self.cinder.get(f'/volumes/{self.volumes["Pod2"]}'),
                self.nova.delete(f'/servers/{self.servers["Pod2"]}'),
                self.cinder.post('/volumes', {'volume': {'size': 1, 'availability_zone': 'az2'}}),
            ):
                self.assertIn(answer.status, (503, 504))
                self.assertNotIn('Location', answer.headers)
                self.assertNotIn('elsewhere', answer.text)

    def test_no_breaker_opens_by_limits_of_time_that_are_shorter_than_a_list_gets(self):
        self.cloud.runtime.client.breakers._limit = 2
        self.break_pod('Pod2', Hang())
        for number in range(3):
            self.nova.get(f'/servers/4f2e8d4c-6f1f-4e83-9a5e-{number:012x}')
        self.assertFalse(self.cloud.runtime.client.breakers.is_open((self.cloud.pod_ids['Pod2'], 'compute')))
        for _ in range(2):
            self.nova.get('/servers')
        self.assertTrue(self.cloud.runtime.client.breakers.is_open((self.cloud.pod_ids['Pod2'], 'compute')))


class TestMaintenance(IncompleteListTest):
    def test_list_is_503_or_unknown_when_all_pods_are_in_maintenance(self):
        for name in self.pods:
            self.set_state(name, 'maintenance')
        for may_skip in (False, True):
            self.skip_down_pods(may_skip)
            for row in LISTS:
                self.assertEqual(503, self.get(row).status, row)
            for row in UNKNOWN_LISTS:
                self.assertUnknown(row, self.get(row))

    def test_list_is_503_or_unknown_when_the_zone_is_in_maintenance(self):
        self.set_state('Pod2', 'maintenance')
        for row in (
            ('nova', '/servers/detail?availability_zone=az2', '2.96', 'demo'),
            ('cinder', '/volumes?availability_zone=az2', '3.70', 'demo'),
            ('nova', '/os-hosts?zone=az2', '2.1', 'admin'),
            ('nova', '/os-services?host=Pod2@pod2-compute-1', '2.1', 'admin'),
        ):
            self.assertEqual(503, self.get(row).status, row)
        for row in (
            ('nova', '/servers/detail?availability_zone=az1', '2.96', 'demo'),
            ('cinder', '/volumes?availability_zone=az1', '3.70', 'demo'),
            ('nova', '/os-hosts?zone=az1', '2.1', 'admin'),
        ):
            self.assertEqual(200, self.get(row).status, row)

    def test_pod_in_maintenance_counts_as_down(self):
        self.set_state('Pod2', 'maintenance')
        for row in LISTS:
            if row[1] in ('/attachments', '/backups/detail'):
                self.assertEqual(200, self.get(row).status)  # The pod has none.
            else:
                self.assert_own_words(self.get(row), 503)
        for row in UNKNOWN_LISTS:
            self.assertUnknown(row, self.get(row))
        self.skip_down_pods()
        for row in LISTS:
            self.assertEqual(200, self.get(row).status, row)

    def test_pod_without_resources_of_the_project_does_not_matter(self):
        for pod_id in self.cloud.pod_ids.values():
            pods.set_reconciled(self.cloud.runtime.db, pod_id, utcnow())
        self.set_state('Pod2', 'maintenance')
        for row in (('nova', '/servers', '2.1', 'alt'), ('cinder', '/volumes', '3.0', 'alt')):
            self.assertEqual(200, self.get(row).status, row)
        self.assertEqual(503, self.get(('nova', '/servers', '2.1', 'demo')).status)

    def test_marker_in_pod_in_maintenance_gives_page_after_it(self):
        self.skip_down_pods()
        self.set_state('Pod2', 'maintenance')
        self.assertEqual(200, self.nova.get(f'/servers?marker={self.servers["Pod2"]}').status)
        self.assertEqual(200, self.cinder.get(f'/volumes?marker={self.volumes["Pod2"]}').status)


class TestJoiningPod(IncompleteListTest):
    def test_pod_in_maintenance_since_its_registration_hides_nothing(self):
        self.cloud.lab.add_pod('Pod3')
        answer = self.cloud.api.post(
            '/pods', {'pod': {'pod_name': 'Pod3', 'az_name': 'az3', 'state': 'maintenance', 'reason': 'new'}}
        )
        self.assertEqual(200, answer.status, answer.text)
        self.cloud.runtime.registry.refresh()
        for row in LISTS:
            self.assertEqual(200, self.get(row).status, row)


class TestEndlessPages(IncompleteListTest):
    def test_list_is_503_when_a_pod_repeats_its_pages(self):
        self.break_pod('Pod2', EndlessPages())
        for row in (
            ('nova', '/servers/detail?sort_key=display_name', '2.1', 'demo'),
            ('nova', '/os-server-groups', '2.1', 'demo'),
            ('nova', '/os-hypervisors?limit=5', '2.53', 'admin'),
            ('cinder', '/volumes/detail?sort=name', '3.70', 'demo'),
            ('cinder', '/attachments', '3.70', 'demo'),
        ):
            before = len(self.seen('Pod2', row[0]))
            answer = self.get(row)
            if answer.status != 200:
                self.assert_own_words(answer, 503)
            self.assertLess(len(self.seen('Pod2', row[0])) - before, 6, row)


class TestDeletedPods(IncompleteListTest):
    def test_endpoint_that_left_the_catalog_does_not_hide_resources(self):
        pods.set_endpoints(self.cloud.runtime.db, self.cloud.pod_ids['Pod2'], {})
        self.cloud.runtime.registry.refresh()
        self.assertEqual(2, len(routings.get_many(self.cloud.runtime.db, 'server', list(self.servers.values()))))
        self.assertEqual(503, self.nova.get('/servers', version='2.1').status)
        self.assertEqual({*self.servers.values()}, set(ids(self.nova.get('/servers', version='2.69')['servers'])))


class TestMembers(IncompleteListTest):
    """What members learn of pods and hosts while pods are away."""

    PATHS = (
        ('GET', '/os-hosts/nosuch', '2.1'),
        ('GET', '/os-hypervisors/1001', '2.1'),
        ('GET', '/os-hypervisors/1002', '2.1'),
        ('GET', '/os-hypervisors/4f2e8d4c-6f1f-4e83-9a5e-3a8a4a6a0000', '2.53'),
        ('GET', '/os-services', '2.1'),
        ('GET', '/os-services', '2.69'),
        ('GET', '/os-services?host=pod1-compute-1', '2.69'),
        ('GET', '/os-aggregates', '2.1'),
        ('GET', '/os-aggregates/1002', '2.1'),
        ('GET', '/os-availability-zone/detail', '2.1'),
        ('PUT', '/os-services/disable', '2.1'),
        ('PUT', '/os-services/1002', '2.53'),
        ('DELETE', '/os-services/1001', '2.1'),
    )

    def assertTellsNothing(self, answer, path):
        self.assertNotEqual(200, answer.status, path)
        for name in ('Pod1', 'Pod2', 'pod1-', 'pod2-'):
            self.assertNotIn(
                name, answer.text.replace('pod1-compute-1', '') if 'pod1-compute-1' in path else answer.text
            )

    def ask_all(self):
        for method, path, version in self.PATHS:
            body = {'host': 'x', 'binary': 'nova-compute'} if method == 'PUT' else None
            self.assertTellsNothing(self.nova.request(method, path, body, version=version), path)
        for path in ('/os-services', '/os-hosts', '/os-hosts/nosuch', '/clusters', '/scheduler-stats/get_pools'):
            self.assertTellsNothing(self.cinder.get(path, version='3.70'), path)

    def test_members_learn_no_names_of_pods_and_hosts(self):
        self.ask_all()
        for name in self.pods:
            self.break_pod(name, Refuse())
            self.ask_all()
        for name in self.pods:
            self.break_pod(name, Hang())
        self.ask_all()
        for name in self.pods:
            self.set_state(name, 'maintenance')
            self.ask_all()

    def test_errors_for_admins_name_the_pod(self):
        self.break_pod('Pod2', Refuse())
        self.assertIn('Pod2', self.nova.get('/os-hypervisors/1002', as_='admin').fault)
        self.assertEqual(200, self.nova.get('/os-services', version='2.69', as_='admin').status)


class TestHostsOfOneName(ConversationTest):
    def setUp(self):
        super().setUp()
        self.servers = {}
        for name in self.pods:
            nova = self.cloud.pod(name).nova
            nova.hosts = ['cmp1']
            (record,) = self.cloud.lab.add_servers(name, 'demo')
            record['host'] = record['node'] = 'cmp1'
            self.servers[name] = record['id']

    def list(self, query):
        return self.nova.get(f'/servers/detail?all_tenants=1&{query}', as_='admin')

    def test_qualified_host_selects_the_servers_of_its_pod(self):
        for parameter in ('host', 'node'):
            for name in self.pods:
                answer = self.list(f'{parameter}={name}@cmp1')
                self.assertEqual([self.servers[name]], ids(answer['servers']), (parameter, name))

    def test_host_of_two_pods_is_409_that_names_both(self):
        for parameter in ('host', 'node', 'hypervisor_hostname'):
            answer = self.list(f'{parameter}=cmp1')
            self.assertEqual(409, answer.status, answer.text)
            self.assertIn('Pod1@cmp1 or Pod2@cmp1', answer.fault)

    def test_host_of_one_pod_needs_no_pod(self):
        self.cloud.pod('Pod2').nova.hosts = ['other']
        self.assertEqual(200, self.list('host=cmp1').status)

    def test_qualified_backend_selects_the_volumes_of_its_pod(self):
        records = {name: self.cloud.lab.add_volumes(name, 'demo')[0] for name in self.pods}
        for name, record in records.items():
            for query in (f'host={name}@{record["host"]}', f'host={record["host"]}'):
                answer = self.cinder.get('/volumes/detail?all_tenants=1', query=None, as_='admin')
                self.assertEqual(2, len(answer['volumes']))
                answer = self.cinder.get(f'/volumes/detail?all_tenants=1&{query.replace("#", "%23")}', as_='admin')
                self.assertEqual([record['id']], ids(answer['volumes']), query)

    def test_names_of_hosts_are_no_filters_for_members(self):
        for query in ('host=cmp1', 'host=Pod1@cmp1'):
            answer = self.nova.get(f'/servers?{query}')
            self.assertEqual(set(self.servers.values()), set(ids(answer['servers'])), query)


class TestHostIds(ConversationTest):
    def test_host_id_differs_between_pods_and_is_the_same_in_all_answers(self):
        found = {}
        for name in self.pods:
            nova = self.cloud.pod(name).nova
            nova.hosts = ['cmp1']
            record, second = self.cloud.lab.add_servers(name, 'demo', 2)
            record['host'] = record['node'] = second['host'] = second['node'] = 'cmp1'
            record['metadata'] = {'hostId': 'a' * 56}
            shown = [self.nova.get(f'/servers/{each["id"]}')['server'] for each in (record, second)]
            listed = {item['id']: item for item in self.nova.get('/servers/detail')['servers']}
            host_ids = {item['hostId'] for item in (*shown, listed[record['id']], listed[second['id']])}
            self.assertEqual(1, len(host_ids), host_ids)
            found[name] = host_ids.pop()
            self.assertRegex(found[name], '^[0-9a-f]{56}$')
            for item in (shown[0], listed[record['id']]):
                self.assertEqual({'hostId': 'a' * 56}, item['metadata'])
            self.assertEqual({'hostId': 'a' * 56}, self.nova.get(f'/servers/{record["id"]}/metadata')['metadata'])
        self.assertNotEqual(found['Pod1'], found['Pod2'])


class TestLongLists(ConversationTest):
    options = {'pods.gather_timeout': 0.2, 'pods.read_timeout': 30.0}

    def setUp(self):
        super().setUp()
        self.cloud.transport.real_time = True
        for name in self.pods:
            self.cloud.lab.add_servers(name, 'demo', 30)
            self.cloud.pod(name).nova.settings.max_limit = 5
            self.cloud.pod(name).nova.faults.add(Slow(0.05, path='/servers/detail'))

    def test_list_of_many_pages_may_take_longer_than_one_page(self):
        answer = self.nova.get('/servers?sort_key=display_name&sort_dir=asc')
        self.assertEqual((200, 60), (answer.status, len(set(ids(answer['servers'])))))

    def test_list_that_takes_longer_than_all_pages_may_is_503(self):
        self.override('read_timeout', 0.2, 'pods')
        for _ in range(2):
            answer = self.nova.get('/servers?sort_key=display_name&sort_dir=asc')
            self.assert_own_words(answer, 503)
            self.assertIn('Retry-After', answer.headers)
        self.assertEqual(0, sum(self.cloud.runtime.client.breakers.is_open((pod_id, 'compute'))
                                for pod_id in self.cloud.pod_ids.values()))  # fmt: skip
