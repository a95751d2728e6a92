# SPDX-License-Identifier: Apache-2.0
"""Quota sets and classes: the same in every pod, with what is used added up over all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from trio2o.gateway.forward import at
from trio2o.gateway.quotas import QuotaWrite, no_key
from trio2o.gateway.replicate import QUOTA_CLASS, QUOTA_SET, ReplicatedRead
from trio2o.gateway.sum import Sum
from trio2o.web.call import Call
from trio2o.web.operations import Operation

#: Nova's words, in QuotaSetsController.
_OVER = 'Quota limit {limit} for {name} must be greater than or equal to already used and reserved {used}.'
_TRUE = frozenset({'1', 't', 'true', 'on', 'y', 'yes'})
#: Nova takes them, and nothing comes of it.
_OF_NETWORKS = frozenset({'fixed_ips', 'floating_ips', 'security_group_rules', 'security_groups'})


@dataclass(frozen=True)
class WriteLimits(QuotaWrite):
    """An admin may limit one user of a project, and force what is less than is used."""

    def _name(self, call: Call) -> str:
        user = next((value for name, value in call.query if name == 'user_id' and value), None)
        return call.id if user is None else f'{call.id}:{user}'

    def _given(self, call: Call) -> dict[str, int]:
        return {name: limit for name, limit in super()._given(call).items() if name not in _OF_NETWORKS}

    def _compare(self, call: Call) -> None:
        if str(at('quota_set', 'force')(call.json)).lower() not in _TRUE:
            super()._compare(call)


def add_used(documents: list[dict[str, Any]]) -> dict[str, Any]:
    """Details of many pods: what is used adds up; what is allowed is what the most generous allows."""
    total: dict[str, Any] = {}
    for document in documents:
        for name, value in document['quota_set'].items():
            known = total.get(name)
            if known is None or not isinstance(value, dict):
                total.setdefault(name, value)
                continue
            limits = (known['limit'], value['limit'])
            total[name] = {
                'limit': -1 if -1 in limits else max(limits),
                'in_use': known['in_use'] + value['in_use'],
                'reserved': known['reserved'] + value['reserved'],
            }
    return {'quota_set': total}


_SET = '/os-quota-sets/{id}'
_CLASS = '/os-quota-class-sets/{id}'
_READ = ReplicatedRead(QUOTA_SET)
_WRITE = WriteLimits(QUOTA_SET, no_key, makes=True, usage_path='/detail', over=_OVER)
_WRITE_CLASS = WriteLimits(QUOTA_CLASS, no_key, makes=True, member='quota_class_set')

OPERATIONS = [
    Operation('quota_sets.show', 'GET', _SET, _READ),
    Operation('quota_sets.update', 'PUT', _SET, _WRITE),
    Operation('quota_sets.delete', 'DELETE', _SET, _WRITE),
    Operation('quota_sets.detail', 'GET', _SET + '/detail', Sum(add_used)),
    Operation('quota_sets.defaults', 'GET', _SET + '/defaults', _READ),
    Operation('quota_class_sets.show', 'GET', _CLASS, ReplicatedRead(QUOTA_CLASS)),
    Operation('quota_class_sets.update', 'PUT', _CLASS, _WRITE_CLASS),
]
