# SPDX-License-Identifier: Apache-2.0
"""Versions of the tables that each process keeps in memory, so that it reads them again only after a change."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy
from sqlalchemy.engine import Connection

from trio2o.db.database import Database
from trio2o.db.query import Columns, changed, insert_or_ignore
from trio2o.db.records import Move, MovedResource, Pod, PodUsage, Replica, TableVersion

PODS = Pod.__table__.name
USAGES = PodUsage.__table__.name
MOVED = MovedResource.__table__.name
#: The moves, and the items of their ledgers.
MOVES = Move.__table__.name
#: The replicas, and the objects that they are replicas of.
REPLICAS = Replica.__table__.name
TABLES = (PODS, USAGES, MOVED, MOVES, REPLICAS)

_TABLE = Columns(TableVersion).table
_ALL = sqlalchemy.select(_TABLE.c.name, _TABLE.c.version)


def read(db: Database) -> Mapping[str, int]:
    """Return the version of each table of ``TABLES``. All changes up to a version can be read afterwards."""
    return {**dict.fromkeys(TABLES, 0), **{row.name: row.version for row in db.rows(_ALL, {})}}


def advance(connection: Connection, name: str) -> None:
    """Give a table its next version, in the transaction that changes it.

    Another transaction that calls this for the same table waits for the end of this one. So versions are committed in
    their order. To prevent deadlocks, call this before the rows of the table itself are locked.
    """
    increment = sqlalchemy.update(_TABLE).where(_TABLE.c.name == name).values(version=_TABLE.c.version + 1)
    if not changed(connection, increment) and not insert_or_ignore(connection, _TABLE, [{'name': name, 'version': 1}]):
        changed(connection, increment)


def current(name: str) -> Any:
    """Return the version of a table as an expression for a statement; after ``advance``, that of the transaction."""
    return sqlalchemy.select(_TABLE.c.version).where(_TABLE.c.name == name).scalar_subquery()
