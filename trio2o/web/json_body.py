# SPDX-License-Identifier: Apache-2.0
"""Reading parsed JSON bodies, which may have any shape.

Clients and pods can send anything. These functions return None, or nothing, where a value is missing or has
another type than expected; they never raise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trio2o.resources import Item, Resource
    from trio2o.web.call import Answer


def at(document: Any, *path: str) -> Any:
    """Return the value at a path of keys, or None if the path does not exist."""
    for key in path:
        document = document.get(key) if isinstance(document, dict) else None
    return document


def object_at(document: Any, *path: str) -> Item | None:
    """Return the JSON object at a path of keys, or None if there is none."""
    value = at(document, *path)
    return value if isinstance(value, dict) else None


def objects_at(document: Any, *path: str) -> list[Item]:
    """Return the JSON objects in the list at a path of keys; other elements are left out."""
    return objects(at(document, *path))


def objects(value: Any) -> list[Item]:
    """Return the JSON objects in a list; other elements are left out, and any other value has none."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def member(answer: Answer, resource: Resource) -> Item | None:
    """Return the resource that a successful answer shows, or None."""
    return object_at(answer.json, resource.member) if answer.is_ok else None


def items(document: Any, collection: str) -> list[Item] | None:
    """Return the resources that a document lists, or None if it does not have a list of objects with ids."""
    found = at(document, collection)
    if not isinstance(found, list):
        return None
    are_all = all(isinstance(item, dict) and isinstance(item.get('id'), str) for item in found)
    return found if are_all else None


def error_message(document: Any) -> str:
    """Return the message in an error body, as in ``{"itemNotFound": {"message": ...}}``; empty if there is none."""
    error = next(iter(document.values()), None) if isinstance(document, dict) else None
    return str(at(error, 'message') or '')


def replaced(document: Any, path: Sequence[str], value: Any) -> Any:
    """Return a copy of a document with another value at a path of keys, all of which exist."""
    if not path:
        return value
    return {**document, path[0]: replaced(document[path[0]], path[1:], value)}
