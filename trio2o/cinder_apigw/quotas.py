# SPDX-License-Identifier: Apache-2.0
"""Quota sets and classes, over all pods for what is counted; and the default type of a project."""

from __future__ import annotations

from trio2o.gateway.handlers.forward import at
from trio2o.gateway.handlers.quota_sets import ClassRead, QuotaRead, QuotaWrite, no_key
from trio2o.gateway.handlers.replicate import (
    DEFAULT_TYPE,
    VOLUME_QUOTA,
    VOLUME_QUOTA_CLASS,
    VOLUME_TYPE,
    PathKey,
    ReplicatedRead,
    ReplicatedWrite,
)
from trio2o.web.call import Call
from trio2o.web.operations import Operation

#: Cinder's words, in QuotaSetsController.
_OVER = (
    'Quota {name} limit must be equal or greater than existing resources. Current usage is {used} and the requested '
    'limit is {limit}.'
)


def _type(call: Call) -> list[tuple[str, str]]:
    name = at('default_type', 'volume_type')(call.json)
    return [(VOLUME_TYPE, name)] if isinstance(name, str) else []


_SET = QuotaWrite(VOLUME_QUOTA, no_key, makes=True, over=_OVER)
_CLASS = QuotaWrite(VOLUME_QUOTA_CLASS, no_key, makes=True, member='quota_class_set', is_class=True)
_SETS = '/os-quota-sets/{id}'
_CLASSES = '/os-quota-class-sets/{id}'

_TYPES_READ = ReplicatedRead(DEFAULT_TYPE)
_TYPES_WRITE = ReplicatedWrite(DEFAULT_TYPE, PathKey(), references=_type)
_TYPES = '/default-types'
_TYPE = '/default-types/{id}'
_TYPES_SINCE = (3, 62)

OPERATIONS = [
    Operation('quota_sets.show', 'GET', _SETS, QuotaRead(VOLUME_QUOTA)),
    Operation('quota_sets.update', 'PUT', _SETS, _SET),
    Operation('quota_sets.delete', 'DELETE', _SETS, _SET),
    Operation('quota_sets.defaults', 'GET', _SETS + '/defaults', QuotaRead(VOLUME_QUOTA_CLASS, shows_defaults=True)),
    Operation('quota_class_sets.show', 'GET', _CLASSES, ClassRead(VOLUME_QUOTA_CLASS)),
    Operation('quota_class_sets.update', 'PUT', _CLASSES, _CLASS),
    Operation('default_types.list', 'GET', _TYPES, _TYPES_READ, None, _TYPES_SINCE),
    Operation('default_types.show', 'GET', _TYPE, _TYPES_READ, None, _TYPES_SINCE),
    Operation('default_types.set', 'PUT', _TYPE, _TYPES_WRITE, None, _TYPES_SINCE),
    Operation('default_types.unset', 'DELETE', _TYPE, _TYPES_WRITE, None, _TYPES_SINCE),
]
