# SPDX-License-Identifier: Apache-2.0
"""Absolute limits, and what is used of them, over all pods."""

from __future__ import annotations

from trio2o.gateway.handlers.quota_sets import LimitsRead, asked_for
from trio2o.gateway.handlers.replicate import VOLUME_QUOTA
from trio2o.web.call import Call
from trio2o.web.operations import Operation

_LIMITS = {
    'maxTotalVolumes': 'volumes',
    'maxTotalSnapshots': 'snapshots',
    'maxTotalVolumeGigabytes': 'gigabytes',
    'maxTotalBackups': 'backups',
    'maxTotalBackupGigabytes': 'backup_gigabytes',
}
_USED = {
    'totalVolumesUsed': 'volumes',
    'totalGigabytesUsed': 'gigabytes',
    'totalSnapshotsUsed': 'snapshots',
    'totalBackupsUsed': 'backups',
    'totalBackupGigabytesUsed': 'backup_gigabytes',
}
#: From here on an admin may ask for another project.
_OF_OTHERS = (3, 39)


def _project(call: Call) -> str:
    other = None
    if call.version is not None and call.version >= _OF_OTHERS and call.context.may_see_all:
        other = asked_for(call, 'project_id', 'tenant_id')
    return other or call.context.project_id or ''


OPERATIONS = [Operation('limits.show', 'GET', '/limits', LimitsRead(VOLUME_QUOTA, _LIMITS, _USED, _project))]
