# SPDX-License-Identifier: Apache-2.0
"""Volume snapshots. A snapshot is always in the pod of its volume."""

from __future__ import annotations

from trio2o import exception
from trio2o.cinder_apigw.paging import CinderList
from trio2o.cinder_apigw.quota_errors import over_quota_error
from trio2o.gateway.handlers.create_snapshot import CreateVolumeSnapshot
from trio2o.gateway.handlers.forward import Forward, ForwardToAny, QuotaEffect
from trio2o.quota.claims import OverQuota
from trio2o.resources import SNAPSHOT, VOLUME, SortKey
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


class CreateSnapshot(CreateVolumeSnapshot):
    """Create a snapshot in the pod of its volume."""

    resource = SNAPSHOT

    def over_quota_error(self, error: OverQuota) -> exception.Trio2oException:
        return over_quota_error('snapshots', error)


_FORWARD = Forward(SNAPSHOT)
_RELEASE = Forward(SNAPSHOT, QuotaEffect.RELEASES)

OPERATIONS = [
    Operation('snapshots.list', 'GET', '/snapshots', SnapshotList('/snapshots')),
    Operation('snapshots.list_detail', 'GET', '/snapshots/detail', SnapshotList('/snapshots/detail')),
    Operation('snapshots.create', 'POST', '/snapshots', CreateSnapshot()),
    Operation('snapshots.show', 'GET', '/snapshots/{id}', _FORWARD),
    Operation('snapshots.update', 'PUT', '/snapshots/{id}', _FORWARD),
    Operation('snapshots.delete', 'DELETE', '/snapshots/{id}', _RELEASE),
    *actions(
        'snapshots.action',
        '/snapshots/{id}/action',
        _FORWARD,
        'os-reset_status',
        'os-update_snapshot_status',
    ),
    *actions('snapshots.action', '/snapshots/{id}/action', _RELEASE, 'os-force_delete', 'os-unmanage'),
    Operation('snapshots.action', 'POST', '/snapshots/{id}/action', ForwardToAny()),
    Operation('snapshot_metadata.list', 'GET', '/snapshots/{snapshot_id}/metadata', _FORWARD),
    Operation('snapshot_metadata.create', 'POST', '/snapshots/{snapshot_id}/metadata', _FORWARD),
    Operation('snapshot_metadata.replace', 'PUT', '/snapshots/{snapshot_id}/metadata', _FORWARD),
    Operation('snapshot_metadata.show', 'GET', '/snapshots/{snapshot_id}/metadata/{id}', _FORWARD),
    Operation('snapshot_metadata.update', 'PUT', '/snapshots/{snapshot_id}/metadata/{id}', _FORWARD),
    Operation('snapshot_metadata.delete', 'DELETE', '/snapshots/{snapshot_id}/metadata/{id}', _FORWARD),
]
