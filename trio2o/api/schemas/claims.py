# SPDX-License-Identifier: Apache-2.0
"""Queries of /claims."""

from trio2o.api.schemas import ID, PAGE, sort, text
from trio2o.db.quotas import CLAIM_STATES
from trio2o.web.validation import Query

LIST = Query(
    **PAGE,
    sort=sort('id', 'project_id', 'resource_type', 'state', 'created_at'),
    project_id=ID,
    pod_id=ID,
    resource_type=text(32, 1),
    resource_id=ID,
    request_id=ID,
    state={'type': 'string', 'enum': list(CLAIM_STATES)},
    older_than={'type': 'string', 'pattern': '^[0-9]{1,9}$', 'description': 'only claims made so many seconds ago'},
)
