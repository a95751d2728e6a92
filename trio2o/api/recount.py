# SPDX-License-Identifier: Apache-2.0
"""POST /projects/{project_id}/recount: recount the usage of a project from its pods."""

from __future__ import annotations

from trio2o import job_types
from trio2o.api import jobs
from trio2o.api.adoption import check_project_id
from trio2o.api.schemas import adoption as schemas
from trio2o.web.call import Answer, Call


def recount_project(call: Call) -> Answer:
    """POST /projects/{project_id}/recount: 202 with the job that does it, 404, 422."""
    schemas.RECOUNT.read(call)
    check_project_id(call)
    payload = {'project_id': call.id, 'asks_pods': True}
    job = call.runtime.jobs.submit(job_types.RECOUNT_QUOTA, call.id, payload, request_id=call.context.request_id)
    return Answer.of({'job': jobs.view(job)}, 202)
