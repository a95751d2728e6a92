# SPDX-License-Identifier: Apache-2.0
"""Bodies and queries of /pods."""

import os_resource_classes

from trio2o.api.schemas import BOOLEAN, PAGE, Json, record, sort, text
from trio2o.db.records import POD_STATES
from trio2o.web.validation import Body, Query

STATE: Json = {'type': 'string', 'enum': list(POD_STATES)}
TAG: Json = {
    'type': ['object', 'null'],
    'additionalProperties': {'type': 'string', 'maxLength': 255},
    'propertyNames': {'minLength': 1, 'maxLength': 255},
    'maxProperties': 64,
}
#: The largest integer that every JSON parser reads exactly.
MOST = 2**53
#: Resource classes of Placement, and the capacity of Cinder's pools, in lower and in upper case.
_RESOURCES = [name for each in (*os_resource_classes.STANDARDS, 'gigabytes') for name in (each.lower(), each.upper())]
#: Amount or percentage of a resource that is kept free: {"vcpu": 8, "memory_mb": "10%", "gigabytes": 500}.
HEADROOM: Json = {
    'type': ['object', 'null'],
    'additionalProperties': {
        'anyOf': [
            {'type': 'number', 'minimum': 0, 'maximum': MOST},
            {'type': 'string', 'pattern': r'^(100(\.0+)?|[0-9]{1,2}(\.[0-9]+)?)%$'},
        ]
    },
    'propertyNames': {'anyOf': [{'enum': _RESOURCES}, {'pattern': '^(CUSTOM|custom)_[A-Za-z0-9_]{1,57}$'}]},
    'maxProperties': 64,
}

_MUTABLE: Json = {
    'az_name': text(),
    'pod_az_name': text(),
    'pod_volume_az_name': {**text(), 'type': ['string', 'null']},
    'dc_name': text(),
    'state': STATE,
    'reason': text(1024),
    'resource_affinity_tag': TAG,
    'headroom': HEADROOM,
}

CREATE = Body('pod', record({'pod_name': text(255, 1), **_MUTABLE}, required=('pod_name',)))
UPDATE = Body('pod', record(_MUTABLE))
LIST = Query(
    **PAGE,
    sort=sort('pod_id', 'pod_name', 'az_name', 'pod_az_name', 'dc_name', 'number', 'state', 'created_at'),
    pod_name=text(),
    az_name=text(),
    pod_az_name=text(),
    pod_volume_az_name=text(),
    dc_name=text(),
    state=STATE,
)
DELETE = Query(force=BOOLEAN)
