# SPDX-License-Identifier: Apache-2.0
"""Body of /pods/select."""

from trio2o.api.schemas import ID, Json, record, text
from trio2o.web.validation import Body

_SPECS: Json = {
    'type': 'object',
    'additionalProperties': {'type': 'string', 'maxLength': 255},
    'propertyNames': {'minLength': 1, 'maxLength': 255},
    'maxProperties': 128,
}
_RESOURCES: Json = {
    'type': 'object',
    'additionalProperties': {'type': 'integer', 'minimum': 0, 'maximum': 2**53},
    'propertyNames': {'pattern': '^(gigabytes|[A-Z0-9_]{1,255})$'},
    'maxProperties': 64,
    'description': 'VCPU, MEMORY_MB, DISK_GB for compute, gigabytes for volume',
}

SELECT = Body(
    'selection',
    record(
        {
            'project_id': ID,
            'service': {'type': 'string', 'enum': ['compute', 'volume']},
            'az_name': text(),
            'flavor': text(255, 1),
            'volume_type': text(255, 1),
            'resources': _RESOURCES,
            'extra_specs': _SPECS,
            'count': {'type': 'integer', 'minimum': 1, 'maximum': 10000},
        },
        required=('project_id',),
    ),
)
