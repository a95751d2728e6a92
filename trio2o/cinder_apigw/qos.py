# SPDX-License-Identifier: Apache-2.0
"""QoS specs and the volume types they are associated with: the same in every pod.

Cinder associates them by GET requests. These are writes nevertheless, so they are not sent twice.
"""

from __future__ import annotations

from trio2o.gateway.handlers.replicate import ReplicatedCreate, ReplicatedRead, ReplicatedWrite
from trio2o.replication.kinds import QOS_SPEC, VOLUME_TYPE
from trio2o.replication.replicator import ObjectRef
from trio2o.web.call import Call
from trio2o.web.operations import Operation


class AssociateQosSpec(ReplicatedWrite):
    """Associate QoS specs with the volume type in the query, or end that."""

    def replicated_refs(self, call: Call) -> list[ObjectRef]:
        return [(VOLUME_TYPE, value) for name, value in call.query if name == 'vol_type_id']


_READ = ReplicatedRead(QOS_SPEC)
_WRITE = ReplicatedWrite(QOS_SPEC)
_ASSOCIATE = AssociateQosSpec(QOS_SPEC)
_CREATE = ReplicatedCreate(QOS_SPEC, id_path=('qos_specs', 'id'))

OPERATIONS = [
    Operation('qos_specs.create', 'POST', '/qos-specs', _CREATE),
    Operation('qos_specs.list', 'GET', '/qos-specs', _READ),
    Operation('qos_specs.show', 'GET', '/qos-specs/{id}', _READ),
    Operation('qos_specs.update', 'PUT', '/qos-specs/{id}', _WRITE),
    Operation('qos_specs.delete', 'DELETE', '/qos-specs/{id}', _WRITE),
    Operation('qos_specs.delete_keys', 'PUT', '/qos-specs/{id}/delete_keys', _WRITE),
    Operation('qos_specs.associations', 'GET', '/qos-specs/{id}/associations', _READ),
    Operation('qos_specs.associate', 'GET', '/qos-specs/{id}/associate', _ASSOCIATE),
    Operation('qos_specs.disassociate', 'GET', '/qos-specs/{id}/disassociate', _ASSOCIATE),
    Operation('qos_specs.disassociate_all', 'GET', '/qos-specs/{id}/disassociate_all', _WRITE),
]
