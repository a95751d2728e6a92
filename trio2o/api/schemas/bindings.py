# SPDX-License-Identifier: Apache-2.0
"""Bodies and queries of /bindings."""

from trio2o.api.schemas import BOOLEAN, ID, PAGE, Json, record, sort, text
from trio2o.web.validation import Body, Query

FLAG: Json = {'type': 'boolean'}

CREATE = Body(
    'pod_binding',
    record(
        {'tenant_id': ID, 'pod_id': ID, 'az_name': text(), 'affinity_group': text(), 'is_exclusive': FLAG},
        required=('tenant_id', 'pod_id'),
    ),
)
UPDATE = Body('pod_binding', {**record({'pod_id': ID, 'is_pinned': FLAG, 'is_exclusive': FLAG}), 'minProperties': 1})
LIST = Query(
    **PAGE,
    sort=sort('id', 'tenant_id', 'pod_id', 'az_name', 'affinity_group', 'started_at', 'created_at'),
    tenant_id=ID,
    pod_id=ID,
    az_name=text(),
    affinity_group=text(),
    is_pinned=BOOLEAN,
    history=BOOLEAN,
)
SHOW = Query(history=BOOLEAN)
