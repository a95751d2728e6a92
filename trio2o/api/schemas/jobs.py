# SPDX-License-Identifier: Apache-2.0
"""Queries of /jobs."""

from trio2o.api.schemas import ID, PAGE, sort, text
from trio2o.db.records import JOB_STATES
from trio2o.web.validation import Query

LIST = Query(
    **PAGE,
    sort=sort('id', 'type', 'resource_key', 'state', 'attempts', 'run_after', 'created_at'),
    type=text(64, 1),
    state={'type': 'string', 'enum': list(JOB_STATES)},
    resource_key=text(255, 1),
    request_id=ID,
)
