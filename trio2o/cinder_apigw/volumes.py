# SPDX-License-Identifier: Apache-2.0
"""Volumes and everything below them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from oslo_utils import uuidutils

from trio2o import exception
from trio2o.cinder_apigw.paging import CinderList
from trio2o.cinder_apigw.quota_errors import over_quota_error
from trio2o.gateway.claiming import amounts_of
from trio2o.gateway.handlers.create import Create, Creation
from trio2o.gateway.handlers.forward import BodyRef, Forward, ForwardToAny, QuotaEffect
from trio2o.gateway.handlers.sum import Sum
from trio2o.gateway.images import Image
from trio2o.gateway.refs import NamedPod, Ref, hinted_refs
from trio2o.gateway.requested import (
    DEFAULT_TYPE_NAME,
    Requested,
    default_type,
    volume_type,
    whole_number,
    zones_of_types,
)
from trio2o.quota.amounts import PER_VOLUME_TYPE, Amounts, growth, volume_type_of, with_volume_type
from trio2o.quota.claims import OverQuota
from trio2o.resources import BACKUP, CONSISTENCYGROUP, GROUP, SERVER, SNAPSHOT, VOLUME, Item, Resource, SortKey
from trio2o.routing.locator import Route
from trio2o.web import json_body
from trio2o.web.call import Call
from trio2o.web.operations import Operation, actions

#: First version in which Cinder creates a volume from the snapshot that an image is made of.
IMAGE_OF_SNAPSHOTS = (3, 46)
#: Fields of a create that name the source of a volume.
_SOURCES = {'snapshot_id': SNAPSHOT, 'source_volid': VOLUME, 'backup_id': BACKUP}


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
    is_planned = True
    links_key = 'volumes_links'
    summary_fields = ('id', 'name', 'links')

    @property
    def pod_path(self) -> str:
        return '/volumes/detail'


def join_summaries(documents: list[dict[str, Any]]) -> dict[str, Any]:
    """Add up counts and sizes, and merge the metadata (from 3.36): each key gets the values of all pods."""
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


class CreateVolume(Create):
    """Create a volume: empty, or from a snapshot, a volume, a backup or an image."""

    resource = VOLUME
    unknown_zone = "Availability zone '{zone}' is invalid."
    affinity_fields = {**_SOURCES, 'group_id': GROUP, 'consistencygroup_id': CONSISTENCYGROUP}

    def resolve(self, creation: Creation) -> NamedPod | None:
        """Find the pod of an image that is made of snapshots."""
        call = creation.call
        if not self._takes_snapshots(call):
            return None
        return next(call.runtime.images.pods_of(call, [_image_in(creation.inner)]), None)

    def _takes_snapshots(self, call: Call) -> bool:
        """Return whether Cinder creates a volume from the snapshot that an image is made of."""
        return call.version is not None and call.version >= IMAGE_OF_SNAPSHOTS

    def affinity_refs(self, creation: Creation) -> list[Ref]:
        """Return the source, the group, and the volumes and servers in hints that require the same host."""
        return [
            *super().affinity_refs(creation),
            *hinted_refs(creation.call, 'same_host', VOLUME),
            *hinted_refs(creation.call, 'local_to_instance', SERVER),
        ]

    def requested(self, creation: Creation) -> Requested:
        """Return one volume with the size and the type in the body, or else those of its source."""
        call, volume = creation.call, creation.inner
        source = self._source_amounts(creation)
        size = whole_number(volume.get('size')) or source.get('gigabytes') or source.get('backup_gigabytes') or 0
        named = volume.get('volume_type') or volume_type_of(source) or self._image(creation).volume_type
        found = volume_type(call, named) or default_type(call)
        return Requested(
            quota=with_volume_type({'volumes': 1, 'gigabytes': size}, found.name if found is not None else None),
            resources={'gigabytes': size},
            extra_specs=found.extra_specs if found is not None else {},
            zones=zones_of_types(call, [found]),
        )

    def _source_amounts(self, creation: Creation) -> Amounts:
        volume = creation.inner
        if volume.get('size') and volume.get('volume_type'):
            return {}
        named = [(resource, volume[name]) for name, resource in _SOURCES.items() if volume.get(name)]
        if self._takes_snapshots(creation.call) and (of_image := self._image(creation).boot_snapshot_id):
            named = [(SNAPSHOT, of_image), *named]
        return next((amounts_of(creation.call, resource, source_id) for resource, source_id in named), {})

    def _image(self, creation: Creation) -> Image:
        return creation.call.runtime.images.read(creation.call, _image_in(creation.inner))

    def replicated_refs(self, creation: Creation) -> list[tuple[str, str]]:
        """Return the volume type, by name or id."""
        name = creation.inner.get('volume_type') or DEFAULT_TYPE_NAME
        return [('volume_type', name)] if isinstance(name, str) else []

    def soft_affinity_refs(self, creation: Creation) -> list[Ref]:
        """Return the volumes of a ``different_host`` hint: only their pod can check it, and any other one meets it."""
        return hinted_refs(creation.call, 'different_host', VOLUME)

    def over_quota_error(self, error: OverQuota) -> exception.Trio2oException:
        return over_quota_error('volumes', error)


def _image_in(volume: Item) -> str | None:
    """Return the image in a create as Cinder reads it: ``image_id`` replaces ``imageRef``, and a URL ends with it."""
    reference = volume['image_id'] if 'image_id' in volume else volume.get('imageRef')
    if not isinstance(reference, str):
        return None
    last = reference.rpartition('/')[2]
    return last if uuidutils.is_uuid_like(last) else reference


@dataclass(frozen=True)
class GrowVolume(Forward):
    """An action after which the volume uses more quota."""

    resource: Resource = VOLUME
    quota_effect: QuotaEffect = QuotaEffect.GROWS

    def over_quota_error(self, error: OverQuota) -> exception.Trio2oException:
        return over_quota_error('volumes', error)


class ExtendVolume(GrowVolume):
    """Extend a volume."""

    def quota_growth(self, call: Call, route: Route, counted: Amounts) -> Mapping[str, int]:
        size = whole_number(json_body.at(call.json, 'os-extend', 'new_size'))
        return growth(counted, with_volume_type({'gigabytes': size}, volume_type_of(counted))) if counted else {}


class RetypeVolume(GrowVolume):
    """Change the type of a volume: the same amounts, of another type. Its snapshots are counted when it is done."""

    def quota_growth(self, call: Call, route: Route, counted: Amounts) -> Mapping[str, int]:
        found = volume_type(call, json_body.at(call.json, 'os-retype', 'new_type'))
        if found is None:
            return {}
        plain = {name: counted[name] for name in PER_VOLUME_TYPE if name in counted}
        return growth(counted, with_volume_type(plain, found.name))


_FORWARD = Forward(VOLUME)
_RELEASE = Forward(VOLUME, QuotaEffect.RELEASES)

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
    """Return the row of an action."""
    return Operation(f'volumes.action.{key}', 'POST', '/volumes/{id}/action', handler, key, since)


OPERATIONS = [
    Operation('volumes.list', 'GET', '/volumes', VolumeList('/volumes', is_detailed=False)),
    Operation('volumes.list_detail', 'GET', '/volumes/detail', VolumeList('/volumes/detail', is_detailed=True)),
    Operation('volumes.summary', 'GET', '/volumes/summary', Sum(join_summaries), min_version=(3, 12)),
    Operation('volumes.create', 'POST', '/volumes', CreateVolume()),
    Operation('volumes.show', 'GET', '/volumes/{id}', _FORWARD),
    Operation('volumes.update', 'PUT', '/volumes/{id}', _FORWARD),
    Operation('volumes.delete', 'DELETE', '/volumes/{id}', _RELEASE),
    *actions('volumes.action', '/volumes/{id}/action', _FORWARD, *_ACTIONS),
    action('os-extend', ExtendVolume()),
    action('os-force_delete', _RELEASE),
    action('os-retype', RetypeVolume()),
    action('os-unmanage', _RELEASE),
    action('os-show_image_metadata', Forward(VOLUME, is_read=True)),
    action('revert', Forward(VOLUME, other=BodyRef(SNAPSHOT, ('revert', 'snapshot_id'))), (3, 40)),
    action('os-reimage', _FORWARD, (3, 68)),
    action('os-attach', Forward(VOLUME, other=BodyRef(SERVER, ('os-attach', 'instance_uuid')))),
    action(
        'os-migrate_volume_completion',
        Forward(VOLUME, other=BodyRef(VOLUME, ('os-migrate_volume_completion', 'new_volume'))),
    ),
    # An unknown action is refused by a pod in Cinder's words.
    Operation('volumes.action', 'POST', '/volumes/{id}/action', ForwardToAny()),
    Operation('volume_metadata.list', 'GET', '/volumes/{volume_id}/metadata', _FORWARD),
    Operation('volume_metadata.create', 'POST', '/volumes/{volume_id}/metadata', _FORWARD),
    Operation('volume_metadata.replace', 'PUT', '/volumes/{volume_id}/metadata', _FORWARD),
    Operation('volume_metadata.show', 'GET', '/volumes/{volume_id}/metadata/{id}', _FORWARD),
    Operation('volume_metadata.update', 'PUT', '/volumes/{volume_id}/metadata/{id}', _FORWARD),
    Operation('volume_metadata.delete', 'DELETE', '/volumes/{volume_id}/metadata/{id}', _FORWARD),
    Operation('volume_encryption.list', 'GET', '/volumes/{volume_id}/encryption', _FORWARD),
    Operation('volume_encryption.show', 'GET', '/volumes/{volume_id}/encryption/{id}', _FORWARD),
]
