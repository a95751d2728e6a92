# SPDX-License-Identifier: Apache-2.0
"""The OpenAPI document of the Admin API, made from its operations and schemas."""

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
#: No id contains control characters or slashes.
_PATH_ID: Json = {'type': 'string', 'pattern': r'^[^/\x00-\x1f\x7f]+$', 'maxLength': 255}
#: Statuses that every operation may answer with.
_ALWAYS = ('400', '401', '403', '503')
_MEANING = {
    '200': 'Done; the body contains the current state.',
    '202': 'Accepted; a job continues the work.',
    '400': 'Malformed body or query.',
    '401': 'No valid token.',
    '403': 'The policy denies it.',
    '404': 'The object does not exist.',
    '409': 'The request conflicts with an existing object.',
    '413': 'The body is too large.',
    '415': 'The body is not JSON.',
    '422': 'A value is invalid; the message names the field.',
    '503': 'The database or Keystone does not answer.',
}


def page(
    operations: Iterable[Operation], accepts: dict[str, Body | Query], returns: dict[str, Json]
) -> Callable[[str, VersionRange | None], Answer]:
    """Make the page that shows the document.

    :param accepts: operation name -> schema of its body or query
    :param returns: operation name -> schema of its successful answer
    """
    operations = list(operations)

    def show(base_url: str, supported: VersionRange | None) -> Answer:
        return Answer.of(document(operations, accepts, returns, base_url))

    return show


def document(
    operations: Iterable[Operation],
    accepts: dict[str, Body | Query],
    returns: dict[str, Json],
    base_url: str = '',
) -> Json:
    """Build the document."""
    paths: Json = {}
    operations = list(operations)
    for operation in operations:
        described = _operation(operation, accepts.get(operation.name), returns.get(operation.name))
        links = _links(operation, operations, returns.get(operation.name))
        if links:
            responses = described['responses']
            responses['202' if '202' in responses else '200']['links'] = links
        paths.setdefault(operation.path, {})[operation.method.lower()] = described
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


def _operation(operation: Operation, accepted: Body | Query | None, given: Json | None) -> Json:
    found: Json = {
        'operationId': operation.name,
        'summary': (operation.handler.__doc__ or operation.name).strip().split('\n')[0],
        'tags': [operation.name.split('.')[0]],
        'parameters': [
            {'name': name, 'in': 'path', 'required': True, 'schema': _PATH_ID}
            for name in re.findall(r'{(\w+)}', operation.path)
        ],
        'responses': {status: _response(status, given) for status in _statuses(operation, accepted)},
    }
    if isinstance(accepted, Query):
        found['parameters'] += [
            {'name': name, 'in': 'query', 'schema': schema} for name, schema in accepted.parameters.items()
        ]
    elif isinstance(accepted, Body):
        found['requestBody'] = {
            'required': accepted.is_required,
            'content': {'application/json': {'schema': accepted.document}},
        }
    return found


def _links(operation: Operation, operations: Iterable[Operation], given: Json | None) -> Json:
    """Make links from a created object, or from the first one of a list, to the operations on it."""
    key = next(iter((given or {}).get('properties', {})), '')
    verb = operation.name.split('.')[-1]
    if not key or verb not in ('create', 'list'):
        return {}
    shape = given['properties'][key] if given else {}
    pointer = f'$response.body#/{key}'
    if verb == 'list':
        shape, pointer = shape['items'], f'{pointer}/0'
    links: Json = {}
    for other in operations:
        name, *more = re.findall(r'{(\w+)}', other.path) or ['']
        if name and not more and other.path.startswith(f'{operation.path}/{{'):
            field = name if name in shape.get('properties', {}) else 'id'
            links[other.name] = {'operationId': other.name, 'parameters': {name: f'{pointer}/{field}'}}
    return links


def _statuses(operation: Operation, accepted: Body | Query | None) -> list[str]:
    """Read the statuses from the handler's docstring."""
    found = {*re.findall(r'\b[2-5]\d\d\b', operation.handler.__doc__ or ''), *_ALWAYS}
    return sorted(found | {'413', '415'} if isinstance(accepted, Body) else found)


def _response(status: str, given: Json | None) -> Json:
    response: Json = {'description': _MEANING.get(status, status)}
    schema = (given or {'type': 'object'}) if status.startswith('2') else {'$ref': '#/components/schemas/Fault'}
    response['content'] = {'application/json': {'schema': schema}}
    return response
