# SPDX-License-Identifier: Apache-2.0
"""Volume snapshots: always in the pod of their volume."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from trio2o.cinder_apigw import needs
from trio2o.cinder_apigw.paging import CinderList
from trio2o.cinder_apigw.quota_errors import over
from trio2o.cinder_apigw.volumes import is_full
from trio2o.gateway.claiming import SHRINKS
from trio2o.gateway.handlers.create import Place, pin_if
from trio2o.gateway.handlers.forward import AskAny, Forward
from trio2o.resources import SNAPSHOT, VOLUME, Resource, SortKey
from trio2o.web.operations import Operation, actions


class SnapshotList(CinderList):
    """``GET /snapshots`` and ``GET /snapshots/detail``."""

    resource = SNAPSHOT
    sort_keys = {
        'created_at': SortKey('created_at'),
        'display_name': SortKey('name'),
        'id': SortKey('id'),
        'name': SortKey('name'),
        'project_id': SortKey('os-extended-snapshot-attributes:project_id'),
        'status': SortKey('status'),
        'updated_at': SortKey('updated_at'),
        'volume_id': SortKey('volume_id'),
        'volume_size': SortKey('size'),
    }
    links_key = 'snapshots_links'
    related = {'volume_id': VOLUME}


def pins(document: Any) -> Iterable[tuple[Resource, str]]:
    return pin_if(VOLUME, document['snapshot'].get('volume_id'))


CREATE = Place(
    SNAPSHOT,
    unknown_zone='',
    is_full=is_full,
    pins=pins,
    zone_field='',
    needs_pin=True,
    needs=needs.of_snapshot,
    refuse=over('snapshots'),
)
FORWARD = Forward(SNAPSHOT)
DELETE = Forward(SNAPSHOT, change=SHRINKS)

OPERATIONS = [
    Operation('snapshots.list', 'GET', '/snapshots', SnapshotList('/snapshots')),
    Operation('snapshots.list_detail', 'GET', '/snapshots/detail', SnapshotList('/snapshots/detail')),
    Operation('snapshots.create', 'POST', '/snapshots', CREATE),
    Operation('snapshots.show', 'GET', '/snapshots/{id}', FORWARD),
    Operation('snapshots.update', 'PUT', '/snapshots/{id}', FORWARD),
    Operation('snapshots.delete', 'DELETE', '/snapshots/{id}', DELETE),
    *actions(
        'snapshots.action',
        '/snapshots/{id}/action',
        FORWARD,
        'os-reset_status',
        'os-update_snapshot_status',
    ),
    *actions('snapshots.action', '/snapshots/{id}/action', DELETE, 'os-force_delete', 'os-unmanage'),
    Operation('snapshots.action', 'POST', '/snapshots/{id}/action', AskAny()),
    Operation('snapshot_metadata.list', 'GET', '/snapshots/{snapshot_id}/metadata', FORWARD),
    Operation('snapshot_metadata.create', 'POST', '/snapshots/{snapshot_id}/metadata', FORWARD),
    Operation('snapshot_metadata.replace', 'PUT', '/snapshots/{snapshot_id}/metadata', FORWARD),
    Operation('snapshot_metadata.show', 'GET', '/snapshots/{snapshot_id}/metadata/{id}', FORWARD),
    Operation('snapshot_metadata.update', 'PUT', '/snapshots/{snapshot_id}/metadata/{id}', FORWARD),
    Operation('snapshot_metadata.delete', 'DELETE', '/snapshots/{snapshot_id}/metadata/{id}', FORWARD),
]
