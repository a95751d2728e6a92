# SPDX-License-Identifier: Apache-2.0
"""Counters of the amounts in use and the amounts claimed, of a project or of one user in it."""

import functools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy
from sqlalchemy import bindparam
from sqlalchemy.engine import Connection

from trio2o.db.database import Database, utcnow
from trio2o.db.errors import DatabaseBusy, RecordNotFound
from trio2o.db.query import Among, Columns, among, changed, insert_or_ignore
from trio2o.db.records import QuotaUsage

#: Quota resources that are counted for each user of a project, beside the whole project.
OF_USERS = frozenset({'instances', 'cores', 'ram', 'server_groups'})

#: Between the name of a quota resource and the id of the object that the counter is for: a server group.
OF_OBJECT = ':'

#: Project, user ('' for the whole project), resource.
Key = tuple[str, str, str]
Amounts = Mapping[str, int]

_USAGES = Columns(QuotaUsage)
_TABLE = _USAGES.table
_U = _TABLE.c
_ROWS_A_STATEMENT = 50
#: To find the counters, to insert those that are missing, and to find these.
_LOCK_ROUNDS = 3


def by_counter(project_id: str, user_id: str, amounts: Amounts) -> dict[Key, int]:
    """Return the counters in which amounts of quota resources are counted, with the amount of each."""
    found: dict[Key, int] = {}
    for name, amount in amounts.items():
        if amount:
            key = (project_id, '', counted_as(name))
            found[key] = found.get(key, 0) + amount
    if user_id:
        found |= {
            (project_id, user_id, name): amount for name, amount in amounts.items() if amount and name in OF_USERS
        }
    return found


def counted_as(resource: str) -> str:
    """Return the name of the counter of a quota resource: without blanks at its end.

    The name of a volume type may end with blanks, which MariaDB ignores where it compares strings: it has one counter
    for names that differ only by them, and so have the other databases.
    """
    return resource.rstrip(' ')


# MariaDB reads a table with few rows from one end to the other, and waits for each locked row on the way: a project
# whose counters a lost host has locked would stop all others.
_BY_KEY = 'FORCE INDEX (uniq_quota_usages0project_id0user_id0resource)'


@functools.lru_cache(maxsize=64)
def _locking(projects: int, users: int, resources: int) -> Any:
    """Build the statement that locks counters of as many projects, users and resources.

    Cached, as building takes longer than executing.
    """
    return (
        sqlalchemy.select(_U.project_id, _U.user_id, _U.resource, _U.id, _U.in_use, _U.claimed)
        .with_hint(_TABLE, _BY_KEY, 'mysql')
        .with_hint(_TABLE, _BY_KEY, 'mariadb')
        .where(
            among(_U.project_id, 'project', projects),
            among(_U.user_id, 'user', users),
            among(_U.resource, 'resource', resources),
        )
        .order_by(_U.project_id, _U.user_id, _U.resource)
        .with_for_update()
    )


@dataclass(slots=True)
class Counter:
    """A locked row of a counter, whose amounts may be changed for `write`."""

    id: int
    in_use: int
    claimed: int


def lock(connection: Connection, keys: Collection[Key]) -> dict[Key, Counter]:
    """Lock counters, and insert those that do not exist.

    :raises DatabaseBusy: other transactions insert and delete a counter all the time
    """
    missing: list[Key] = []
    projects = Among('project', {key[0] for key in keys})
    users = Among('user', {key[1] for key in keys})
    resources = Among('resource', {key[2] for key in keys})
    statement = _locking(projects.size, users.size, resources.size)
    params = projects.params | users.params | resources.params
    for _ in range(_LOCK_ROUNDS):
        locked = connection.execute(statement, params)
        found = {(row[0], row[1], counted_as(row[2])): Counter(*row[3:]) for row in locked}
        missing = sorted(key for key in keys if key not in found)
        if not missing:
            return found
        rows = [
            {'project_id': key[0], 'user_id': key[1], 'resource': key[2], 'in_use': 0, 'claimed': 0} for key in missing
        ]
        insert_or_ignore(connection, _TABLE, rows)
    raise DatabaseBusy(RecordNotFound('counter', missing[0]))


@functools.cache
def _setting(count: int, is_recount: bool) -> Any:
    """Build the statement that updates a number of counters. Cached, as ``_locking``."""
    values: dict[str, Any] = {
        name: sqlalchemy.case(
            *((_U.id == bindparam(f'id{at}'), bindparam(f'{name}{at}', type_=_U[name].type)) for at in range(count)),
            else_=_U[name],
        )
        for name in ('in_use', 'claimed')
    }
    if is_recount:
        values['recounted_at'] = bindparam('now', type_=_U.recounted_at.type)
    ids: list[Any] = [bindparam(f'id{at}') for at in range(count)]
    return (
        sqlalchemy.update(_TABLE)
        .where(_U.id.in_(ids))
        .values(**values, updated_at=bindparam('now', type_=_U.updated_at.type))
    )


def write(connection: Connection, rows: Sequence[Counter], is_recount: bool = False) -> None:
    """Write the amounts of locked counters."""
    for start in range(0, len(rows), _ROWS_A_STATEMENT):
        some = rows[start : start + _ROWS_A_STATEMENT]
        params: dict[str, Any] = {'now': utcnow()}
        for at, row in enumerate(some):
            params |= {f'id{at}': row.id, f'in_use{at}': row.in_use, f'claimed{at}': row.claimed}
        changed(connection, _setting(len(some), is_recount), params)


def add(connection: Connection, in_use: Mapping[Key, int], claimed: Mapping[Key, int] | None = None) -> None:
    """Add amounts to counters. No counter becomes negative."""
    claimed = claimed or {}
    keys = {key for changes in (in_use, claimed) for key, amount in changes.items() if amount}
    if not keys:
        return
    rows = lock(connection, keys)
    for key in keys:
        row = rows[key]
        row.in_use = max(0, row.in_use + in_use.get(key, 0))
        row.claimed = max(0, row.claimed + claimed.get(key, 0))
    write(connection, [rows[key] for key in keys])


_OF_PROJECT = _USAGES.select.where(_U.project_id == bindparam('project_id'), _U.user_id == bindparam('user_id'))


def usage(db: Database, project_id: str, user_id: str = '') -> dict[str, QuotaUsage]:
    """Return the counters of a project, or of one user in it, by quota resource."""
    rows = (QuotaUsage(*row) for row in db.rows(_OF_PROJECT, {'project_id': project_id, 'user_id': user_id}))
    return {row.resource: row for row in rows}


def projects(db: Database, marker: str = '', limit: int = 1000) -> list[str]:
    """List a page of the projects that have counters, sorted by id.

    :param marker: id of the last project on the page before
    """
    statement = (
        sqlalchemy.select(_U.project_id).where(_U.project_id > marker).distinct().order_by(_U.project_id).limit(limit)
    )
    with db.reader() as connection:
        return list(connection.scalars(statement))
