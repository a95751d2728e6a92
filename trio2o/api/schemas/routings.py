# SPDX-License-Identifier: Apache-2.0
"""Bodies and queries of /routings."""

from trio2o.api.schemas import ID, NUMBER, PAGE, Json, record, sort, text
from trio2o.db.records import ROUTING_STATES
from trio2o.web.validation import Body, Query

STATE: Json = {'type': 'string', 'enum': list(ROUTING_STATES)}
TYPE = text(32, 1)

CREATE = Body(
    'routing',
    record(
        {'top_id': ID, 'bottom_id': ID, 'pod_id': ID, 'project_id': ID, 'resource_type': TYPE},
        required=('top_id', 'pod_id', 'project_id', 'resource_type'),
    ),
)
UPDATE = Body(
    'routing',
    {
        **record({'bottom_id': ID, 'pod_id': ID, 'project_id': ID, 'state': STATE}),
        'minProperties': 1,
    },
)
LIST = Query(
    **{**PAGE, 'marker': NUMBER},
    sort=sort('id', 'top_id', 'bottom_id', 'pod_id', 'project_id', 'resource_type', 'state', 'recorded_at'),
    top_id=ID,
    bottom_id=ID,
    pod_id=ID,
    project_id=ID,
    resource_type=TYPE,
    state=STATE,
)
SHOW = Query(resource_type=TYPE)
