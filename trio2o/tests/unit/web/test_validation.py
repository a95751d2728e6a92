# SPDX-License-Identifier: Apache-2.0
"""Validation of bodies and queries; errors name the field."""

import dataclasses
import json
from urllib.parse import parse_qsl

import hypothesis
import testtools
from hypothesis import strategies as st

from trio2o import api, exception
from trio2o.api.schemas import record, text
from trio2o.web.validation import Body, Query

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@dataclasses.dataclass
class FakeCall:
    """The part of a call that validation reads."""

    body: bytes = b''
    query_string: str = ''
    media_type: str = ''
    service = api.SERVICE

    @property
    def json(self):
        return json.loads(self.body)

    def with_body(self, document):
        return dataclasses.replace(self, body=json.dumps(document).encode())

    @property
    def query(self):
        return parse_qsl(self.query_string, keep_blank_values=True)


def call(document):
    return FakeCall(json.dumps(document).encode())


class TestBody(testtools.TestCase):
    BODY = Body('thing', record({'name': text(8, 1), 'tags': {'type': 'object'}}, required=('name',)))

    def refusal(self, error, document):
        return str(self.assertRaises(error, self.BODY.read, call(document)))

    def test_text_is_stripped(self):
        self.assertEqual({'name': 'a b'}, self.BODY.read(call({'thing': {'name': '  a b '}})))

    def test_other_keys_are_refused(self):
        for document in (None, [], 'x', {}, {'other': {}}, {'thing': {'name': 'a'}, 'other': 1}):
            self.refusal(exception.BadRequest, document)

    def test_error_names_field(self):
        for inner, field in (
            ({}, 'name'),
            ({'name': ''}, 'thing.name'),
            ({'name': 'x' * 9}, 'thing.name'),
            ({'name': 'a\nb'}, 'thing.name'),
            ({'name': 'a', 'tags': 1}, 'thing.tags'),
            ({'name': 'a', 'colour': 1}, 'colour'),
            ([], 'thing'),
            (None, 'thing'),
        ):
            self.assertIn(field, self.refusal(exception.Unprocessable, {'thing': inner}))

    @hypothesis.given(JSON)
    def test_random_body_is_read_or_refused(self, inner):
        for part in api.ACCEPTS.values():
            if isinstance(part, Body):
                for document in (inner, {part.key: inner}):
                    try:
                        part.read(call(document))
                    except (exception.BadRequest, exception.Unprocessable):
                        pass


class TestQuery(testtools.TestCase):
    QUERY = Query(limit={'type': 'string', 'pattern': '^[0-9]+$', 'description': 'a number'}, name=text())

    def test_parameters_are_read(self):
        self.assertEqual({'limit': '3', 'name': ''}, self.QUERY.read(FakeCall(query_string='limit=3&name=')))

    def test_error_names_parameter(self):
        for query, words in (('limit=x', 'limit'), ('colour=1', 'colour'), ('name=a&name=b', 'name')):
            call = FakeCall(query_string=query)
            self.assertIn(words, str(self.assertRaises(exception.BadRequest, self.QUERY.read, call)))
