# SPDX-License-Identifier: Apache-2.0
"""Invalid requests: an error that names the field or parameter, and never a 500."""

import json
import re

from trio2o.api import ACCEPTS, OPERATIONS
from trio2o.tests.functional.admin_api.base import AdminApiTestCase
from trio2o.web.validation import Query

LISTS = {row.path: ACCEPTS[row.name] for row in OPERATIONS if row.name.endswith('.list')}

#: A valid change of each resource that can be changed.
CHANGES = {
    'pods': {'pod': {}},
    'bindings': {'pod_binding': {'is_pinned': True}},
    'routings': {'routing': {'state': 'active'}},
}


def path_of(row):
    return row.path.replace('{', '').replace('}', '')


class TestQueries(AdminApiTestCase):
    registers = False

    def test_unknown_parameter_is_refused_with_400(self):
        for row in OPERATIONS:
            answer = self.api.request(row.method, f'{path_of(row)}?colour=red')
            self.assertRefused(400, "'colour'", answer)

    def test_empty_repeated_or_control_character_parameter_is_refused_with_400(self):
        for path, query in LISTS.items():
            for name in query.parameters:
                self.assertRefused(400, f"'{name}'", self.api.get(f'{path}?{name}=a%00b'))
                self.assertRefused(400, f"'{name}'", self.api.get(f'{path}?{name}=x%0A'))
            self.assertRefused(400, "'limit' is given twice", self.api.get(f'{path}?limit=1&limit=1'))
            self.assertRefused(400, "'limit'", self.api.get(f'{path}?limit='))

    def test_invalid_limit_or_marker_is_refused_with_400(self):
        for path in LISTS:
            for limit in ('-1', '1.5', 'x', '9' * 30, '0x10'):
                self.assertRefused(400, "'limit'", self.api.get(f'{path}?limit={limit}'))
            self.assertAnswer(200, self.api.get(f'{path}?limit=999999999'))
            self.assertAnswer(200, self.api.get(f'{path}?limit=0'))
        for marker in ('9' * 30, 'x', '1e3', '%D9%A3'):
            self.assertRefused(400, "'marker'", self.api.get(f'/routings?marker={marker}'))

    def test_invalid_sort_is_refused_with_400(self):
        for path in LISTS:
            for sort in ('colour', 'state:up', '', ',', 'id:asc:desc', 'id,,id'):
                self.assertRefused(400, "'sort'", self.api.get(f'{path}?sort={sort}'))

    def test_sort_is_refused_with_400_when_it_is_too_long(self):
        for path, query in LISTS.items():
            schema = query.parameters['sort']
            column = re.match(r'\^\((\w+)', schema['pattern']).group(1)
            columns = [column] * ((schema['maxLength'] + 1) // (len(column) + 1))
            self.assertAnswer(200, self.api.get(f'{path}?sort={",".join(columns)}'))
            self.assertRefused(400, "'sort'", self.api.get(f'{path}?sort={",".join([*columns, column])}'))

    def test_each_list_accepts_limit_marker_and_sort(self):
        for path, query in LISTS.items():
            self.assertIsInstance(query, Query)
            self.assertLessEqual({'limit', 'marker', 'sort'}, set(query.parameters), path)


class TestPaths(AdminApiTestCase):
    registers = False

    def test_impossible_id_is_404_for_each_row(self):
        for row in OPERATIONS:
            # Any other id may be that of a deleted project.
            if '{' in row.path and not row.path.startswith('/projects'):
                for bad in ('%00', 'a%0Ab', 'x' * 5000, '%ED%A0%80', '%FF', '%F0%9F%90%8B', "'%20OR%201=1"):
                    path = row.path[: row.path.index('{')] + bad + row.path[row.path.index('}') + 1 :]
                    body = CHANGES.get(path.split('/')[1]) if row.method in ('PUT', 'PATCH') else None
                    answer = self.api.request(row.method, path, body)
                    self.assertAnswer(404, answer)


class TestBodies(AdminApiTestCase):
    registers = False

    def post(self, body, content_type='application/json'):
        return self.api.post('/pods', body=body, headers={'Content-Type': content_type})

    def test_other_content_type_is_refused_with_415(self):
        body = json.dumps({'pod': {}}).encode()
        for content_type in ('text/plain', 'application/xml', 'application/x-www-form-urlencoded', 'x'):
            self.assertRefused(415, 'application/json', self.post(body, content_type))
        for content_type in ('application/json; charset=utf-8', 'Application/JSON', ''):
            self.assertAnswer(422, self.post(body, content_type))

    def test_malformed_json_is_refused_with_400(self):
        deep = b'{"pod": {"headroom": ' + b'[' * 5000 + b']' * 5000 + b'}}'
        for body in (
            b'{"pod": {"headroom": {"a": NaN}}}',
            b'{"pod": {"headroom": {"a": Infinity}}}',
            b'{"pod": {"headroom": {"a": ' + b'9' * 5000 + b'}}}',
            b'\xff\xfe',
            b'\x00',
            b'{"pod": {}}{"pod": {}}',
            deep,
        ):
            self.assertRefused(400, 'Malformed', self.post(body))

    def test_deep_json_is_refused_with_400(self):
        for depth in (20, 200, 900):
            tag = '{"a":' * depth + '1' + '}' * depth
            self.assertRefused(400, 'too deeply', self.post(f'{{"pod": {{"resource_affinity_tag": {tag}}}}}'.encode()))

    def test_unstorable_value_is_refused_with_422(self):
        for field, value in (
            ('pod_name', r'"a\u0000b"'),
            ('dc_name', r'"\ud800"'),
            ('resource_affinity_tag', r'{"a\u0000": "b"}'),
            ('resource_affinity_tag.a', r'{"a": "\udfff"}'),
            ('headroom.vcpu', '{"vcpu": 1e999}'),
            ('headroom.vcpu', '{"vcpu": ' + '9' * 40 + '}'),
            ('headroom.vcpu', '{"vcpu": -1}'),
            ('headroom.vcpu', '{"vcpu": ' + str(2**60) + '}'),
            ('headroom', '{"VPCU": 1}'),
            ('headroom', '{"CUSTOM_": 1}'),
            ('headroom', '{"": 1}'),
        ):
            body = f'{{"pod": {{"pod_name": "Pod1", "az_name": "az1", "{field.split(".")[0]}": {value}}}}}'
            self.assertRefused(422, f"'pod.{field}'", self.post(body.encode()))

    def test_error_for_long_value_is_short(self):
        answer = self.post(json.dumps({'pod': {'pod_name': 'x' * 50000}}).encode())
        self.assertRefused(422, 'pod.pod_name', answer)
        self.assertLess(len(answer.body), 1000)
