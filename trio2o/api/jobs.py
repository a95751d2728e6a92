# SPDX-License-Identifier: Apache-2.0
"""/jobs: list, show, redo and cancel jobs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from trio2o import exception
from trio2o.api import pagination
from trio2o.api.schemas import jobs as schemas
from trio2o.db import jobs as db_jobs
from trio2o.db.records import Job
from trio2o.web.call import Answer, Call


def view(job: Job) -> dict[str, Any]:
    return asdict(job)


def list_jobs(call: Call) -> Answer:
    """GET /jobs, the newest first: 200, 400."""
    query = schemas.LIST.read(call)
    filters = pagination.filters_of(query)
    return pagination.read(
        call, 'jobs', query, db_jobs.list_, view, filters=filters, default=(('created_at', 'desc'),)
    )


def show_job(call: Call) -> Answer:
    """GET /jobs/{job_id}, with its history: 200, 404."""
    job = db_jobs.get(call.runtime.db, call.id)
    if job is None:
        raise _not_found(call.id)
    history = [asdict(event) for event in db_jobs.list_events(call.runtime.db, job.id)]
    return Answer.of({'job': {**view(job), 'history': history}})


def redo_job(call: Call) -> Answer:
    """POST /jobs/{job_id}/redo: 202 with the job that will run, 404."""
    job = call.runtime.jobs.redo(call.id)
    if job is None:
        raise _not_found(call.id)
    return Answer.of({'job': view(job)}, 202)


def cancel_job(call: Call) -> Answer:
    """POST /jobs/{job_id}/cancel: 202, 404, 409 if it has ended."""
    job = db_jobs.cancel(call.runtime.db, call.id)
    if job is None:
        raise _not_found(call.id)
    if job.state not in ('cancelled', 'running'):
        raise exception.Conflict(f'Job {job.id} has already ended: {job.state}.')
    return Answer.of({'job': view(job)}, 202)


def _not_found(job_id: str) -> exception.NotFound:
    return exception.NotFound(f'Job {job_id} could not be found.')
