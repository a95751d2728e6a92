# SPDX-License-Identifier: Apache-2.0
"""Absolute limits, and what is used of them, over all pods."""

from __future__ import annotations

from trio2o.gateway.handlers.quota_sets import LimitsRead, asked_for
from trio2o.gateway.handlers.replicate import QUOTA_SET
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


def _project(call: Call) -> str:
    """An admin may ask for another project; a pod has refused anybody else."""
    return asked_for(call, 'tenant_id') or call.context.project_id or ''


OPERATIONS = [Operation('limits.show', 'GET', '/limits', LimitsRead(QUOTA_SET, _LIMITS, _USED, _project))]
