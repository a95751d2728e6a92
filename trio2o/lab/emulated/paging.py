# SPDX-License-Identifier: Apache-2.0
"""Sorting, markers and next links, as in Nova and Cinder."""

from collections.abc import Callable, Sequence
from typing import Any
from urllib import parse

from trio2o.lab.emulated import wire

Record = dict[str, Any]


def _orderable(value: Any) -> tuple[bool, Any]:
    """Return a sort key by which NULL is the smallest value, as in MySQL."""
    if isinstance(value, bool):
        value = int(value)
    return (value is not None, value if value is not None else 0)


def in_order(
    records: Sequence[Record],
    keys: Sequence[str],
    dirs: Sequence[str],
    value_of: Callable[[Record, str], Any] = dict.get,
) -> list[Record]:
    """Sort by several keys, each in its direction."""
    ordered = list(records)
    for key, direction in reversed(list(zip(keys, dirs, strict=True))):
        values = [value_of(record, key) for record in ordered]
        plain = None not in values and not any(isinstance(value, bool) for value in values)
        column = values if plain else [_orderable(value) for value in values]
        order = sorted(range(len(ordered)), key=column.__getitem__, reverse=direction == 'desc')
        ordered = [ordered[index] for index in order]
    return ordered


def after(
    records: Sequence[Record],
    marker: Record | None,
    keys: Sequence[str],
    dirs: Sequence[str],
    value_of: Callable[[Record, str], Any] = dict.get,
) -> list[Record]:
    """Sort, and keep the records after the marker, which need not be one of them."""
    if marker is None:
        return in_order(records, keys, dirs, value_of)
    pool = records if any(record is marker for record in records) else [*records, marker]
    ordered = in_order(pool, keys, dirs, value_of)
    at = next(index for index, record in enumerate(ordered) if record is marker)
    return ordered[at + 1 :]


def number(request: wire.Request, name: str, default: int, most: int | None = None) -> int:
    """Parse a parameter that is a number, and refuse any other text as Nova does. The last value counts."""
    text = request.last(name)
    if text is None:
        return default
    for each in request.every(name):
        if not (each.isascii() and each.isdigit()):
            raise wire.Refusal(
                400, f"Invalid input for query parameters {name}. Value: {each}. '{each}' does not match '^[0-9]*$'"
            )
    return min(int(text), most) if most is not None else int(text)


def sorting(request: wire.Request, key: str, direction: str) -> tuple[list[str], list[str]]:
    """Return keys and directions, paired by position; a key without a direction gets the first one."""
    keys = [text.strip() for text in request.every('sort_key')] or [key]
    dirs = [text.strip() for text in request.every('sort_dir')] or [direction]
    dirs += [dirs[0]] * (len(keys) - len(dirs))
    return keys, dirs[: len(keys)]


def next_link(request: wire.Request, path: str, marker: str) -> list[dict[str, str]]:
    """Make a next link with all parameters of the request, sorted by name, and the new marker."""
    params = dict(sorted(request.params))
    params['marker'] = marker
    return [{'rel': 'next', 'href': f'{request.prefix}/{path}?{parse.urlencode(params)}'}]
