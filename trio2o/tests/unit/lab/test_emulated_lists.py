# SPDX-License-Identifier: Apache-2.0
"""The pages of lists of emulated pods make the sorted list."""

import datetime
from urllib import parse

import testtools
from hypothesis import given, settings
from hypothesis import strategies as st

from trio2o.lab.emulated.clock import SetClock
from trio2o.lab.emulated.topology import Cloud
from trio2o.tests.unit.lab.client import Client

START = datetime.datetime(2026, 1, 1)


def pages(client, first, key, version=None):
    """Follow next links from ``first``; returns the items and how many pages it took."""
    answer, items, count = first, [], 1
    while True:
        items += answer.json[key]
        more = answer.json.get(f'{key}_links')
        if not more:
            return items, count
        answer = client.follow(more[0]['href'], version)
        count += 1


class TestServerLists(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.cloud = Cloud(pods=1, clock=SetClock(START))
        self.client = Client(self.cloud)

    def fill(self, count, spacing=0.4):
        return self.cloud.add_servers('Pod1', 'demo', count, spacing=spacing, start=START)

    def test_default_order_is_newest_first_then_uuid(self):
        made = self.fill(20)
        expected = sorted(made, key=lambda row: row['id'])
        expected.sort(key=lambda row: row['created_at'], reverse=True)
        shown = self.client.nova('GET', '/servers').json['servers']
        self.assertEqual([row['id'] for row in expected], [row['id'] for row in shown])

    def test_pages_of_any_size_make_the_whole_list(self):
        self.fill(23)
        whole = self.client.nova('GET', '/servers/detail').json['servers']
        for limit in (1, 5, 22, 23, 24):
            items, _ = pages(self.client, self.client.nova('GET', f'/servers/detail?limit={limit}'), 'servers')
            self.assertEqual(whole, items)

    def test_full_page_has_next_link(self):
        self.fill(4)
        first = self.client.nova('GET', '/servers?limit=4&sort_key=uuid&sort_dir=asc').json
        link = parse.urlsplit(first['servers_links'][0]['href'])
        self.assertEqual('/v2.1/servers', link.path)
        self.assertEqual(
            ['limit', 'sort_dir', 'sort_key', 'marker'], [name for name, _ in parse.parse_qsl(link.query)]
        )
        self.assertNotIn('servers_links', self.client.nova('GET', '/servers?limit=5').json)
        none = self.client.nova('GET', '/servers?limit=0').json
        self.assertEqual({'servers': []}, none)

    @settings(max_examples=30)
    @given(st.data())
    def test_any_sort_equals_sorted_records(self, data):
        self.cloud.pod('Pod1').nova.servers.clear()
        keys = data.draw(
            st.lists(
                st.sampled_from(['display_name', 'created_at', 'vm_state', 'key_name', 'uuid']),
                min_size=1,
                max_size=3,
                unique=True,
            )
        )
        dirs = data.draw(st.lists(st.sampled_from(['asc', 'desc']), max_size=len(keys)))
        for index in range(data.draw(st.integers(0, 12))):
            self.cloud.add_servers(
                'Pod1',
                'demo',
                1,
                start=START + datetime.timedelta(seconds=index % 3),
                vm_state=data.draw(st.sampled_from(['active', 'stopped'])),
                key_name=data.draw(st.sampled_from([None, 'a', 'b'])),
                name=data.draw(st.sampled_from(['x', 'y'])),
            )
        servers = list(self.cloud.pod('Pod1').nova.servers.values())
        full = dirs + [(dirs or ['desc'])[0]] * (len(keys) - len(dirs))
        expected = sorted(servers, key=lambda row: row['id'])
        for key, way in reversed(list(zip(keys, full, strict=True))):
            column = {'display_name': 'name', 'uuid': 'id'}.get(key, key)
            expected.sort(
                key=lambda row, column=column: (row[column] is not None, row[column] or ''), reverse=way == 'desc'
            )
        query = parse.urlencode([('sort_key', key) for key in keys] + [('sort_dir', way) for way in dirs])
        whole = self.client.nova('GET', f'/servers?{query}').json['servers']
        self.assertEqual([row['id'] for row in expected], [row['id'] for row in whole])
        marker = data.draw(st.sampled_from(expected))['id'] if expected else None
        if marker:
            rest = self.client.nova('GET', f'/servers?{query}&marker={marker}').json['servers']
            at = [row['id'] for row in whole].index(marker)
            self.assertEqual(whole[at + 1 :], rest)

    def test_deleted_server_is_a_marker(self):
        self.fill(3, spacing=1)
        whole = [row['id'] for row in self.client.nova('GET', '/servers').json['servers']]
        self.client.nova('DELETE', f'/servers/{whole[1]}')
        self.assertEqual(404, self.client.nova('GET', f'/servers/{whole[1]}').status)
        rest = self.client.nova('GET', f'/servers?marker={whole[1]}').json['servers']
        self.assertEqual([whole[2]], [row['id'] for row in rest])

    def test_unknown_marker_is_400(self):
        answer = self.client.nova('GET', '/servers?marker=x')
        self.assertEqual((400, 'marker [x] not found'), (answer.status, answer.message))

    def test_changes_since_shows_deleted(self):
        made = self.fill(2)
        self.client.nova('DELETE', f'/servers/{made[0]["id"]}')
        shown = self.client.nova('GET', '/servers/detail?changes-since=2025-12-31T00:00:00Z').json['servers']
        self.assertEqual({'DELETED', 'ACTIVE'}, {row['status'] for row in shown})

    def test_filters_apply_by_version(self):
        self.fill(3)
        self.cloud.add_servers('Pod1', 'demo', 1, name='other', vm_state='stopped', availability_zone='az9')
        for query, count in (
            ('name=server-[01]', 2),
            ('status=SHUTOFF', 1),
            ('status=nope', 0),
            ('nonsense=1', 4),
            ('availability_zone=az9', 4),
        ):
            shown = self.client.nova('GET', f'/servers?{query}').json['servers']
            self.assertEqual(count, len(shown), query)
        newer = self.client.nova('GET', '/servers?availability_zone=az9', version='2.83')
        self.assertEqual(1, len(newer.json['servers']))

    def test_all_tenants_needs_admin(self):
        self.fill(1)
        self.cloud.add_servers('Pod1', 'alt', 2)
        self.assertEqual(403, self.client.nova('GET', '/servers?all_tenants').status)
        admin = Client(self.cloud, user='admin')
        self.assertEqual(3, len(admin.nova('GET', '/servers?all_tenants').json['servers']))
        self.assertEqual(0, len(admin.nova('GET', '/servers').json['servers']))
        alt = self.cloud.project_id('alt')
        self.assertEqual(2, len(admin.nova('GET', f'/servers?all_tenants=1&tenant_id={alt}').json['servers']))


class TestVolumeLists(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.cloud = Cloud(pods=1, clock=SetClock(START))
        self.client = Client(self.cloud)
        self.made = self.cloud.add_volumes('Pod1', 'demo', 11, spacing=0.4, start=START)

    def test_default_order_is_newest_first_then_id_descending(self):
        expected = sorted(self.made, key=lambda row: (row['created_at'], row['id']), reverse=True)
        shown = self.client.cinder('GET', '/volumes').json['volumes']
        self.assertEqual([row['id'] for row in expected], [row['id'] for row in shown])

    def test_pages_of_any_size_make_the_whole_list(self):
        whole = self.client.cinder('GET', '/volumes/detail').json['volumes']
        for limit in (1, 4, 10, 11, 12):
            items, _ = pages(self.client, self.client.cinder('GET', f'/volumes/detail?limit={limit}'), 'volumes')
            self.assertEqual(whole, items)

    def test_offset_counts_from_the_marker(self):
        whole = self.client.cinder('GET', '/volumes').json['volumes']
        part = self.client.cinder('GET', f'/volumes?marker={whole[2]["id"]}&offset=3&limit=2').json['volumes']
        self.assertEqual(whole[6:8], part)

    def test_with_count_may_link_the_last_page(self):
        answer = self.client.cinder('GET', '/volumes?limit=8&with_count=true', version='3.45').json
        self.assertEqual(11, answer['count'])
        last = self.client.follow(answer['volumes_links'][0]['href'], 'volume 3.45').json
        self.assertEqual(3, len(last['volumes']))
        self.assertIn('volumes_links', last)

    def test_unknown_marker_is_a_missing_volume(self):
        answer = self.client.cinder('GET', '/volumes?marker=x')
        self.assertEqual((404, 'Volume x could not be found.'), (answer.status, answer.message))
        other = self.cloud.add_volumes('Pod1', 'alt')[0]['id']
        self.assertEqual(404, self.client.cinder('GET', f'/volumes?marker={other}').status)

    def test_sort_parameters_are_applied(self):
        for index, row in enumerate(self.made):
            row['size'] = index % 3 + 1
        shown = self.client.cinder('GET', '/volumes/detail?sort=size:asc,name').json['volumes']
        self.assertEqual(sorted(row['size'] for row in self.made), [row['size'] for row in shown])
        both = self.client.cinder('GET', '/volumes?sort=size&sort_key=size')
        self.assertEqual(400, both.status)

    def test_created_at_is_compared(self):
        shown = self.client.cinder('GET', '/volumes/detail?created_at=gt:2026-01-01T00:00:02', version='3.60')
        self.assertEqual(
            {row['id'] for row in self.made if row['created_at'] > START + datetime.timedelta(seconds=2)},
            {row['id'] for row in shown.json['volumes']},
        )
