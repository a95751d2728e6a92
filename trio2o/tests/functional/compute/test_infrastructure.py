# SPDX-License-Identifier: Apache-2.0
"""Hosts, hypervisors, services, migrations and consoles of many pods, for admins."""

import datetime

import orjson

from trio2o.lab.emulated.faults import Refuse, Status
from trio2o.tests.functional.compute.base import InfrastructureTest

NOON = datetime.datetime(2026, 1, 1, 12)


class TestAccess(InfrastructureTest):
    def test_member_gets_403_of_pod(self):
        for path in ('os-services', 'os-hypervisors', 'os-hosts', 'os-aggregates', 'os-migrations'):
            answer = self.nova.get(f'/{path}')
            self.assertEqual(403, answer.status, path)
            self.assertEqual(self.cloud.direct('Pod1').get(f'/{path}').json, answer.json)

    def test_member_gets_403_for_unknown_id(self):
        for path in ('os-hypervisors/9001', 'os-aggregates/9001', 'os-aggregates/1'):
            self.assertEqual(403, self.nova.get(f'/{path}').status, path)


class TestServices(InfrastructureTest):
    def test_list_has_services_of_all_pods_with_zones_of_gateway(self):
        services = self.get('/os-services')['services']
        zones = {(service['host'], service['zone']) for service in services}
        self.assertEqual({('control', 'internal'), ('pod1-compute-1', 'az1'), ('pod2-compute-1', 'az2')}, zones)
        self.assertEqual([1001, 2001, 3001, 1002, 2002, 3002], [service['id'] for service in services])

    def test_uuids_of_services_are_those_of_pods(self):
        ids = [service['id'] for service in self.get('/os-services', '2.53')['services']]
        there = [
            service['id']
            for pod in ('Pod1', 'Pod2')
            for service in self.direct(pod, '/os-services', '2.53')['services']
        ]
        self.assertEqual(there, ids)

    def test_service_is_disabled_by_host(self):
        answer = self.admin('PUT', '/os-services/disable', {'host': 'pod2-compute-1', 'binary': 'nova-compute'})
        self.assertEqual(200, answer.status, answer.text)
        self.assertEqual({'pod2-compute-1': None}, self.cloud.pod('Pod2').nova.disabled)
        self.assertEqual({}, self.cloud.pod('Pod1').nova.disabled)

    def test_service_is_disabled_by_uuid(self):
        service = self.get('/os-services?binary=nova-compute', '2.53')['services'][1]
        answer = self.admin(
            'PUT', f'/os-services/{service["id"]}', {'status': 'disabled', 'disabled_reason': 'old'}, '2.53'
        )
        self.assertEqual(200, answer.status, answer.text)
        self.assertEqual('az2', answer['service']['zone'])
        self.assertEqual({'pod2-compute-1': 'old'}, self.cloud.pod('Pod2').nova.disabled)

    def test_ambiguous_host_is_409_and_qualified_name_works(self):
        self.share_host()
        body = {'host': 'same', 'binary': 'nova-compute'}
        answer = self.admin('PUT', '/os-services/disable', body)
        self.assertEqual(409, answer.status)
        self.assertIn('Pod1@same or Pod2@same', answer.fault)
        self.assertEqual({}, self.cloud.pod('Pod1').nova.disabled | self.cloud.pod('Pod2').nova.disabled)
        answer = self.admin('PUT', '/os-services/disable', {**body, 'host': 'Pod2@same'})
        self.assertEqual(200, answer.status, answer.text)
        self.assertEqual({'same': None}, self.cloud.pod('Pod2').nova.disabled)
        services = self.get('/os-services?host=Pod2@same&binary=nova-compute')['services']
        self.assertEqual([('same', 'disabled', 'az2')], [(s['host'], s['status'], s['zone']) for s in services])

    def test_unknown_service_or_host_is_404(self):
        body = {'host': 'nowhere', 'binary': 'nova-compute'}
        self.assertEqual(404, self.admin('PUT', '/os-services/disable', body).status)
        missing = '6f1f8d4c-6f1f-4e83-9a5e-3a8a4a6a0000'
        answer = self.admin('PUT', f'/os-services/{missing}', {'status': 'enabled'}, '2.53')
        self.assertEqual((404, f'Service {missing} could not be found.'), (answer.status, answer.fault))

    def test_from_2_69_services_of_unreachable_pod_are_unknown(self):
        self.get('/os-services')
        self.break_pod('Pod2', Refuse())
        services = self.get('/os-services', '2.69')['services']
        self.assertEqual({'binary': 'nova-compute', 'host': 'pod2-compute-1', 'status': 'UNKNOWN'}, services[-1])
        self.assertEqual(4, len(services))
        lists = (('/os-services', '2.68', 3), ('/os-services?binary=nova-conductor', '2.69', 1))
        for path, version, _count in lists:
            self.assert_own_words(self.get(path, version), 503)
        self.skip_down_pods()
        for path, version, count in lists:
            self.assertEqual(count, len(self.get(path, version)['services']))

    def test_new_process_shows_recorded_services_of_unreachable_pod(self):
        self.get('/os-services')
        self.break_pod('Pod2', Refuse())
        self.cloud.runtime.compute_hosts._recorded.clear()
        services = self.get('/os-services', '2.69')['services']
        self.assertEqual({'binary': 'nova-compute', 'host': 'pod2-compute-1', 'status': 'UNKNOWN'}, services[-1])
        self.cloud.pod('Pod2').nova.faults.clear()
        self.cloud.runtime.client.breakers._states.clear()
        self.cloud.pod('Pod2').nova.hosts = ['other']
        self.get('/os-services')
        self.break_pod('Pod2', Refuse())
        unknown = [row['host'] for row in self.get('/os-services', '2.69')['services'] if row['status'] == 'UNKNOWN']
        self.assertEqual(['other'], unknown)

    def test_unqualified_host_is_503_while_a_pod_is_unreachable(self):
        self.break_pod('Pod2', Refuse())
        body = {'host': 'pod1-compute-1', 'binary': 'nova-compute'}
        answer = self.admin('PUT', '/os-services/disable', body)
        self.assertEqual(503, answer.status)
        self.assertIn('Pod1@pod1-compute-1', answer.fault)
        self.assertEqual(
            200, self.admin('PUT', '/os-services/disable', {**body, 'host': 'Pod1@pod1-compute-1'}).status
        )


class TestHosts(InfrastructureTest):
    def test_hosts_are_listed_by_zone(self):
        hypervisors = self.get('/os-hosts?zone=az2')['hosts']
        self.assertEqual(
            {'pod2-compute-1'}, {host['host_name'] for host in hypervisors if host['service'] == 'compute'}
        )
        self.assertEqual(6, len(self.get('/os-hosts')['hosts']))

    def test_host_is_shown_by_plain_or_qualified_name(self):
        answer = self.get('/os-hosts/pod2-compute-1')
        self.assertEqual(self.direct('Pod2', '/os-hosts/pod2-compute-1').json, answer.json)
        self.assertEqual(200, self.get('/os-hosts/Pod2@pod2-compute-1').status)
        self.assertEqual(404, self.get('/os-hosts/Pod1@pod2-compute-1').status)
        self.assertEqual(404, self.get('/os-hosts/nowhere').status)
        self.assertEqual(404, self.get('/os-hosts/pod2-compute-1', '2.43').status)


class TestHypervisors(InfrastructureTest):
    def setUp(self):
        super().setUp()
        for name in ('Pod1', 'Pod2'):
            self.cloud.pod(name).nova.hosts = [f'{name.lower()}-{number}' for number in range(3)]

    def test_ids_of_hypervisors_are_unique_and_show_the_hypervisor(self):
        for hypervisor in self.get('/os-hypervisors/detail')['hypervisors']:
            shown = self.get(f'/os-hypervisors/{hypervisor["id"]}')
            self.assertEqual(hypervisor['hypervisor_hostname'], shown['hypervisor']['hypervisor_hostname'])
            self.assertEqual(hypervisor['service']['id'], shown['hypervisor']['service']['id'])
            uptime = self.get(f'/os-hypervisors/{hypervisor["id"]}/uptime')
            self.assertEqual(hypervisor['id'], uptime['hypervisor']['id'])

    def test_uuid_of_hypervisor_shows_it(self):
        for hypervisor in self.get('/os-hypervisors', '2.53')['hypervisors']:
            shown = self.get(f'/os-hypervisors/{hypervisor["id"]}', '2.53')
            self.assertEqual(hypervisor['hypervisor_hostname'], shown['hypervisor']['hypervisor_hostname'])

    def test_pages_of_any_size_make_the_whole_list(self):
        for version in ('2.33', '2.53'):
            whole = self.get('/os-hypervisors', version)['hypervisors']
            self.assertEqual(6, len(whole))
            for limit in (1, 2, 4, 6, 7):
                found, path, count = [], f'/os-hypervisors?limit={limit}', 0
                while path and count < 10:
                    answer = self.get(path, version)
                    found += answer['hypervisors']
                    links = answer.json.get('hypervisors_links')
                    path, count = links and links[0]['href'], count + 1
                self.assertEqual(whole, found, (version, limit))

    def test_unknown_marker_is_refused_with_400(self):
        for version in ('2.33', '2.53'):
            answer = self.get('/os-hypervisors?marker=9001', version)
            self.assertEqual((400, 'marker [9001] not found'), (answer.status, answer.fault))

    def test_search_finds_hypervisors_of_all_pods(self):
        found = self.get('/os-hypervisors/pod2/search')['hypervisors']
        self.assertEqual([1002, 2002, 3002], [hypervisor['id'] for hypervisor in found])
        self.assertEqual(404, self.get('/os-hypervisors/none/search').status)
        found = self.get('/os-hypervisors?hypervisor_hostname_pattern=pod1', '2.53')['hypervisors']
        self.assertEqual(3, len(found))
        self.assertEqual(404, self.get('/os-hypervisors?hypervisor_hostname_pattern=x', '2.53').status)

    def test_statistics_are_sums_over_pods(self):
        self.cloud.lab.add_servers('Pod1', 'demo', 2)
        self.cloud.lab.add_servers('Pod2', 'demo', 1)
        statistics = self.get('/os-hypervisors/statistics')['hypervisor_statistics']
        parts = [self.direct(pod, '/os-hypervisors/statistics')['hypervisor_statistics'] for pod in ('Pod1', 'Pod2')]
        self.assertEqual({name: parts[0][name] + parts[1][name] for name in parts[0]}, statistics)

    def test_unknown_hypervisor_is_404(self):
        answer = self.get('/os-hypervisors/9001')
        self.assertEqual((404, "Hypervisor with ID '9001' could not be found."), (answer.status, answer.fault))
        self.assertEqual(404, self.get('/os-hypervisors/1').status)

    def test_list_without_unreachable_pod_is_503(self):
        self.break_pod('Pod2', Refuse())
        for path in ('/os-hypervisors', '/os-hypervisors?limit=1', '/os-hypervisors/statistics'):
            self.assert_own_words(self.get(path), 503)

    def test_hypervisors_of_unreachable_pod_are_left_out_if_option_is_on_and_503_by_id(self):
        self.skip_down_pods()
        self.break_pod('Pod2', Refuse())
        self.assertEqual(3, len(self.get('/os-hypervisors')['hypervisors']))
        answer = self.get('/os-hypervisors/1002')
        self.assertEqual(503, answer.status)
        self.assertEqual(200, self.get('/os-hypervisors/1001').status)


class TestMigrations(InfrastructureTest):
    def setUp(self):
        super().setUp()
        self.server = self.cloud.lab.add_servers('Pod2', 'demo')[0]
        for pod, offsets in (('Pod1', (0, 1, 5, 9)), ('Pod2', (0, 2, 5, 7, 11))):
            nova = self.cloud.pod(pod).nova
            nova.migrations = [
                {
                    'id': number,
                    'uuid': nova.new_id(),
                    'instance_uuid': self.server['id'],
                    'created_at': NOON + datetime.timedelta(seconds=seconds),
                }
                for number, seconds in enumerate(offsets, 1)
            ]

    def test_pages_are_sorted_newest_first(self):
        whole = self.get('/os-migrations', '2.59')['migrations']
        times = [migration['created_at'] for migration in whole]
        self.assertEqual(sorted(times, reverse=True), times)
        self.assertEqual(9, len(whole))
        for limit in (1, 2, 3, 5, 8, 9):
            found, path = [], f'/os-migrations?limit={limit}'
            while path:
                answer = self.get(path, '2.59')
                found += answer['migrations']
                links = answer.json.get('migrations_links')
                path = links and links[0]['href']
            self.assertEqual(whole, found, limit)

    def test_migration_has_one_id_in_list_and_below_server(self):
        mine = {migration['id'] for migration in self.get('/os-migrations')['migrations'] if migration['id'] % 10 == 2}
        below = self.get(f'/servers/{self.server["id"]}/migrations', '2.23')['migrations']
        self.assertEqual(mine, {migration['id'] for migration in below})
        one = below[0]['id']
        shown = self.get(f'/servers/{self.server["id"]}/migrations/{one}', '2.23')
        self.assertEqual(one, shown['migration']['id'])
        self.assertEqual(404, self.get(f'/servers/{self.server["id"]}/migrations/{one - 1}', '2.23').status)

    def test_refusal_of_pod_names_migration_as_callers_know_it(self):
        mine = self.get(f'/servers/{self.server["id"]}/migrations', '2.23')['migrations'][1]
        number = mine['id'] // 1000
        json = (('Content-Type', 'application/json'),)
        for status, key, text in (
            (404, 'itemNotFound', 'In-progress live migration {} is not found for server 1.'),
            (
                400,
                'badRequest',
                'Migration {} state of instance 1 is completed. Cannot abort it.',
            ),
        ):
            body = orjson.dumps({key: {'code': status, 'message': text.format(number)}})
            self.break_pod('Pod2', Status(status, body=body, headers=json, method='DELETE'))
            path = f'/servers/{self.server["id"]}/migrations/{mine["id"]}'
            answer = self.nova.delete(path, version='2.24', as_='admin')
            self.assertEqual((status, text.format(mine['id'])), (answer.status, answer.fault))

    def test_link_of_migration_works(self):
        link = self.get('/os-migrations', '2.59')['migrations'][0]['links'][0]['href']
        self.assertEqual(200, self.get(link, '2.59').status)

    def test_unknown_marker_is_refused_with_400(self):
        marker = '6f1f8d4c-6f1f-4e83-9a5e-3a8a4a6a0000'
        self.assertEqual(400, self.get(f'/os-migrations?marker={marker}', '2.59').status)


class TestConsoles(InfrastructureTest):
    def test_console_token_is_looked_up_in_all_pods(self):
        self.cloud.pod('Pod2').nova.consoles['t0k3n'] = {'instance_uuid': 'x', 'host': 'pod2-compute-1', 'port': 5900}
        answer = self.get('/os-console-auth-tokens/t0k3n', '2.31')
        self.assertEqual(5900, answer['console']['port'])
        answer = self.get('/os-console-auth-tokens/other', '2.31')
        self.assertEqual((404, 'Token not found'), (answer.status, answer.fault))
        self.assertEqual(400, self.get('/os-console-auth-tokens/t0k3n', '2.30').status)
        self.break_pod('Pod1', Refuse())
        self.assertEqual(200, self.get('/os-console-auth-tokens/t0k3n', '2.31').status)
        self.assertEqual(503, self.get('/os-console-auth-tokens/other', '2.31').status)
