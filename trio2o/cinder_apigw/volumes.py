# SPDX-License-Identifier: Apache-2.0
"""Volumes and everything below them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from trio2o import exception
from trio2o.cinder_apigw import changes, needs
from trio2o.cinder_apigw.paging import CinderList
from trio2o.cinder_apigw.quota_errors import over
from trio2o.gateway import image_snapshots
from trio2o.gateway.claiming import SHRINKS, is_over_quota
from trio2o.gateway.handlers.create import Place, pin_if
from trio2o.gateway.handlers.forward import AskAny, Forward, named
from trio2o.gateway.handlers.sum import Sum
from trio2o.pods.registry import PodView
from trio2o.resources import BACKUP, CONSISTENCYGROUP, GROUP, SERVER, SNAPSHOT, VOLUME, Resource, SortKey
from trio2o.routing.locator import Route
from trio2o.web import json_body
from trio2o.web.call import Answer, Call
from trio2o.web.operations import Operation, actions

DEFAULT_TYPE_NAME = '__DEFAULT__'


class VolumeList(CinderList):
    """``GET /volumes`` and ``GET /volumes/detail``."""

    resource = VOLUME
    #: cinder/db/sqlalchemy/models.py: the columns that volumes may be sorted by, as they show in a volume.
    sort_keys = {
        'availability_zone': SortKey('availability_zone'),
        'bootable': SortKey('bootable'),
        'created_at': SortKey('created_at'),
        'display_description': SortKey('description'),
        'display_name': SortKey('name'),
        'host': SortKey('os-vol-host-attr:host'),
        'id': SortKey('id'),
        'name': SortKey('name'),
        'project_id': SortKey('os-vol-tenant-attr:tenant_id'),
        'size': SortKey('size'),
        'status': SortKey('status'),
        'updated_at': SortKey('updated_at'),
        'user_id': SortKey('user_id'),
        'volume_type_id': SortKey('volume_type_id'),
    }
    links_key = 'volumes_links'
    summary_fields = ('id', 'name', 'links')

    @property
    def pod_path(self) -> str:
        return '/volumes/detail'


def pins(document: Any) -> Iterable[tuple[Resource, str]]:
    """What a create refers to that lives in one pod."""
    volume = document['volume']
    found = [
        pin
        for name, resource in (
            ('snapshot_id', SNAPSHOT),
            ('source_volid', VOLUME),
            ('backup_id', BACKUP),
            ('group_id', GROUP),
            ('consistencygroup_id', CONSISTENCYGROUP),
        )
        for pin in pin_if(resource, volume.get(name))
    ]
    return [*found, *_hinted(document, 'same_host', VOLUME), *_hinted(document, 'local_to_instance', SERVER)]


def near(document: Any) -> Iterable[tuple[Resource, str]]:
    """Volumes that the new one is not to share a backend with: their pod's own filter looks after that."""
    return _hinted(document, 'different_host', VOLUME)


def _hinted(document: Any, name: str, resource: Resource) -> list[tuple[Resource, str]]:
    hints = document.get('OS-SCH-HNT:scheduler_hints')
    value = hints.get(name) if isinstance(hints, dict) else None
    return [pin for one in (value if isinstance(value, list) else [value]) for pin in pin_if(resource, one)]


def references(document: Any) -> list[tuple[str, str]]:
    """The type a create names, by name or id; the one that Cinder's own database begins with if it names none."""
    name = document['volume'].get('volume_type') or DEFAULT_TYPE_NAME
    return [('volume_type', name)] if isinstance(name, str) else []


def is_full(answer: Answer) -> bool:
    """Cinder refuses what is over its quota with a 413."""
    return answer.status == 413 and is_over_quota(answer)


def join_summaries(documents: list[dict[str, Any]]) -> dict[str, Any]:
    """Counts and sizes added up; metadata (from 3.36) as the values of all pods for each key."""
    summaries = [document['volume-summary'] for document in documents]
    total = {name: sum(summary[name] for summary in summaries) for name in ('total_size', 'total_count')}
    if any('metadata' in summary for summary in summaries):
        metadata: dict[str, list[str]] = {}
        for summary in summaries:
            for key, values in summary.get('metadata', {}).items():
                known = metadata.setdefault(key, [])
                known += [value for value in values if value not in known]
        return {'volume-summary': {**total, 'metadata': metadata}}
    return {'volume-summary': total}


#: Cinder looks at what an image is made of from here on.
IMAGE_OF_SNAPSHOTS = (3, 46)


def pod_of_image(call: Call, document: Any) -> tuple[Any, tuple[str, PodView] | None]:
    """The body of a create, and the image it names with the pod that its snapshots are in, if it has any."""
    if call.version is None or call.version < IMAGE_OF_SNAPSHOTS:
        return document, None
    image_id = json_body.at(document, 'volume', 'imageRef') or json_body.at(document, 'volume', 'image_id')
    for snapshot_id in image_snapshots.snapshots_of(call, image_id):
        try:
            route: Route = call.runtime.locator.find(call, SNAPSHOT, snapshot_id)
        except exception.NotFound:
            continue
        return document, (f'Image {image_id}', route.pod)
    return document, None


CREATE = Place(
    VOLUME,
    unknown_zone="Availability zone '{zone}' is invalid.",
    is_full=is_full,
    pins=pins,
    near=near,
    references=references,
    by_name=pod_of_image,
    needs=needs.of_volume,
    refuse=over('volumes'),
)

FORWARD = Forward(VOLUME)
DELETE = Forward(VOLUME, change=SHRINKS)

_ACTIONS = (
    'os-set_image_metadata',
    'os-unset_image_metadata',
    'os-reset_status',
    'os-force_detach',
    'os-migrate_volume',
    'os-extend_volume_completion',
    'os-detach',
    'os-reserve',
    'os-unreserve',
    'os-begin_detaching',
    'os-roll_detaching',
    'os-initialize_connection',
    'os-terminate_connection',
    'os-volume_upload_image',
    'os-update_readonly_flag',
    'os-set_bootable',
)


def action(key: str, handler: Forward, since: tuple[int, int] | None = None) -> Operation:
    return Operation(f'volumes.action.{key}', 'POST', '/volumes/{id}/action', handler, key, since)


OPERATIONS = [
    Operation('volumes.list', 'GET', '/volumes', VolumeList('/volumes', is_detailed=False)),
    Operation('volumes.list_detail', 'GET', '/volumes/detail', VolumeList('/volumes/detail', is_detailed=True)),
    Operation('volumes.summary', 'GET', '/volumes/summary', Sum(join_summaries), min_version=(3, 12)),
    Operation('volumes.create', 'POST', '/volumes', CREATE),
    Operation('volumes.show', 'GET', '/volumes/{id}', FORWARD),
    Operation('volumes.update', 'PUT', '/volumes/{id}', FORWARD),
    Operation('volumes.delete', 'DELETE', '/volumes/{id}', DELETE),
    *actions('volumes.action', '/volumes/{id}/action', FORWARD, *_ACTIONS),
    *(action(key, Forward(VOLUME, change=change)) for key, change in changes.VOLUMES.items()),
    action('os-show_image_metadata', Forward(VOLUME, is_read=True)),
    action('revert', Forward(VOLUME, others=named(SNAPSHOT, 'revert', 'snapshot_id')), (3, 40)),
    action('os-reimage', FORWARD, (3, 68)),
    action('os-attach', Forward(VOLUME, others=named(SERVER, 'os-attach', 'instance_uuid'))),
    action(
        'os-migrate_volume_completion',
        Forward(VOLUME, others=named(VOLUME, 'os-migrate_volume_completion', 'new_volume')),
    ),
    # What no row knows is refused by a pod in Cinder's words.
    Operation('volumes.action', 'POST', '/volumes/{id}/action', AskAny()),
    Operation('volume_metadata.list', 'GET', '/volumes/{volume_id}/metadata', FORWARD),
    Operation('volume_metadata.create', 'POST', '/volumes/{volume_id}/metadata', FORWARD),
    Operation('volume_metadata.replace', 'PUT', '/volumes/{volume_id}/metadata', FORWARD),
    Operation('volume_metadata.show', 'GET', '/volumes/{volume_id}/metadata/{id}', FORWARD),
    Operation('volume_metadata.update', 'PUT', '/volumes/{volume_id}/metadata/{id}', FORWARD),
    Operation('volume_metadata.delete', 'DELETE', '/volumes/{volume_id}/metadata/{id}', FORWARD),
    Operation('volume_encryption.list', 'GET', '/volumes/{volume_id}/encryption', FORWARD),
    Operation('volume_encryption.show', 'GET', '/volumes/{volume_id}/encryption/{id}', FORWARD),
]
