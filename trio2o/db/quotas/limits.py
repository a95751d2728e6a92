# SPDX-License-Identifier: Apache-2.0
"""Limits that were set: of projects, of users in them, and of quota classes."""

import functools
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy
from sqlalchemy import bindparam
from sqlalchemy.engine import Connection

from trio2o.db.database import Database, retry_on_deadlock, utcnow
from trio2o.db.query import Among, among, changed, insert_or_ignore
from trio2o.db.quotas.counters import Amounts
from trio2o.db.records import QuotaClass, QuotaLimit

_Q = QuotaLimit.__table__.c
_K = QuotaClass.__table__.c


@functools.lru_cache(maxsize=64)
def _limits(projects: int, users: int) -> Any:
    """Build the statement that reads the limits of as many projects and users, and of a quota class."""
    return sqlalchemy.union_all(
        sqlalchemy.select(_Q.project_id.label('owner'), _Q.user_id.label('user'), _Q.resource, _Q.hard_limit).where(
            among(_Q.project_id, 'project', projects), among(_Q.user_id, 'user', users)
        ),
        sqlalchemy.select(sqlalchemy.null(), _K.class_name, _K.resource, _K.hard_limit).where(
            _K.class_name == bindparam('class_name')
        ),
    )


@dataclass(frozen=True)
class Limits:
    """Limits that were set.

    :ivar of: by project and user ('' for the whole project)
    :ivar defaults: those of the quota class
    """

    of: Mapping[tuple[str, str], Amounts]
    defaults: Amounts


def get_limits(db: Database, project_ids: Collection[str], user_id: str = '', class_name: str = 'default') -> Limits:
    """Return the limits set for projects, for a user in them, and for a quota class; with one query."""
    found: dict[tuple[str, str], dict[str, int]] = {}
    defaults: dict[str, int] = {}
    projects, users = Among('project', set(project_ids)), Among('user', {'', user_id})
    params = projects.params | users.params | {'class_name': class_name}
    for owner, user, resource, limit in db.rows(_limits(projects.size, users.size), params):
        if owner is None:
            defaults[resource] = limit
        else:
            found.setdefault((owner, user), {})[resource] = limit
    return Limits(found, defaults)


def get_limits_of_users(db: Database, project_id: str) -> dict[str, dict[str, int]]:
    """Return the limits set for users of a project, by user id."""
    found: dict[str, dict[str, int]] = {}
    statement = sqlalchemy.select(_Q.user_id, _Q.resource, _Q.hard_limit).where(
        _Q.project_id == project_id, _Q.user_id != ''
    )
    with db.reader() as connection:
        for user_id, resource, limit in connection.execute(statement):
            found.setdefault(user_id, {})[resource] = limit
    return found


def _set(connection: Connection, table: sqlalchemy.Table, owner: Mapping[str, str], given: Amounts) -> None:
    now = utcnow()
    criteria = [table.c[name] == value for name, value in owner.items()]
    for resource, limit in sorted(given.items()):
        change = sqlalchemy.update(table).where(*criteria, table.c.resource == resource)
        change = change.values(hard_limit=limit, updated_at=now)
        row = {**owner, 'resource': resource, 'hard_limit': limit, 'created_at': now, 'updated_at': None}
        if not changed(connection, change) and not insert_or_ignore(connection, table, [row]):
            changed(connection, change)


@retry_on_deadlock
def set_limits(db: Database, project_id: str, user_id: str, given: Amounts) -> None:
    """Set limits of a project; or, if ``user_id`` is not empty, of a user in it."""
    with db.writer() as connection:
        _set(connection, QuotaLimit.__table__, {'project_id': project_id, 'user_id': user_id}, given)


@retry_on_deadlock
def set_class_limits(db: Database, class_name: str, given: Amounts) -> None:
    with db.writer() as connection:
        _set(connection, QuotaClass.__table__, {'class_name': class_name}, given)


@retry_on_deadlock
def delete_limits(db: Database, project_id: str, user_id: str, names: Iterable[str] | None = None) -> None:
    """Delete the limits of a project and all its users; or, if ``user_id`` is not empty, of one user in it.

    :param names: quota resources; their limits for volume types, such as ``volumes_fast``, are deleted too. None: all
    """
    statement = sqlalchemy.delete(QuotaLimit.__table__).where(_Q.project_id == project_id)
    if user_id:
        statement = statement.where(_Q.user_id == user_id)
    if names is not None:
        statement = statement.where(sqlalchemy.or_(*_named(_Q.resource, names)))
    with db.writer() as connection:
        changed(connection, statement)


def _named(column: Any, names: Iterable[str]) -> list[Any]:
    return [
        criterion for name in names for criterion in (column == name, column.startswith(f'{name}_', autoescape=True))
    ]


def rename_limits(connection: Connection, renamed: Mapping[str, str]) -> None:
    """Rename quota resources in limits, as after a rename of a volume type.

    To do it twice has the same effect as to do it once. Counters are not changed here: their names are those in the
    deltas of routings.

    :param renamed: old name -> new name
    """
    for table, owner in (
        (QuotaLimit.__table__, ('project_id', 'user_id')),
        (QuotaClass.__table__, ('class_name',)),
    ):
        for before, after in sorted(renamed.items()):
            _rename(connection, table, owner, before, after)


def _rename(connection: Connection, table: sqlalchemy.Table, owner: Sequence[str], before: str, after: str) -> None:
    columns = [table.c.id, table.c.resource, *(table.c[name] for name in owner)]
    found = sqlalchemy.select(*columns).where(table.c.resource.in_([before, after])).order_by(table.c.id)
    rows = connection.execute(found.with_for_update()).all()
    # Compared here, as for MariaDB names that differ by a blank at their end are equal.
    old = {tuple(row[2:]): row.id for row in rows if row.resource == before}
    replaced = [row.id for row in rows if row.resource == after and tuple(row[2:]) in old]
    changed(connection, sqlalchemy.delete(table).where(table.c.id.in_(replaced)))
    changed(connection, sqlalchemy.update(table).where(table.c.id.in_(old.values())).values(resource=after))
