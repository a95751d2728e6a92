# SPDX-License-Identifier: Apache-2.0
"""Statements on rows of jobs that the modules of this package share. The caller provides the connection."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy
from oslo_utils import uuidutils
from sqlalchemy.engine import Connection

from trio2o.db.query import Columns, changed, insert_or_ignore
from trio2o.db.records import Job, JobEvent

JOBS = Columns(Job)
EVENTS = Columns(JobEvent)
_TABLE = JOBS.table
_J = _TABLE.c
_E = EVENTS.table.c


JobRow = Mapping[str, Any]


@dataclass(frozen=True)
class Again:
    """One more run of a job that is ending."""

    run_after: datetime
    payload: Any


def active_key(type_: str, resource_key: str) -> str:
    """Return the unique key of the active job of a type for a resource."""
    return f'{type_}:{resource_key}'


def merge_payloads(first: Any, second: Any) -> Any:
    """Return the payload of one run that does the work of two.

    What only one of two mappings has is added, a flag is set if it is set in one of them, and of two lists, which are
    the times of further runs, the longer one is used. Otherwise the first payload is used: jobs for one resource
    differ in nothing else.
    """
    if not isinstance(first, Mapping) or not isinstance(second, Mapping):
        return first if first is not None else second
    merged = {**second, **first}
    for name in first.keys() & second.keys():
        one, other = first[name], second[name]
        if isinstance(one, bool) and isinstance(other, bool):
            merged[name] = one or other
        elif isinstance(one, list | tuple) and isinstance(other, list | tuple):
            merged[name] = max(one, other, key=len)
    return merged


def new_row(
    type_: str,
    resource_key: str,
    payload: Any,
    run_after: datetime,
    max_attempts: int,
    request_id: str | None,
    now: datetime,
) -> JobRow:
    """Make the row of a job; ``submit_row`` or ``submit_in`` submits it."""
    return {
        'id': uuidutils.generate_uuid(),
        'type': type_,
        'resource_key': resource_key,
        'active_key': active_key(type_, resource_key),
        'pod_id': _pod_of(payload),
        'payload': payload,
        'state': 'new',
        'attempts': 0,
        'max_attempts': max_attempts,
        'run_after': run_after,
        'lease_owner': None,
        'lease_until': None,
        'is_rerun_wanted': False,
        'rerun_payload': None,
        'is_cancel_wanted': False,
        'progress': None,
        'result': None,
        'error': None,
        'request_id': request_id,
        'created_at': now,
        'updated_at': None,
        'started_at': None,
        'finished_at': None,
    }


def _pod_of(payload: Any) -> str | None:
    pod_id = payload.get('pod_id') if isinstance(payload, Mapping) else None
    return pod_id if isinstance(pod_id, str) and len(pod_id) <= 36 else None


def by_id(connection: Connection, job_id: str) -> Job | None:
    return JOBS.one(connection, _J.id == job_id)


def locked(connection: Connection, job_id: str) -> Job | None:
    return JOBS.first(connection, JOBS.select.where(_J.id == job_id).with_for_update())


def set_(connection: Connection, *criteria: Any, **values: Any) -> bool:
    return changed(connection, sqlalchemy.update(_TABLE).where(*criteria).values(**values)) > 0


def add_event(connection: Connection, job: Job, state: str, at: datetime, error: str | None = None) -> None:
    connection.execute(
        sqlalchemy.insert(EVENTS.table),
        {
            'job_id': job.id,
            'at': at,
            'state': state,
            'attempt': job.attempts,
            'owner': job.lease_owner,
            'error': error,
        },
    )


def end(
    connection: Connection, job: Job, state: str, error: str | None, now: datetime, again: Again | None = None
) -> None:
    set_(
        connection,
        _J.id == job.id,
        state=state,
        error=error,
        active_key=None,
        lease_until=None,
        lease_owner=None,
        is_rerun_wanted=False,
        rerun_payload=None,
        finished_at=now,
        updated_at=now,
    )
    if not (state == 'success' and job.request_id is None and _repeats_success(connection, job, now)):
        add_event(connection, job, state, now, error)
    if job.is_rerun_wanted:
        # Services of release 1.0 leave the payload of the next run in ``payload``.
        payload = job.payload if job.rerun_payload is None else job.rerun_payload
        again = Again(now, payload if again is None else merge_payloads(payload, again.payload))
    if again is not None:
        row = new_row(
            job.type, job.resource_key, again.payload, again.run_after, job.max_attempts, job.request_id, now
        )
        insert_or_ignore(connection, _TABLE, [row])


def _repeats_success(connection: Connection, job: Job, now: datetime) -> bool:
    """Whether the last event of a job was a success, too; if so, update that event and add none.

    A job that runs every few minutes and never fails would fill the history with equal rows.
    """
    last = connection.execute(
        sqlalchemy.select(_E.id, _E.state).where(_E.job_id == job.id).order_by(_E.id.desc()).limit(1)
    ).first()
    if last is None or last.state != 'success':
        return False
    values = {'at': now, 'attempt': job.attempts, 'owner': job.lease_owner}
    return changed(connection, sqlalchemy.update(EVENTS.table).where(_E.id == last.id).values(**values)) > 0
