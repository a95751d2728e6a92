# SPDX-License-Identifier: Apache-2.0
"""Quota sets and classes: over all pods for what is counted, the same in every pod for the rest."""

from __future__ import annotations

from oslo_utils.strutils import bool_from_string

from trio2o.gateway.handlers.forward import at
from trio2o.gateway.handlers.quota_sets import ClassRead, QuotaRead, QuotaWrite, asked_for, no_key
from trio2o.gateway.handlers.replicate import QUOTA_CLASS, QUOTA_SET
from trio2o.web.call import Call
from trio2o.web.operations import Operation

#: Nova's words, in QuotaSetsController.
_OVER = 'Quota limit {limit} for {name} must be greater than or equal to already used and reserved {used}.'
#: Nova takes them, and nothing comes of it.
_OF_NETWORKS = frozenset({'fixed_ips', 'floating_ips', 'security_group_rules', 'security_groups'})


def user_of(call: Call) -> str:
    """The user of the project whose limits a call is about."""
    return asked_for(call, 'user_id') or ''


def is_forced(call: Call) -> bool:
    return bool_from_string(at('quota_set', 'force')(call.json))


class WriteLimits(QuotaWrite):
    """Nova takes limits of networks, of which nothing is kept."""

    def _given(self, call: Call) -> dict[str, int]:
        return {name: limit for name, limit in super()._given(call).items() if name not in _OF_NETWORKS}


_SET = '/os-quota-sets/{id}'
_CLASS = '/os-quota-class-sets/{id}'
_READ = QuotaRead(QUOTA_SET, user_of)
_WRITE = WriteLimits(QUOTA_SET, no_key, makes=True, user=user_of, is_forced=is_forced, over=_OVER)
_WRITE_CLASS = WriteLimits(QUOTA_CLASS, no_key, makes=True, member='quota_class_set', is_class=True)

OPERATIONS = [
    Operation('quota_sets.show', 'GET', _SET, _READ),
    Operation('quota_sets.update', 'PUT', _SET, _WRITE),
    Operation('quota_sets.delete', 'DELETE', _SET, _WRITE),
    Operation('quota_sets.detail', 'GET', _SET + '/detail', _READ),
    Operation('quota_sets.defaults', 'GET', _SET + '/defaults', QuotaRead(QUOTA_CLASS, shows_defaults=True)),
    Operation('quota_class_sets.show', 'GET', _CLASS, ClassRead(QUOTA_CLASS)),
    Operation('quota_class_sets.update', 'PUT', _CLASS, _WRITE_CLASS),
]
