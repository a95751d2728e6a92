# SPDX-License-Identifier: Apache-2.0
"""References from a request's body to resources that some pod holds, and the scheduler hints of a body."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from trio2o import exception
from trio2o.pods.registry import PodView
from trio2o.resources import Resource
from trio2o.web import json_body
from trio2o.web.call import Call

#: A resource that a body refers to: its kind and its id.
Ref = tuple[Resource, str]
#: The title of something that a body names, for an error, and its pod: ``('Host compute-1', pod)``.
NamedPod = tuple[str, PodView]

#: Clients write scheduler hints under either key.
_HINT_KEYS = ('os:scheduler_hints', 'OS-SCH-HNT:scheduler_hints')


def refs(resource: Resource, *values: Any) -> list[Ref]:
    """Return a reference for each value that can be an id; leave out all others."""
    return [(resource, value) for value in values if isinstance(value, str) and value]


def scheduler_hints(document: Mapping[str, Any]) -> Any:
    """Return the scheduler hints of a create: a mapping if the body is well formed, None if there are none."""
    return next((document[key] for key in _HINT_KEYS if document.get(key)), None)


def hinted_refs(call: Call, name: str, resource: Resource) -> list[Ref]:
    """Return the resources that one scheduler hint names: one id or a list of them.

    :raises BadRequest: they are too many
    """
    value = json_body.at(scheduler_hints(call.json), name)
    found = refs(resource, *(value if isinstance(value, list) else [value]))
    check_number(call, name, set(found))
    return found


def check_number(call: Call, field: str, values: Collection[Any]) -> None:
    """Check how many things a field of the body refers to. Each of them may have to be looked up in the pods.

    :raises BadRequest: they are more than ``[pods] max_references``
    """
    if not values:
        return
    limit = call.runtime.conf.pods.max_references
    if len(values) > limit:
        raise exception.BadRequest(
            f'Invalid input for field {field}: it has {len(values)} entries, and at most {limit} are allowed.'
        )


def disagreement(first: tuple[str, str, str], second: tuple[str, str, str]) -> exception.RefsDisagree:
    """Return the error for two resources, each (title, id, zone), that would have to be in one pod and are not."""
    if first[2] != second[2]:
        return exception.RefsDisagree(
            f'{first[0]} {first[1]} is in availability zone {first[2]} and {second[0].lower()} {second[1]} in '
            f'{second[2]}; they cannot be used together.'
        )
    return exception.RefsDisagree(
        f'{first[0]} {first[1]} and {second[0].lower()} {second[1]} are in different parts of availability zone '
        f'{first[2]}; they cannot be used together.'
    )
