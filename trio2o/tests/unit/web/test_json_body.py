# SPDX-License-Identifier: Apache-2.0
"""Reading parsed bodies of any shape."""

import testtools

from trio2o.resources import SERVER
from trio2o.web import json_body
from trio2o.web.call import Answer


class TestJsonBody(testtools.TestCase):
    def test_value_at_path_is_found(self):
        self.assertEqual(3, json_body.at({'a': {'b': 3}}, 'a', 'b'))
        self.assertEqual({'b': 3}, json_body.object_at({'a': {'b': 3}}, 'a'))

    def test_path_through_other_types_gives_none(self):
        for document in (None, [], 'a', 1, {}, {'a': None}, {'a': [1]}, {'a': 'b'}):
            with self.subTest(document=document):
                self.assertIsNone(json_body.at(document, 'a', 'b'))
                self.assertIsNone(json_body.object_at(document, 'a', 'b'))
                self.assertEqual([], json_body.objects_at(document, 'a', 'b'))

    def test_value_of_other_type_is_no_object(self):
        self.assertIsNone(json_body.object_at({'a': [1]}, 'a'))
        self.assertEqual([{'b': 1}], json_body.objects_at({'a': [1, {'b': 1}, None]}, 'a'))

    def test_member_is_read_from_successful_answers_only(self):
        body = b'{"server": {"id": "x"}}'
        self.assertEqual({'id': 'x'}, json_body.member(Answer(200, [], body), SERVER))
        self.assertIsNone(json_body.member(Answer(404, [], body), SERVER))
        self.assertIsNone(json_body.member(Answer(200, [], b'not JSON'), SERVER))

    def test_items_need_a_list_of_objects_with_ids(self):
        self.assertEqual([{'id': 'x'}], json_body.items({'servers': [{'id': 'x'}]}, 'servers'))
        for document in (
            None,
            [],
            {},
            {'servers': None},
            {'servers': {}},
            {'servers': ['x']},
            {'servers': [{}]},
            {'servers': [{'id': []}]},
        ):
            with self.subTest(document=document):
                self.assertIsNone(json_body.items(document, 'servers'))

    def test_error_message_is_found_under_any_key(self):
        self.assertEqual('gone', json_body.error_message({'itemNotFound': {'message': 'gone', 'code': 404}}))
        for document in (None, [], {}, {'a': None}, {'a': {'code': 1}}):
            with self.subTest(document=document):
                self.assertEqual('', json_body.error_message(document))

    def test_replacing_a_value_leaves_the_document_alone(self):
        document = {'a': {'b': 1, 'c': 2}}
        self.assertEqual({'a': {'b': 3, 'c': 2}}, json_body.replaced(document, ('a', 'b'), 3))
        self.assertEqual({'a': {'b': 1, 'c': 2}}, document)
