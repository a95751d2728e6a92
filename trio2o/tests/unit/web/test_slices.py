# SPDX-License-Identifier: Apache-2.0
"""Lists of which only some fields are parsed say the same as those that are parsed completely."""

import json

import testtools
from hypothesis import given
from hypothesis import strategies as st

from trio2o.web import slices
from trio2o.web.call import dump_json, parse_json

FIELDS = ('id', 'zone', 'host')
#: Names, and texts that are like them, also when they are escaped.
NAMES = ('zone', 'host', 'id', 'a', 'b', 'c', '"zone', 'zone": "nova', 'items')
TEXTS = ('nova', 'nova', 'az1', 'zürich', '', 'zone', 'zone": "nova', '\\', '\x00', '😀')

#: Whether a document has names twice, in inner objects and in several spellings.
are_odd = st.shared(st.booleans(), key='odd')
texts = st.sampled_from(TEXTS)
names = are_odd.flatmap(lambda is_odd: st.sampled_from(NAMES if is_odd else NAMES[2:]))
spellings = are_odd.flatmap(lambda is_odd: st.sampled_from(('short', 'ascii', 'escaped') if is_odd else ('short',)))
blanks = are_odd.flatmap(lambda is_odd: st.sampled_from(('', ' ') if is_odd else (' ',)))


@st.composite
def spelled_texts(draw, text=texts):
    """A text in one of the ways to write it."""
    text = draw(text)
    how = draw(spellings)
    if how == 'escaped':
        units = text.encode('utf-16-be')
        return '"' + ''.join(f'\\u{units[i]:02x}{units[i + 1]:02X}' for i in range(0, len(units), 2)) + '"'
    return json.dumps(text, ensure_ascii=how == 'ascii')


@st.composite
def spelled_objects(draw, inner, own=None):
    """An object, whose keys may occur twice."""
    pairs = draw(own or st.just([])) + draw(st.lists(st.tuples(spelled_texts(names), inner), max_size=2))
    blank = draw(blanks)
    return '{' + ','.join(f'{blank}{key}{blank}:{blank}{value}' for key, value in pairs) + '}'


numbers = st.sampled_from(('null', 'true', '-0', '1.50', '1e3', '-2E-2', str(2**53)))
values = st.recursive(
    spelled_texts() | spelled_texts() | numbers,
    lambda inner: st.lists(inner, max_size=2).map(lambda found: f'[{",".join(found)}]') | spelled_objects(inner),
    max_leaves=3,
)
zones = st.tuples(spelled_texts(st.just('zone')), spelled_texts())
items = spelled_objects(values, st.lists(zones, min_size=1, max_size=1) | st.just([]))


@st.composite
def documents(draw):
    listed = ','.join(draw(st.lists(items, min_size=draw(st.sampled_from((0, 2, 2))), max_size=4)))
    beside = draw(spelled_objects(values))[1:-1]
    key = draw(spelled_texts(st.just('items')))
    pairs = [f'{key}:[{listed}]', *([beside] if beside else [])]
    return ('{' + ','.join(draw(st.permutations(pairs))) + '}').encode()


def to_upper(text):
    return text.upper()


REPLACE = {'zone': to_upper, 'host': {'nova': 'az2'}.get}


def sliced(body, replace=()):
    replace = {name: lambda text, name=name: REPLACE[name](text) or text for name in replace}
    return slices.parse(body, 'items', frozenset(FIELDS), frozenset(('links',)), replace)


def parsed(body, replace=()):
    """The document as the gateway wrote it before there were slices."""
    document = parse_json(body)
    for item in document['items']:
        for name in replace:
            if isinstance(item.get(name), str) and item[name]:
                item[name] = REPLACE[name](item[name]) or item[name]
    return {name: document[name] for name in ('items', 'links') if name in document}


class TestSlices(testtools.TestCase):
    @given(documents(), st.sampled_from(((), ('zone',), ('zone', 'host'))))
    def test_slices_equal_the_parsed_document(self, body, replace):
        document = sliced(body, replace)
        if document is None:
            return
        expected = parsed(body, replace)
        self.assertEqual(expected, parse_json(slices.dump(document, 'items')))
        shown = [{name: item[name] for name in FIELDS if name in item} for item in expected['items']]
        self.assertEqual(shown, document['items'])
        self.assertEqual(expected['items'], [slices.whole(item) for item in document['items']])

    @given(documents(), st.data())
    def test_documents_that_are_not_json_are_not_sliced(self, body, data):
        start = data.draw(st.integers(0, len(body) - 1))
        byte = data.draw(
            st.sampled_from((b'', b'"', b'\\', b'\xff', b'\xed\xa0\x80', b',', b'}', b'0', b'\n', b'\\ud800'))
        )
        body = body[:start] + byte + body[start + data.draw(st.integers(0, 2)) :]
        document = sliced(body)
        if document is not None:
            self.assertEqual(parsed(body), parse_json(slices.dump(document, 'items')), body)

    def test_objects_that_are_passed_on_keep_each_byte(self):
        item = b'{ "a" : 1.50, "n":123456789012345678901234567890, "zone": "nova","\\u00e9":"\xc3\xa9", "id":"x"}'
        body = b'{"items": [%s, %s]}' % (item, item)
        written = slices.dump(sliced(body, ['zone']), 'items')
        self.assertEqual(b'{"items":[%s,%s]}' % (*[item.replace(b'nova', b'NOVA')] * 2,), written)

    def test_only_fields_of_the_objects_are_replaced(self):
        """A document that may have such a field elsewhere, or spelled in another way, is left to the parser."""
        for item in (
            b'{"zone": "nova", "metadata": {"zone": "nova"}}',
            b'{"zone": "nova", "zone": "nova"}',
            b'{"zone": "nova", "a": "zone"}',
            b'{"\\u007aone": "nova", "metadata": {"zone": "nova"}}',
            b'{"zone": "nova", "\\"zone": "nova"}',
            b'{"zone": "n\\u006fva"}',
            b'{"zone": 7}, {"zone": "nova"}',
            b'{"zone":"nova"}, {"zone": "nova"}',
        ):
            self.assertIsNone(sliced(b'{"items": [%s]}' % item, ['zone']), item)
            self.assertIsNotNone(sliced(b'{"items": [%s]}' % item), item)
        # Other escapes, and other names in quotes, do not matter.
        item = b'{"zone": "nova", "name": "\\u00fc \\n \\"zone\\": \\"nova\\" \\\\"}'
        document = sliced(b'{"items": [%s, {"zone": null}, {"zone": ""}]}' % item, ['zone'])
        self.assertEqual(['NOVA', None, ''], [item['zone'] for item in document['items']])

    def test_odd_documents_are_not_sliced(self):
        for body in (
            b'', b'null', b'[]', b'{}', b'{"items": null}', b'{"items": {}}', b'{"items": [null]}', b'{"items": [[]]}',
            b'{"items": [{"a": NaN}]}', b'{"items": [{"a": "\xff"}]}', b'{"items": [{"a": "\\ud800"}]}',
            b'{"items": []} x', b'{"items": [{"a": %s]}' % (b'[' * 5000), b'\xef\xbb\xbf{"items": []}',
        ):  # fmt: skip
            self.assertIsNone(sliced(body), body[:40])

    def test_documents_of_slices_and_parsed_objects_are_written(self):
        document = sliced(b'{"items": [{"id": "x", "a": 1}], "links": [2], "b": 3}')
        self.assertEqual({'items': [{'id': 'x'}], 'links': [2]}, document)
        document['items'].append({'id': 'y', 'a': '\ud800'})
        expected = {'items': [{'id': 'x', 'a': 1}, {'id': 'y', 'a': '\ud800'}], 'links': [2]}
        self.assertEqual(expected, json.loads(slices.dump(document, 'items')))
        for plain in ({'items': []}, {'items': [{'id': 'y'}], 'links': []}):
            self.assertEqual(dump_json(plain), slices.dump(plain, 'items'))

    def test_object_that_cannot_be_parsed_has_no_whole(self):
        document = sliced(b'{"items": [{"id": "x", "a": %s}]}' % (b'1' * 5000))
        self.assertEqual([None], [slices.whole(item) for item in document['items']])
        self.assertEqual({'id': 'y'}, slices.whole({'id': 'y'}))
