# SPDX-License-Identifier: Apache-2.0
"""The parts of requests and answers that are translated, and that the rest stays unchanged."""

import json
from dataclasses import replace
from urllib.parse import parse_qsl, urlsplit

import orjson
import testtools
from hypothesis import given
from hypothesis import strategies as st

from trio2o.gateway import translate
from trio2o.gateway.translate import PodNames
from trio2o.pods.host_ids import HostIds
from trio2o.resources import SERVER, VOLUME
from trio2o.web.call import Answer, parse_json

TOP = 'http://top:19998'
ROOTS = ('http://pod1:8774', 'http://pod1.internal:8774/compute')
IDS = ('5c4b4d0e-1d2f-4a35-9d14-6c1f8f3a7b10', 'f0e1d2c3-b4a5-4697-8877-665544332211')
uuids = st.uuids().map(str)
words = st.text(st.characters(blacklist_categories=('Cs',)), max_size=20)
documents = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4),
    max_leaves=20,
)


def names(pod_zone='', zone='az1', ids=None):
    ids = ids or {}
    return PodNames(ROOTS, TOP, zone, pod_zone, ids, {top: bottom for bottom, top in ids.items()})


class TestBodies(testtools.TestCase):
    @given(documents)
    def test_body_without_names_of_pod_stays_byte_for_byte(self, document):
        for body in (orjson.dumps(document), json.dumps(document, indent=2).encode(), b'\x00\xff not json {"'):
            self.assertEqual(body, translate.body_up(body, names()))
            answer = translate.answer_up(Answer(200, [('X', 'y')], body), names('az1'), SERVER)
            self.assertEqual(Answer(200, [('X', 'y')], body), answer)

    @given(st.sampled_from(ROOTS), words)
    def test_links_get_url_of_gateway(self, root, rest):
        body = orjson.dumps({'links': [{'href': f'{root}/v2.1/servers/{rest}'}], 'name': root})
        found = orjson.loads(translate.body_up(body, names()))
        self.assertEqual(f'{TOP}/v2.1/servers/{rest}', found['links'][0]['href'])
        self.assertEqual(root, found['name'])

    def test_longer_host_is_not_replaced(self):
        body = b'http://pod1:87745/v2.1 http://pod10:8774/v2.1'
        self.assertEqual(body, translate.body_up(body, names()))

    @given(uuids, uuids, words)
    def test_ids_are_translated_in_both_directions(self, top_id, bottom_id, word):
        both = names().with_id(bottom_id, top_id)
        body = orjson.dumps({'id': bottom_id, 'name': word, 'links': [f'{ROOTS[0]}/v2.1/servers/{bottom_id}']})
        up = translate.body_up(body, both)
        self.assertEqual(top_id, orjson.loads(up)['id'])
        self.assertEqual(f'{TOP}/v2.1/servers/{top_id}', orjson.loads(up)['links'][0])
        for text in (up, up.replace(top_id.encode(), top_id.upper().encode())):
            down = translate.ids_down(text, both)
            self.assertEqual(bottom_id, orjson.loads(down)['id'])

    @given(st.lists(uuids, min_size=2, max_size=40, unique=True), st.data())
    def test_many_ids_are_replaced_as_one_after_another(self, ids, data):
        half = len(ids) // 2
        both = names(ids=dict(zip(ids[:half], ids[half:], strict=False)))
        pieces = st.sampled_from([*ids, *(each[:-1] for each in ids), *(each[1:] for each in ids)]) | st.sampled_from(
            ['-', 'a', '0', '"', 'volume-', '\xff', 'é', '{"id": "']
        )
        # Two ids without anything between them can be read in several ways.
        text = ' '.join(data.draw(st.lists(pieces, max_size=12))).encode()
        up = down = text
        for bottom_id, top_id in both.ids_up.items():
            up = up.replace(bottom_id.encode(), top_id.encode())
            down = down.replace(top_id.encode(), bottom_id.encode())
        self.assertEqual(up, translate.body_up(text, both))
        self.assertEqual(down, translate.ids_down(text, both))

    def test_id_is_replaced_once(self):
        first, second, third = (f'{digit * 8}-0000-4000-8000-{digit * 12}' for digit in '123')
        found = translate.body_up(f'{first} {second}'.encode(), names(ids={first: second, second: third}))
        self.assertEqual(f'{second} {third}'.encode(), found)

    def test_equal_ids_need_no_translation(self):
        one = names()
        self.assertIs(one, one.with_id('same', 'same'))

    def test_location_gets_url_and_id_of_gateway(self):
        answer = Answer(202, [('Location', f'{ROOTS[0]}/v2.1/servers/{IDS[0]}'), ('X-Other', ROOTS[0])], b'')
        found = translate.answer_up(answer, names().with_id(*IDS), SERVER)
        self.assertEqual([('Location', f'{TOP}/v2.1/servers/{IDS[1]}'), ('X-Other', ROOTS[0])], found.headers)


class TestZones(testtools.TestCase):
    def up(self, document, kind=SERVER, **kwargs):
        answer = translate.answer_up(Answer(200, [], orjson.dumps(document)), names(**kwargs), kind)
        return orjson.loads(answer.body)

    def test_without_zone_name_of_pod_all_zones_are_translated(self):
        for zone in ('nova', 'other', 'az1'):
            found = self.up({'server': {'OS-EXT-AZ:availability_zone': zone, 'name': zone}})
            self.assertEqual({'OS-EXT-AZ:availability_zone': 'az1', 'name': zone}, found['server'])

    def test_with_zone_name_of_pod_only_that_zone_is_translated(self):
        for zone, wanted in (('nova', 'az1'), ('other', 'other'), ('', ''), (None, None)):
            found = self.up({'volume': {'availability_zone': zone}}, VOLUME, pod_zone='nova')
            self.assertEqual(wanted, found['volume']['availability_zone'])

    def test_lists_are_translated_and_odd_documents_kept(self):
        found = self.up({'servers': [{'OS-EXT-AZ:availability_zone': 'nova'}, {'id': 1}, None, 7]})
        self.assertEqual('az1', found['servers'][0]['OS-EXT-AZ:availability_zone'])
        for document in ([], 7, None, {'server': None}, {'server': []}, {'servers': {}}, {'availability_zone': 1}):
            self.assertEqual(document, self.up(document))

    @given(st.sampled_from(['az1', 'nova', 'x']), st.sampled_from(['', 'nova']), st.sampled_from(['', ':h', ':h:n']))
    def test_zone_becomes_that_of_pod_or_is_removed(self, zone, pod_zone, rest):
        inner = {'availability_zone': zone + rest, 'name': 'n'}
        translate.zone_down(inner, 'availability_zone', names(pod_zone, zone), rest)
        wanted = {'name': 'n'}
        if pod_zone or rest:
            wanted['availability_zone'] = pod_zone + rest
        self.assertEqual(wanted, inner)

    @given(st.sampled_from(['az1', 'pod-zone']), st.sampled_from(['pod-zone', 'az1']))
    def test_zone_is_translated_to_pod_and_back(self, zone, pod_zone):
        inner = {'availability_zone': zone}
        both = names(pod_zone, zone)
        translate.zone_down(inner, 'availability_zone', both)
        self.assertEqual(zone, translate.zone_up(inner['availability_zone'], both))


class TestPages(testtools.TestCase):
    FIELDS = frozenset(('id', 'created'))

    def page(self, body, **kwargs):
        return translate.page_up(body, names(**kwargs), SERVER, self.FIELDS, frozenset(('servers_links',)))

    def test_usual_page_is_translated_and_sliced(self):
        server = '{"id": "ID", "links": ["%s/v2.1/servers/ID"], "OS-EXT-AZ:availability_zone": "%s", "x": 1.50}'
        server = server.replace('ID', IDS[0])
        body = '{"servers": [%s], "servers_links": [{"href": "%s/v2.1"}]}'
        document = self.page((body % (server % (ROOTS[0], 'nova'), ROOTS[1])).encode(), ids=dict([IDS]))
        self.assertEqual([{'href': f'{TOP}/v2.1'}], document['servers_links'])
        self.assertEqual([{'id': IDS[1], 'OS-EXT-AZ:availability_zone': 'az1'}], document['servers'])
        wanted = (server % (TOP, 'az1')).replace(*IDS)
        self.assertEqual(wanted, bytes(document['servers'][0].json).decode())

    def test_zone_of_pod_is_the_only_one_to_be_translated(self):
        body = orjson.dumps({'servers': [{'OS-EXT-AZ:availability_zone': zone} for zone in ('nova', 'x', None)]})
        for page in (body, body.replace(b'null', b'7')):
            found = [item['OS-EXT-AZ:availability_zone'] for item in self.page(page, pod_zone='nova')['servers']]
            self.assertEqual(['az1', 'x'], found[:2])

    def test_host_that_another_pod_has_gets_another_hash(self):
        hosts = HostIds()
        hosts.up('pod1', 'h')
        body = b'{"servers": [{"hostId": "h"}, {"hostId": "i"}, {"hostId": ""}, {"hostId": %s}]}'
        for last in (b'null', b'7'):
            both = replace(names(), host_ids=hosts, pod_id='pod2')
            document = translate.page_up(body % last, both, SERVER, self.FIELDS, frozenset())
            self.assertEqual([hosts.up('pod2', 'h'), 'i', ''], [item['hostId'] for item in document['servers']][:3])
            self.assertNotEqual('h', document['servers'][0]['hostId'])

    def test_page_that_cannot_be_sliced_is_parsed(self):
        for item in (
            b'{"id": "b", "metadata": {"OS-EXT-AZ:availability_zone": "nova"}, "OS-EXT-AZ:availability_zone": "nova"}',
            b'{"id": "b", "metadata": {"OS-EXT-AZ:availability_zone": "nova"},'
            b' "OS-EXT-AZ:availability\\u005fzone": "nova"}',
        ):
            (found,) = self.page(b'{"servers": [%s]}' % item)['servers']
            wanted = {**json.loads(item), 'OS-EXT-AZ:availability_zone': 'az1'}
            self.assertEqual((dict, wanted), (type(found), found))
        for odd in (b'', b'7', b'[]', b'{}', b'{"servers": 7}', b'{"servers": [7]}', b'{"servers": [{"id": NaN}]}'):
            self.assertEqual(json.dumps(parse_json(odd)), json.dumps(self.page(odd)), odd)


class TestLinksAndPaths(testtools.TestCase):
    @given(
        st.dictionaries(words.filter(lambda word: word not in ('marker',)), words, max_size=5),
        uuids,
        st.sampled_from(['/v2.1', '/v2.1/abc']),
    )
    def test_next_link_keeps_query_and_replaces_marker(self, query, marker, prefix):
        link = translate.next_link(TOP, prefix, '/servers', [*query.items(), ('marker', 'old')], marker)
        parts = urlsplit(link)
        self.assertEqual(f'{prefix}/servers', parts.path)
        self.assertEqual({**query, 'marker': marker}, dict(parse_qsl(parts.query, keep_blank_values=True)))

    @given(uuids, uuids)
    def test_only_whole_segments_are_replaced(self, old, new):
        self.assertEqual(
            f'/servers/{new}/x{old}/{new}', translate.replace_segment(f'/servers/{old}/x{old}/{old}', old, new)
        )
