# SPDX-License-Identifier: Apache-2.0
"""/pods/{id}/adopt and /projects/{id}/empty: ordered here, done by jobs, whose results are the reports."""

from __future__ import annotations

from typing import Any

from trio2o import exception, job_types
from trio2o.api import jobs, pods
from trio2o.api.schemas import adoption as schemas
from trio2o.web.call import Answer, Call

#: Behind the resource of a job that changes nothing, so that it does not stand in for one that does.
DRY = ':dry-run'

_MOST_ID = 64


def adopt_pod(call: Call) -> Answer:
    """POST /pods/{pod_id}/adopt: take in what a pod holds, or report it with dry_run. 202, 400, 404, 422."""
    pod = pods.existing(call)
    wanted = schemas.ADOPT.read(call)
    if pod.is_top:
        raise exception.Unprocessable('The top region is no pod: there is nothing to adopt.')
    return _submit(call, job_types.ADOPT_POD, pod.pod_id, {'pod_id': pod.pod_id}, wanted)


def empty_project(call: Call) -> Answer:
    """POST /projects/{project_id}/empty: delete what is left of a project that is gone, or list it with dry_run.

    202, 400, 404, 409 while Keystone has it, 422.
    """
    wanted = schemas.EMPTY.read(call)
    if len(call.id) > _MOST_ID:
        raise exception.NotFound('The resource could not be found.')
    if call.runtime.identity.has_project(call.id):
        raise exception.Conflict(f'Keystone still has the project {call.id}. Delete it there first.')
    return _submit(call, job_types.EMPTY_PROJECT, call.id, {'project_id': call.id}, wanted)


def _submit(call: Call, kind: str, key: str, payload: dict[str, Any], wanted: dict[str, Any]) -> Answer:
    is_dry_run = wanted.get('dry_run', False)
    job = call.runtime.jobs.submit(
        kind,
        f'{key}{DRY}' if is_dry_run else key,
        {**payload, 'dry_run': is_dry_run},
        request_id=call.context.request_id,
    )
    return Answer.of({'job': jobs.view(job)}, 202)
