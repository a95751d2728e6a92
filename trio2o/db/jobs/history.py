# SPDX-License-Identifier: Apache-2.0
"""Read jobs and their events, count them, and remove old ones."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy
from sqlalchemy import bindparam

from trio2o.db.database import Database, retry_on_deadlock
from trio2o.db.jobs.rows import EVENTS, JOBS, active_key, by_id
from trio2o.db.query import changed
from trio2o.db.records import Job, JobEvent

_TABLE = JOBS.table
_J = _TABLE.c
_E = EVENTS.table.c

#: Most events of one job that are shown. A periodic job of a pod that is away has a new one every few minutes.
MAX_EVENTS = 200


def get(db: Database, job_id: str) -> Job | None:
    with db.reader() as connection:
        return by_id(connection, job_id)


_LAST_ENDS = (
    sqlalchemy.select(
        _J.type, _J.resource_key, sqlalchemy.func.count(_J.active_key), sqlalchemy.func.max(_J.finished_at)
    )
    .where(_J.type.in_(bindparam('types', expanding=True)))
    .group_by(_J.type, _J.resource_key)
)


def last_ends(db: Database, types: Collection[str]) -> dict[tuple[str, str], datetime | None]:
    """Return when the last job of each resource ended, by type and resource key; None if one waits or runs."""
    rows = db.rows(_LAST_ENDS, {'types': list(types)})
    return {(type, key): None if active else ended for type, key, active, ended in rows}


_ACTIVE = sqlalchemy.select(_J.id).where(_J.active_key == bindparam('active_key'))


def is_active(db: Database, type: str, resource_key: str) -> bool:
    """Return whether a job of a type waits or runs for a resource."""
    return bool(db.rows(_ACTIVE, {'active_key': active_key(type, resource_key)}))


def list_(
    db: Database,
    *,
    filters: Mapping[str, Any] | None = None,
    limit: int | None = None,
    marker: str | None = None,
    sort: Sequence[tuple[str, str]] = (('created_at', 'desc'),),
) -> list[Job]:
    """List a page of jobs, the newest first."""
    with db.reader() as connection:
        return JOBS.page(connection, filters=filters, limit=limit, marker=marker, sort=sort)


def list_events(db: Database, job_id: str) -> list[JobEvent]:
    """List the latest events of a job, the oldest first: attempts that ended, new runs, cancellation.

    :returns: at most ``MAX_EVENTS``
    """
    with db.reader() as connection:
        latest = EVENTS.select.where(_E.job_id == job_id).order_by(_E.id.desc()).limit(MAX_EVENTS)
        return EVENTS.all(connection, latest)[::-1]


@retry_on_deadlock
def purge_events(db: Database, older_than: datetime, limit: int = 1000) -> int:
    """Delete events before a time. A periodic job never ends for good, so its events go while it stays.

    :param limit: most events to delete, in one transaction
    :returns: number of events deleted
    """
    with db.writer() as connection:
        ids = list(connection.scalars(sqlalchemy.select(_E.id).where(_E.at < older_than).limit(limit)))
        return changed(connection, sqlalchemy.delete(EVENTS.table).where(_E.id.in_(ids))) if ids else 0


@retry_on_deadlock
def purge(db: Database, older_than: datetime, limit: int = 1000) -> int:
    """Delete jobs that ended before a time.

    :param limit: most jobs to delete, in one transaction
    :returns: number of jobs deleted
    """
    with db.writer() as connection:
        ids = list(
            connection.scalars(
                sqlalchemy.select(_J.id).where(_J.finished_at < older_than, _J.active_key.is_(None)).limit(limit)
            )
        )
        if ids:
            connection.execute(sqlalchemy.delete(EVENTS.table).where(_E.job_id.in_(ids)))
            connection.execute(sqlalchemy.delete(_TABLE).where(_J.id.in_(ids)))
        return len(ids)


def count_by_state(db: Database) -> dict[str, int]:
    """Return the number of jobs by state."""
    with db.reader() as connection:
        rows = connection.execute(sqlalchemy.select(_J.state, sqlalchemy.func.count()).group_by(_J.state))
        return {state: count for state, count in rows}


def longest_due(db: Database) -> datetime | None:
    """Return the time since which the longest waiting job has been due; None if no job waits."""
    with db.reader() as connection:
        return connection.scalar(sqlalchemy.select(sqlalchemy.func.min(_J.run_after)).where(_J.state == 'new'))
