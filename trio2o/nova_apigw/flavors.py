# SPDX-License-Identifier: Apache-2.0
"""Flavors, their extra specs and access lists: the same in every pod."""

from __future__ import annotations

from trio2o.gateway.handlers.forward import ForwardToAny
from trio2o.gateway.handlers.replicate import ReplicatedCreate, ReplicatedRead, ReplicatedWrite
from trio2o.replication.kinds import FLAVOR
from trio2o.web.operations import Operation, actions

_READ = ReplicatedRead(FLAVOR)
_WRITE = ReplicatedWrite(FLAVOR)
_CREATE = ReplicatedCreate(FLAVOR, id_path=('flavor', 'id'))

_SPECS = '/flavors/{flavor_id}/os-extra_specs'
_SPEC = _SPECS + '/{id}'

OPERATIONS = [
    Operation('flavors.list', 'GET', '/flavors', _READ),
    Operation('flavors.create', 'POST', '/flavors', _CREATE),
    Operation('flavors.list_detail', 'GET', '/flavors/detail', _READ),
    Operation('flavors.show', 'GET', '/flavors/{id}', _READ),
    Operation('flavors.update', 'PUT', '/flavors/{id}', _WRITE, min_version=(2, 55)),
    Operation('flavors.delete', 'DELETE', '/flavors/{id}', _WRITE),
    *actions(
        'flavors.action',
        '/flavors/{id}/action',
        _WRITE,
        'addTenantAccess',
        'removeTenantAccess',
    ),
    # Any other action goes to a pod, which refuses it in Nova's words.
    Operation('flavors.action', 'POST', '/flavors/{id}/action', ForwardToAny()),
    Operation('flavor_extra_specs.list', 'GET', _SPECS, _READ),
    Operation('flavor_extra_specs.create', 'POST', _SPECS, _WRITE),
    Operation('flavor_extra_specs.show', 'GET', _SPEC, _READ),
    Operation('flavor_extra_specs.update', 'PUT', _SPEC, _WRITE),
    Operation('flavor_extra_specs.delete', 'DELETE', _SPEC, _WRITE),
    Operation('flavor_access.list', 'GET', '/flavors/{flavor_id}/os-flavor-access', _READ),
]
