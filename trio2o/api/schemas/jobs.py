# SPDX-License-Identifier: Apache-2.0
"""Queries of /jobs."""

from trio2o.api.schemas import ID, PAGE, text
from trio2o.db.records import JOB_STATES
from trio2o.web.validation import Query

LIST = Query(
    **PAGE,
    type=text(64, 1),
    state={'type': 'string', 'enum': list(JOB_STATES)},
    resource_key=text(255, 1),
    request_id=ID,
)
