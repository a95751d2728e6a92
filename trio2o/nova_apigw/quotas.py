# SPDX-License-Identifier: Apache-2.0
"""Quota sets and quota classes. Trio2o keeps the limits of what it counts; others are the same in all pods."""

from __future__ import annotations

from typing import ClassVar

from oslo_utils import strutils

from trio2o.gateway.handlers.quota_sets import (
    LimitsWrite,
    QuotaClassRead,
    QuotaClassWrite,
    QuotaDefaultsRead,
    QuotaSetRead,
    QuotaSetWrite,
    first_value,
    last_value,
)
from trio2o.replication.kinds import QUOTA_CLASS, QUOTA_SET
from trio2o.web import json_body
from trio2o.web.call import Call
from trio2o.web.operations import Operation

#: Nova's words, in QuotaSetsController.
_BELOW_USAGE = 'Quota limit {limit} for {name} must be greater than or equal to already used and reserved {used}.'


class ComputeLimitsWrite(LimitsWrite):
    """Ignores limits of network resources, which Nova accepts and does not keep."""

    NETWORK: ClassVar = frozenset({'fixed_ips', 'floating_ips', 'security_group_rules', 'security_groups'})

    def given_limits(self, call: Call) -> dict[str, int]:
        return {name: limit for name, limit in super().given_limits(call).items() if name not in self.NETWORK}


class ComputeQuotaSetWrite(ComputeLimitsWrite, QuotaSetWrite):
    """Set the limits of a project, or of the user in the query."""

    def user_id(self, call: Call) -> str:
        return first_value(call, 'user_id') or ''

    def is_forced(self, call: Call) -> bool:
        return strutils.bool_from_string(json_body.at(call.json, 'quota_set', 'force'))


class ComputeQuotaClassWrite(ComputeLimitsWrite, QuotaClassWrite):
    """Set the limits of a class."""


class ComputeQuotaSetRead(QuotaSetRead):
    """Show the limits of a project, or of the user in the query."""

    def user_id(self, call: Call) -> str:
        return first_value(call, 'user_id') or ''


class ComputeQuotaDetailRead(QuotaSetRead):
    """Show the limits and the usage of a project, or of the user in the query."""

    def user_id(self, call: Call) -> str:
        return last_value(call, 'user_id') or ''


_SET = '/os-quota-sets/{id}'
_CLASS = '/os-quota-class-sets/{id}'
_READ = ComputeQuotaSetRead(QUOTA_SET)
_WRITE = ComputeQuotaSetWrite(QUOTA_SET, below_usage=_BELOW_USAGE)

OPERATIONS = [
    Operation('quota_sets.show', 'GET', _SET, _READ),
    Operation('quota_sets.update', 'PUT', _SET, _WRITE),
    Operation('quota_sets.delete', 'DELETE', _SET, _WRITE),
    Operation('quota_sets.detail', 'GET', _SET + '/detail', ComputeQuotaDetailRead(QUOTA_SET)),
    Operation('quota_sets.defaults', 'GET', _SET + '/defaults', QuotaDefaultsRead(QUOTA_CLASS)),
    Operation('quota_class_sets.show', 'GET', _CLASS, QuotaClassRead(QUOTA_CLASS)),
    Operation('quota_class_sets.update', 'PUT', _CLASS, ComputeQuotaClassWrite(QUOTA_CLASS)),
]
