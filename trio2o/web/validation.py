# SPDX-License-Identifier: Apache-2.0
"""JSON schema for bodies and query strings the gateway itself reads; what is wrong is told by field.

A body that is not JSON, or lacks its one key, is a 400; a value that will not do is a 422 in the Admin API
(its clients have known that since the first Trio2o) and a 400 elsewhere. A query is always a 400.

No schema need say what no database column takes: control characters, halves of surrogate pairs, numbers beyond
64 bits. Those are refused here wherever they stand.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import jsonschema
from jsonschema.exceptions import best_match

from trio2o import exception

if TYPE_CHECKING:
    from trio2o.web.call import Call

Json = dict[str, Any]

FORMATS = jsonschema.FormatChecker()

_MOST_DEPTH = 16
_MOST_NUMBER = 2**63 - 1
_MOST_MESSAGE = 300
_UNFIT = re.compile(r'[\x00-\x1f\x7f\ud800-\udfff]')


class Body:
    """What the object under one key of a JSON body must look like."""

    #: Whether it may not be left out; for the documentation.
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
        """Schema of the whole body."""
        return {
            'type': 'object',
            'required': [self.key],
            'properties': {self.key: self.schema},
            'additionalProperties': False,
        }

    def read(self, call: Call) -> Json:
        """The object, with white space around its texts cut off.

        :raises UnsupportedMediaType: the body says it is something else
        :raises BadRequest: no JSON object with that key
        :raises Unprocessable: naming the field that will not do
        """
        if call.media_type and call.media_type not in call.service.media_types:
            known = ', '.join(sorted(call.service.media_types))
            raise exception.UnsupportedMediaType(f"Content-Type must be {known}, not '{call.media_type[:64]}'.")
        document = _parse(call.body)
        if not isinstance(document, dict):
            raise exception.BadRequest('Malformed request body: a JSON object is expected.')
        if set(document) != {self.key}:
            raise exception.BadRequest(f"Malformed request body: '{self.key}' is expected, and nothing beside it.")
        inner = document[self.key]
        if isinstance(inner, dict):
            inner = {name: _stripped(value) for name, value in inner.items()}
        for where, value, depth in _values(inner, self.key):
            if depth > _MOST_DEPTH:
                raise exception.BadRequest(f"Malformed request body: '{self.key}' is nested too deeply.")
            reason = unfit(value)
            if reason:
                raise self._refusal(f"Invalid input for field '{where}': {reason}")
        error = best_match(self._validator.iter_errors(inner))
        if error is not None:
            raise self._refusal(message_of(error, self.key))
        return dict(inner)


class Query:
    """Which query parameters an operation takes, each at most once, each by a schema of its text."""

    def __init__(self, **parameters: Json) -> None:
        self.parameters = parameters
        self._validators = {
            name: jsonschema.Draft202012Validator(schema, format_checker=FORMATS)
            for name, schema in parameters.items()
        }

    def read(self, call: Call) -> dict[str, str]:
        """:raises BadRequest: naming the parameter that is unknown, stands twice or has no such value"""
        found: dict[str, str] = {}
        for name, value in call.query:
            validator = self._validators.get(name)
            if validator is None:
                raise exception.BadRequest(f"Unknown query parameter '{_shown(name)}'. {self._known()}")
            if name in found:
                raise exception.BadRequest(f"Query parameter '{name}' stands twice.")
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
        return f'Known are: {known}.' if known else 'This operation takes none.'


#: For operations that take no query.
NO_QUERY = Query()


def unfit(value: Any) -> str:
    """Why no database takes a value; empty when they do."""
    if isinstance(value, str):
        return 'it holds a control character' if _UNFIT.search(value) else ''
    if isinstance(value, float):
        return '' if math.isfinite(value) else 'the number is too large'
    if isinstance(value, int):
        return '' if abs(value) <= _MOST_NUMBER else 'the number is too large'
    return ''


def message_of(error: jsonschema.ValidationError, root: str) -> str:
    """The error in one line that names the field."""
    where = '.'.join([root, *map(str, error.absolute_path)])
    hint = error.schema.get('description') if isinstance(error.schema, Mapping) else None
    message = _shown(error.message, _MOST_MESSAGE)
    reason = f'{message} ({hint})' if hint and error.validator == 'pattern' else message
    return f"Invalid input for field '{_shown(where)}': {reason}"


def _parse(body: bytes) -> Any:
    """The document in a body, or None; NaN and Infinity are no JSON."""
    try:
        return json.loads(body.decode(), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return None


def _no_constant(name: str) -> None:
    raise ValueError(f'{name} is no JSON')


def _values(document: Any, root: str) -> Iterator[tuple[str, Any, int]]:
    """Everything in a document, names of fields included: where it stands, what it is, how deep."""
    ahead = [(root, document, 0)]
    while ahead:
        where, value, depth = ahead.pop()
        yield where, value, depth
        if depth > _MOST_DEPTH:
            continue
        if isinstance(value, dict):
            ahead += [(where, name, depth) for name in value]
            ahead += [(f'{where}.{_shown(name)}', inner, depth + 1) for name, inner in value.items()]
        elif isinstance(value, list):
            ahead += [(f'{where}.{index}', inner, depth + 1) for index, inner in enumerate(value)]


def _shown(text: str, most: int = 64) -> str:
    """A client's own words, as much of them as a message bears; what cannot be written is escaped."""
    text = _UNFIT.sub(lambda found: repr(found[0])[1:-1], text)
    return text if len(text) <= most else f'{text[:most]}...'


def _stripped(value: Any) -> Any:
    return value.strip() if isinstance(value, str) else value
