# SPDX-License-Identifier: Apache-2.0
"""/pods/{id}/adopt, /pods/{id}/reconcile and /projects/{id}/empty: submit jobs."""

from __future__ import annotations

from typing import Any

from trio2o import exception, job_types
from trio2o.api import jobs, pods
from trio2o.api.schemas import adoption as schemas
from trio2o.web.call import Answer, Call

#: Suffix of the resource key of a dry run, so that a dry run and a real run are two jobs.
DRY_RUN_SUFFIX = ':dry-run'

#: Suffix of the resource key of a job that ends many routings, so that a periodic job never runs in its place.
END_MISSING_SUFFIX = ':end-missing'

MAX_ID_LENGTH = 64


def check_project_id(call: Call) -> None:
    """:raises NotFound: no project can have the id in the path"""
    if len(call.id) > MAX_ID_LENGTH:
        raise exception.NotFound('The resource could not be found.')


def adopt_pod(call: Call) -> Answer:
    """POST /pods/{pod_id}/adopt: adopt the resources of a pod, or report them with dry_run. 202, 400, 404, 422."""
    pod = pods.existing(call)
    wanted = schemas.ADOPT.read(call)
    if pod.is_top:
        raise exception.Unprocessable('The top region is not a pod: there is nothing to adopt.')
    return _submit(call, job_types.ADOPT_POD, pod.pod_id, {'pod_id': pod.pod_id}, wanted)


def reconcile_pod(call: Call) -> Answer:
    """POST /pods/{pod_id}/reconcile: compare all resources of a pod with the routings. 202, 400, 404, 422."""
    pod = pods.existing(call)
    end_missing = schemas.RECONCILE.read(call).get('end_missing', False)
    if pod.is_top:
        raise exception.Unprocessable('The top region is not a pod: it has no routings.')
    job = call.runtime.jobs.submit(
        job_types.RECONCILE_ROUTINGS,
        f'{pod.pod_id}{END_MISSING_SUFFIX}' if end_missing else pod.pod_id,
        {'pod_id': pod.pod_id, 'is_full': True, 'end_missing': end_missing},
        request_id=call.context.request_id,
    )
    return Answer.of({'job': jobs.view(job)}, 202)


def empty_project(call: Call) -> Answer:
    """POST /projects/{project_id}/empty: delete the resources of a deleted project, or report them with dry_run.

    202, 400, 404, 409 while Keystone has the project, 422.
    """
    wanted = schemas.EMPTY.read(call)
    check_project_id(call)
    if call.runtime.identity.has_project(call.id):
        raise exception.Conflict(f'Keystone still has the project {call.id}. Delete it there first.')
    return _submit(call, job_types.EMPTY_PROJECT, call.id, {'project_id': call.id}, wanted)


def _submit(call: Call, kind: str, key: str, payload: dict[str, Any], wanted: dict[str, Any]) -> Answer:
    is_dry_run = wanted.get('dry_run', False)
    job = call.runtime.jobs.submit(
        kind,
        f'{key}{DRY_RUN_SUFFIX}' if is_dry_run else key,
        {**payload, 'dry_run': is_dry_run},
        request_id=call.context.request_id,
    )
    return Answer.of({'job': jobs.view(job)}, 202)
