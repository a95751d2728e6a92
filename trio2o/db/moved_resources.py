# SPDX-License-Identifier: Apache-2.0
"""Resources whose id in the pod differs from the id that tenants know. Every process keeps all of them in memory."""

from datetime import datetime
from typing import Any

import sqlalchemy
from sqlalchemy.engine import Connection

from trio2o.db import routings, versions
from trio2o.db.database import Database, retry_on_deadlock, utcnow
from trio2o.db.query import Columns, changed, insert_or_ignore
from trio2o.db.records import MovedResource, Routing

_MOVED = Columns(MovedResource)
_TABLE = _MOVED.table
_M = _TABLE.c
_ALL = _MOVED.select.order_by(_M.id)


def list_all(db: Database) -> list[MovedResource]:
    return [MovedResource(*row) for row in db.rows(_ALL, {})]


@retry_on_deadlock
def move(db: Database, resource_type: str, top_id: str, source: tuple[str, str], target: tuple[str, str]) -> bool:
    """Record that a resource is in another pod now: here and in its routing, in one transaction.

    With one of the two alone the resource could be neither shown nor deleted.

    :param source: the pod that the resource was in, and its id there
    :param target: the pod that it is in now, and its id there
    :returns: False if the live routing of the resource leads to neither of them; then nothing is changed
    """
    with db.writer() as connection:
        versions.advance(connection, versions.MOVED)
        return move_in(connection, resource_type, top_id, source, target)


def move_in(
    connection: Connection,
    resource_type: str,
    top_id: str,
    source: tuple[str, str],
    target: tuple[str, str],
    *,
    created_at: datetime | None = None,
    shown: Any = None,
) -> bool:
    """Do what ``move`` does in a transaction of the caller, who has advanced the version of the table.

    :param created_at: when the other pod created it, if that is known
    :param shown: the fields that tenants see in place of those of that pod
    """
    if not routings.move(connection, resource_type, top_id, source, target, created_at):
        return False
    pod_id, bottom_id = target
    values = {'pod_id': pod_id, 'bottom_id': bottom_id, 'created_at': utcnow(), 'shown': shown}
    row = {'resource_type': resource_type, 'top_id': top_id, **values}
    if not insert_or_ignore(connection, _TABLE, [row]):
        one = (_M.resource_type == resource_type) & (_M.top_id == top_id)
        changed(connection, sqlalchemy.update(_TABLE).where(one).values(**values))
    return True


def shown(db: Database, resource_type: str, top_id: str) -> Any:
    """Return the fields of a resource that tenants see in place of those of its pod; None if it never moved."""
    with db.reader() as connection:
        found = _MOVED.one(connection, _M.resource_type == resource_type, _M.top_id == top_id)
        return found.shown if found is not None else None


@retry_on_deadlock
def set_shown(db: Database, resource_type: str, top_id: str, fields: Any) -> None:
    """Replace the fields of a moved resource that tenants see in place of those of its pod."""
    with db.writer() as connection:
        versions.advance(connection, versions.MOVED)
        one = (_M.resource_type == resource_type) & (_M.top_id == top_id)
        changed(connection, sqlalchemy.update(_TABLE).where(one).values(shown=fields))


def moved_at(db: Database, resource_type: str, top_id: str) -> datetime | None:
    """Return when a resource was last moved; None if it never was."""
    with db.reader() as connection:
        moved = _MOVED.one(connection, _M.resource_type == resource_type, _M.top_id == top_id)
        return moved.created_at if moved is not None else None


@retry_on_deadlock
def purge(db: Database, before: datetime) -> int:
    """Delete the rows of resources that were deleted before a time. :returns: number of rows"""
    routing = Routing.__table__.c
    is_there = sqlalchemy.exists().where(
        routing.top_id == _M.top_id,
        routing.resource_type == _M.resource_type,
        sqlalchemy.or_(routing.deleted_at.is_(None), routing.deleted_at >= before),
    )
    with db.writer() as connection:
        versions.advance(connection, versions.MOVED)
        return changed(connection, sqlalchemy.delete(_TABLE).where(_M.created_at < before, ~is_there))
