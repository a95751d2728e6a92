# SPDX-License-Identifier: Apache-2.0
"""Volume types with extra specs, access and encryption: the same in every pod."""

from __future__ import annotations

from dataclasses import replace

from trio2o.gateway.call_pod import send
from trio2o.gateway.handlers.forward import ForwardToAny
from trio2o.gateway.handlers.replicate import ReplicatedCreate, ReplicatedRead, ReplicatedWrite
from trio2o.pods import type_zones
from trio2o.pods.registry import PodView
from trio2o.replication.kinds import VOLUME_TYPE
from trio2o.web import json_body
from trio2o.web.call import Answer, Call, dump_json
from trio2o.web.operations import Operation, actions


def _zones_up(pod: PodView, answer: Answer) -> Answer:
    """Return a pod's answer with the tenants' names of the zones that types are bound to."""
    if _KEY not in answer.body:
        return answer
    pod_zone = pod.zone_in('volume')
    document = type_zones.replaced(answer.json, lambda value: type_zones.up(value, pod.zone, pod_zone))
    return replace(answer, body=dump_json(document))


def _zones_of(call: Call, pod: PodView) -> list[str]:
    """Return the pod's names for its zone: the only one, or all zones in the pod.

    :raises PodError: the pod does not list them
    """
    name = pod.zone_in('volume')
    if name:
        return [name]
    answer = send(call, pod, method='GET', path='/os-availability-zone', query='', body=b'')
    zones = json_body.objects_at(answer.json, 'availabilityZoneInfo')
    return [zone['zoneName'] for zone in zones if isinstance(zone.get('zoneName'), str)]


class TypeRead(ReplicatedRead):
    """Read volume types."""

    def translate(self, pod: PodView, answer: Answer) -> Answer:
        return _zones_up(pod, answer)


class TypeWrite(ReplicatedWrite):
    """Change or delete a volume type."""

    def body_for(self, call: Call, pod: PodView) -> bytes | None:
        """Return the body with the pod's names of the zones that the type is bound to."""
        if _KEY not in call.body or not isinstance(call.json, dict):
            return None
        zones = _zones_of(call, pod)
        return dump_json(type_zones.replaced(call.json, lambda value: type_zones.down(value, pod.zone, zones)))

    def translate(self, pod: PodView, answer: Answer) -> Answer:
        return _zones_up(pod, answer)


class TypeCreate(TypeWrite, ReplicatedCreate):
    """Create a volume type."""


_KEY = type_zones.KEY.encode()

_READ = TypeRead(VOLUME_TYPE)
_WRITE = TypeWrite(VOLUME_TYPE)
_CREATE = TypeCreate(VOLUME_TYPE, id_path=('volume_type', 'id'))
# A pod that has volumes of the type refuses these.
_WRITE_UNUSED = TypeWrite(VOLUME_TYPE, is_refused_in_use=True)

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
