# SPDX-License-Identifier: Apache-2.0
"""Absolute limits and their usage, over all pods."""

from __future__ import annotations

from dataclasses import replace

from trio2o.gateway.handlers.quota_sets import LimitsRead, last_value
from trio2o.gateway.handlers.replicate import ReplicatedRead
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
        own = super().project_id(call)
        other = last_value(call, 'project_id')
        if other is None:
            other = last_value(call, 'tenant_id')
        if call.version is None or call.version < _OTHER_PROJECT or other in (None, own):
            return own
        return other if call.context.may_see_all or _may_see_quota_of(call, other) else own


def _may_see_quota_of(call: Call, project_id: str) -> bool:
    """Return whether a pod shows the quota of a project to the caller.

    The pod's answer with limits does not show that: Cinder ignores the query unless the caller is an admin.
    """
    question = replace(call, path=f'/os-quota-sets/{project_id}', query_string='')
    return ReplicatedRead(VOLUME_QUOTA)(question).is_ok


OPERATIONS = [Operation('limits.show', 'GET', '/limits', VolumeLimitsRead(VOLUME_QUOTA, _LIMITS, _USED))]
