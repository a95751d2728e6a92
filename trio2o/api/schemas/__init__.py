# SPDX-License-Identifier: Apache-2.0
"""JSON schemas of bodies and queries, one module for each resource; here are the parts that they share."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

#: The largest page, and the size of a page if the query has no limit.
MAX_LIMIT = 1000


def text(max_length: int = 255, min_length: int = 0) -> Json:
    """Return the schema of a text without control characters."""
    schema: Json = {'type': 'string', 'maxLength': max_length, 'pattern': r'^[^\x00-\x1f\x7f]*$'}
    return {**schema, 'minLength': min_length} if min_length else schema


def sort(*names: str) -> Json:
    """Return the schema of ``sort``.

    :param names: columns that are never null
    """
    part = f'({"|".join(names)})(:(asc|desc))?'
    return {
        'type': 'string',
        'maxLength': 255,
        'pattern': f'^{part}(,{part})*$',
        'description': f'any of {", ".join(names)}, each with :asc or :desc, separated by commas',
    }


def record(properties: Json, required: tuple[str, ...] = ()) -> Json:
    """Return the schema of an object that has these fields and no others."""
    return {
        'type': 'object',
        'properties': properties,
        'required': list(required),
        'additionalProperties': False,
    }


ID = text(64, 1)
LIMIT: Json = {'type': 'string', 'pattern': '^[0-9]{1,9}$', 'description': 'a number, 0 or more'}
NUMBER: Json = {'type': 'string', 'pattern': '^[0-9]{1,18}$', 'description': 'the number of a record'}
BOOLEAN: Json = {'type': 'string', 'enum': ['true', 'false', 'True', 'False', '1', '0']}
PAGE: Json = {'limit': LIMIT, 'marker': text(255, 1)}
