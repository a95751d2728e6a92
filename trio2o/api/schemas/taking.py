# SPDX-License-Identifier: Apache-2.0
"""Bodies and queries of what takes pods in and out: adoption, draining, emptying projects."""

from typing import Any

from trio2o.api.schemas import ID, NUMBER, PAGE, Json, record, text
from trio2o.web.call import Call
from trio2o.web.validation import Body, Query


class Options(Body):
    """A body that is options and nothing around them; it may be left out."""

    is_required = False

    @property
    def document(self) -> Json:
        return self.schema

    def read(self, call: Call) -> dict[str, Any]:
        if not call.body.strip():
            return {}
        return super().read(call.with_body({self.key: call.json}) if isinstance(call.json, dict) else call)


DRY_RUN: Json = {'type': 'boolean', 'description': 'only report what would be done'}

ADOPT = Options('adopt', record({'dry_run': DRY_RUN}))
EMPTY = Options('empty', record({'dry_run': DRY_RUN}))
RECOUNT = Options('recount', record({}))
DRAIN = Options('drain', record({'reason': text(1024)}))
REMAINING = Query(**{**PAGE, 'marker': NUMBER}, project_id=ID, resource_type=text(32, 1))
