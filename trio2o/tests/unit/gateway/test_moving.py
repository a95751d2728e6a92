# SPDX-License-Identifier: Apache-2.0
"""The fields of moved resources: only the documents of these are parsed, and nothing is added to them."""

from types import SimpleNamespace

import testtools

from trio2o.gateway.moving import items_with_shown, with_shown
from trio2o.pods.registry import Snapshot
from trio2o.resources import SERVER
from trio2o.web import slices
from trio2o.web.call import Answer

FIELDS = {'created': ['new', 'old'], 'key_name': ['ours', 'mine'], 'image': ['i2', 'i1']}


class TestShown(testtools.TestCase):
    def setUp(self):
        super().setUp()
        snapshot = Snapshot(shown={'moved': FIELDS})
        registry = SimpleNamespace(snapshot=lambda: snapshot)
        self.call = SimpleNamespace(runtime=SimpleNamespace(registry=registry), snapshot=snapshot)

    def shown(self, server, top_id='moved', status=200):
        return with_shown(self.call, SERVER, top_id, Answer.of({'server': server}, status)).json['server']

    def test_answer_about_another_resource_is_not_read(self):
        answer = Answer(200, [], b'no JSON')
        self.assertIs(answer, with_shown(self.call, SERVER, 'other', answer))

    def test_answer_that_is_no_such_resource_is_unchanged(self):
        for body in (b'no JSON', b'', b'[]', b'{"server": 1}', b'{"server": {"id": "other", "created": "new"}}'):
            answer = Answer(200, [], body)
            self.assertIs(answer, with_shown(self.call, SERVER, 'moved', answer))

    def test_refusal_is_unchanged(self):
        self.assertEqual('new', self.shown({'id': 'moved', 'created': 'new'}, status=409)['created'])

    def test_field_is_replaced_as_long_as_the_pod_shows_that_of_the_move(self):
        found = self.shown({'id': 'moved', 'created': 'new', 'key_name': 'another'})
        self.assertEqual({'id': 'moved', 'created': 'old', 'key_name': 'another'}, found)

    def test_id_of_image_is_replaced_in_links_too(self):
        image = {'id': 'i2', 'links': [{'rel': 'bookmark', 'href': 'http://x/images/i2'}]}
        found = self.shown({'id': 'moved', 'image': image})['image']
        self.assertEqual({'id': 'i1', 'links': [{'rel': 'bookmark', 'href': 'http://x/images/i1'}]}, found)
        self.assertEqual('', self.shown({'id': 'moved', 'image': ''})['image'])

    def test_items_of_others_stay_bytes(self):
        body = b'{"servers": [{"id": "moved", "created": "new", "x": 1}, {"id": "other", "created": "new"}]}'
        document = slices.parse(body, 'servers', frozenset({'id'}), frozenset(), {})
        moved, other = items_with_shown(self.call, document['servers'])
        self.assertEqual({'id': 'moved', 'created': 'old', 'x': 1}, moved)
        self.assertIs(document['servers'][1], other)
