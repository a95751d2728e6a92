# SPDX-License-Identifier: Apache-2.0
"""Quota sets and quota classes, which Trio2o keeps for all pods together, and the default types of projects."""

from __future__ import annotations

from trio2o.gateway.handlers.quota_sets import (
    QuotaClassRead,
    QuotaClassWrite,
    QuotaDefaultsRead,
    QuotaSetRead,
    QuotaSetWrite,
)
from trio2o.gateway.handlers.replicate import ReplicatedRead, ReplicatedWrite
from trio2o.replication.kinds import DEFAULT_TYPE, VOLUME_QUOTA, VOLUME_QUOTA_CLASS, VOLUME_TYPE
from trio2o.replication.replicator import ObjectRef
from trio2o.web import json_body
from trio2o.web.call import Call
from trio2o.web.operations import Operation

#: Cinder's words, in QuotaSetsController.
_BELOW_USAGE = (
    'Quota {name} limit must be equal or greater than existing resources. Current usage is {used} and the requested '
    'limit is {limit}.'
)


class DefaultTypeWrite(ReplicatedWrite):
    """Set or unset the default type of a project."""

    def replicated_refs(self, call: Call) -> list[ObjectRef]:
        name = json_body.at(call.json, 'default_type', 'volume_type')
        return [(VOLUME_TYPE, name)] if isinstance(name, str) else []


_SET = '/os-quota-sets/{id}'
_CLASS = '/os-quota-class-sets/{id}'
_WRITE = QuotaSetWrite(VOLUME_QUOTA, below_usage=_BELOW_USAGE)

_TYPES = '/default-types'
_TYPE = '/default-types/{id}'
_READ_TYPE = ReplicatedRead(DEFAULT_TYPE)
_WRITE_TYPE = DefaultTypeWrite(DEFAULT_TYPE)
_SINCE = (3, 62)

OPERATIONS = [
    Operation('quota_sets.show', 'GET', _SET, QuotaSetRead(VOLUME_QUOTA)),
    Operation('quota_sets.update', 'PUT', _SET, _WRITE),
    Operation('quota_sets.delete', 'DELETE', _SET, _WRITE),
    Operation('quota_sets.defaults', 'GET', _SET + '/defaults', QuotaDefaultsRead(VOLUME_QUOTA_CLASS)),
    Operation('quota_class_sets.show', 'GET', _CLASS, QuotaClassRead(VOLUME_QUOTA_CLASS)),
    Operation('quota_class_sets.update', 'PUT', _CLASS, QuotaClassWrite(VOLUME_QUOTA_CLASS)),
    Operation('default_types.list', 'GET', _TYPES, _READ_TYPE, None, _SINCE),
    Operation('default_types.show', 'GET', _TYPE, _READ_TYPE, None, _SINCE),
    Operation('default_types.set', 'PUT', _TYPE, _WRITE_TYPE, None, _SINCE),
    Operation('default_types.unset', 'DELETE', _TYPE, _WRITE_TYPE, None, _SINCE),
]
