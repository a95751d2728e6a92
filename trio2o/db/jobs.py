# SPDX-License-Identifier: Apache-2.0
"""Jobs: submitted once a resource, claimed by one worker at a time, never lost.

A claim is a compare-and-swap on one row, which holds on every server and for any number of
workers. A lease that ran out makes a running job claimable again, and a worker that lost its lease
can no longer change the job. `now` is the caller's clock; without it the system's.

A payload that names a pod (`pod_id`) makes the job one of that pod, which only so many may keep busy at once.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy
from oslo_db import exception as db_exc
from oslo_utils import uuidutils
from sqlalchemy.orm import Session

from trio2o.db.query import Columns, changed, insert_or_ignore
from trio2o.db.records import JOB_ACTIVE_STATES, JOB_STATES, Job, JobEvent, Pod
from trio2o.db.session import Database, retry_on_deadlock, utcnow

_JOBS = Columns(Job)
_EVENTS = Columns(JobEvent)
_TABLE = _JOBS.table
_J = _TABLE.c
_E = _EVENTS.table.c
_POD = Pod.__table__.c

DEFAULT_MAX_ATTEMPTS = 10
_CANDIDATES = 10

#: As many of the jobs that are due longest are looked at to tell who has waited long and who has much.
_DUE = 2000
LOST_WORKER = 'the worker stopped before the job ended'


@dataclass(frozen=True)
class Again:
    """One more run of a job that is ending."""

    run_after: datetime
    payload: Any


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
        'pod_id': _pod_of(payload),
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


def _by_id(session: Session, job_id: str) -> Job | None:
    return _JOBS.one(session, _J.id == job_id)


def _locked(session: Session, job_id: str) -> Job | None:
    return _JOBS.first(session, _JOBS.select.where(_J.id == job_id).with_for_update())


def _set(session: Session, *criteria: Any, **values: Any) -> bool:
    return changed(session, sqlalchemy.update(_TABLE).where(*criteria).values(**values)) > 0


def _remember(session: Session, job: Job, state: str, at: datetime, error: str | None = None) -> None:
    session.execute(
        sqlalchemy.insert(_EVENTS.table),
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
        insert_or_ignore(session, _TABLE, [row])
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
    most_of_pod: int | None = None,
) -> Job | None:
    """Take a job whose worker let its lease run out, or one that is due.

    Of those due, one of the pod and type that fewest run of comes first, and then the one due longest: neither a
    type nor a pod with thousands of jobs keeps the others waiting.

    :param most_of_pod: jobs that may run at once for one pod
    :returns: None when nothing is due
    """
    now = now or utcnow()
    while True:
        candidates = _due(db, now, types, most_of_pod)
        if not candidates:
            return None
        for job_id in candidates:
            job = claim_id(db, job_id, owner, lease_seconds, now, most_of_pod)
            if job is not None:
                return job


def _due(db: Database, now: datetime, types: Collection[str] | None, most_of_pod: int | None) -> list[str]:
    """Ids that may be claimable, in the order they should be."""
    of_type: list[Any] = [] if types is None else [_J.type.in_(sorted(types))]
    with db.reader() as session:
        counted = session.execute(
            sqlalchemy.select(_J.type, _J.pod_id, sqlalchemy.func.count())
            .where(_J.state == 'running', _J.lease_until > now)
            .group_by(_J.type, _J.pod_id)
        )
        by_type: Counter[str] = Counter()
        by_pod: Counter[str | None] = Counter()
        for type_, pod_id, count in counted:
            by_type[type_] += count
            by_pod[pod_id] += count if pod_id is not None else 0
        full = [pod_id for pod_id in by_pod if most_of_pod and by_pod[pod_id] >= most_of_pod]
        if full:
            of_type.append(sqlalchemy.or_(_J.pod_id.is_(None), _J.pod_id.not_in(full)))
        lost = session.scalars(
            sqlalchemy.select(_J.id).where(*of_type, _J.state == 'running', _J.lease_until <= now).limit(_CANDIDATES)
        )
        candidates = list(lost)
        due = [*of_type, _J.state == 'new', _J.run_after <= now]
        oldest = (
            sqlalchemy.select(_J.type, _J.pod_id, _J.run_after).where(*due).order_by(_J.run_after).limit(_DUE)
        ).subquery()
        groups = session.execute(
            sqlalchemy.select(oldest.c.type, oldest.c.pod_id, sqlalchemy.func.min(oldest.c.run_after)).group_by(
                oldest.c.type, oldest.c.pod_id
            )
        ).all()
        for type_, pod_id, _since in sorted(groups, key=lambda row: (by_pod[row[1]], by_type[row[0]], row[2])):
            if len(candidates) >= _CANDIDATES:
                break
            found = session.scalars(
                sqlalchemy.select(_J.id)
                .where(*due, _J.type == type_, _J.pod_id.is_(None) if pod_id is None else _J.pod_id == pod_id)
                .order_by(_J.run_after)
                .limit(_CANDIDATES)
            )
            candidates += found
        return candidates


def _claimable(now: datetime) -> Any:
    return sqlalchemy.or_(
        sqlalchemy.and_(_J.state == 'new', _J.run_after <= now),
        sqlalchemy.and_(_J.state == 'running', _J.lease_until <= now),
    )


@retry_on_deadlock
def claim_id(
    db: Database,
    job_id: str,
    owner: str,
    lease_seconds: float,
    now: datetime | None = None,
    most_of_pod: int | None = None,
) -> Job | None:
    """Take this job if it is due and nobody has it, and its pod is not kept busy enough.

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
        if most_of_pod and job.pod_id is not None and _is_busy(session, job, most_of_pod, now):
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


def _is_busy(session: Session, job: Job, most: int, now: datetime) -> bool:
    """Whether as many jobs as may run for the pod of this one.

    The lock on the pod's row lets claims for one pod happen one after another, or two would both find room.
    """
    pod = sqlalchemy.select(_POD.pod_id).where(_POD.pod_id == job.pod_id)
    session.execute(pod.with_for_update(key_share=True))
    others = sqlalchemy.select(sqlalchemy.func.count()).where(
        _J.state == 'running', _J.lease_until > now, _J.pod_id == job.pod_id, _J.id != job.id
    )
    return session.execute(others).scalar_one() >= most


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
    *,
    result: Any = None,
    again: Again | None = None,
) -> Job | None:
    """End a job as `success`, `fail` or `cancelled`; a run that was asked for meanwhile follows.

    :param result: what it came to; None keeps what was said of it before
    :param again: another run that is to follow, unless one is to follow anyway
    :returns: the job as it ended; None when the lease is lost
    """
    if state not in JOB_STATES or state in JOB_ACTIVE_STATES:
        raise ValueError(f'a job does not end as {state!r}')
    with db.writer() as session:
        job = _locked(session, job_id)
        if job is None or job.state != 'running' or job.lease_owner != owner:
            return None
        if result is not None:
            _set(session, _J.id == job_id, result=result)
        _end(session, job, state, error, now or utcnow(), again)
        return _by_id(session, job_id)


def _end(session: Session, job: Job, state: str, error: str | None, now: datetime, again: Again | None = None) -> None:
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
    if not (state == 'success' and job.request_id is None and _repeats_success(session, job, now)):
        _remember(session, job, state, now, error)
    if job.is_rerun_wanted:
        again = Again(now, job.payload)
    if again is not None:
        row = _new_row(
            job.type, job.resource_key, again.payload, again.run_after, job.max_attempts, job.request_id, now
        )
        insert_or_ignore(session, _TABLE, [row])


def _repeats_success(session: Session, job: Job, now: datetime) -> bool:
    """Whether the last that happened to a job was a success, too: then only its time changes.

    What is done every few minutes and never fails needs no line for each time.
    """
    last = session.execute(
        sqlalchemy.select(_E.id, _E.state).where(_E.job_id == job.id).order_by(_E.id.desc()).limit(1)
    ).first()
    if last is None or last.state != 'success':
        return False
    values = {'at': now, 'attempt': job.attempts, 'owner': job.lease_owner}
    return changed(session, sqlalchemy.update(_EVENTS.table).where(_E.id == last.id).values(**values)) > 0


@retry_on_deadlock
def retry_later(
    db: Database,
    job_id: str,
    owner: str,
    run_after: datetime,
    error: str | None = None,
    now: datetime | None = None,
    is_counted: bool = True,
) -> Job | None:
    """Give a job back to be tried again; whoever has it decides whether it may.

    :param is_counted: whether this was one of the attempts it has
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
                attempts=job.attempts if is_counted else max(0, job.attempts - 1),
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
            _EVENTS.select.where(_E.job_id == job_id).order_by(_E.id),
        )


def redo(db: Database, job_id: str, now: datetime | None = None) -> Job | None:
    """Run a job that ended once more; one that waits runs now. One that did not succeed goes on where it was.

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


def _last(db: Database, type_: str, resource_key: str) -> tuple[bool, datetime | None]:
    """Whether a job is under way, and when the last one ended."""
    rows = sqlalchemy.select(sqlalchemy.func.count(_J.active_key), sqlalchemy.func.max(_J.finished_at))
    with db.reader() as session:
        active, ended = session.execute(rows.where(_J.type == type_, _J.resource_key == resource_key)).one()
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
    """Ask for a job that is to run every so many seconds, if none is under way and the last ended that long ago.

    It is the same row each time, so what runs often does not bury the rest: one that no request asked for is run
    once more.

    :returns: None when it is not due
    """
    now = now or utcnow()
    is_active, ended = _last(db, type, resource_key)
    if is_active or (ended is not None and ended + timedelta(seconds=seconds) > now):
        return None
    filters = {'type': type, 'resource_key': resource_key, 'request_id': None}
    standing = list_(db, filters=filters, limit=1)
    if standing:
        return _reopen(db, standing[0], now, is_told=False)
    return submit(db, type, resource_key, payload, max_attempts=max_attempts, now=now)


@retry_on_deadlock
def _reopen(db: Database, job: Job, now: datetime, is_told: bool = True) -> Job | None:
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
                _J.finished_at == job.finished_at,
                state='new',
                active_key=key,
                attempts=0,
                run_after=now,
                error=None,
                progress=None if job.state == 'success' else job.progress,
                result=None,
                is_cancel_wanted=False,
                started_at=None,
                finished_at=None,
                updated_at=now,
            )
            if not reopened:
                return None
            if is_told:
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
            session.execute(sqlalchemy.delete(_EVENTS.table).where(_E.job_id.in_(ids)))
            session.execute(sqlalchemy.delete(_TABLE).where(_J.id.in_(ids)))
        return len(ids)


def count_by_state(db: Database) -> dict[str, int]:
    """How many jobs are in each state."""
    with db.reader() as session:
        rows = session.execute(sqlalchemy.select(_J.state, sqlalchemy.func.count()).group_by(_J.state))
        return {state: count for state, count in rows}
