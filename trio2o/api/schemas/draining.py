# SPDX-License-Identifier: Apache-2.0
"""Body and query of draining a pod."""

from trio2o.api.schemas import ID, NUMBER, PAGE, record, text
from trio2o.api.schemas.adoption import Options
from trio2o.web.validation import Query

DRAIN = Options('drain', record({'reason': text(1024)}))
REMAINING = Query(**{**PAGE, 'marker': NUMBER}, project_id=ID, resource_type=text(32, 1))
