# SPDX-License-Identifier: Apache-2.0
"""Queries of /usages."""

from trio2o.api.schemas import ID, PAGE, sort, text
from trio2o.web.validation import Query

LIST = Query(
    **PAGE,
    sort=sort('id', 'pod_id', 'pod_name', 'az_name', 'service', 'collected_at'),
    pod_id=ID,
    pod_name=text(255, 1),
    az_name=text(255, 1),
    service=text(32, 1),
)
