# SPDX-License-Identifier: Apache-2.0
"""Bodies and queries of /bindings."""

from trio2o.api.schemas import BOOLEAN, ID, PAGE, record, text
from trio2o.web.validation import Body, Query

CREATE = Body(
    'pod_binding',
    record(
        {'tenant_id': ID, 'pod_id': ID, 'az_name': text(), 'affinity_group': text()},
        required=('tenant_id', 'pod_id'),
    ),
)
LIST = Query(**PAGE, tenant_id=ID, pod_id=ID, az_name=text(), affinity_group=text(), history=BOOLEAN)
SHOW = Query(history=BOOLEAN)
