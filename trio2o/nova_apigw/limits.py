# SPDX-License-Identifier: Apache-2.0
"""Absolute limits and their usage, over all pods."""

from __future__ import annotations

from trio2o.gateway.handlers.quota_sets import LimitsRead, last_value
from trio2o.replication.kinds import QUOTA_SET
from trio2o.web.call import Call
from trio2o.web.operations import Operation

_LIMITS = {
    'maxTotalInstances': 'instances',
    'maxTotalCores': 'cores',
    'maxTotalRAMSize': 'ram',
    'maxServerGroups': 'server_groups',
    'maxServerGroupMembers': 'server_group_members',
}
_USED = {
    'totalInstancesUsed': 'instances',
    'totalCoresUsed': 'cores',
    'totalRAMUsed': 'ram',
    'totalServerGroupsUsed': 'server_groups',
}


class ComputeLimitsRead(LimitsRead):
    """Show the limits of the caller's project, or of the one that an admin names."""

    def project_id(self, call: Call) -> str:
        # Only an admin may name another project; a pod has refused anyone else.
        return last_value(call, 'tenant_id') or super().project_id(call)


OPERATIONS = [Operation('limits.show', 'GET', '/limits', ComputeLimitsRead(QUOTA_SET, _LIMITS, _USED))]
