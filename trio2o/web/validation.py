# SPDX-License-Identifier: Apache-2.0
"""JSON schema for bodies and query strings the gateway itself reads; what is wrong is told by field.

A body that is not JSON, or lacks its one key, is a 400; a value that will not do is a 422 in the Admin API
(its clients have known that since the first Trio2o) and a 400 elsewhere. A query is always a 400.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import jsonschema
from jsonschema.exceptions import best_match

from trio2o import exception

if TYPE_CHECKING:
    from trio2o.web.call import Call

Json = dict[str, Any]

FORMATS = jsonschema.FormatChecker()


class Body:
    """What the object under one key of a JSON body must look like."""

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
        return {'type': 'object', 'required': [self.key], 'properties': {self.key: self.schema}}

    def read(self, call: Call) -> Json:
        """The object, with white space around its texts cut off.

        :raises BadRequest: no JSON object with that key
        :raises Unprocessable: naming the field that will not do
        """
        document = call.json
        if not isinstance(document, dict):
            raise exception.BadRequest('Malformed request body: a JSON object is expected.')
        if set(document) != {self.key}:
            raise exception.BadRequest(f"Malformed request body: '{self.key}' is expected, and nothing beside it.")
        inner = document[self.key]
        if isinstance(inner, dict):
            inner = {name: _stripped(value) for name, value in inner.items()}
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
                known = ', '.join(sorted(self._validators))
                raise exception.BadRequest(f"Unknown query parameter '{name}'. Known are: {known}.")
            if name in found:
                raise exception.BadRequest(f"Query parameter '{name}' stands twice.")
            error = best_match(validator.iter_errors(value))
            if error is not None:
                raise exception.BadRequest(message_of(error, name))
            found[name] = value
        return found


def message_of(error: jsonschema.ValidationError, root: str) -> str:
    """The error in one line that names the field."""
    where = '.'.join([root, *map(str, error.absolute_path)])
    hint = error.schema.get('description') if isinstance(error.schema, Mapping) else None
    reason = f'{error.message} ({hint})' if hint and error.validator == 'pattern' else error.message
    return f"Invalid input for field '{where}': {reason}"


def _stripped(value: Any) -> Any:
    return value.strip() if isinstance(value, str) else value
