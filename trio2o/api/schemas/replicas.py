# SPDX-License-Identifier: Apache-2.0
"""Queries of /replicas and /usages."""

from trio2o.api.schemas import ID, PAGE, text
from trio2o.web.validation import Query

LIST = Query(**PAGE, pod_id=ID, kind=text(64, 1))
USAGES = Query(pod_id=ID, service=text(32, 1))
