# SPDX-License-Identifier: Apache-2.0
"""Volume types with extra specs, access and encryption: the same in every pod."""

from __future__ import annotations

from trio2o.gateway.handlers.forward import ForwardToAny
from trio2o.gateway.handlers.replicate import ReplicatedCreate, ReplicatedRead, ReplicatedWrite
from trio2o.replication.kinds import VOLUME_TYPE
from trio2o.web.operations import Operation, actions

_READ = ReplicatedRead(VOLUME_TYPE)
_WRITE = ReplicatedWrite(VOLUME_TYPE)
_CREATE = ReplicatedCreate(VOLUME_TYPE, id_path=('volume_type', 'id'))
# A pod that has volumes of the type refuses these.
_WRITE_UNUSED = ReplicatedWrite(VOLUME_TYPE, is_refused_in_use=True)

_SPECS = '/types/{type_id}/extra_specs'
_SPEC = _SPECS + '/{id}'
_ENCRYPTIONS = '/types/{type_id}/encryption'
_ENCRYPTION = _ENCRYPTIONS + '/{id}'

OPERATIONS = [
    Operation('volume_types.create', 'POST', '/types', _CREATE),
    Operation('volume_types.list', 'GET', '/types', _READ),
    *actions(
        'volume_types.action',
        '/types/{id}/action',
        _WRITE,
        'addProjectAccess',
        'removeProjectAccess',
    ),
    # Any other action goes to a pod, which refuses it in Cinder's words.
    Operation('volume_types.action', 'POST', '/types/{id}/action', ForwardToAny()),
    Operation('volume_types.update', 'PUT', '/types/{id}', _WRITE),
    Operation('volume_types.delete', 'DELETE', '/types/{id}', _WRITE_UNUSED),
    Operation('volume_types.show', 'GET', '/types/{id}', _READ),
    Operation('volume_type_extra_specs.create', 'POST', _SPECS, _WRITE_UNUSED),
    Operation('volume_type_extra_specs.list', 'GET', _SPECS, _READ),
    Operation('volume_type_extra_specs.update', 'PUT', _SPEC, _WRITE_UNUSED),
    Operation('volume_type_extra_specs.delete', 'DELETE', _SPEC, _WRITE_UNUSED),
    Operation('volume_type_extra_specs.show', 'GET', _SPEC, _READ),
    Operation('volume_type_encryption.create', 'POST', _ENCRYPTIONS, _WRITE_UNUSED),
    Operation('volume_type_encryption.list', 'GET', _ENCRYPTIONS, _READ),
    Operation('volume_type_encryption.update', 'PUT', _ENCRYPTION, _WRITE_UNUSED),
    Operation('volume_type_encryption.delete', 'DELETE', _ENCRYPTION, _WRITE_UNUSED),
    Operation('volume_type_encryption.show', 'GET', _ENCRYPTION, _READ),
    Operation('volume_type_access.list', 'GET', '/types/{type_id}/os-volume-type-access', _READ),
]
