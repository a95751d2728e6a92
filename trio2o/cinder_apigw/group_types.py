# SPDX-License-Identifier: Apache-2.0
"""Group types with their specs: the same in every pod."""

from __future__ import annotations

from trio2o.gateway.handlers.replicate import ReplicatedCreate, ReplicatedRead, ReplicatedWrite
from trio2o.replication.kinds import GROUP_TYPE
from trio2o.web.operations import Operation

_READ = ReplicatedRead(GROUP_TYPE)
_WRITE = ReplicatedWrite(GROUP_TYPE)
_CREATE = ReplicatedCreate(GROUP_TYPE, id_path=('group_type', 'id'))
# A pod that has groups of the type refuses this.
_DELETE = ReplicatedWrite(GROUP_TYPE, is_refused_in_use=True)

_SPECS = '/group_types/{group_type_id}/group_specs'
_SPEC = _SPECS + '/{id}'
_SINCE = (3, 11)

OPERATIONS = [
    Operation('group_types.create', 'POST', '/group_types', _CREATE, None, _SINCE),
    Operation('group_types.list', 'GET', '/group_types', _READ, None, _SINCE),
    Operation('group_types.show', 'GET', '/group_types/{id}', _READ, None, _SINCE),
    Operation('group_types.update', 'PUT', '/group_types/{id}', _WRITE, None, _SINCE),
    Operation('group_types.delete', 'DELETE', '/group_types/{id}', _DELETE, None, _SINCE),
    Operation('group_type_specs.create', 'POST', _SPECS, _WRITE, None, _SINCE),
    Operation('group_type_specs.list', 'GET', _SPECS, _READ, None, _SINCE),
    Operation('group_type_specs.show', 'GET', _SPEC, _READ, None, _SINCE),
    Operation('group_type_specs.update', 'PUT', _SPEC, _WRITE, None, _SINCE),
    Operation('group_type_specs.delete', 'DELETE', _SPEC, _WRITE, None, _SINCE),
]
