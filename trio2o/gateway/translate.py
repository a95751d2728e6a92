# SPDX-License-Identifier: Apache-2.0
"""Replace the names that a pod and tenants have for the same things, without any input or output.

Functions with *up* translate from a pod to the client, those with *down* from the client to a pod. Links and ids are
replaced anywhere in the bytes of a body, as a pod's URL and a UUID mean nothing else. Zones are replaced only in the
fields that hold one, as the name of a zone may be any word.
"""

from __future__ import annotations

import re
from collections import ChainMap
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any
from urllib.parse import urlencode

from trio2o.pods.host_ids import HostIds
from trio2o.resources import Resource, normalized_id
from trio2o.web import json_body, slices
from trio2o.web.call import Answer, dump_json, parse_json

#: Fields with objects whose field names are chosen by tenants.
_CHOSEN_NAMES = frozenset({'metadata', 'meta'})


@dataclass(frozen=True)
class PodNames:
    """The names that one pod and tenants have for the same things.

    :ivar roots: the beginnings of links of the pod; ``base_url``: the beginning that replaces them
    :ivar zone: name of the pod's zone for tenants
    :ivar ids_up: the pod's id -> the id tenants see, where the two differ; both are UUIDs
    :ivar ids_down: the id tenants see, in lower case -> the pod's id
    :ivar host_ids: replaces hashes of hosts, as hosts of several pods may have one name; None: they are not replaced
    :ivar pod_id: id of the pod, for these
    :ivar pod_zone: name of that zone inside the pod; '' if the pod's own zones are not used
    """

    roots: tuple[str, ...]
    base_url: str
    zone: str
    pod_zone: str
    ids_up: Mapping[str, str] = field(default_factory=dict)
    ids_down: Mapping[str, str] = field(default_factory=dict)
    host_ids: HostIds | None = None
    pod_id: str = ''

    def with_id(self, bottom_id: str, top_id: str) -> PodNames:
        """Return these names and one more id."""
        if bottom_id == top_id or self.ids_up.get(bottom_id) == top_id:
            return self
        return replace(
            self,
            ids_up=_with_pair(self.ids_up, bottom_id, top_id),
            ids_down=_with_pair(self.ids_down, top_id.lower(), bottom_id),
        )


def _with_pair(ids: Mapping[str, str], old: str, new: str) -> Mapping[str, str]:
    """Return ids and one more. A pod can have many, so they are not copied."""
    return ChainMap({old: new}, ids)  # type: ignore[arg-type]  # nobody writes to it


def body_up(body: bytes, names: PodNames) -> bytes:
    """Return the body of a pod with the links and ids that tenants know."""
    for root in names.roots:
        if root != names.base_url:
            body = body.replace(f'{root}/'.encode(), f'{names.base_url}/'.encode())
    # Most pods have a few ids of their own, such as those of volume types, which are not in most bodies.
    if len(names.ids_up) <= _FEW_IDS and not any(bottom_id.encode() in body for bottom_id in names.ids_up):
        return body
    return _with_ids(body, names.ids_up.get)


def ids_down(text: bytes, names: PodNames) -> bytes:
    """Return a text with the ids that the pod knows. It may have the ids of tenants in capitals, too."""
    return _with_ids(text, lambda found: names.ids_down.get(found.lower())) if names.ids_down else text


#: All of a UUID but its first eight digits: a dash is found faster than a digit.
_END_OF_UUID = re.compile(rb'-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}')
_START_OF_UUID = 8
#: As many ids are looked for one by one in the time of a pass over all UUIDs of a list.
_FEW_IDS = 16


def _with_ids(text: bytes, other: Callable[[str], str | None]) -> bytes:
    """Replace ids in one pass, however many there are.

    :param other: returns another id for one of them, or None for any other text
    """
    parts: list[bytes] = []
    done = 0
    for found in _END_OF_UUID.finditer(text):
        start = found.start() - _START_OF_UUID
        new = other(text[start : found.end()].decode('latin-1')) if start >= done else None
        if new is not None:
            parts += (text[done:start], new.encode())
            done = found.end()
    return b''.join((*parts, text[done:])) if parts else text


def zone_up(value: Any, names: PodNames) -> Any:
    """Return the name of a zone for tenants. Without ``pod_zone``, every zone inside the pod is the pod's zone."""
    if not isinstance(value, str) or not value:
        return value
    if not names.pod_zone or value == names.pod_zone:
        return names.zone
    return value


def items_up(items: Iterable[Any], fields: tuple[str, ...], names: PodNames) -> None:
    """Replace the names of zones in items, in place."""
    if names.pod_zone == names.zone:
        return
    for item in items:
        if isinstance(item, dict):
            for name in fields:
                if name in item:
                    item[name] = zone_up(item[name], names)


def host_ids_up(items: Iterable[Any], name: str, names: PodNames) -> None:
    """Replace the hash of a host in items, in place.

    :param name: the field with the hash; empty if there is none
    """
    if name and names.host_ids is not None:
        for item in items:
            if isinstance(item, dict) and item.get(name):
                item[name] = names.host_ids.up(names.pod_id, str(item[name]))


def _host_ids_up(body: bytes, names: PodNames, resource: Resource, host_ids: HostIds) -> bytes:
    name = f'"{resource.host_id}"'.encode()
    count = body.count(name)
    if not count:
        return body
    if count == 1 and body.startswith(f'{{"{resource.member}":'.encode()):
        # Replaced in the text: mostly nothing is, and parsing costs more.
        found = re.search(name + rb':\s*"([^"\\]+)"', body)
        if found is None:
            return body
        host_id = host_ids.up(names.pod_id, found[1].decode())
        return body[: found.start(1)] + host_id.encode() + body[found.end(1) :]
    document = parse_json(body)
    if not isinstance(document, dict):
        return body
    before = dump_json(document)
    _replace_host_ids(document, resource.host_id, names)
    after = dump_json(document)
    return body if after == before else after


def _replace_host_ids(value: Any, name: str, names: PodNames) -> None:
    """Replace hashes of hosts at any depth, in place, but not in metadata, whose names the tenant chooses."""
    if isinstance(value, list):
        for each in value:
            _replace_host_ids(each, name, names)
    elif isinstance(value, dict):
        host_ids_up([value], name, names)
        for key, each in value.items():
            if key not in _CHOSEN_NAMES:
                _replace_host_ids(each, name, names)


def page_up(body: bytes, names: PodNames, resource: Resource, fields: frozenset[str], beside: frozenset[str]) -> Any:
    """Parse a page of a pod's list with the links, ids, zones and hashes of hosts that tenants know.

    :param fields: those of the items that are read; the others are only passed on if the page has nothing unusual
    :param beside: keys of the document that are read beside the items
    """
    body = body_up(body, names)
    replace: dict[str, slices.Replace] = {}
    if names.pod_zone != names.zone:
        replace = dict.fromkeys(resource.zones, partial(zone_up, names=names))
    if resource.host_id and names.host_ids is not None:
        replace[resource.host_id] = partial(names.host_ids.up, names.pod_id)
    document = slices.parse(body, resource.collection, fields.union(replace), beside, replace)
    if document is None:
        document = parse_json(body)
        items = json_body.objects_at(document, resource.collection)
        items_up(items, resource.zones, names)
        host_ids_up(items, resource.host_id, names)
    return document


def answer_up(answer: Answer, names: PodNames, resource: Resource | None) -> Answer:
    """Return a pod's answer with the links, ids and zones that tenants know.

    :param resource: the kind of the resource in the answer, whose zones are replaced; None: no zones are replaced
    """
    body = body_up(answer.body, names)
    if resource is not None and names.pod_zone != names.zone:
        body = _zones_up(body, names, resource)
    if resource is not None and resource.host_id and names.host_ids is not None:
        body = _host_ids_up(body, names, resource, names.host_ids)
    headers = [
        (name, body_up(value.encode(), names).decode()) if name.lower() == 'location' else (name, value)
        for name, value in answer.headers
    ]
    return Answer(answer.status, headers, body)


def _zones_up(body: bytes, names: PodNames, resource: Resource) -> bytes:
    if not any(f'"{name}"'.encode() in body for name in resource.zones):
        return body
    document = parse_json(body)
    if not isinstance(document, dict):
        return body
    members = document.get(resource.collection)
    items = members if isinstance(members, list) else [document.get(resource.member)]
    items_up(items, resource.zones, names)
    return dump_json(document)


def zone_down(inner: dict[str, Any], name: str, names: PodNames, rest: str = '') -> None:
    """Replace a zone in a body by the pod's name for it, in place; remove it if the pod gets no zone.

    :param inner: the object that has the zone; ``name``: its field with the zone
    :param rest: text after the zone, as in ``zone:host:node``
    """
    if names.pod_zone:
        inner[name] = names.pod_zone + rest
    elif rest:
        inner[name] = rest
    else:
        inner.pop(name, None)


def next_link(base_url: str, prefix: str, path: str, query: list[tuple[str, str]], marker: str) -> str:
    """Return a next link as both services write it: all parameters sorted by name, with the new marker."""
    params = dict(sorted(query))
    params['marker'] = marker
    return f'{base_url}{prefix}{path}?{urlencode(params)}'


def replace_segment(path: str, old: str, new: str) -> str:
    """Return a path with another id in place of an old one, which may be in capitals in the path."""
    if old == new and old in path:
        return path
    return '/'.join(new if old in (segment, normalized_id(segment)) else segment for segment in path.split('/'))
