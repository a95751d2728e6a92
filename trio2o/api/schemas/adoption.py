# SPDX-License-Identifier: Apache-2.0
"""Bodies of adopting and reconciling a pod, emptying a project and recounting its quota."""

from typing import Any

from trio2o.api.schemas import Json, record
from trio2o.web.call import Call
from trio2o.web.validation import Body


class Options(Body):
    """An optional body whose fields are not wrapped in a key."""

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
RECONCILE = Options(
    'reconcile',
    record(
        {
            'end_missing': {
                'type': 'boolean',
                'description': 'end the routings of all resources that the pod does not have, however many',
            }
        }
    ),
)
EMPTY = Options('empty', record({'dry_run': DRY_RUN}))
RECOUNT = Options('recount', record({}))
