# SPDX-License-Identifier: Apache-2.0
"""Validation, by JSON schema, of bodies and query strings that the gateway itself reads. Errors name the field.

A body that is not JSON, or does not have exactly its one key, is answered with 400. An invalid value is answered with
422 in the Admin API, as in the first Trio2o, and with 400 elsewhere. An invalid query is always answered with 400.

Schemas need not exclude values that no database column can store, as these are refused in any field: control
characters, lone surrogates, numbers beyond 64 bits.
"""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import jsonschema
from jsonschema.exceptions import best_match

from trio2o import exception

if TYPE_CHECKING:
    from trio2o.web.call import Answer, Call
    from trio2o.web.operations import Handler, Operation

Json = dict[str, Any]

FORMATS = jsonschema.FormatChecker()

_MAX_DEPTH = 16
_MAX_NUMBER = 2**63 - 1
_MAX_MESSAGE = 300
_UNFIT = re.compile(r'[\x00-\x1f\x7f\ud800-\udfff]')


class Body:
    """The schema of a JSON body: an object under one key."""

    #: Whether the body is required; for the documentation.
    is_required = True

    def __init__(
        self,
        key: str,
        schema: Json,
        refusal: type[exception.Trio2oException] = exception.Unprocessable,
    ) -> None:
        self.key = key
        self.schema = schema
        self._validator = jsonschema.Draft202012Validator(schema, format_checker=FORMATS)
        self._refusal = refusal

    @property
    def document(self) -> Json:
        """The schema of the whole body."""
        return {
            'type': 'object',
            'required': [self.key],
            'properties': {self.key: self.schema},
            'additionalProperties': False,
        }

    def read(self, call: Call) -> Json:
        """Validate the body of a call.

        :returns: the object under the key, its texts without surrounding white space
        :raises UnsupportedMediaType: the body has another media type
        :raises BadRequest: it is not a JSON object with that key
        :raises Unprocessable: a field has an invalid value
        """
        if call.media_type and call.media_type not in call.service.media_types:
            known = ', '.join(sorted(call.service.media_types))
            raise exception.UnsupportedMediaType(f"Content-Type must be {known}, not '{call.media_type[:64]}'.")
        document = _parse(call.body)
        if not isinstance(document, dict):
            raise exception.BadRequest('Malformed request body: a JSON object is expected.')
        if set(document) != {self.key}:
            raise exception.BadRequest(f"Malformed request body: '{self.key}' is expected, and no other key.")
        inner = document[self.key]
        if isinstance(inner, dict):
            inner = {name: _stripped(value) for name, value in inner.items()}
        for where, value, depth in _values(inner, self.key):
            if depth > _MAX_DEPTH:
                raise exception.BadRequest(f"Malformed request body: '{self.key}' is nested too deeply.")
            reason = unfit(value)
            if reason:
                raise self._refusal(f"Invalid input for field '{where}': {reason}")
        error = best_match(self._validator.iter_errors(inner))
        if error is not None:
            raise self._refusal(message_of(error, self.key))
        return dict(inner)


class Query:
    """The query parameters of an operation, each with a schema of its text and allowed once."""

    def __init__(self, **parameters: Json) -> None:
        self.parameters = parameters
        self._validators = {
            name: jsonschema.Draft202012Validator(schema, format_checker=FORMATS)
            for name, schema in parameters.items()
        }

    def read(self, call: Call) -> dict[str, str]:
        """Validate the query of a call.

        :returns: values by parameter
        :raises BadRequest: a parameter is unknown, given twice or has an invalid value
        """
        found: dict[str, str] = {}
        for name, value in call.query:
            validator = self._validators.get(name)
            if validator is None:
                raise exception.BadRequest(f"Unknown query parameter '{_shown(name)}'. {self._known()}")
            if name in found:
                raise exception.BadRequest(f"Query parameter '{name}' is given twice.")
            reason = unfit(value)
            if reason:
                raise exception.BadRequest(f"Invalid input for field '{name}': {reason}")
            error = best_match(validator.iter_errors(value))
            if error is not None:
                raise exception.BadRequest(message_of(error, name))
            found[name] = value
        return found

    def _known(self) -> str:
        known = ', '.join(sorted(self._validators))
        return f'Known are: {known}.' if known else 'This operation has none.'


#: For operations without query parameters.
NO_QUERY = Query()


def unfit(value: Any) -> str:
    """Return the reason why no database column can store a value; '' if one can."""
    if isinstance(value, str):
        return 'it contains a control character' if _UNFIT.search(value) else ''
    if isinstance(value, float):
        return '' if math.isfinite(value) else 'the number is too large'
    if isinstance(value, int):
        return '' if abs(value) <= _MAX_NUMBER else 'the number is too large'
    return ''


def message_of(error: jsonschema.ValidationError, root: str) -> str:
    """Return one line with the field and the reason why its value is invalid."""
    where = '.'.join([root, *map(str, error.absolute_path)])
    hint = error.schema.get('description') if isinstance(error.schema, Mapping) else None
    message = _shown(error.message, _MAX_MESSAGE)
    reason = f'{message} ({hint})' if hint and error.validator == 'pattern' else message
    return f"Invalid input for field '{_shown(where)}': {reason}"


def _parse(body: bytes) -> Any:
    """Parse a body strictly, so without NaN and Infinity; None if it is not JSON."""
    try:
        return json.loads(body.decode(), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return None


def _no_constant(name: str) -> None:
    raise ValueError(f'{name} is no JSON')


def _values(document: Any, root: str) -> Iterator[tuple[str, Any, int]]:
    """Yield all values in a document, including names of fields, each with its path and depth."""
    ahead = [(root, document, 0)]
    while ahead:
        where, value, depth = ahead.pop()
        yield where, value, depth
        if depth > _MAX_DEPTH:
            continue
        if isinstance(value, dict):
            ahead += [(where, name, depth) for name in value]
            ahead += [(f'{where}.{_shown(name)}', inner, depth + 1) for name, inner in value.items()]
        elif isinstance(value, list):
            ahead += [(f'{where}.{index}', inner, depth + 1) for index, inner in enumerate(value)]


def _shown(text: str, most: int = 64) -> str:
    """Shorten a text of a client for a message, and escape unprintable characters."""
    text = _UNFIT.sub(lambda found: repr(found[0])[1:-1], text)
    return text if len(text) <= most else f'{text[:most]}...'


def _stripped(value: Any) -> Any:
    return value.strip() if isinstance(value, str) else value


def validated(operations: Iterable[Operation], accepts: Mapping[str, Body | Query]) -> Iterator[Operation]:
    """Add the checks that all operations have in common to handlers.

    :param accepts: what an operation reads, by its name
    :returns: rows whose handlers answer 404 for ids that no resource can have, and 400 for a query if the operation
        reads none
    """
    for operation in operations:
        reads_query = isinstance(accepts.get(operation.name), Query)
        yield replace(operation, handler=_validated(operation.handler, reads_query))


def _validated(handler: Handler, reads_query: bool) -> Handler:
    @functools.wraps(handler)
    def answer(call: Call) -> Answer:
        if any(unfit(value) for value in call.params.values()):
            raise exception.NotFound('The resource could not be found.')
        if not reads_query:
            NO_QUERY.read(call)
        return handler(call)

    return answer
