# SPDX-License-Identifier: Apache-2.0
"""The OpenAPI document of the Admin API, made from its rows and schemas: never written twice."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from trio2o.web.call import Answer
from trio2o.web.microversion import VersionRange
from trio2o.web.operations import Operation
from trio2o.web.validation import Body, Query

Json = dict[str, Any]

PATH = '/v1.0/openapi.json'

_FAULT: Json = {
    'type': 'object',
    'description': 'One key that names the kind of error.',
    'additionalProperties': {
        'type': 'object',
        'required': ['code', 'message'],
        'properties': {'code': {'type': 'integer'}, 'message': {'type': 'string'}},
    },
}
#: What any operation may answer.
_ALWAYS = ('401', '403')
_MEANING = {
    '200': 'Done, with what is there now.',
    '202': 'Accepted; a worker goes on with it.',
    '400': 'Malformed body or query.',
    '401': 'No valid token.',
    '403': 'The policy denies it.',
    '404': 'There is no such thing.',
    '409': 'It clashes with what is there.',
    '422': 'A value will not do; the message names the field.',
    '503': 'Keystone cannot be asked now.',
}


def page(
    operations: Iterable[Operation], accepts: dict[str, Body | Query]
) -> Callable[[str, VersionRange | None], Answer]:
    """A page with the document.

    :param accepts: operation name -> what it reads
    """
    operations = list(operations)

    def show(base_url: str, supported: VersionRange | None) -> Answer:
        return Answer.of(document(operations, accepts, base_url))

    return show


def document(
    operations: Iterable[Operation],
    accepts: dict[str, Body | Query],
    base_url: str = '',
) -> Json:
    """The document as such."""
    paths: Json = {}
    for operation in operations:
        methods = paths.setdefault(operation.path, {})
        methods[operation.method.lower()] = _operation(operation, accepts.get(operation.name))
    return {
        'openapi': '3.1.0',
        'info': {'title': 'Trio2o Admin API', 'version': '1.0', 'license': {'name': 'Apache-2.0'}},
        'servers': [{'url': f'{base_url}/v1.0'}],
        'security': [{'token': []}],
        'paths': paths,
        'components': {
            'securitySchemes': {'token': {'type': 'apiKey', 'in': 'header', 'name': 'X-Auth-Token'}},
            'schemas': {'Fault': _FAULT},
        },
    }


def _operation(operation: Operation, accepted: Body | Query | None) -> Json:
    found: Json = {
        'operationId': operation.name,
        'summary': (operation.handler.__doc__ or operation.name).strip().split('\n')[0],
        'tags': [operation.name.split('.')[0]],
        'parameters': [
            {'name': name, 'in': 'path', 'required': True, 'schema': {'type': 'string'}}
            for name in re.findall(r'{(\w+)}', operation.path)
        ],
        'responses': {status: _response(status) for status in _statuses(operation)},
    }
    if isinstance(accepted, Query):
        found['parameters'] += [
            {'name': name, 'in': 'query', 'schema': schema} for name, schema in accepted.parameters.items()
        ]
    elif isinstance(accepted, Body):
        found['requestBody'] = {
            'required': True,
            'content': {'application/json': {'schema': accepted.document}},
        }
    return found


def _statuses(operation: Operation) -> list[str]:
    """What the handler's docstring says it may answer."""
    return sorted({*re.findall(r'\b[2-5]\d\d\b', operation.handler.__doc__ or ''), *_ALWAYS})


def _response(status: str) -> Json:
    response: Json = {'description': _MEANING.get(status, status)}
    schema = {'type': 'object'} if status.startswith('2') else {'$ref': '#/components/schemas/Fault'}
    response['content'] = {'application/json': {'schema': schema}}
    return response
