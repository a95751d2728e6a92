# SPDX-License-Identifier: Apache-2.0
"""Lists over several pods: order, pages, filters, links, and unreachable pods."""

import datetime
import itertools
from urllib.parse import parse_qsl, urlsplit

from trio2o.db import pods, routings
from trio2o.db.database import utcnow
from trio2o.lab.emulated.faults import Garbage, Hang, Refuse, Status
from trio2o.tests.functional.operations.base import ConversationTest, ids

NOON = datetime.datetime(2026, 1, 1, 12)
PODS = {'Pod1': 'az1', 'Pod2': 'az2', 'Pod3': 'az2'}


def at(seconds):
    return NOON + datetime.timedelta(seconds=seconds)


class ListTest(ConversationTest):
    """Three pods with servers and volumes whose times interleave and are often equal."""

    pods = PODS

    def setUp(self):
        super().setUp()
        self.servers = []
        self.volumes = []

    def fill_servers(self, count=24, spacing=0.5, project='demo', **given):
        """Add servers whose times are often in the same second and differ in microseconds."""
        made = []
        for index, pod in zip(range(count), itertools.cycle(PODS), strict=False):
            record = self.cloud.lab.add_servers(
                pod, project, name=f'server-{index % 7}', created_at=at(index * spacing), updated_at=at(index), **given
            )[0]
            made.append(record)
        self.servers += made
        return made

    def fill_volumes(self, count=24, project='demo'):
        made = []
        for index, pod in zip(range(count), itertools.cycle(PODS), strict=False):
            record = self.cloud.lab.add_volumes(
                pod, project, size=1 + index % 5, name=f'volume-{index % 7}', created_at=at(index // 3)
            )[0]
            made.append(record)
        self.volumes += made
        return made

    def walk(self, client, path, key, **kwargs):
        """Follow the next links to the end."""
        found, pages = [], []
        while path:
            answer = client.get(path, **kwargs)
            self.assertEqual(200, answer.status, answer.text)
            found += answer[key]
            pages.append(answer)
            links = answer.json.get(f'{key}_links', [])
            path = next((link['href'] for link in links if link['rel'] == 'next'), None)
            self.assertLess(len(pages), 200)
        return found, pages


def newest_first(records):
    records = sorted(records, key=lambda record: record['id'])
    return ids(sorted(records, key=lambda record: record['created_at'].replace(microsecond=0), reverse=True))


class TestServerPages(ListTest):
    def test_pages_of_any_size_make_the_same_list(self):
        self.fill_servers()
        wanted = newest_first(self.servers)
        for limit in (1, 2, 3, 5, 23, 24, 25):
            with self.subTest(limit=limit):
                found, _pages = self.walk(self.cloud.nova, f'/servers?limit={limit}', 'servers')
                self.assertEqual(wanted, ids(found))

    def test_servers_created_in_one_second_are_listed_once_each(self):
        self.fill_servers(count=30, spacing=0.01)
        found, _pages = self.walk(self.cloud.nova, '/servers?limit=4', 'servers')
        self.assertEqual(newest_first(self.servers), ids(found))

    def test_list_is_complete_though_max_limit_of_pods_is_small(self):
        self.fill_servers()
        for name in PODS:
            self.cloud.pod(name).nova.settings.max_limit = 3
        answer = self.cloud.nova.get('/servers/detail')
        self.assertEqual(newest_first(self.servers), ids(answer['servers']))
        self.assertNotIn('servers_links', answer.json)

    def test_pages_are_sorted_by_requested_keys(self):
        self.fill_servers()

        def by(*keys):
            records = sorted(self.servers, key=lambda record: record['id'])
            for field, is_descending in reversed(keys):
                records.sort(key=lambda record, field=field: record[field], reverse=is_descending)
            return ids(records)

        for query, wanted in (
            ('sort_key=display_name&sort_dir=asc', by(('name', False))),
            ('sort_key=display_name', by(('name', True))),
            ('sort_key=uuid&sort_dir=asc', by(('id', False))),
            ('sort_key=display_name&sort_dir=asc&sort_key=uuid&sort_dir=desc', by(('name', False), ('id', True))),
        ):
            with self.subTest(query=query):
                marker, found = '', []
                while True:
                    answer = self.cloud.nova.get(f'/servers?{query}&limit=5{marker}')
                    self.assertEqual(200, answer.status, answer.text)
                    found += ids(answer['servers'])
                    if len(answer['servers']) < 5:
                        break
                    marker = f'&marker={found[-1]}'
                self.assertEqual(wanted, found)

    def test_sort_by_hidden_field_lists_each_server_once(self):
        """The merge knows only the ids, and must list each server exactly once."""
        self.fill_servers()
        for number, record in enumerate(self.servers):
            record['progress'] = number * 7 % 24
        marker, found = '', []
        while True:
            answer = self.cloud.nova.get(f'/servers?sort_key=progress&limit=5{marker}')
            found += ids(answer['servers'])
            if len(answer['servers']) < 5:
                break
            marker = f'&marker={found[-1]}'
        self.assertEqual(sorted(ids(self.servers)), sorted(found))

    def test_ignored_sort_keys_are_ignored_over_all_pods(self):
        self.fill_servers(count=6)
        answer = self.cloud.nova.get('/servers?sort_key=memory_mb')
        self.assertEqual(sorted(record['id'] for record in self.servers), ids(answer['servers']))
        answer = self.cloud.nova.get('/servers?sort_key=memory_mb', version='2.75')
        self.assertEqual(400, answer.status)

    def test_sort_by_ascending_created_at_lists_oldest_first(self):
        self.fill_servers()
        found, _pages = self.walk(self.cloud.nova, '/servers?sort_dir=asc&sort_key=created_at&limit=5', 'servers')
        records = sorted(self.servers, key=lambda record: record['id'])
        records.sort(key=lambda record: record['created_at'].replace(microsecond=0))
        self.assertEqual(ids(records), ids(found))

    def test_empty_marker_is_ignored(self):
        self.fill_servers(count=3)
        self.assertEqual(
            ids(self.cloud.nova.get('/servers')['servers']), ids(self.cloud.nova.get('/servers?marker=')['servers'])
        )

    def test_limit_zero_gives_empty_list_without_link(self):
        self.fill_servers(count=3)
        answer = self.cloud.nova.get('/servers?limit=0')
        self.assertEqual({'servers': []}, answer.json)

    def test_unknown_marker_is_refused_with_400(self):
        self.fill_servers(count=3)
        for marker in ('4f2e8d4c-6f1f-4e83-9a5e-3a8a4a6a0000', 'x', 'a' * 300, '%00', '%F0%9F%98%80'):
            with self.subTest(marker=marker):
                answer = self.cloud.nova.get(f'/servers?marker={marker}')
                self.assertEqual(400, answer.status, answer.text)
                self.assertIn('not found', answer.fault)
                self.assertIn('marker [', answer.fault)

    def test_marker_of_another_project_is_refused_with_400(self):
        self.fill_servers(count=6)
        (foreign,) = self.cloud.lab.add_servers('Pod2', 'alt')
        for who in ('alt', 'demo', 'demo'):
            answer = self.cloud.nova.get(f'/servers?marker={foreign["id"]}', as_=who)
            self.assertEqual(200 if who == 'alt' else 400, answer.status, answer.text)

    def test_deleted_server_as_marker_gives_page_after_it(self):
        made = self.fill_servers(count=12, spacing=1)
        self.learn_servers()
        wanted = newest_first(made)
        gone = next(record for record in made if record['id'] == wanted[4])
        self.assertEqual(204, self.cloud.nova.delete(f'/servers/{gone["id"]}').status)
        answer = self.cloud.nova.get(f'/servers?limit=3&marker={gone["id"]}')
        self.assertEqual(wanted[5:8], ids(answer['servers']))

    def test_marker_in_unreachable_pod_gives_page_or_503(self):
        made = self.fill_servers(count=12, spacing=1)
        self.learn_servers()
        wanted = newest_first(made)
        alive = {record['id'] for record in self.cloud.pod('Pod1').nova.servers.values()} | {
            record['id'] for record in self.cloud.pod('Pod3').nova.servers.values()
        }
        dead = [index for index, id_ in enumerate(wanted) if id_ not in alive]
        self.skip_down_pods()
        self.cloud.pod('Pod2').nova.faults.add(Refuse())
        for index in dead:
            answer = self.cloud.nova.get(f'/servers?limit=50&marker={wanted[index]}')
            self.assertEqual([id_ for id_ in wanted[index + 1 :] if id_ in alive], ids(answer['servers']))
        answer = self.cloud.nova.get(f'/servers?sort_key=display_name&marker={wanted[dead[0]]}')
        self.assertEqual(503, answer.status)

    def test_next_link_keeps_path_and_query_of_request(self):
        self.fill_servers(count=9)
        project = self.cloud.project_id('demo')
        for path in ('/servers', '/servers/detail', f'/{project}/servers', f'/{project}/servers/detail'):
            with self.subTest(path=path):
                answer = self.cloud.nova.get(f'{path}?limit=2&status=ACTIVE&sort_dir=desc')
                (link,) = answer['servers_links']
                parts = urlsplit(link['href'])
                self.assertEqual('gateway.test:19998', parts.netloc)
                self.assertEqual(f'/v2.1{path}', parts.path)
                wanted = {'limit': '2', 'status': 'ACTIVE', 'sort_dir': 'desc', 'marker': answer['servers'][-1]['id']}
                self.assertEqual(wanted, dict(parse_qsl(parts.query)))
                for item in answer['servers']:
                    for link in item['links']:
                        self.assertTrue(link['href'].startswith('http://gateway.test:19998/'), link)
                        self.assertEqual(project in path, project in link['href'])

    def test_invalid_paging_values_get_answer_of_pod(self):
        self.fill_servers(count=3)
        direct = self.cloud.direct('Pod1')
        for query in ('limit=-1', 'limit=x', 'limit=1.5', 'sort_key=nonsense', 'limit=1%00'):
            with self.subTest(query=query):
                answer = self.cloud.nova.get(f'/servers?{query}')
                wanted = direct.get(f'/servers?{query}')
                self.assertEqual((wanted.status, wanted.body), (answer.status, answer.body))

    def test_number_with_thousands_of_digits_is_accepted(self):
        self.fill_servers(count=3)
        answer = self.cloud.nova.get('/servers?limit=' + '9' * 5000)
        self.assertEqual(3, len(answer['servers']))
        answer = self.cloud.cinder.get('/volumes?limit=' + '9' * 5000)
        self.assertEqual([], answer['volumes'])
        self.assertIn(self.cloud.cinder.get('/volumes?offset=' + '9' * 4000).status, (200, 400))


class TestServerFilters(ListTest):
    def test_filters_apply_to_all_pods(self):
        made = self.fill_servers(count=9)
        made[4]['vm_state'] = 'stopped'
        made[4]['power_state'] = 4
        for query, wanted in (
            ('name=server-1', [record for record in made if record['name'].startswith('server-1')]),
            ('name=server-[12]', [record for record in made if record['name'][7] in '12']),
            ('status=SHUTOFF', [made[4]]),
            ('status=ERROR', []),
        ):
            with self.subTest(query=query):
                answer = self.cloud.nova.get(f'/servers/detail?{query}')
                self.assertEqual(newest_first(wanted), ids(answer['servers']))

    def test_zone_filter_lists_servers_of_that_zone(self):
        made = self.fill_servers(count=9)
        answer = self.cloud.nova.get('/servers/detail?availability_zone=az2', version='2.83')
        self.assertEqual(newest_first(made[1::3] + made[2::3]), ids(answer['servers']))
        self.assertEqual({'az2'}, {item['OS-EXT-AZ:availability_zone'] for item in answer['servers']})
        answer = self.cloud.nova.get('/servers/detail?availability_zone=nowhere', version='2.83')
        self.assertEqual([], answer['servers'])

    def test_zone_filter_of_member_is_ignored_below_2_83(self):
        made = self.fill_servers(count=9)
        answer = self.cloud.nova.get('/servers/detail?availability_zone=az2', version='2.82')
        self.assertEqual(newest_first(made), ids(answer['servers']))

    def test_changes_since_lists_deleted_servers(self):
        made = self.fill_servers(count=6, spacing=1)
        self.cloud.nova.get('/servers/detail')
        self.assertEqual(204, self.cloud.nova.delete(f'/servers/{made[1]["id"]}').status)
        answer = self.cloud.nova.get('/servers/detail', query={'changes-since': at(3).isoformat() + 'Z'})
        found = {item['id']: item['status'] for item in answer['servers']}
        self.assertEqual('DELETED', found[made[1]['id']])
        self.assertEqual({record['id'] for record in made[3:]} | {made[1]['id']}, set(found))
        self.assertNotIn(made[1]['id'], ids(self.cloud.nova.get('/servers')['servers']))

    def test_invalid_filter_gets_answer_of_pod(self):
        self.fill_servers(count=3)
        for query, version in (('nonsense=1', '2.75'), ('status=nonsense', '2.38'), ('changes-since=x', None)):
            with self.subTest(query=query):
                answer = self.cloud.nova.get(f'/servers?{query}', version=version)
                wanted = self.cloud.direct('Pod1').get(f'/servers?{query}', version=version)
                self.assertEqual((400, wanted.body), (answer.status, answer.body))


class TestAllTenants(ListTest):
    def setUp(self):
        super().setUp()
        self.fill_servers(count=6)
        self.fill_servers(count=6, project='alt')

    def test_all_tenants_of_admin_lists_all_projects(self):
        for query in ('all_tenants=1', 'all_tenants', 'all_tenants=True'):
            found, _pages = self.walk(self.cloud.nova, f'/servers?{query}&limit=5', 'servers', as_='admin')
            self.assertEqual(newest_first(self.servers), ids(found))

    def test_all_tenants_of_member_is_refused_with_403(self):
        for query in ('all_tenants=1', 'all_tenants'):
            answer = self.cloud.nova.get(f'/servers?{query}')
            self.assertEqual(403, answer.status)

    def test_admin_without_all_tenants_sees_own_project(self):
        answer = self.cloud.nova.get('/servers', as_=('admin', 'demo'))
        self.assertEqual(newest_first(self.servers[:6]), ids(answer['servers']))

    def test_unreachable_pods_do_not_expose_servers_of_other_projects(self):
        self.learn_servers('/servers/detail?all_tenants=1', as_='admin')
        for name in PODS:
            self.cloud.pod(name).nova.faults.add(Refuse())
        answer = self.cloud.nova.get('/servers/detail?all_tenants=1', version='2.69')
        self.assertIn(answer.status, (403, 503))
        answer = self.cloud.nova.get('/servers/detail?all_tenants=1', version='2.69', as_='admin')
        self.assertEqual(set(ids(self.servers)), set(ids(answer['servers'])))


class TestServerForms(ListTest):
    def test_brief_list_has_id_links_and_name(self):
        self.fill_servers(count=4)
        answer = self.cloud.nova.get('/servers')
        self.assertEqual({('id', 'links', 'name')}, {tuple(sorted(item)) for item in answer['servers']})

    def test_detail_equals_what_pods_show(self):
        made = self.fill_servers(count=4)
        answer = self.cloud.nova.get('/servers/detail', version='2.96')
        direct = {}
        for name in PODS:
            for item in self.cloud.direct(name).get('/servers/detail', version='2.96')['servers']:
                direct[item['id']] = item
        for item in answer['servers']:
            wanted = direct[item['id']]
            self.assertEqual(list(wanted), list(item))
            for one in (item, wanted):
                del one['links'], one['image'], one['OS-EXT-AZ:availability_zone']
            self.assertEqual(wanted, item)
        self.assertEqual(len(made), len(answer['servers']))

    def test_merged_answer_has_version_vary_and_request_id(self):
        self.fill_servers(count=3)
        answer = self.cloud.nova.get('/servers', version='2.96')
        self.assertEqual('compute 2.96', answer.headers['OpenStack-API-Version'])
        self.assertEqual('2.96', answer.headers['X-OpenStack-Nova-API-Version'])
        self.assertEqual(
            ['OpenStack-API-Version', 'X-OpenStack-Nova-API-Version'], sorted(answer.headers.get_all('Vary'))
        )
        self.assertEqual(1, len(answer.headers.get_all('x-openstack-request-id')))
        self.assertEqual(answer.headers['x-openstack-request-id'], answer.headers['x-compute-request-id'])


class TestUnreachablePod(ListTest):
    FAULTS = (
        Refuse(),
        Hang(),
        Status(status=500),
        Status(status=503),
        Garbage(),
        Garbage(body=b'{"servers": [1, null]}'),
        Garbage(body=b'[]'),
    )

    def setUp(self):
        super().setUp()
        self.fill_servers(count=9, spacing=1)
        self.learn_servers()
        self.alive = [record for record in self.servers if record not in self.cloud.pod('Pod2').nova.servers.values()]

    def break_pod2(self, fault):
        faults = self.cloud.pod('Pod2').nova.faults
        faults.clear()
        faults.add(fault)

    def test_below_2_69_list_without_unreachable_pod_is_503(self):
        for fault in self.FAULTS:
            with self.subTest(fault=fault):
                self.break_pod2(fault)
                self.assert_own_words(self.cloud.nova.get('/servers/detail', version='2.68'), 503)

    def test_below_2_69_servers_of_pod_that_is_down_are_left_out_if_option_is_on(self):
        self.skip_down_pods()
        for fault in self.FAULTS:
            with self.subTest(fault=fault):
                self.break_pod2(fault)
                answer = self.cloud.nova.get('/servers/detail', version='2.68')
                if isinstance(fault, Hang | Garbage):
                    # It may only be slow, or something before it answered.
                    self.assert_own_words(answer, 503)
                    continue
                self.assertEqual(200, answer.status)
                self.assertEqual(newest_first(self.alive), ids(answer['servers']))

    def test_from_2_69_servers_of_unreachable_pod_are_unknown(self):
        dead = {record['id']: record for record in self.servers if record not in self.alive}
        project = self.cloud.project_id('demo')
        for fault in self.FAULTS:
            with self.subTest(fault=fault):
                self.break_pod2(fault)
                answer = self.cloud.nova.get('/servers/detail', version='2.69')
                self.assertEqual(200, answer.status)
                unknown = {item['id']: item for item in answer['servers'] if item['status'] == 'UNKNOWN'}
                self.assertEqual(set(dead), set(unknown))
                self.assertEqual(set(ids(self.servers)), set(ids(answer['servers'])))
                for id_, item in unknown.items():
                    self.assertEqual({'id', 'status', 'tenant_id', 'created', 'links'}, set(item))
                    self.assertEqual(project, item['tenant_id'])
                    self.assertEqual(dead[id_]['created_at'].strftime('%Y-%m-%dT%H:%M:%SZ'), item['created'])
                    self.assertIn(f'http://gateway.test:19998/v2.1/servers/{id_}', [x['href'] for x in item['links']])
                brief = self.cloud.nova.get('/servers', version='2.69')
                for item in brief['servers']:
                    if item['id'] in dead:
                        self.assertEqual({'id', 'status', 'links'}, set(item))

    def test_from_2_69_server_in_unreachable_pod_is_shown_from_records(self):
        (dead, *_others) = [record for record in self.servers if record not in self.alive]
        path = f'/servers/{dead["id"]}'
        for fault in (Refuse(), Hang(), Status(status=503)):
            with self.subTest(fault=fault):
                self.break_pod2(fault)
                shown = self.cloud.nova.get(path, version='2.69')
                self.assertEqual((200, 'compute 2.69'), (shown.status, shown.headers['OpenStack-API-Version']))
                server = shown['server']
                self.assertEqual(
                    ('UNKNOWN', 'az2', 0, self.cloud.project_id('demo')),
                    (
                        server['status'],
                        server['OS-EXT-AZ:availability_zone'],
                        server['OS-EXT-STS:power_state'],
                        server['tenant_id'],
                    ),
                )
                self.assertEqual(('UNKNOWN', 'UNKNOWN'), (server['image']['id'], server['flavor']['original_name']))
                self.assertEqual(200, self.cloud.nova.get(path, version='2.69', as_='admin').status)
                for kwargs in ({'version': '2.68'}, {'version': '2.69', 'as_': 'alt'}):
                    self.assertGreaterEqual(self.cloud.nova.get(path, **kwargs).status, 500, kwargs)
                self.assertGreaterEqual(self.cloud.nova.get(f'{path}/ips', version='2.69').status, 500)

    def test_filtered_list_has_no_unknown_servers(self):
        self.skip_down_pods()
        self.break_pod2(Refuse())
        for query in ('limit=50', 'status=ACTIVE', 'sort_key=display_name', 'name=server'):
            answer = self.cloud.nova.get(f'/servers/detail?{query}', version='2.69')
            self.assertEqual({'ACTIVE'}, {item['status'] for item in answer['servers']})

    def test_pod_with_open_breaker_gets_no_request(self):
        self.cloud.runtime.client.breakers._seconds = 1000.0
        self.break_pod2(Refuse())
        for _ in range(3):
            self.cloud.nova.get('/servers')
        self.cloud.lab.clear_logs()
        self.break_pod2(Status(status=500, times=0))
        self.cloud.nova.get('/servers')
        self.assertEqual(0, len(self.cloud.pod('Pod2').nova.requests))


class TestCompleteLists(ListTest):
    def test_incomplete_list_is_answered_503(self):
        self.fill_servers(count=3)
        self.assertEqual(200, self.cloud.nova.get('/servers').status)
        self.cloud.pod('Pod2').nova.faults.add(Refuse())
        self.cloud.pod('Pod2').cinder.faults.add(Refuse())
        for answer in (
            self.cloud.nova.get('/servers', version='2.68'),
            self.cloud.nova.get('/servers?limit=2', version='2.69'),
            self.cloud.cinder.get('/volumes'),
            self.cloud.cinder.get('/snapshots'),
        ):
            self.assertEqual(503, answer.status)
            self.assertIn('Retry-After', answer.headers)
            self.assertNotIn('Pod2', answer.text)
        self.assertEqual(200, self.cloud.nova.get('/servers', version='2.69').status)
        # Usage is counted in the gateway.
        self.assertEqual(200, self.cloud.nova.get('/limits').status)


class TestShares(ListTest):
    """Without a limit, each of three pods is asked for a third of the longest page, and for more where needed."""

    SHARE = '338'

    def limits(self, path):
        """Return the limits of the requests for a list that each pod got, by its name."""
        return {
            name: [dict(parse_qsl(each.query)).get('limit') for each in pod.nova.requests if each.path.endswith(path)]
            for name, pod in self.cloud.lab.pods.items()
        }

    def test_pods_are_asked_for_their_shares(self):
        self.fill_servers()
        answer = self.cloud.nova.get('/servers/detail')
        self.assertEqual(len(self.servers), len(answer['servers']))
        self.assertEqual(dict.fromkeys(PODS, [self.SHARE]), self.limits('/servers/detail'))

    def test_pod_with_more_than_its_share_is_asked_again(self):
        self.fill_servers()
        newest = self.cloud.lab.add_servers('Pod1', 'demo', 400, created_at=at(1000))
        answer = self.cloud.nova.get('/servers/detail')
        self.assertEqual({each['id'] for each in [*newest, *self.servers]}, set(ids(answer['servers'])))
        limits = self.limits('/servers/detail')
        self.assertEqual([self.SHARE, '1000'], limits.pop('Pod1'))
        self.assertEqual([[self.SHARE]] * 2, list(limits.values()))

    def test_pods_are_asked_for_their_shares_of_page_after_marker(self):
        self.fill_servers()
        first = ids(self.cloud.nova.get('/servers/detail')['servers'])
        # The start in each pod is found by the routings, which the first list records in the background.
        self.wait_for(lambda: len(routings.get_many(self.cloud.runtime.db, 'server', first)) == len(first))
        answer = self.cloud.nova.get(f'/servers/detail?marker={first[12]}')
        self.assertEqual(first[13:], ids(answer['servers']))
        self.assertEqual(dict.fromkeys(PODS, [self.SHARE] * 2), self.limits('/servers/detail'))

    def test_short_page_is_asked_of_each_pod(self):
        self.fill_servers()
        answer = self.cloud.nova.get('/servers/detail?limit=20')
        self.assertEqual(20, len(answer['servers']))
        self.assertEqual(dict.fromkeys(PODS, ['24']), self.limits('/servers/detail'))


class TestVolumes(ListTest):
    def setUp(self):
        super().setUp()
        self.fill_volumes()
        # Sorted by created_at and id, both descending.
        self.wanted = ids(sorted(self.volumes, key=lambda record: (record['created_at'], record['id']), reverse=True))

    def test_pages_of_any_size_make_the_same_list(self):
        for limit in (1, 2, 5, 24, 25):
            found, _pages = self.walk(self.cloud.cinder, f'/volumes?limit={limit}', 'volumes')
            self.assertEqual(self.wanted, ids(found))

    def test_offset_skips_volumes_after_marker(self):
        for offset in (0, 1, 7, 23, 24, 1000, 123456):
            for limit in ('', '&limit=1', '&limit=5'):
                answer = self.cloud.cinder.get(f'/volumes?offset={offset}{limit}')
                end = offset + int(limit[7:] or 1000)
                self.assertEqual(self.wanted[offset:end], ids(answer['volumes']), (offset, limit))
        answer = self.cloud.cinder.get(f'/volumes?offset=2&limit=3&marker={self.wanted[4]}')
        self.assertEqual(self.wanted[7:10], ids(answer['volumes']))

    def test_with_count_counts_volumes_of_all_pods(self):
        answer = self.cloud.cinder.get('/volumes/detail?with_count=true&limit=5', version='3.45')
        self.assertEqual((24, 5), (answer['count'], len(answer['volumes'])))
        self.assertTrue(answer['volumes_links'])
        answer = self.cloud.cinder.get('/volumes/detail?with_count=true', version='3.45')
        self.assertEqual((24, 24), (answer['count'], len(answer['volumes'])))
        self.assertNotIn('count', self.cloud.cinder.get('/volumes?with_count=true', version='3.44').json)

    def test_pages_are_sorted_by_requested_keys(self):
        for query, key, is_descending in (
            ('sort=name:asc', lambda v: (v['name'], v['created_at'], v['id']), False),
            ('sort=name', lambda v: (v['name'], v['created_at'], v['id']), True),
            ('sort=size:asc,name:asc', lambda v: (v['size'], v['name'], v['created_at'], v['id']), False),
            ('sort_key=size&sort_dir=desc', lambda v: (v['size'], v['created_at'], v['id']), True),
            ('sort_key=id&sort_dir=asc', lambda v: v['id'], False),
            ('sort_dir=asc', lambda v: (v['created_at'], v['id']), False),
        ):
            with self.subTest(query=query):
                found, _pages = self.walk(self.cloud.cinder, f'/volumes?{query}&limit=7', 'volumes')
                self.assertEqual(ids(sorted(self.volumes, key=key, reverse=is_descending)), ids(found))

    def test_unknown_marker_is_refused_with_404(self):
        for marker in ('4f2e8d4c-6f1f-4e83-9a5e-3a8a4a6a0000', 'x', '%00'):
            answer = self.cloud.cinder.get(f'/volumes?marker={marker}')
            self.assertEqual(404, answer.status, answer.text)

    def test_deleted_volume_as_marker_is_refused_with_404(self):
        self.cloud.cinder.get('/volumes/detail')
        self.assertEqual(202, self.cloud.cinder.delete(f'/volumes/{self.wanted[3]}').status)
        self.cloud.cinder.get(f'/volumes/{self.wanted[3]}')
        self.assertEqual(404, self.cloud.cinder.get(f'/volumes?marker={self.wanted[3]}').status)

    def test_filters_apply_to_all_pods(self):
        for query, wanted in (
            ('name=volume-2', [v for v in self.volumes if v['name'].startswith('volume-2-')]),
            ('status=available', self.volumes),
            ('status=error', []),
        ):
            answer = self.cloud.cinder.get(f'/volumes?{query}')
            names = {v['id'] for v in wanted}
            if 'name' not in query:
                self.assertEqual([id_ for id_ in self.wanted if id_ in names], ids(answer['volumes']))
        answer = self.cloud.cinder.get('/volumes/detail?availability_zone=az1')
        self.assertEqual(set(self.cloud.pod('Pod1').cinder.volumes), set(ids(answer['volumes'])))
        self.assertEqual(400, self.cloud.cinder.get('/volumes?nonsense=1', version='3.31').status)

    def test_all_tenants_lists_other_projects_for_admin_only(self):
        other = self.fill_volumes(3, 'alt')
        answer = self.cloud.cinder.get('/volumes?all_tenants=1')
        self.assertEqual(self.wanted, ids(answer['volumes']))
        answer = self.cloud.cinder.get('/volumes?all_tenants=1', as_='admin')
        self.assertEqual(set(self.wanted) | set(ids(other)), set(ids(answer['volumes'])))

    def test_links_name_the_gateway(self):
        project = self.cloud.project_id('demo')
        for path in ('/volumes', '/volumes/detail', f'/{project}/volumes', f'/{project}/volumes/detail'):
            answer = self.cloud.cinder.get(f'{path}?limit=2')
            (link,) = answer['volumes_links']
            self.assertTrue(link['href'].startswith(f'http://gateway.test:19997/v3{path}?'), link)
            for item in answer['volumes']:
                for link in item['links']:
                    self.assertTrue(link['href'].startswith('http://gateway.test:19997/'), link)

    def test_volumes_of_pod_that_is_down_are_left_out_if_option_is_on(self):
        self.skip_down_pods()
        for fault in (Refuse(), Status(status=500)):
            self.cloud.pod('Pod3').cinder.faults.clear()
            self.cloud.pod('Pod3').cinder.faults.add(fault)
            answer = self.cloud.cinder.get('/volumes/detail')
            alive = [id_ for id_ in self.wanted if id_ not in self.cloud.pod('Pod3').cinder.volumes]
            self.assertEqual(alive, ids(answer['volumes']))

    def test_list_without_reachable_pod_is_answered_503(self):
        for name in PODS:
            self.cloud.pod(name).cinder.faults.add(Refuse())
        answer = self.cloud.cinder.get('/volumes')
        self.assertEqual(503, answer.status)
        self.assertIn('Retry-After', answer.headers)


class TestReconciledPods(ListTest):
    def test_reconciled_pod_without_servers_of_project_gets_no_request(self):
        (mine,) = self.cloud.lab.add_servers('Pod2', 'demo')
        self.learn_servers()
        for pod_id in self.cloud.pod_ids.values():
            pods.update(self.cloud.runtime.db, pod_id, is_reconciled=True, reconciled_at=utcnow())
        self.cloud.runtime.registry.refresh()
        self.cloud.lab.clear_logs()
        self.assertEqual([mine['id']], ids(self.cloud.nova.get('/servers')['servers']))
        self.assertEqual([0, 1, 0], [len(self.cloud.pod(name).nova.requests) for name in PODS])


class TestPageLimitsOfPods(ConversationTest):
    def test_lists_without_links_are_complete_though_page_limits_of_pods_are_small(self):
        cinder = self.cloud.pod('Pod2').cinder
        cinder.settings.max_limit = 3
        for pod, count in (('Pod1', 2), ('Pod2', 7)):
            for volume in self.cloud.lab.add_volumes(pod, 'demo', count):
                answer = self.cloud.direct(pod, 'cinder').post(
                    '/attachments', {'attachment': {'volume_uuid': volume['id']}}, version='3.70'
                )
                self.assertEqual(200, answer.status, answer.text)
        whole = ids(self.cinder.get('/attachments', version='3.70')['attachments'])
        self.assertEqual(9, len(set(whole)))
        found, marker = [], ''
        while True:
            page = ids(self.cinder.get(f'/attachments?limit=2{marker}', version='3.70')['attachments'])
            if not page:
                break
            found += page
            marker = f'&marker={page[-1]}'
        self.assertEqual(whole, found)

    def test_pages_by_offset_are_complete_though_page_limits_of_pods_are_small(self):
        self.cloud.pod('Pod2').nova.settings.max_limit = 3
        for number in range(7):
            answer = self.cloud.direct('Pod2').post(
                '/os-server-groups', {'server_group': {'name': f'g{number}', 'policies': ['anti-affinity']}}
            )
            self.assertEqual(200, answer.status, answer.text)
        found = []
        while page := ids(self.nova.get(f'/os-server-groups?limit=2&offset={len(found)}')['server_groups']):
            found += page
        self.assertEqual(7, len(set(found)))


class TestRepeatedParameters(ListTest):
    def setUp(self):
        super().setUp()
        self.fill_servers(count=9, spacing=1)
        self.fill_volumes(count=9)
        self.wanted = newest_first(self.servers)

    def test_last_value_counts_in_lists_of_servers(self):
        wanted = self.wanted
        for query, expected in (
            ('limit=1000&limit=1000', wanted),
            ('limit=2&limit=50', wanted),
            ('limit=50&limit=2', wanted[:2]),
            (f'limit=3&marker={wanted[0]}&marker={wanted[4]}', wanted[5:8]),
            (f'marker={wanted[0]}&marker=', wanted),
        ):
            answer = self.nova.get(f'/servers?{query}')
            self.assertEqual((200, expected), (answer.status, ids(answer['servers'])), query)
        for query in ('limit=x&limit=2', 'limit=2&limit=-1'):
            self.assertEqual(400, self.nova.get(f'/servers?{query}').status, query)
        answer = self.nova.get('/servers?availability_zone=az1&availability_zone=az2', version='2.83')
        self.assertEqual({'Pod2', 'Pod3'}, {self.pod_with(id_) for id_ in ids(answer['servers'])})

    def pod_with(self, server_id):
        return next(name for name in PODS if server_id in self.cloud.pod(name).nova.servers)

    def test_first_value_counts_in_lists_of_volumes(self):
        wanted = ids(self.cinder.get('/volumes')['volumes'])
        self.assertEqual(9, len(wanted))
        for query, expected in (
            ('limit=9&limit=9', wanted),
            ('limit=2&limit=50', wanted[:2]),
            ('limit=50&limit=2', wanted),
            (f'limit=3&marker={wanted[4]}&marker={wanted[0]}', wanted[5:8]),
            ('offset=7&offset=1', wanted[7:]),
        ):
            for version in ('3.0', '3.70'):
                answer = self.cinder.get(f'/volumes?{query}', version=version)
                self.assertEqual((200, expected), (answer.status, ids(answer['volumes'])), query)

    def test_query_that_a_pod_alone_can_read_is_400(self):
        for path in ('/servers?limit=2&limit=%00', '/servers?name=%ff', '/os-server-groups?limit=%FF'):
            self.assertEqual(400, self.nova.get(path).status, path)


class TestDeletedMarkers(ListTest):
    def setUp(self):
        super().setUp()
        self.fill_servers(count=9, spacing=1)
        for record in self.servers:
            record['deleted'] = record['name'] in ('server-1', 'server-2', 'server-4')

    def test_server_deleted_before_the_pod_was_known_is_a_marker(self):
        for query, who in (
            ('all_tenants=1&deleted=True', 'admin'),
            ('all_tenants=1&deleted=True&sort_key=display_name', 'admin'),
            ('changes-since=2020-01-01T00:00:00Z', 'demo'),
            ('changes-since=2020-01-01T00:00:00Z&sort_key=display_name&sort_dir=asc', 'demo'),
        ):
            whole = ids(self.nova.get(f'/servers/detail?{query}', as_=who)['servers'])
            found, _pages = self.walk(self.nova, f'/servers/detail?{query}&limit=1', 'servers', as_=who)
            self.assertEqual(whole, ids(found), query)

    def test_server_deleted_between_pages_is_a_marker_in_any_order(self):
        for query in ('sort_key=display_name&sort_dir=asc', 'sort_key=uuid', 'sort_dir=asc'):
            whole = ids(self.nova.get(f'/servers?{query}')['servers'])
            page = ids(self.nova.get(f'/servers?{query}&limit=2')['servers'])
            record = next(record for record in self.servers if record['id'] == page[-1])
            record['deleted'] = True
            answer = self.nova.get(f'/servers?{query}&marker={page[-1]}')
            self.assertEqual((200, whole[2:]), (answer.status, ids(answer['servers'])), query)
            record['deleted'] = False

    def test_deleted_server_of_another_project_is_no_marker(self):
        (foreign,) = self.cloud.lab.add_servers('Pod2', 'alt')
        foreign['deleted'] = True
        self.assertEqual(400, self.nova.get(f'/servers?marker={foreign["id"]}').status)
