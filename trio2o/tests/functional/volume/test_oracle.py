# SPDX-License-Identifier: Apache-2.0
"""Lists over three pods equal those of one Cinder that has all resources, for random queries."""

import copy
import datetime
import random
from urllib.parse import parse_qsl, urlencode, urlsplit

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trio2o.lab.emulated.cinder import backups, groups, messages, records
from trio2o.lab.emulated.topology import Cloud
from trio2o.tests.fixtures.cloud import GATEWAY, GatewayFixture
from trio2o.tests.functional.operations.base import ConversationTest, ids

PODS = ('Pod1', 'Pod2', 'Pod3')
ONE = 'One'
NOON = datetime.datetime(2026, 1, 1, 12)
VERSION = '3.60'

#: Path, key of the items, key of the next link, and the sort keys that show.
LISTS = (
    ('/volumes', 'volumes', 'volumes_links', ('created_at', 'name', 'size', 'status', 'id')),
    ('/volumes/detail', 'volumes', 'volumes_links', ('created_at', 'name', 'size', 'updated_at', 'id')),
    ('/snapshots/detail', 'snapshots', 'snapshots_links', ('created_at', 'name', 'volume_id', 'id')),
    ('/backups', 'backups', 'backups_links', ('created_at', 'name', 'size', 'volume_id', 'id')),
    ('/backups/detail', 'backups', 'backups_links', ('created_at', 'name', 'status', 'id')),
    ('/messages', 'messages', 'messages_links', ('created_at', 'message_level', 'id')),
    ('/groups', 'groups', 'group_links', ('created_at', 'name', 'status', 'id')),
    ('/groups/detail', 'groups', 'group_links', ('created_at', 'name', 'id')),
)
COUNTED = ('volumes', 'snapshots', 'backups')
FILTERS = {
    'volumes': (('name', 'volume-3'), ('name~', '-1'), ('status', 'error'), ('size', '2')),
    'snapshots': (('name', 'snapshot-2'), ('status', 'available')),
    'backups': (('name', 'backup-1'), ('status', 'available')),
    'messages': (('message_level', 'ERROR'),),
    'groups': (('name', 'group-1'), ('status', 'available')),
}


@st.composite
def queries(draw):
    path, key, links, sort_keys = draw(st.sampled_from(LISTS))
    query = []
    if draw(st.booleans()):
        names = draw(st.lists(st.sampled_from(sort_keys), min_size=1, max_size=3, unique=True))
        words = [f'{name}{draw(st.sampled_from(("", ":asc", ":desc")))}' for name in names]
        query.append(('sort', ','.join(words)))
    elif draw(st.booleans()):
        query.append(('sort_key', draw(st.sampled_from(sort_keys))))
        query.append(('sort_dir', draw(st.sampled_from(('asc', 'desc')))))
    if draw(st.booleans()):
        query.append(draw(st.sampled_from(FILTERS[key])))
    if draw(st.booleans()) and key == 'volumes':
        moment = (NOON + datetime.timedelta(seconds=draw(st.integers(0, 9)))).isoformat()
        query.append(('created_at', f'{draw(st.sampled_from(("gt", "gte", "lt", "lte")))}:{moment}'))
    if draw(st.booleans()) and key in COUNTED:
        query.append(('with_count', 'True'))
    if draw(st.booleans()):
        query.append(('offset', str(draw(st.integers(0, 8)))))
    if draw(st.integers(0, 3)):
        query.append(('limit', str(draw(st.integers(0, 9)))))
    if draw(st.booleans()):
        query.append(('all_tenants', '1'))
    return path, key, links, query, draw(st.sampled_from(('demo', 'admin')))


class TestOracle(ConversationTest):
    def setUp(self):
        super(ConversationTest, self).setUp()
        lab = Cloud([*PODS, ONE], gateway=GATEWAY)
        self.cloud = self.useFixture(GatewayFixture(pods=lab, register=False))
        for name in PODS:
            self.cloud.register_pod(name, 'nova')
        self.one = self.cloud.direct(ONE, 'cinder')
        self.random = random.Random(7)
        for pod in PODS:
            self.share_types(pod)
        for number in range(27):
            self.fill(PODS[number % 3], number)

    def share_types(self, pod):
        """Give all pods the same types, because this test does not compare ids of types."""
        for name in ('types', 'group_types'):
            setattr(self.cloud.pod(pod).cinder, name, getattr(self.cloud.pod(ONE).cinder, name))

    def fill(self, pod, number):
        """Add a resource of each kind to a pod, and the same to the Cinder that has all."""
        cinder, one = self.cloud.pod(pod).cinder, self.cloud.pod(ONE).cinder
        project = self.cloud.project_id('alt' if number % 9 == 8 else 'demo')
        when = NOON + datetime.timedelta(seconds=self.random.randrange(10))
        common = {'created_at': when, 'updated_at': when}
        volume = records.new_volume(
            cinder,
            project,
            'somebody',
            1 + number % 4,
            name=f'volume-{number % 7}',
            status=self.random.choice(('available', 'error')),
            host='one@fake#fake',
            **common,
        )
        made = {
            'volumes': volume,
            'snapshots': records.new_snapshot(cinder, volume, name=f'snapshot-{number % 5}', **common),
            'backups': backups.add(cinder, volume, name=f'backup-{number % 3}', **common),
            'messages': messages.add(cinder, project, created_at=when),
            'groups': groups.add(cinder, project, 'somebody', name=f'group-{number % 3}', **common),
        }
        for name, row in made.items():
            getattr(one, name)[row['id']] = copy.deepcopy(row)

    def ask(self, client, path, query, who):
        return client.get(f'{path}?{urlencode(query)}', as_=who, version=VERSION)

    @settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
    @given(queries())
    def test_random_queries_equal_those_of_one_cinder(self, asked):
        path, key, links, query, who = asked
        pages = 0
        while pages < 4:
            here, there = (self.ask(client, path, query, who) for client in (self.cinder, self.one))
            self.assertEqual(there.status, here.status, here.text)
            if there.status != 200:
                return
            self.assertEqual(ids(there[key]), ids(here[key]))
            self.assertEqual(there.json.get('count'), here.json.get('count'))
            self.assertEqual(links in there.json, links in here.json)
            if there[key]:
                self.assertEqual(set(there[key][0]), set(here[key][0]))
            if links not in there.json:
                return
            (mine,), (wanted,) = here[links], there[links]
            self.assertEqual(dict(self.params(wanted)), dict(self.params(mine)))
            query = self.params(mine)
            pages += 1

    def test_sort_by_hidden_field_lists_each_volume_once(self):
        """The order is not defined, but each volume is listed once."""
        for sort in ('multiattach', 'replication_status:asc', 'source_volid'):
            found, marker = [], ''
            while True:
                page = ids(self.cinder.get(f'/volumes?sort={sort}&limit=4{marker}')['volumes'])
                found += page
                if len(page) < 4:
                    break
                marker = f'&marker={page[-1]}'
            self.assertEqual(sorted(ids(self.one.get('/volumes')['volumes'])), sorted(found))

    def test_sort_by_unknown_field_gets_answer_of_cinder(self):
        answer, wanted = (client.get('/volumes?sort=nothing') for client in (self.cinder, self.one))
        self.assertEqual((400, wanted.json), (answer.status, answer.json))

    def params(self, link):
        return parse_qsl(urlsplit(link['href']).query)
