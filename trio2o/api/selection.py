# SPDX-License-Identifier: Apache-2.0
"""/pods/select: the pods that the scheduler would choose for a server or volume, and why. It changes nothing."""

from __future__ import annotations

from typing import Any

from trio2o import exception
from trio2o.api import response_schemas
from trio2o.api.schemas import selection as schemas
from trio2o.db import replicas
from trio2o.pods.registry import PodView
from trio2o.quota.usage import Flavor
from trio2o.replication.kinds import FLAVOR, VOLUME_TYPE
from trio2o.scheduler.spec import PodRequest
from trio2o.web.call import Answer, Call

Json = dict[str, Any]

_POD: Json = {'pod_id': response_schemas.TEXT, 'pod_name': response_schemas.TEXT, 'az_name': response_schemas.TEXT}
_NUMBER: Json = {'type': 'number'}
_WEIGHED: Json = {
    **_POD,
    'is_bound': {'type': 'boolean'},
    'affinity_group': response_schemas.TEXT,
    'weight': _NUMBER,
    'weights': {'type': 'object', 'additionalProperties': _NUMBER},
}
_DROPPED: Json = {**_POD, 'filter': response_schemas.TEXT, 'reason': response_schemas.TEXT}


def _objects(properties: Json) -> Json:
    return {'type': 'array', 'items': {'type': 'object', 'required': sorted(properties), 'properties': properties}}


SHAPE: Json = {
    'type': 'object',
    'required': ['dropped', 'pods', 'resources'],
    'properties': {
        'pods': _objects(_WEIGHED),
        'dropped': _objects(_DROPPED),
        'resources': {'type': 'object', 'additionalProperties': response_schemas.NUMBER},
    },
}


def select_pod(call: Call) -> Answer:
    """POST /pods/select: rank the pods for a new server or volume, with reasons. 200, 400, 422."""
    wanted = schemas.SELECT.read(call)
    decision = call.runtime.scheduler.decide(_request(call, wanted), of_all=True)
    pods = [
        {
            **_named(each.pod),
            'is_bound': each.pod.id in decision.request.bound,
            'affinity_group': each.pod.group,
            'weight': each.weight,
            'weights': dict(each.weights),
        }
        for each in decision.weighed
    ]
    dropped = [{**_named(each.pod), 'filter': each.filter, 'reason': each.why} for each in decision.dropped]
    resources = dict(decision.request.resources)
    return Answer.of({'selection': {'pods': pods, 'dropped': dropped, 'resources': resources}})


def _named(pod: PodView) -> Json:
    return {'pod_id': pod.id, 'pod_name': pod.name, 'az_name': pod.zone}


def _request(call: Call, wanted: Json) -> PodRequest:
    """Build the request for the scheduler.

    :raises Unprocessable: a zone, flavor or type does not exist
    """
    service = wanted.get('service', 'volume' if 'volume_type' in wanted else 'compute')
    zone = wanted.get('az_name', '') or call.runtime.conf.scheduler.default_availability_zone or ''
    if zone and zone not in call.runtime.registry.snapshot().zones:
        raise _refused('az_name', f"there is no zone '{zone}'")
    for field, owner in (('flavor', 'compute'), ('volume_type', 'volume')):
        if field in wanted and service != owner:
            raise _refused(field, f'the service {service} has no {field.replace("_", " ")}')
    count = wanted.get('count', 1)
    resources: Json = {}
    specs: Json = {}
    kinds = {'flavor': FLAVOR, 'volume_type': VOLUME_TYPE}
    references = [(kind, wanted[field]) for field, kind in kinds.items() if field in wanted]
    if 'flavor' in wanted:
        flavor = _recorded(call, 'flavor', FLAVOR, wanted['flavor'])
        resources = Flavor.from_json(flavor).placement_resources(count)
        specs = flavor.get('extra_specs') or {}
    elif 'volume_type' in wanted:
        specs = _recorded(call, 'volume_type', VOLUME_TYPE, wanted['volume_type']).get('extra_specs') or {}
    return PodRequest(
        service,
        wanted['project_id'],
        zone,
        resources={**resources, **wanted.get('resources', {})},
        count=count,
        extra_specs={**specs, **wanted.get('extra_specs', {})},
        unusable=call.runtime.replicator.unusable(references, ''),
    )


def _recorded(call: Call, field: str, kind: str, name: str) -> Json:
    """Return the desired state of a flavor or volume type.

    :raises Unprocessable: no object has that id or name
    """
    found: Json | None = replicas.find_wanted(call.runtime.db, kind, name, by_name=True)
    if found is None:
        raise _refused(field, f"there is no {field.replace('_', ' ')} '{name}'")
    return found


def _refused(field: str, reason: str) -> exception.Unprocessable:
    return exception.Unprocessable(f"Invalid input for field 'selection.{field}': {reason}")
