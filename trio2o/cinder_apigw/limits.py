# SPDX-License-Identifier: Apache-2.0
"""Absolute limits and their usage, over all pods."""

from __future__ import annotations

from trio2o.gateway.handlers.quota_sets import LimitsRead, query_value
from trio2o.replication.kinds import VOLUME_QUOTA
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
#: Since this version an admin may name another project.
_OTHER_PROJECT = (3, 39)


class VolumeLimitsRead(LimitsRead):
    """Show the limits of the caller's project, or of the one that an admin names."""

    def project_id(self, call: Call) -> str:
        other = None
        if call.version is not None and call.version >= _OTHER_PROJECT and call.context.may_see_all:
            other = query_value(call, 'project_id', 'tenant_id')
        return other or super().project_id(call)


OPERATIONS = [Operation('limits.show', 'GET', '/limits', VolumeLimitsRead(VOLUME_QUOTA, _LIMITS, _USED))]
