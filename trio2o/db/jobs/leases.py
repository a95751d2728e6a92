# SPDX-License-Identifier: Apache-2.0
"""What a worker does with a job: claim it, prolong the lease, and record how it ended."""

import random
from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy
from sqlalchemy.engine import Connection

from trio2o.db.database import Database, retry_on_deadlock, utcnow
from trio2o.db.jobs.rows import JOBS, Again, add_event, by_id, end, locked, merge_payloads, set_
from trio2o.db.records import JOB_ACTIVE_STATES, JOB_STATES, Job, Pod

_J = JOBS.table.c
_POD = Pod.__table__.c

_CANDIDATES = 10
LOST_WORKER = 'the worker stopped before the job ended'


def claim(
    db: Database,
    owner: str,
    lease_seconds: float,
    now: datetime | None = None,
    types: Collection[str] | None = None,
    most_of_pod: int | None = None,
    with_pod: bool = True,
) -> Job | None:
    """Claim a job: one whose lease has expired, else one that is due.

    Due jobs are ordered by the number of jobs that run for the same pod, then by the number that run of the same type,
    then by the time since they are due. So thousands of jobs of one pod or type do not delay those of others.

    :param most_of_pod: number of jobs that may run concurrently for one pod; None: any number
    :param with_pod: whether to claim jobs that call a pod, too
    :returns: None if no job can be claimed
    """
    now = now or utcnow()
    while True:
        candidates = _due(db, now, types, most_of_pod, with_pod)
        if not candidates:
            return None
        while candidates:
            job = claim_id(db, candidates.pop(0), owner, lease_seconds, now, most_of_pod)
            if job is not None:
                return job
            # Another worker claimed it and is about to try the next one, as all the other workers are.
            random.shuffle(candidates)


def _due(
    db: Database, now: datetime, types: Collection[str] | None, most_of_pod: int | None, with_pod: bool
) -> list[str]:
    """List ids of jobs that are probably claimable, in the order in which to try them.

    With many pods thousands of jobs may be due, so the database orders them and returns the first ones only.
    """
    of_type: list[Any] = [] if types is None else [_J.type.in_(sorted(types))]
    if not with_pod:
        of_type.append(_J.pod_id.is_(None))
    with db.reader() as connection:
        counted = connection.execute(
            sqlalchemy.select(_J.type, _J.pod_id, sqlalchemy.func.count())
            .where(_J.state == 'running', _J.lease_until > now)
            .group_by(_J.type, _J.pod_id)
        )
        by_type: Counter[str] = Counter()
        by_pod: Counter[str] = Counter()
        for type_, pod_id, count in counted:
            by_type[type_] += count
            if pod_id is not None:
                by_pod[pod_id] += count
        full = {pod_id for pod_id in by_pod if most_of_pod and by_pod[pod_id] >= most_of_pod}
        lost = sqlalchemy.select(_J.id).where(*of_type, _J.state == 'running', _J.lease_until <= now)
        if full:
            lost = lost.where(_not_of(full))
        candidates = list(connection.scalars(lost.limit(_CANDIDATES)))
        due = [*of_type, _J.state == 'new', _J.run_after <= now]
        candidates += _due_of_idle_pods(connection, due, by_type, by_pod, _CANDIDATES - len(candidates))
        busy = by_pod.keys() - full
        if busy and with_pod and len(candidates) < _CANDIDATES:
            candidates += _due_of_busy_pods(connection, due, by_type, by_pod, busy, _CANDIDATES - len(candidates))
        return candidates


def _not_of(pod_ids: Collection[str]) -> Any:
    return sqlalchemy.or_(_J.pod_id.is_(None), _J.pod_id.not_in(sorted(pod_ids)))


def _due_of_idle_pods(
    connection: Connection, due: Sequence[Any], by_type: Counter[str], by_pod: Counter[str], limit: int
) -> list[str]:
    """List due jobs of pods for which none is running, and of no pod, by the number that run of their type."""
    # All columns are in one index.
    idle = [*due, _not_of(by_pod.keys())] if by_pod else due
    since = sqlalchemy.select(_J.type, sqlalchemy.func.min(_J.run_after)).where(*idle).group_by(_J.type)
    found: list[str] = []
    for type_, _since in sorted(connection.execute(since), key=lambda row: (by_type[row[0]], row[1])):
        if len(found) >= limit:
            break
        ids = sqlalchemy.select(_J.id).where(*idle, _J.type == type_).order_by(_J.run_after)
        found += connection.scalars(ids.limit(limit - len(found)))
    return found


def _due_of_busy_pods(
    connection: Connection,
    due: Sequence[Any],
    by_type: Counter[str],
    by_pod: Counter[str],
    pod_ids: Collection[str],
    limit: int,
) -> list[str]:
    """List due jobs of pods for which some are running, of those with the fewest first."""
    groups = connection.execute(
        sqlalchemy.select(_J.type, _J.pod_id, sqlalchemy.func.min(_J.run_after))
        .where(*due, _J.pod_id.in_(sorted(pod_ids)))
        .group_by(_J.type, _J.pod_id)
    ).all()
    found: list[str] = []
    for type_, pod_id, _since in sorted(groups, key=lambda row: (by_pod[row[1]], by_type[row[0]], row[2])):
        if len(found) >= limit:
            break
        ids = sqlalchemy.select(_J.id).where(*due, _J.type == type_, _J.pod_id == pod_id).order_by(_J.run_after)
        found += connection.scalars(ids.limit(limit - len(found)))
    return found


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
    """Claim this job if it is due, no worker has claimed it, and its pod has fewer running jobs than allowed.

    A job whose lease has expired ends here if it has no attempts left or is to be cancelled.

    :returns: None if the job was not claimed
    """
    now = now or utcnow()
    with db.writer() as connection:
        job = by_id(connection, job_id)
        if job is None or not job.is_active:
            return None
        if job.state == 'running' and (job.attempts >= job.max_attempts or job.is_cancel_wanted):
            if set_(connection, _J.id == job_id, _claimable(now), lease_owner=owner):
                state = 'cancelled' if job.is_cancel_wanted else 'fail'
                end(connection, job, state, LOST_WORKER, now)
            return None
        if most_of_pod and job.pod_id is not None and _is_busy(connection, job, most_of_pod, now):
            return None
        taken = set_(
            connection,
            _J.id == job_id,
            _claimable(now),
            state='running',
            lease_owner=owner,
            lease_until=now + timedelta(seconds=lease_seconds),
            attempts=_J.attempts + 1,
            started_at=sqlalchemy.func.coalesce(_J.started_at, now),
            updated_at=now,
        )
        return by_id(connection, job_id) if taken else None


def _is_busy(connection: Connection, job: Job, most: int, now: datetime) -> bool:
    """Whether the number of jobs that may run concurrently for the pod of this job is reached.

    Claims of jobs of one pod are serialized by a lock on the pod's row. Otherwise two concurrent claims could exceed
    the limit.
    """
    pod = sqlalchemy.select(_POD.pod_id).where(_POD.pod_id == job.pod_id)
    connection.execute(pod.with_for_update(key_share=True))
    others = sqlalchemy.select(sqlalchemy.func.count()).where(
        _J.state == 'running', _J.lease_until > now, _J.pod_id == job.pod_id, _J.id != job.id
    )
    return connection.execute(others).scalar_one() >= most


def _held(job_id: str, owner: str) -> tuple[Any, ...]:
    return (_J.id == job_id, _J.state == 'running', _J.lease_owner == owner)


@retry_on_deadlock
def heartbeat(db: Database, job_id: str, owner: str, lease_seconds: float, now: datetime | None = None) -> Job | None:
    """Prolong the lease of a job.

    :returns: the job, with ``is_cancel_wanted``; None if the worker has lost the lease
    """
    now = now or utcnow()
    with db.writer() as connection:
        held = set_(
            connection,
            *_held(job_id, owner),
            updated_at=now,
            lease_until=now + timedelta(seconds=lease_seconds),
        )
        return by_id(connection, job_id) if held else None


@retry_on_deadlock
def progress(db: Database, job_id: str, owner: str, progress: Any, now: datetime | None = None) -> bool:
    """Record the progress of a job.

    :returns: False if the worker has lost the lease
    """
    with db.writer() as connection:
        return set_(connection, *_held(job_id, owner), progress=progress, updated_at=now or utcnow())


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
    """End a job. If another run was requested while it ran, a new job is submitted.

    :param state: `success`, `fail` or `cancelled`
    :param result: None keeps the recorded one
    :param again: another run to submit, if none was requested
    :returns: the ended job; None if the worker has lost the lease
    """
    if state not in JOB_STATES or state in JOB_ACTIVE_STATES:
        raise ValueError(f'{state!r} is not a state of an ended job')
    with db.writer() as connection:
        job = locked(connection, job_id)
        if job is None or job.state != 'running' or job.lease_owner != owner:
            return None
        if result is not None:
            set_(connection, _J.id == job_id, result=result)
        end(connection, job, state, error, now or utcnow(), again)
        return by_id(connection, job_id)


@retry_on_deadlock
def retry_later(
    db: Database,
    job_id: str,
    owner: str,
    run_after: datetime,
    error: str | None = None,
    now: datetime | None = None,
    is_counted: bool = True,
    has_event: bool = True,
) -> Job | None:
    """Release a job so that it is run again. The caller checks whether it has attempts left.

    A job that is to be cancelled ends instead.

    :param is_counted: whether the run counts as one of the job's attempts. If not, and the job was submitted
        meanwhile, it is run again at once
    :param has_event: whether to add an event to its history
    :returns: the job; None if the worker has lost the lease
    """
    now = now or utcnow()
    with db.writer() as connection:
        job = locked(connection, job_id)
        if job is None or job.state != 'running' or job.lease_owner != owner:
            return None
        if job.is_cancel_wanted:
            end(connection, job, 'cancelled', error, now)
        else:
            set_(
                connection,
                _J.id == job_id,
                state='new',
                run_after=now if job.is_rerun_wanted and not is_counted else run_after,
                attempts=job.attempts if is_counted else max(0, job.attempts - 1),
                error=error,
                lease_owner=None,
                lease_until=None,
                payload=merge_payloads(job.payload, job.rerun_payload) if job.is_rerun_wanted else job.payload,
                is_rerun_wanted=False,
                rerun_payload=None,
                updated_at=now,
            )
            if has_event:
                add_event(connection, job, 'new', now, error)
        return by_id(connection, job_id)
