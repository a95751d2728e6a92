# SPDX-License-Identifier: Apache-2.0
"""Pure: what differs between the two sides of the gateway, rewritten each way.

Links and ids are replaced in the bytes of a body, wherever they stand: a pod's URL and a UUID mean nothing
else. Zones are replaced only in the fields that hold one, as a zone's name may well be somebody's word for
something else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

from trio2o.resources import Resource
from trio2o.web.call import Answer, dump_json, parse_json


@dataclass(frozen=True)
class PodNames:
    """What one pod and the top call the same things.

    :ivar roots: what links of the pod start with; ``base_url``: what they are to start with
    :ivar ids: the pod's id -> the id tenants see
    :ivar pod_zone: name of the zone inside the pod, '' when the pod's own zones are not used
    """

    roots: tuple[str, ...]
    base_url: str
    zone: str
    pod_zone: str
    ids: Mapping[str, str] = field(default_factory=dict)

    def with_id(self, bottom_id: str, top_id: str) -> PodNames:
        if bottom_id == top_id:
            return self
        return replace(self, ids={**self.ids, bottom_id: top_id})


def body_up(body: bytes, names: PodNames) -> bytes:
    """Links and ids of a pod's body in the top's terms."""
    for root in names.roots:
        if root != names.base_url:
            body = body.replace(f'{root}/'.encode(), f'{names.base_url}/'.encode())
    for bottom_id, top_id in names.ids.items():
        body = body.replace(bottom_id.encode(), top_id.encode())
    return body


def ids_down(text: bytes, names: PodNames) -> bytes:
    """Ids that tenants see in the pod's terms."""
    for bottom_id, top_id in names.ids.items():
        text = text.replace(top_id.encode(), bottom_id.encode())
    return text


def zone_up(value: Any, names: PodNames) -> Any:
    """A zone as tenants know it. Without a name for it inside the pod every zone of the pod is the one."""
    if not isinstance(value, str) or not value:
        return value
    if not names.pod_zone or value == names.pod_zone:
        return names.zone
    return value


def items_up(items: Iterable[Any], fields: tuple[str, ...], names: PodNames) -> None:
    """Rename the zones of members, in place."""
    if names.pod_zone == names.zone:
        return
    for item in items:
        if isinstance(item, dict):
            for name in fields:
                if name in item:
                    item[name] = zone_up(item[name], names)


def answer_up(answer: Answer, names: PodNames, resource: Resource | None) -> Answer:
    """A pod's answer about one resource in the top's terms; its body is parsed only if a zone may stand in it."""
    body = body_up(answer.body, names)
    if resource is not None and names.pod_zone != names.zone:
        body = _zones_up(body, names, resource)
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
    """Put the pod's name for its zone where a body names the top's, or take it out where none goes down.

    :param rest: what follows the zone, as in ``zone:host:node``
    """
    if names.pod_zone:
        inner[name] = names.pod_zone + rest
    elif rest:
        inner[name] = rest
    else:
        inner.pop(name, None)


def next_link(base_url: str, prefix: str, path: str, query: list[tuple[str, str]], marker: str) -> str:
    """A next link as both services write it: all parameters sorted by name, with the new marker."""
    params = dict(sorted(query))
    params['marker'] = marker
    return f'{base_url}{prefix}{path}?{urlencode(params)}'


def replace_segment(path: str, old: str, new: str) -> str:
    """Put another id in the place of one in a path."""
    if old == new:
        return path
    segments = path.split('/')
    return '/'.join(new if segment == old else segment for segment in segments)
