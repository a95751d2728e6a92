# SPDX-License-Identifier: Apache-2.0
"""Submit jobs, run them again, and cancel them."""

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy
from oslo_db import exception as db_exc
from sqlalchemy.engine import Connection

from trio2o.db.database import Database, retry_on_deadlock, utcnow
from trio2o.db.jobs.history import get, list_
from trio2o.db.jobs.rows import (
    JOBS,
    JobRow,
    active_key,
    add_event,
    by_id,
    end,
    locked,
    merge_payloads,
    new_row,
    set_,
)
from trio2o.db.query import insert_or_ignore
from trio2o.db.records import Job

_TABLE = JOBS.table
_J = _TABLE.c

DEFAULT_MAX_ATTEMPTS = 10


def submit(
    db: Database,
    type: str,
    resource_key: str,
    payload: Any = None,
    run_after: datetime | None = None,
    max_attempts: int = DEFAULT_MAX_ATTEMPTS,
    request_id: str | None = None,
    now: datetime | None = None,
) -> Job:
    """Submit a job for a resource.

    If a job of this type waits for the resource, no new job is made. The payload is merged into the one of the waiting
    job, which becomes due at the earlier of the two times. If a job of this type runs, it may have missed the caller's
    change, so another run with this payload follows.

    :returns: the new, waiting or running job
    """
    now = now or utcnow()
    return submit_row(db, new_row(type, resource_key, payload, run_after or now, max_attempts, request_id, now))


@retry_on_deadlock
def submit_row(db: Database, row: JobRow) -> Job:
    """Submit the job of a row that ``new_row`` made, see ``submit``."""
    with db.writer() as connection:
        return submit_in(connection, row)


def submit_in(connection: Connection, row: JobRow) -> Job:
    """Submit the job of a row in the transaction of the caller, see ``submit``."""
    active = JOBS.select.where(_J.active_key == row['active_key']).with_for_update()
    while True:
        # Mostly a job waits already. An insert that finds it locks its row for reading only, and many callers that
        # want to write it then would deadlock.
        job = JOBS.first(connection, active)
        if job is None:
            insert_or_ignore(connection, _TABLE, [row])
            job = JOBS.first(connection, active)
        if job is None:
            continue  # It has ended in the meantime.
        if job.id == row['id']:
            return job
        if job.state == 'running':
            rerun = row['payload']
            if job.is_rerun_wanted:
                rerun = merge_payloads(job.rerun_payload, rerun)
            values = {'is_rerun_wanted': True, 'rerun_payload': rerun}
        else:
            values = {
                'run_after': min(job.run_after, row['run_after']),
                'payload': merge_payloads(job.payload, row['payload']),
            }
        set_(connection, _J.id == job.id, **values)
        found = by_id(connection, job.id)
        assert found is not None
        return found


def redo(db: Database, job_id: str, now: datetime | None = None) -> Job | None:
    """Run an ended job once more, or a waiting job now. A job that did not succeed keeps its progress.

    :returns: the job that will run, which is another one if the resource has an active job; None if there is no such
        job
    """
    now = now or utcnow()
    while True:
        job = get(db, job_id)
        if job is None:
            return None
        if job.is_active:
            return submit(db, job.type, job.resource_key, job.payload, now=now)
        other = _reopen(db, job, now)
        if other is not None:
            return other


def _last(db: Database, type_: str, resource_key: str) -> tuple[bool, datetime | None]:
    """Return whether a resource has an active job of a type, and when its last one ended."""
    rows = sqlalchemy.select(sqlalchemy.func.count(_J.active_key), sqlalchemy.func.max(_J.finished_at))
    with db.reader() as connection:
        active, ended = connection.execute(rows.where(_J.type == type_, _J.resource_key == resource_key)).one()
        return bool(active), None if active else ended


def submit_again(
    db: Database,
    type: str,
    resource_key: str,
    payload: Any,
    seconds: float,
    max_attempts: int = DEFAULT_MAX_ATTEMPTS,
    now: datetime | None = None,
) -> Job | None:
    """Submit a periodic job if none is active and the last one ended at least an interval ago.

    The row of the last one that no request caused is used again, so that frequent jobs do not fill the table.

    :param seconds: the interval
    :returns: None if the job is not due
    """
    now = now or utcnow()
    is_active, ended = _last(db, type, resource_key)
    if is_active or (ended is not None and ended + timedelta(seconds=seconds) > now):
        return None
    filters = {'type': type, 'resource_key': resource_key, 'request_id': None}
    last = list_(db, filters=filters, limit=1)
    if last:
        return _reopen(db, last[0], now, has_event=False)
    return submit(db, type, resource_key, payload, max_attempts=max_attempts, now=now)


@retry_on_deadlock
def _reopen(db: Database, job: Job, now: datetime, has_event: bool = True) -> Job | None:
    """Make an ended job new again.

    :param has_event: whether to add an event to its history
    :returns: the job, or another active job of the resource; None if the job changed in the meantime
    """
    key = active_key(job.type, job.resource_key)
    try:
        with db.writer() as connection:
            active = JOBS.one(connection, _J.active_key == key)
            if active is not None:
                return active
            reopened = set_(
                connection,
                _J.id == job.id,
                _J.state == job.state,
                _J.finished_at == job.finished_at,
                state='new',
                active_key=key,
                attempts=0,
                run_after=now,
                error=None,
                progress=None if job.state == 'success' else job.progress,
                result=None,
                is_cancel_wanted=False,
                rerun_payload=None,
                started_at=None,
                finished_at=None,
                updated_at=now,
            )
            if not reopened:
                return None
            if has_event:
                add_event(connection, job, 'new', now)
            return by_id(connection, job.id)
    except db_exc.DBDuplicateEntry:
        return None


@retry_on_deadlock
def cancel(db: Database, job_id: str, now: datetime | None = None) -> Job | None:
    """Cancel a waiting job; a running job learns at its next heartbeat that it is to end.

    :returns: the job after the change: unchanged if it had ended; None if there is no such job
    """
    now = now or utcnow()
    with db.writer() as connection:
        job = locked(connection, job_id)
        if job is not None and job.state == 'new':
            end(connection, job, 'cancelled', job.error, now)
        elif job is not None and job.state == 'running':
            set_(
                connection,
                _J.id == job_id,
                is_cancel_wanted=True,
                is_rerun_wanted=False,
                rerun_payload=None,
                updated_at=now,
            )
        return by_id(connection, job_id)
