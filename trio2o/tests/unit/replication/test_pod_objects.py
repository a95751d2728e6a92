# SPDX-License-Identifier: Apache-2.0
"""Reading the objects of a pod: its pages, and its malformed answers."""

from types import SimpleNamespace
from urllib.parse import parse_qsl, urlsplit

import testtools

from trio2o import exception
from trio2o.pods.podapi import PodRefused
from trio2o.replication.adapters.base import PAGE, list_pages
from trio2o.replication.adapters.flavors import Flavors
from trio2o.replication.pod_objects import PodObjects


class Api:
    """Answers each GET with the next document, or raises it."""

    pod = SimpleNamespace(name='Pod1')

    def __init__(self, *documents):
        self.documents = list(documents)
        self.queries = []

    def can(self, version):
        return True

    def get(self, path, version):
        self.queries.append(dict(parse_qsl(urlsplit(path).query)))
        document = self.documents.pop(0)
        if isinstance(document, Exception):
            raise document
        return document

    def get_list(self, path, version, *, has_marker=False):
        return self.get(path, version)


class TestMalformedAnswers(testtools.TestCase):
    def read(self, document):
        return PodObjects(Flavors(), Api(document)).read('1', '1')

    def test_document_without_member_is_no_answer(self):
        error = self.assertRaises(exception.PodNoAnswer, self.read, {'other': {}})
        self.assertIn("pod Pod1: sent a malformed answer: KeyError('flavor')", str(error))

    def test_document_of_another_type_is_no_answer(self):
        self.assertRaises(exception.PodNoAnswer, self.read, ['flavor'])

    def test_malformed_item_in_a_list_is_no_answer(self):
        objects = PodObjects(Flavors(), Api({'flavors': [{'id': '1'}]}))
        self.assertRaises(exception.PodNoAnswer, objects.list_all)

    def test_refusal_is_raised_as_it_is(self):
        self.assertRaises(PodRefused, self.read, PodRefused('Pod1', 403, 'no'))

    def test_missing_object_is_none(self):
        self.assertIsNone(self.read(None))


class TestListPages(testtools.TestCase):
    def list_ids(self, api, **options):
        query = {'limit': str(PAGE)}
        return [item['id'] for item in list_pages(api, '/things', '2.1', 'things', query, **options)]

    def test_list_with_links_ends_at_page_without_links(self):
        api = Api({'things': [{'id': 'a'}], 'things_links': []}, {'things': [{'id': 'b'}]})
        self.assertEqual(['a', 'b'], self.list_ids(api, links='things_links'))
        self.assertEqual([None, 'a'], [query.get('marker') for query in api.queries])

    def test_list_with_links_ends_at_empty_page(self):
        api = Api({'things': [{'id': 'a'}], 'things_links': []}, {'things': [], 'things_links': []})
        self.assertEqual(['a'], self.list_ids(api, links='things_links'))

    def test_list_without_links_ends_at_empty_page(self):
        full = [{'id': str(number)} for number in range(PAGE)]
        api = Api({'things': full}, {'things': [{'id': 'last'}]}, {'things': []})
        self.assertEqual(PAGE + 1, len(self.list_ids(api)))
        self.assertEqual([None, str(PAGE - 1), 'last'], [query.get('marker') for query in api.queries])

    def test_list_that_pod_does_not_answer_is_no_empty_list(self):
        api = Api(
            {'things': [{'id': 'a'}], 'things_links': []}, exception.PodNoAnswer('Pod1', 'answered 404 to a list')
        )
        self.assertRaises(exception.PodNoAnswer, self.list_ids, api, links='things_links')
