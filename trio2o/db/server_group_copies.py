# SPDX-License-Identifier: Apache-2.0
"""Resources that stand in more pods than the one that has them, each time under another id.

Who begins to make one (`begin`) has it to itself for a while; two that race make one. A resource that may be
used in one pod at a time is held there (`hold`) by those that use it.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy
from oslo_db import exception as db_exc

from trio2o.db.errors import NotFound
from trio2o.db.query import Columns, changed, insert_or_ignore
from trio2o.db.records import ServerGroupCopy
from trio2o.db.session import Database, retry_on_deadlock, utcnow

_COPIES = Columns(ServerGroupCopy)
_TABLE = _COPIES.table
_C = _TABLE.c
_IDS_A_QUERY = 1000

_UP = sqlalchemy.select(_C.bottom_id, _C.top_id, _C.state).where(
    _C.pod_id == sqlalchemy.bindparam('pod_id'),
    _C.bottom_id.in_(sqlalchemy.bindparam('bottom_ids', expanding=True)),
    _C.resource_type == sqlalchemy.bindparam('resource_type'),
    _C.bottom_id != _C.top_id,
)


def of(db: Database, resource_type: str, top_id: str) -> list[ServerGroupCopy]:
    """Where a resource stands, its own pod first."""
    with db.reader() as session:
        statement = _COPIES.select.where(_C.top_id == top_id, _C.resource_type == resource_type).order_by(_C.id)
        return sorted(_COPIES.all(session, statement), key=lambda twin: not twin.is_origin)


def top_ids(db: Database, resource_type: str, pod_id: str, bottom_ids: Collection[str]) -> dict[str, tuple[str, str]]:
    """Of a pod's ids those that are a twin's: its top id and its state."""
    wanted = list(dict.fromkeys(bottom_ids))
    found: dict[str, tuple[str, str]] = {}
    for start in range(0, len(wanted), _IDS_A_QUERY):
        ids = wanted[start : start + _IDS_A_QUERY]
        rows = db.rows(_UP, {'pod_id': pod_id, 'bottom_ids': ids, 'resource_type': resource_type})
        found |= {bottom_id: (top_id, state) for bottom_id, top_id, state in rows}
    return found


def being_made(db: Database, resource_type: str, pod_id: str, now: datetime) -> set[str]:
    """Projects of which a twin is being made in a pod, whose id there is not known yet."""
    with db.reader() as session:
        statement = sqlalchemy.select(_C.project_id).where(
            _C.pod_id == pod_id, _C.resource_type == resource_type, _C.state == 'making', _C.busy_until > now
        )
        return set(session.scalars(statement))


def count(db: Database, resource_type: str, project_id: str) -> int:
    """How many twins a project has beside what they are twins of."""
    with db.reader() as session:
        statement = sqlalchemy.select(sqlalchemy.func.count()).where(
            _C.project_id == project_id,
            _C.resource_type == resource_type,
            _C.bottom_id.is_not(None),
            _C.bottom_id != _C.top_id,
        )
        return session.execute(statement).scalar_one()


@retry_on_deadlock
def define(
    db: Database, resource_type: str, top_id: str, pod_id: str, project_id: str, definition: Any
) -> ServerGroupCopy:
    """Remember what a resource is made of. What is known already stays.

    :raises NotFound: there is no such pod
    """
    row = _row(resource_type, top_id, pod_id, project_id)
    row |= {'bottom_id': top_id, 'definition': definition}
    return _inserted(db, row)[0]


@retry_on_deadlock
def begin(
    db: Database, resource_type: str, top_id: str, pod_id: str, project_id: str, seconds: float
) -> tuple[ServerGroupCopy, bool]:
    """Find or begin a twin in a pod.

    :param seconds: how long others wait for whoever begins
    :returns: the twin as it is, and whether it is the caller's to make
    :raises NotFound: there is no such pod
    """
    now = utcnow()
    row = _row(resource_type, top_id, pod_id, project_id)
    row |= {'state': 'making', 'busy_until': now + timedelta(seconds=seconds)}
    twin, is_new = _inserted(db, row)
    if is_new or twin.state != 'making' or (twin.busy_until is not None and twin.busy_until > now):
        return twin, is_new
    # Whoever began has died: one of those that see it takes over.
    with db.writer() as session:
        statement = sqlalchemy.update(_TABLE).where(
            _C.id == twin.id, _C.state == 'making', _C.busy_until == twin.busy_until
        )
        is_mine = changed(session, statement.values(busy_until=row['busy_until'])) > 0
    return twin, is_mine


def _row(resource_type: str, top_id: str, pod_id: str, project_id: str) -> dict[str, Any]:
    return {
        'resource_type': resource_type,
        'top_id': top_id,
        'pod_id': pod_id,
        'project_id': project_id,
        'bottom_id': None,
        'definition': None,
        'state': 'made',
        'busy_until': None,
        'used_in': None,
        'users': 0,
        'created_at': utcnow(),
    }


def _inserted(db: Database, row: dict[str, Any]) -> tuple[ServerGroupCopy, bool]:
    try:
        with db.writer() as session:
            is_new = insert_or_ignore(session, _TABLE, [row]) > 0
            twin = _COPIES.one(
                session,
                _C.top_id == row['top_id'],
                _C.resource_type == row['resource_type'],
                _C.pod_id == row['pod_id'],
            )
    except db_exc.DBReferenceError as error:
        raise NotFound('pod', row['pod_id']) from error
    if twin is None:
        raise NotFound('pod', row['pod_id'])
    return twin, is_new


@retry_on_deadlock
def made(db: Database, twin_id: int, bottom_id: str) -> bool:
    """Record the id a pod gave a twin; false when it has to go already."""
    with db.writer() as session:
        statement = sqlalchemy.update(_TABLE).where(_C.id == twin_id, _C.state == 'making')
        return changed(session, statement.values(bottom_id=bottom_id, state='made', busy_until=None)) > 0


@retry_on_deadlock
def drop(db: Database, twin_id: int) -> bool:
    """Forget a twin that is gone."""
    with db.writer() as session:
        return changed(session, sqlalchemy.delete(_TABLE).where(_C.id == twin_id)) > 0


@retry_on_deadlock
def end(db: Database, resource_type: str, top_id: str) -> list[ServerGroupCopy]:
    """The resource is gone: its twins have to go.

    :returns: those that a pod may still have
    """
    with db.writer() as session:
        mine = (_C.top_id == top_id, _C.resource_type == resource_type)
        changed(session, sqlalchemy.delete(_TABLE).where(*mine, _C.bottom_id == _C.top_id))
        changed(session, sqlalchemy.update(_TABLE).where(*mine).values(state='ending'))
        return [twin for twin in _COPIES.all(session, _COPIES.select.where(*mine)) if twin.bottom_id]


def ending(db: Database, pod_id: str, limit: int = 1000) -> list[ServerGroupCopy]:
    """Twins that a pod has to lose."""
    with db.reader() as session:
        statement = _COPIES.select.where(_C.pod_id == pod_id, _C.state == 'ending').order_by(_C.id).limit(limit)
        return _COPIES.all(session, statement)


@retry_on_deadlock
def hold(db: Database, twin_id: int, pod_id: str, seconds: float) -> tuple[bool, str | None]:
    """Use a resource in one pod, for as long as others use it nowhere else.

    :param twin_id: of its own pod's row
    :returns: whether it is held now, and which pod it was used in before
    """
    now = utcnow()
    with db.writer() as session:
        before = session.execute(sqlalchemy.select(_C.used_in).where(_C.id == twin_id)).scalar_one_or_none()
        is_in_use = sqlalchemy.and_(_C.used_in == pod_id, _C.users > 0, _C.busy_until > now)
        statement = (
            sqlalchemy.update(_TABLE)
            .where(
                _C.id == twin_id,
                sqlalchemy.or_(
                    _C.used_in == pod_id, _C.used_in.is_(None), _C.users <= 0, _C.busy_until.is_(None),
                    _C.busy_until <= now,
                ),
            )
            # MySQL sets one after the other and sees what it set: the count first.
            .ordered_values(
                (_C.users, sqlalchemy.case((is_in_use, _C.users + 1), else_=1)),
                (_C.used_in, pod_id),
                (_C.busy_until, now + timedelta(seconds=seconds)),
            )
        )  # fmt: skip
        return changed(session, statement) > 0, before


@retry_on_deadlock
def release(db: Database, twin_id: int, pod_id: str, back_to: str | None = None) -> None:
    """No longer use it there; that it was used there last is remembered.

    :param back_to: the pod it was used in before, if it turned out to be in use there still
    """
    with db.writer() as session:
        last = sqlalchemy.case((_C.users <= 1, back_to), else_=_C.used_in) if back_to is not None else _C.used_in
        statement = sqlalchemy.update(_TABLE).where(_C.id == twin_id, _C.used_in == pod_id, _C.users > 0)
        changed(session, statement.ordered_values((_C.used_in, last), (_C.users, _C.users - 1)))
