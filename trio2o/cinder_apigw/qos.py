# SPDX-License-Identifier: Apache-2.0
"""QoS specs and the volume types that go with them: the same in every pod.

Associating is done with GET. It is a write all the same, and sent once.
"""

from __future__ import annotations

from trio2o.gateway.handlers.replicate import (
    QOS_SPEC,
    VOLUME_TYPE,
    AnswerKey,
    PathKey,
    ReplicatedRead,
    ReplicatedWrite,
)
from trio2o.web.call import Call
from trio2o.web.operations import Operation


def _types(call: Call) -> list[tuple[str, str]]:
    return [(VOLUME_TYPE, value) for name, value in call.query if name == 'vol_type_id']


_READ = ReplicatedRead(QOS_SPEC)
_WRITE = ReplicatedWrite(QOS_SPEC, PathKey())
_BIND = ReplicatedWrite(QOS_SPEC, PathKey(), references=_types)
_MAKE = ReplicatedWrite(QOS_SPEC, AnswerKey(('qos_specs', 'id')), makes=True)

OPERATIONS = [
    Operation('qos_specs.create', 'POST', '/qos-specs', _MAKE),
    Operation('qos_specs.list', 'GET', '/qos-specs', _READ),
    Operation('qos_specs.show', 'GET', '/qos-specs/{id}', _READ),
    Operation('qos_specs.update', 'PUT', '/qos-specs/{id}', _WRITE),
    Operation('qos_specs.delete', 'DELETE', '/qos-specs/{id}', _WRITE),
    Operation('qos_specs.delete_keys', 'PUT', '/qos-specs/{id}/delete_keys', _WRITE),
    Operation('qos_specs.associations', 'GET', '/qos-specs/{id}/associations', _READ),
    Operation('qos_specs.associate', 'GET', '/qos-specs/{id}/associate', _BIND),
    Operation('qos_specs.disassociate', 'GET', '/qos-specs/{id}/disassociate', _BIND),
    Operation('qos_specs.disassociate_all', 'GET', '/qos-specs/{id}/disassociate_all', _WRITE),
]
