# SPDX-License-Identifier: Apache-2.0
"""Jobs: submitted once a resource, claimed by one worker at a time, never lost.

A claim is a compare-and-swap on one row, which holds on every server and for any number of
workers. A lease that ran out makes a running job claimable again, and a worker that lost its lease
can no longer change the job. `now` is the caller's clock; without it the system's.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy
from oslo_db import exception as db_exc
from oslo_utils import uuidutils
from sqlalchemy.orm import Session

from trio2o.db import models
from trio2o.db.records import JOB_ACTIVE_STATES, JOB_STATES, Job, JobEvent
from trio2o.db.session import Database, retry_on_deadlock, utcnow
from trio2o.db.statements import Columns, changed, insert_or_ignore

_JOBS = Columns(Job, models.Job)
_EVENTS = Columns(JobEvent, models.JobEvent)
_J = models.Job

DEFAULT_MAX_ATTEMPTS = 10
_CANDIDATES = 10
LOST_WORKER = 'the worker stopped before the job ended'


def _new_row(
    type_: str,
    resource_key: str,
    payload: Any,
    run_after: datetime,
    max_attempts: int,
    request_id: str | None,
    now: datetime,
) -> dict[str, Any]:
    return {
        'id': uuidutils.generate_uuid(),
        'type': type_,
        'resource_key': resource_key,
        'active_key': f'{type_}:{resource_key}',
        'payload': payload,
        'state': 'new',
        'attempts': 0,
        'max_attempts': max_attempts,
        'run_after': run_after,
        'lease_owner': None,
        'lease_until': None,
        'is_rerun_wanted': False,
        'is_cancel_wanted': False,
        'progress': None,
        'error': None,
        'request_id': request_id,
        'created_at': now,
        'updated_at': None,
        'started_at': None,
        'finished_at': None,
    }


def _by_id(session: Session, job_id: str) -> Job | None:
    return _JOBS.one(session, _J.id == job_id)


def _locked(session: Session, job_id: str) -> Job | None:
    return _JOBS.first(session, _JOBS.select.where(_J.id == job_id).with_for_update())


def _set(session: Session, *criteria: Any, **values: Any) -> bool:
    return changed(session, sqlalchemy.update(_J).where(*criteria).values(**values)) > 0


def _remember(session: Session, job: Job, state: str, at: datetime, error: str | None = None) -> None:
    session.execute(
        sqlalchemy.insert(models.JobEvent),
        {
            'job_id': job.id,
            'at': at,
            'state': state,
            'attempt': job.attempts,
            'owner': job.lease_owner,
            'error': error,
        },
    )


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
    """Ask for a job on a resource.

    While one waits, that one is the answer, brought forward if it was to run later, and its
    payload stays: what tells two jobs apart belongs into the resource key. While one runs, it may
    have passed what the caller changed, so another run with this payload follows it.
    """
    now = now or utcnow()
    row = _new_row(type, resource_key, payload, run_after or now, max_attempts, request_id, now)
    while True:
        job = _submit_once(db, row)
        if job is not None:
            return job


@retry_on_deadlock
def _submit_once(db: Database, row: Mapping[str, Any]) -> Job | None:
    """:returns: None when the job that was in the way ended meanwhile."""
    with db.writer() as session:
        insert_or_ignore(session, _J, [row])
        job = _JOBS.one(session, _J.active_key == row['active_key'])
        if job is None or job.id == row['id']:
            return job
        if job.state == 'running':
            wanted = _set(
                session,
                _J.id == job.id,
                _J.state == 'running',
                is_rerun_wanted=True,
                payload=row['payload'],
            )
        elif row['run_after'] < job.run_after:
            wanted = _set(session, _J.id == job.id, _J.state == 'new', run_after=row['run_after'])
        else:
            wanted = True
        return _by_id(session, job.id) if wanted else None


def claim(
    db: Database,
    owner: str,
    lease_seconds: float,
    now: datetime | None = None,
    types: Collection[str] | None = None,
) -> Job | None:
    """Take the job that is due longest, or one whose worker let its lease run out.

    :returns: None when nothing is due
    """
    now = now or utcnow()
    while True:
        candidates = _due(db, now, types)
        if not candidates:
            return None
        for job_id in candidates:
            job = claim_id(db, job_id, owner, lease_seconds, now)
            if job is not None:
                return job


def _due(db: Database, now: datetime, types: Collection[str] | None) -> list[str]:
    """Ids that may be claimable; two queries, for each goes by an index."""
    of_type = [] if types is None else [_J.type.in_(sorted(types))]
    ids = sqlalchemy.select(_J.id).where(*of_type).limit(_CANDIDATES)
    with db.reader() as session:
        lost = session.scalars(ids.where(_J.state == 'running', _J.lease_until <= now))
        due = session.scalars(ids.where(_J.state == 'new', _J.run_after <= now).order_by(_J.run_after))
        return [*lost, *due]


def _claimable(now: datetime) -> Any:
    return sqlalchemy.or_(
        sqlalchemy.and_(_J.state == 'new', _J.run_after <= now),
        sqlalchemy.and_(_J.state == 'running', _J.lease_until <= now),
    )


@retry_on_deadlock
def claim_id(db: Database, job_id: str, owner: str, lease_seconds: float, now: datetime | None = None) -> Job | None:
    """Take this job if it is due and nobody has it.

    One that lost its worker as often as it may be tried, or that was to be cancelled, ends here.
    """
    now = now or utcnow()
    with db.writer() as session:
        job = _by_id(session, job_id)
        if job is None or not job.is_active:
            return None
        if job.state == 'running' and (job.attempts >= job.max_attempts or job.is_cancel_wanted):
            if _set(session, _J.id == job_id, _claimable(now), lease_owner=owner):
                state = 'cancelled' if job.is_cancel_wanted else 'fail'
                _end(session, job, state, LOST_WORKER, now)
            return None
        taken = _set(
            session,
            _J.id == job_id,
            _claimable(now),
            state='running',
            lease_owner=owner,
            lease_until=now + timedelta(seconds=lease_seconds),
            attempts=_J.attempts + 1,
            started_at=sqlalchemy.func.coalesce(_J.started_at, now),
            updated_at=now,
        )
        return _by_id(session, job_id) if taken else None


def _held(job_id: str, owner: str) -> tuple[Any, ...]:
    return (_J.id == job_id, _J.state == 'running', _J.lease_owner == owner)


@retry_on_deadlock
def heartbeat(db: Database, job_id: str, owner: str, lease_seconds: float, now: datetime | None = None) -> Job | None:
    """Prolong a lease.

    :returns: the job, which tells whether it is to be cancelled; None when the lease is lost
    """
    now = now or utcnow()
    with db.writer() as session:
        held = _set(
            session,
            *_held(job_id, owner),
            updated_at=now,
            lease_until=now + timedelta(seconds=lease_seconds),
        )
        return _by_id(session, job_id) if held else None


@retry_on_deadlock
def progress(db: Database, job_id: str, owner: str, progress: Any, now: datetime | None = None) -> bool:
    """Record how far a job is; false when the lease is lost."""
    with db.writer() as session:
        return _set(session, *_held(job_id, owner), progress=progress, updated_at=now or utcnow())


@retry_on_deadlock
def finish(
    db: Database,
    job_id: str,
    owner: str,
    state: str,
    error: str | None = None,
    now: datetime | None = None,
) -> Job | None:
    """End a job as `success`, `fail` or `cancelled`; a run that was asked for meanwhile follows.

    :returns: the job as it ended; None when the lease is lost
    """
    if state not in JOB_STATES or state in JOB_ACTIVE_STATES:
        raise ValueError(f'a job does not end as {state!r}')
    with db.writer() as session:
        job = _locked(session, job_id)
        if job is None or job.state != 'running' or job.lease_owner != owner:
            return None
        _end(session, job, state, error, now or utcnow())
        return _by_id(session, job_id)


def _end(session: Session, job: Job, state: str, error: str | None, now: datetime) -> None:
    _set(
        session,
        _J.id == job.id,
        state=state,
        error=error,
        active_key=None,
        lease_until=None,
        lease_owner=None,
        is_rerun_wanted=False,
        finished_at=now,
        updated_at=now,
    )
    _remember(session, job, state, now, error)
    if job.is_rerun_wanted:
        insert_or_ignore(
            session,
            _J,
            [
                _new_row(
                    job.type,
                    job.resource_key,
                    job.payload,
                    now,
                    job.max_attempts,
                    job.request_id,
                    now,
                )
            ],
        )


@retry_on_deadlock
def retry_later(
    db: Database,
    job_id: str,
    owner: str,
    run_after: datetime,
    error: str | None = None,
    now: datetime | None = None,
) -> Job | None:
    """Give a job back to be tried again; whoever has it decides whether it may.

    :returns: the job; None when the lease is lost
    """
    now = now or utcnow()
    with db.writer() as session:
        job = _locked(session, job_id)
        if job is None or job.state != 'running' or job.lease_owner != owner:
            return None
        if job.is_cancel_wanted:
            _end(session, job, 'cancelled', error, now)
        else:
            _set(
                session,
                _J.id == job_id,
                state='new',
                run_after=run_after,
                error=error,
                lease_owner=None,
                lease_until=None,
                is_rerun_wanted=False,
                updated_at=now,
            )
            _remember(session, job, 'new', now, error)
        return _by_id(session, job_id)


def get(db: Database, job_id: str) -> Job | None:
    with db.reader() as session:
        return _by_id(session, job_id)


def list_(
    db: Database,
    *,
    filters: Mapping[str, Any] | None = None,
    limit: int | None = None,
    marker: str | None = None,
    sort: Sequence[tuple[str, str]] = (('created_at', 'desc'),),
) -> list[Job]:
    """A page of jobs, the newest first."""
    with db.reader() as session:
        return _JOBS.page(session, filters=filters, limit=limit, marker=marker, sort=sort)


def history(db: Database, job_id: str) -> list[JobEvent]:
    """What happened to a job, from the beginning: every try that ended, redone, cancelled."""
    with db.reader() as session:
        return _EVENTS.all(
            session,
            _EVENTS.select.where(models.JobEvent.job_id == job_id).order_by(models.JobEvent.id),
        )


def redo(db: Database, job_id: str, now: datetime | None = None) -> Job | None:
    """Run a job that ended once more; one that waits runs now.

    :returns: the job that will run, which is another one when the resource has one already;
        None when there is no such job
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


@retry_on_deadlock
def _reopen(db: Database, job: Job, now: datetime) -> Job | None:
    """:returns: None when the job, or another of the resource, changed meanwhile."""
    key = f'{job.type}:{job.resource_key}'
    try:
        with db.writer() as session:
            active = _JOBS.one(session, _J.active_key == key)
            if active is not None:
                return active
            reopened = _set(
                session,
                _J.id == job.id,
                _J.state == job.state,
                state='new',
                active_key=key,
                attempts=0,
                run_after=now,
                error=None,
                progress=None,
                is_cancel_wanted=False,
                started_at=None,
                finished_at=None,
                updated_at=now,
            )
            if not reopened:
                return None
            _remember(session, job, 'new', now)
            return _by_id(session, job.id)
    except db_exc.DBDuplicateEntry:
        return None


@retry_on_deadlock
def cancel(db: Database, job_id: str, now: datetime | None = None) -> Job | None:
    """Cancel a job that waits; one that runs is told so at its next heartbeat.

    :returns: the job as it is now: unchanged when it has ended; None when there is none
    """
    now = now or utcnow()
    with db.writer() as session:
        job = _locked(session, job_id)
        if job is not None and job.state == 'new':
            _end(session, job, 'cancelled', job.error, now)
        elif job is not None and job.state == 'running':
            _set(
                session,
                _J.id == job_id,
                is_cancel_wanted=True,
                is_rerun_wanted=False,
                updated_at=now,
            )
        return _by_id(session, job_id)


@retry_on_deadlock
def purge(db: Database, older_than: datetime, limit: int = 1000) -> int:
    """Remove jobs that ended before a time, at most `limit` in one transaction.

    :returns: how many went
    """
    with db.writer() as session:
        ids = list(
            session.scalars(
                sqlalchemy.select(_J.id).where(_J.finished_at < older_than, _J.active_key.is_(None)).limit(limit)
            )
        )
        if ids:
            session.execute(sqlalchemy.delete(models.JobEvent).where(models.JobEvent.job_id.in_(ids)))
            session.execute(sqlalchemy.delete(_J).where(_J.id.in_(ids)))
        return len(ids)


def count_by_state(db: Database) -> dict[str, int]:
    """How many jobs are in each state."""
    with db.reader() as session:
        rows = session.execute(sqlalchemy.select(_J.state, sqlalchemy.func.count()).group_by(_J.state))
        return {state: count for state, count in rows}
