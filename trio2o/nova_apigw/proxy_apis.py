# SPDX-License-Identifier: Apache-2.0
"""What Nova passed on to other services in its early versions: images, networks, volumes and the like.

Images, networks and what belongs to them are one and the same for all pods that share a Glance and a Neutron,
so any pod will do; where they do not, what has an id is looked for in one after another. Volumes and
snapshots are where their routings say.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from trio2o import exception
from trio2o.gateway.call_any_pod import call_any_pod
from trio2o.gateway.call_pod import names_of, send
from trio2o.gateway.call_pods import pods_of
from trio2o.gateway.handlers.create import Place, pin_if
from trio2o.gateway.handlers.forward import AskAny, Forward
from trio2o.gateway.handlers.offset_list import OffsetList
from trio2o.gateway.translate import answer_up
from trio2o.nova_apigw import needs
from trio2o.nova_apigw.refusals import too_many
from trio2o.nova_apigw.servers.create import is_full
from trio2o.resources import PROXIED_SNAPSHOT, PROXIED_VOLUME, SNAPSHOT, VOLUME, Resource
from trio2o.web.call import Answer, Call
from trio2o.web.operations import Handler, Operation

LAST = (2, 35)
LAST_IMAGE_METADATA = (2, 38)


@dataclass(frozen=True)
class AskUntilFound:
    """Ask one pod, and the next where that one has not what the path names."""

    def __call__(self, call: Call) -> Answer:
        pods = pods_of(call)
        if len(pods) < 2:
            return call_any_pod(call)
        breakers, service = call.runtime.client.breakers, call.service.service_type
        missing: Answer | None = None
        for pod in sorted(pods, key=lambda view: breakers.is_open((view.id, service))):
            names = names_of(call, pod)
            try:
                answer = answer_up(send(call, pod, names=names), names, None)
            except exception.PodNotReached:
                continue
            if answer.status != 404:
                return answer
            missing = missing or answer
        return missing or call_any_pod(call)


_ANY = AskAny()
_FOUND = AskUntilFound()


def _rows(
    noun: str, path: str, handler: Handler, *rows: tuple[str, str, str], last: tuple[int, int] = LAST
) -> list[Operation]:
    """:param rows: name, method, and what follows the path"""
    return [Operation(f'{noun}.{name}', method, path + rest, handler, max_version=last) for name, method, rest in rows]


def snapshot_pins(document: Any) -> Iterable[tuple[Resource, str]]:
    return pin_if(VOLUME, document['snapshot'].get('volume_id'))


def volume_pins(document: Any) -> Iterable[tuple[Resource, str]]:
    return pin_if(SNAPSHOT, document['volume'].get('snapshot_id'))


_LIST = ('list', 'GET', '')
_DETAIL = ('list_detail', 'GET', '/detail')
_CREATE = ('create', 'POST', '')
_SHOW = ('show', 'GET', '/{id}')
_UPDATE = ('update', 'PUT', '/{id}')
_DELETE = ('delete', 'DELETE', '/{id}')

OPERATIONS = [
    *_rows('images', '/images', _ANY, _LIST, _DETAIL),
    *_rows('images', '/images', _FOUND, _SHOW, _DELETE),
    *_rows(
        'image_metadata',
        '/images/{image_id}/metadata',
        _FOUND,
        _LIST,
        _CREATE,
        ('replace', 'PUT', ''),
        _SHOW,
        _UPDATE,
        _DELETE,
        last=LAST_IMAGE_METADATA,
    ),
    *_rows('baremetal_nodes', '/os-baremetal-nodes', _ANY, _LIST, _CREATE, _DELETE),
    *_rows('baremetal_nodes', '/os-baremetal-nodes', _FOUND, _SHOW),
    *(
        Operation(
            f'baremetal_nodes.action.{key}',
            'POST',
            '/os-baremetal-nodes/{id}/action',
            _ANY,
            action=key,
            max_version=LAST,
        )
        for key in ('add_interface', 'remove_interface')
    ),
    *_rows('baremetal_nodes', '/os-baremetal-nodes/{id}', _ANY, ('action', 'POST', '/action')),
    *_rows('floating_ip_pools', '/os-floating-ip-pools', _ANY, _LIST),
    *_rows('floating_ips', '/os-floating-ips', _ANY, _LIST, _CREATE),
    *_rows('floating_ips', '/os-floating-ips', _FOUND, _SHOW, _DELETE),
    *_rows('networks', '/os-networks', _ANY, _LIST),
    *_rows('networks', '/os-networks', _FOUND, _SHOW),
    *_rows('tenant_networks', '/os-tenant-networks', _ANY, _LIST),
    *_rows('tenant_networks', '/os-tenant-networks', _FOUND, _SHOW),
    *_rows('security_groups', '/os-security-groups', _ANY, _LIST, _CREATE),
    *_rows('security_groups', '/os-security-groups', _FOUND, _SHOW, _UPDATE, _DELETE),
    *_rows('security_group_rules', '/os-security-group-rules', _FOUND, _CREATE, _DELETE),
    *_rows('volumes', '/os-volumes', OffsetList(PROXIED_VOLUME, newest_first=True), _LIST, _DETAIL),
    *_rows('volumes', '/os-volumes', Forward(PROXIED_VOLUME), _SHOW, _DELETE),
    *_rows(
        'volumes',
        '/os-volumes',
        Place(
            PROXIED_VOLUME,
            unknown_zone="Availability zone '{zone}' is invalid.",
            is_full=is_full,
            pins=volume_pins,
            needs=needs.of_proxied_volume,
            refuse=too_many,
        ),
        _CREATE,
    ),
    *_rows('snapshots', '/os-snapshots', OffsetList(PROXIED_SNAPSHOT, newest_first=True), _LIST, _DETAIL),
    *_rows('snapshots', '/os-snapshots', Forward(PROXIED_SNAPSHOT), _SHOW, _DELETE),
    *_rows(
        'snapshots',
        '/os-snapshots',
        Place(
            PROXIED_SNAPSHOT,
            unknown_zone='',
            is_full=is_full,
            pins=snapshot_pins,
            zone_field='',
            needs_pin=True,
            needs=needs.of_proxied_snapshot,
            refuse=too_many,
        ),
        _CREATE,
    ),
]
