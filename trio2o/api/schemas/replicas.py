# SPDX-License-Identifier: Apache-2.0
"""Queries of /replicas."""

from trio2o.api.schemas import ID, PAGE, Json, sort, text
from trio2o.db.records import REPLICA_STATES
from trio2o.web.validation import Query

STATE: Json = {'type': 'string', 'enum': list(REPLICA_STATES)}

LIST = Query(
    **PAGE,
    sort=sort('id', 'pod_id', 'pod_name', 'kind', 'key', 'state', 'attempts'),
    pod_id=ID,
    kind=text(64, 1),
    state=STATE,
)
