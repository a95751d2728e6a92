# SPDX-License-Identifier: Apache-2.0
"""Creating servers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlencode

from trio2o import exception
from trio2o.gateway import image_snapshots
from trio2o.gateway.admin.by_name import NameSource, find_named
from trio2o.gateway.call_pods import pods_of
from trio2o.gateway.handlers.create import Place, pin_if
from trio2o.nova_apigw import needs
from trio2o.nova_apigw.hypervisors import BY_HOST, BY_NODE
from trio2o.nova_apigw.refusals import too_many
from trio2o.nova_apigw.server_groups.limits import TWINNED
from trio2o.nova_apigw.servers import reschedule
from trio2o.pods.registry import PodView
from trio2o.resources import SERVER, SNAPSHOT, VOLUME, Resource
from trio2o.routing.locator import Route
from trio2o.web.call import Answer, Call


def pins(document: Any) -> Iterable[tuple[Resource, str]]:
    """What a create refers to that lives in one pod."""
    server = document['server']
    found: list[tuple[Resource, str]] = []
    for mapping in _objects(server.get('block_device_mapping_v2')):
        kind = {'volume': VOLUME, 'snapshot': SNAPSHOT}.get(str(mapping.get('source_type')))
        if kind is not None:
            found += pin_if(kind, mapping.get('uuid'))
    for mapping in _objects(server.get('block_device_mapping')):
        found += pin_if(VOLUME, mapping.get('volume_id')) + pin_if(SNAPSHOT, mapping.get('snapshot_id'))
    return [*found, *_hinted(document, 'same_host')]


def near(document: Any) -> Iterable[tuple[Resource, str]]:
    """Servers that the new one is not to share a host with: their pod's own filter looks after that."""
    return _hinted(document, 'different_host')


def _hinted(document: Any, name: str) -> list[tuple[Resource, str]]:
    hints = document.get('os:scheduler_hints') or document.get('OS-SCH-HNT:scheduler_hints')
    value = hints.get(name) if isinstance(hints, dict) else None
    return [pin for server_id in (value if isinstance(value, list) else [value]) for pin in pin_if(SERVER, server_id)]


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def references(document: Any) -> list[tuple[str, str]]:
    """The flavor and the key pair a create names; they have to be in whichever pod is chosen."""
    flavor, key_name = document['server'].get('flavorRef'), document['server'].get('key_name')
    found = [('flavor', str(flavor).rsplit('/', 1)[-1])] if isinstance(flavor, str | int) else []
    return [*found, ('keypair', key_name)] if isinstance(key_name, str) else found


def by_name(call: Call, document: Any) -> tuple[Any, tuple[str, PodView] | None]:
    """Hosts and nodes that an admin asks for, each perhaps qualified with its pod, and what the image is made of.

    :raises PinsDisagree: they are in different pods
    """
    server = dict(document['server'])
    found = TWINNED.pod_for(call, document)
    mappings = _objects(server.get('block_device_mapping_v2'))
    of_mappings = [mapping.get('uuid') for mapping in mappings if mapping.get('source_type') == 'image']
    for image_id in (server.get('imageRef'), *of_mappings):
        found = _agreed(_pod_of_image(call, image_id), found)
    if not call.context.may_see_all:
        return document, found
    text = server.get('availability_zone') or ''
    parts = dict(enumerate(text.split(':')))
    pods = [pod for pod in pods_of(call) if parts[0] in ('', pod.zone)]
    places: tuple[tuple[NameSource, dict[Any, Any], Any], ...] = (
        (BY_HOST, server, 'host'),
        (BY_NODE, server, 'hypervisor_hostname'),
        (BY_HOST, parts, 1),
        (BY_NODE, parts, 2),
    )
    for source, holder, key in places:
        name = holder.get(key)
        where = find_named(call, source, name, pods) if isinstance(name, str) and name else None
        if where is None:
            continue
        pod, holder[key] = where
        found = _agreed(found, (f'{source.title} {name}', pod))
    if ':'.join(parts.values()) != text:
        server['availability_zone'] = ':'.join(parts.values())
    return (document if server == document['server'] else {**document, 'server': server}), found


def _agreed(first: tuple[str, PodView] | None, second: tuple[str, PodView] | None) -> tuple[str, PodView] | None:
    """:raises PinsDisagree: both name a pod, and not the same one"""
    if first is not None and second is not None and first[1].id != second[1].id:
        title = second[0][:1].lower() + second[0][1:]
        raise exception.PinsDisagree(f'{first[0]} and {title} are in different pods.')
    return second or first


def _pod_of_image(call: Call, image_id: Any) -> tuple[str, PodView] | None:
    """The pod of the snapshots that an image is made of, if it is made of any."""
    for snapshot_id in image_snapshots.snapshots_of(call, image_id):
        try:
            route: Route = call.runtime.locator.find(call, SNAPSHOT, snapshot_id)
        except exception.NotFound:
            continue
        return f'Image {image_id}', route.pod
    return None


def siblings(document: Any, answer: Any) -> str | None:
    """Where to read the servers that one request makes beside the first."""
    reservation = answer.get('reservation_id') if isinstance(answer, dict) else None
    if isinstance(reservation, str):
        return urlencode({'reservation_id': reservation})
    server = document['server']
    counts = [server.get(name) for name in ('min_count', 'max_count')]
    most = max((int(count) for count in counts if str(count).isdecimal() and len(str(count)) < 5), default=1)
    # They are the newest, but for what others make at this moment.
    return urlencode({'limit': 2 * most}) if most > 1 else None


def is_full(answer: Answer) -> bool:
    """Nova refuses what is over its quota with a 403 that says so."""
    return answer.status == 403 and b'uota exceeded' in answer.body


CREATE = Place(
    SERVER,
    unknown_zone='The requested availability zone is not available',
    is_full=is_full,
    pins=pins,
    near=near,
    references=references,
    has_host_after_zone=True,
    by_name=by_name,
    siblings=siblings,
    joins=TWINNED.joined,
    needs=needs.of_server,
    refuse=too_many,
    fewer=needs.fewer,
    follow=reschedule.follow,
)
