# SPDX-License-Identifier: Apache-2.0
"""JSON schemas of answers, made from the records. Only the OpenAPI document uses them."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any

from trio2o.db.records import BOOKKEEPING

Json = dict[str, Any]

TEXT: Json = {'type': 'string'}
NUMBER: Json = {'type': 'integer'}
NO_FIELDS: Json = {'type': 'object', 'maxProperties': 0}
_LINKS: Json = {
    'type': 'array',
    'items': {'type': 'object', 'required': ['rel', 'href'], 'properties': {'rel': TEXT, 'href': TEXT}},
}
_PLAIN: dict[Any, Json] = {
    str: TEXT,
    int: NUMBER,
    bool: {'type': 'boolean'},
    float: {'type': 'number'},
    # UTC, without a zone.
    datetime: {'type': 'string', 'pattern': r'^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?$'},
    type(None): {'type': 'null'},
    Any: {},
}


def of(record: type, **more: Json) -> Json:
    """Return the schema of an object with the fields of a record, and more."""
    hints = typing.get_type_hints(record)
    names = [field.name for field in fields(record) if field.name not in BOOKKEEPING]
    properties = {name: _schema(hints[name]) for name in names} | more
    return {'type': 'object', 'required': sorted(properties), 'properties': properties}


def one(key: str, shape: Json) -> Json:
    """Return the schema of a body with one object."""
    return {'type': 'object', 'required': [key], 'properties': {key: shape}}


def many(key: str, shape: Json, **more: Json) -> Json:
    """Return the schema of a page of a list."""
    properties = {key: {'type': 'array', 'items': shape}, **more}
    return {
        'type': 'object',
        'required': sorted(properties),
        'properties': {**properties, f'{key}_links': _LINKS},
    }


def _schema(hint: Any) -> Json:
    if hint in _PLAIN:
        return _PLAIN[hint]
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        return {'anyOf': [_schema(part) for part in typing.get_args(hint)]}
    if typing.get_origin(hint) is Mapping:
        return {'type': 'object'}
    raise TypeError(f'no JSON schema for {hint}')
