# SPDX-License-Identifier: Apache-2.0
"""The directive ``trio2o-admin-api``: a reference of the Admin API, made from its OpenAPI document.

It runs when the documentation is built, so the page always matches the code.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList
from sphinx.application import Sphinx

from trio2o import api
from trio2o.api import openapi

Json = dict[str, Any]

TITLES = {
    'pods': 'Pods',
    'projects': 'Projects',
    'bindings': 'Bindings',
    'routings': 'Routings',
    'claims': 'Claims',
    'moves': 'Moves',
    'move_groups': 'Groups of moves',
    'jobs': 'Jobs',
    'replicas': 'Replicas',
    'usages': 'Usages',
}

#: Statuses that the page describes for all operations.
EVERYWHERE = ('401', '403', '413', '415', '503')


class AdminApi(Directive):
    """``.. trio2o-admin-api::``, without arguments."""

    def run(self) -> list[nodes.Node]:
        document = openapi.document(api.OPERATIONS, api.ACCEPTS, api.RETURNS)
        holder = nodes.section()
        self.state.nested_parse(StringList(list(page(document)), 'admin_api'), 0, holder, match_titles=True)
        return list(holder.children)


def page(document: Json) -> Iterator[str]:
    """Yield the reference as lines of reStructuredText."""
    rows = [
        (path, method.upper(), row) for path, methods in document['paths'].items() for method, row in methods.items()
    ]
    of_tag = lambda row: row[2]['tags'][0]  # noqa: E731
    rules = {
        operation.name: f'{operation.role}``' + (f', or ``api:{operation.own_rule}' if operation.own_rule else '')
        for operation in api.OPERATIONS
    }
    for tag, group in itertools.groupby(sorted(rows, key=lambda row: list(TITLES).index(of_tag(row))), of_tag):
        yield from ('', TITLES[tag], '=' * len(TITLES[tag]), '')
        for path, method, row in group:
            yield from _operation(f'{method} /v1.0{path}', row, rules[row['operationId']])


def _operation(title: str, row: Json, rule: str) -> Iterator[str]:
    yield from (title, '-' * len(title), '')
    summary, answers = _described(row['summary'])
    if summary:
        yield from (f'{summary[:1].upper()}{summary[1:]}.', '')
    yield f':Rule: ``api:{row["operationId"]}``, by default ``{rule}``'
    yield f':Answers: {answers or ", ".join(code for code in row["responses"] if code not in EVERYWHERE)}'
    yield from _answer(row['responses'])
    yield ''
    body = row.get('requestBody', {}).get('content', {}).get('application/json', {}).get('schema')
    fields = [
        *((f'``{each["name"]}``', each['in'], _kind(each['schema']), '') for each in row['parameters']),
        *_fields(body),
    ]
    yield from _table(fields)


def _described(summary: str) -> tuple[str, str]:
    """Return the summary and the answers in a docstring, which follow the method and path."""
    text = re.sub(r'^[A-Z]+( or [A-Z]+)? \S+?[:,]? ', '', summary.rstrip('.'))
    found = re.search(r'\b[2-5]\d\d\b', text)
    if not found:
        return text, ''
    return text[: found.start()].strip(' .,:'), text[found.start() :]


def _answer(responses: Json) -> Iterator[str]:
    schema: Json = next(
        (each['content']['application/json']['schema'] for code, each in responses.items() if code < '300'), {}
    )
    for key, value in schema.get('properties', {}).items():
        is_list = value.get('type') == 'array'
        names = (value['items'] if is_list else value).get('properties', {})
        prefix = 'a list, each with ' if is_list else ''
        yield f':Body: ``{key}``' + (f': {prefix}{", ".join(f"``{name}``" for name in names)}' if names else '')


def _fields(schema: Json | None, prefix: str = '') -> Iterator[tuple[str, str, str, str]]:
    """Yield the fields of a body, each followed by the fields of the object in it."""
    for name, value in (schema or {}).get('properties', {}).items():
        needed = 'required' if name in (schema or {}).get('required', ()) else ''
        yield f'``{prefix}{name}``', 'body', _kind(value), needed
        if value.get('type') == 'object':
            yield from _fields(value, f'{prefix}{name}.')


def _kind(schema: Json) -> str:
    if 'description' in schema:
        return str(schema['description'])
    if 'enum' in schema:
        return ', '.join(f'``{value}``' for value in schema['enum'])
    if 'anyOf' in schema:
        return ' or '.join(dict.fromkeys(_kind(each) for each in schema['anyOf']))
    kind = schema.get('type', 'anything')
    return ' or '.join(kind) if isinstance(kind, list) else str(kind)


def _table(rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    rows = list(rows)
    if not rows:
        return
    yield from ('.. list-table::', '   :header-rows: 1', '   :widths: 30 10 45 15', '')
    for row in [('Name', 'In', 'Value', ''), *rows]:
        for number, cell in enumerate(row):
            yield f'   {"*" if not number else " "} - {cell}'
    yield ''


def setup(app: Sphinx) -> Json:
    app.add_directive('trio2o-admin-api', AdminApi)
    return {'parallel_read_safe': True}
