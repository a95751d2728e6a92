# SPDX-License-Identifier: Apache-2.0
"""Server groups and their copies: one row for each pod that has the group.

The row of the pod in which a group was created is its original: there the pod's id is the group's id. It stores the
definition from which copies are made. Rows of other pods are copies, each with the id that its pod gave it. A copy
is `making` until that id is known, then `made`, and `deleting` once the group is deleted. One that is `making` while
nobody is busy with it may exist in its pod under an unknown id.

`begin` lets one of several racing requests make a copy. `hold` keeps a group in use in one pod: it is for groups
with the affinity policy, whose servers must all be in the same pod.
"""

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any

import sqlalchemy
from oslo_db import exception as db_exc

from trio2o.db.database import Database, retry_if_rolled_back, retry_on_deadlock, utcnow
from trio2o.db.errors import RecordNotFound
from trio2o.db.query import Columns, changed, insert_or_ignore
from trio2o.db.records import ServerGroupCopy

_COPIES = Columns(ServerGroupCopy)
_TABLE = _COPIES.table
_C = _TABLE.c
_IDS_PER_QUERY = 1000

_COPIES_BY_POD_ID = sqlalchemy.select(_C.bottom_id, _C.top_id, _C.state).where(
    _C.pod_id == sqlalchemy.bindparam('pod_id'),
    _C.bottom_id.in_(sqlalchemy.bindparam('bottom_ids', expanding=True)),
    _C.bottom_id != _C.top_id,
)

_COPY_IN_PODS = sqlalchemy.select(_C.id).where(
    _C.pod_id.in_(sqlalchemy.bindparam('pod_ids', expanding=True)),
    _C.bottom_id == sqlalchemy.bindparam('bottom_id'),
    _C.bottom_id != _C.top_id,
)


def list_for_group(db: Database, group_id: str) -> list[ServerGroupCopy]:
    """List the original and the copies of a group, the original first."""
    with db.reader() as connection:
        statement = _COPIES.select.where(_C.top_id == group_id).order_by(_C.id)
        return sorted(_COPIES.all(connection, statement), key=lambda copy: not copy.is_original)


def find_copies(db: Database, pod_id: str, bottom_ids: Collection[str]) -> dict[str, tuple[str, str]]:
    """Find the copies among groups of a pod.

    :param bottom_ids: ids of the groups in the pod
    :returns: id of a copy in the pod -> id of its group, and state of the copy
    """
    wanted = list(dict.fromkeys(bottom_ids))
    found: dict[str, tuple[str, str]] = {}
    for start in range(0, len(wanted), _IDS_PER_QUERY):
        ids = wanted[start : start + _IDS_PER_QUERY]
        rows = db.rows(_COPIES_BY_POD_ID, {'pod_id': pod_id, 'bottom_ids': ids})
        found |= {bottom_id: (group_id, state) for bottom_id, group_id, state in rows}
    return found


def is_copy(db: Database, pod_ids: Collection[str], bottom_id: str) -> bool:
    """Return whether an id is that of a copy in any of some pods."""
    return bool(db.rows(_COPY_IN_PODS, {'pod_ids': list(pod_ids), 'bottom_id': bottom_id}))


def projects_making_copies(db: Database, pod_id: str) -> set[str]:
    """List the projects that have a copy in a pod whose id there is not known yet."""
    with db.reader() as connection:
        statement = sqlalchemy.select(_C.project_id).where(_C.pod_id == pod_id, _C.state == 'making')
        return set(connection.scalars(statement))


def list_without_id(db: Database, pod_ids: Collection[str]) -> list[ServerGroupCopy]:
    """List the copies that pods may have under ids that are not known."""
    with db.reader() as connection:
        statement = _COPIES.select.where(_C.pod_id.in_(pod_ids), _C.bottom_id.is_(None)).order_by(_C.id)
        return _COPIES.all(connection, statement)


@retry_on_deadlock
def record_original(
    db: Database, group_id: str, pod_id: str, project_id: str, definition: dict[str, Any]
) -> ServerGroupCopy:
    """Record the pod and the definition of a group. An existing record is not changed.

    :raises RecordNotFound: the pod does not exist
    """
    row = _row(group_id, pod_id, project_id)
    row |= {'bottom_id': group_id, 'definition': definition}
    return _inserted(db, row)[0]


@retry_on_deadlock
def begin(
    db: Database,
    group_id: str,
    pod_id: str,
    project_id: str,
    seconds: float,
    definition: Mapping[str, Any] | None = None,
) -> tuple[ServerGroupCopy, bool]:
    """Record that a copy is about to be made in a pod, unless the pod has one or another request is making it.

    :param seconds: time for making the copy; after that another request may make it
    :param definition: of the copy, by which it is found if the pod does not answer
    :returns: the record as it was found or inserted, and whether the caller has to make the copy. If it has, and
        `busy_until` is over, an earlier request has tried, and the pod may have the copy already
    :raises RecordNotFound: the pod does not exist
    """
    now = utcnow()
    row = _row(group_id, pod_id, project_id)
    row |= {'state': 'making', 'busy_until': now + timedelta(seconds=seconds), 'definition': definition}
    copy, is_new = _inserted(db, row)
    if is_new or copy.state != 'making' or (copy.busy_until is not None and copy.busy_until > now):
        return copy, is_new
    # The request that began the copy has died, or got no answer. Of all the requests that notice, one changes the row
    # and takes over.
    with db.writer() as connection:
        statement = sqlalchemy.update(_TABLE).where(
            _C.id == copy.id, _C.state == 'making', _C.busy_until == copy.busy_until
        )
        is_mine = changed(connection, statement.values(busy_until=row['busy_until'])) > 0
    return copy, is_mine


def _row(group_id: str, pod_id: str, project_id: str) -> dict[str, Any]:
    return {
        'top_id': group_id,
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
        with db.writer() as connection:
            is_new = insert_or_ignore(connection, _TABLE, [row]) > 0
            copy = _COPIES.one(connection, _C.top_id == row['top_id'], _C.pod_id == row['pod_id'])
    except db_exc.DBReferenceError as error:
        raise RecordNotFound('pod', row['pod_id']) from error
    if copy is None:
        raise RecordNotFound('pod', row['pod_id'])
    return copy, is_new


@retry_on_deadlock
def leave(db: Database, copy_id: int) -> None:
    """Record that a request has stopped making a copy, which its pod may have made all the same."""
    with db.writer() as connection:
        changed(connection, sqlalchemy.update(_TABLE).where(_C.id == copy_id).values(busy_until=utcnow()))


@retry_on_deadlock
def record_made(db: Database, copy_id: int, bottom_id: str) -> bool:
    """Record the id that the pod gave to a copy.

    :returns: False if the group was deleted meanwhile, and the caller has to delete the copy
    """
    with db.writer() as connection:
        statement = sqlalchemy.update(_TABLE).where(_C.id == copy_id, _C.state == 'making')
        return changed(connection, statement.values(bottom_id=bottom_id, state='made', busy_until=None)) > 0


@retry_on_deadlock
def record_deleting(db: Database, copy_id: int, bottom_id: str) -> None:
    """Record the id of a copy that must be deleted."""
    with db.writer() as connection:
        statement = sqlalchemy.update(_TABLE).where(_C.id == copy_id, _C.state == 'deleting')
        changed(connection, statement.values(bottom_id=bottom_id))


@retry_on_deadlock
def delete_without_id(db: Database, copy: ServerGroupCopy) -> None:
    """Delete the record of a copy that its pod has not made, unless another request is making it now."""
    with db.writer() as connection:
        statement = sqlalchemy.delete(_TABLE).where(
            _C.id == copy.id, _C.bottom_id.is_(None), _C.busy_until == copy.busy_until
        )
        changed(connection, statement)


@retry_on_deadlock
def delete(db: Database, copy_id: int) -> bool:
    """Delete the record of a copy that the pod no longer has."""
    with db.writer() as connection:
        return changed(connection, sqlalchemy.delete(_TABLE).where(_C.id == copy_id)) > 0


@retry_on_deadlock
def begin_delete(db: Database, group_id: str) -> list[ServerGroupCopy]:
    """Record that a group is deleted: delete the record of the original, and mark the copies as `deleting`.

    :returns: the copies that pods may still have
    """
    with db.writer() as connection:
        changed(connection, sqlalchemy.delete(_TABLE).where(_C.top_id == group_id, _C.bottom_id == _C.top_id))
        changed(connection, sqlalchemy.update(_TABLE).where(_C.top_id == group_id).values(state='deleting'))
        copies = _COPIES.all(connection, _COPIES.select.where(_C.top_id == group_id))
        now = utcnow()
        # A request that is busy with a copy learns from `record_made` that it has to delete it.
        return [copy for copy in copies if copy.bottom_id or copy.busy_until is None or copy.busy_until <= now]


def list_deleting(db: Database, pod_id: str, limit: int = 1000) -> list[ServerGroupCopy]:
    """List the copies that must be deleted in a pod."""
    with db.reader() as connection:
        statement = _COPIES.select.where(_C.pod_id == pod_id, _C.state == 'deleting').order_by(_C.id).limit(limit)
        return _COPIES.all(connection, statement)


@retry_if_rolled_back
def hold(db: Database, copy_id: int, pod_id: str, seconds: float) -> tuple[bool, str | None]:
    """Hold a group in one pod, unless another request holds it in another pod.

    Neither this nor ``release`` is repeated after a lost connection, as holds are counted: one that is not released
    expires, and one that is released twice would end that of another request.

    :param copy_id: id of the record of the original
    :param seconds: time after which the hold ends if the holder dies
    :returns: whether the group is held now, and the pod in which it was held before
    """
    now = utcnow()
    with db.writer() as connection:
        before = connection.execute(sqlalchemy.select(_C.used_in).where(_C.id == copy_id)).scalar_one_or_none()
        is_in_use = sqlalchemy.and_(_C.used_in == pod_id, _C.users > 0, _C.busy_until > now)
        statement = (
            sqlalchemy.update(_TABLE)
            .where(
                _C.id == copy_id,
                sqlalchemy.or_(
                    _C.used_in == pod_id, _C.used_in.is_(None), _C.users <= 0, _C.busy_until.is_(None),
                    _C.busy_until <= now,
                ),
            )
            # MySQL assigns columns one after the other and reads the new values: the count must come first.
            .ordered_values(
                (_C.users, sqlalchemy.case((is_in_use, _C.users + 1), else_=1)),
                (_C.used_in, pod_id),
                (_C.busy_until, now + timedelta(seconds=seconds)),
            )
        )  # fmt: skip
        return changed(connection, statement) > 0, before


@retry_if_rolled_back
def release(db: Database, copy_id: int, pod_id: str, restore: str | None = None) -> None:
    """Release a hold. The record still names the pod as the one in which the group was held last.

    :param restore: name this pod as the last one instead, if no other request holds the group
    """
    with db.writer() as connection:
        last = sqlalchemy.case((_C.users <= 1, restore), else_=_C.used_in) if restore is not None else _C.used_in
        statement = sqlalchemy.update(_TABLE).where(_C.id == copy_id, _C.used_in == pod_id, _C.users > 0)
        changed(connection, statement.ordered_values((_C.used_in, last), (_C.users, _C.users - 1)))
