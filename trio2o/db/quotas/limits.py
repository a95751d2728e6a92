# SPDX-License-Identifier: Apache-2.0
"""Limits that were set: of projects, of users in them, and of classes."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy
from sqlalchemy import bindparam
from sqlalchemy.orm import Session

from trio2o.db.query import changed, insert_or_ignore
from trio2o.db.quotas.counters import Amounts
from trio2o.db.records import QuotaClass, QuotaLimit
from trio2o.db.session import Database, retry_on_deadlock, utcnow

_Q = QuotaLimit.__table__.c
_K = QuotaClass.__table__.c

_LIMITS: Any = sqlalchemy.union_all(
    sqlalchemy.select(_Q.project_id.label('owner'), _Q.user_id.label('user'), _Q.resource, _Q.hard_limit).where(
        _Q.project_id.in_(bindparam('projects', expanding=True)),
        _Q.user_id.in_(bindparam('users', expanding=True)),
    ),
    sqlalchemy.select(sqlalchemy.null(), _K.class_name, _K.resource, _K.hard_limit).where(
        _K.class_name == bindparam('class_name')
    ),
)


@dataclass(frozen=True)
class Limits:
    """Limits that were set: by project and user, and those of the class of everybody else."""

    of: Mapping[tuple[str, str], Amounts]
    defaults: Amounts


def get_limits(db: Database, project_ids: Collection[str], user_id: str = '', class_name: str = 'default') -> Limits:
    """The limits set of projects, of a user in them, and of a class; with one query."""
    found: dict[tuple[str, str], dict[str, int]] = {}
    defaults: dict[str, int] = {}
    params = {'projects': list(project_ids), 'users': sorted({'', user_id}), 'class_name': class_name}
    for owner, user, resource, limit in db.rows(_LIMITS, params):
        if owner is None:
            defaults[resource] = limit
        else:
            found.setdefault((owner, user), {})[resource] = limit
    return Limits(found, defaults)


def get_limits_of_users(db: Database, project_id: str) -> dict[str, dict[str, int]]:
    """The limits set of each user of a project."""
    found: dict[str, dict[str, int]] = {}
    statement = sqlalchemy.select(_Q.user_id, _Q.resource, _Q.hard_limit).where(
        _Q.project_id == project_id, _Q.user_id != ''
    )
    with db.reader() as session:
        for user_id, resource, limit in session.execute(statement):
            found.setdefault(user_id, {})[resource] = limit
    return found


def _set(session: Session, table: sqlalchemy.Table, owner: Mapping[str, str], given: Amounts) -> None:
    now = utcnow()
    criteria = [table.c[name] == value for name, value in owner.items()]
    for resource, limit in sorted(given.items()):
        change = sqlalchemy.update(table).where(*criteria, table.c.resource == resource)
        change = change.values(hard_limit=limit, updated_at=now)
        row = {**owner, 'resource': resource, 'hard_limit': limit, 'created_at': now, 'updated_at': None}
        if not changed(session, change) and not insert_or_ignore(session, table, [row]):
            changed(session, change)


@retry_on_deadlock
def set_limits(db: Database, project_id: str, user_id: str, given: Amounts) -> None:
    """Set limits of a project, or of a user in it."""
    with db.writer() as session:
        _set(session, QuotaLimit.__table__, {'project_id': project_id, 'user_id': user_id}, given)


@retry_on_deadlock
def set_class_limits(db: Database, class_name: str, given: Amounts) -> None:
    with db.writer() as session:
        _set(session, QuotaClass.__table__, {'class_name': class_name}, given)


@retry_on_deadlock
def delete_limits(db: Database, project_id: str, user_id: str, names: Iterable[str] | None = None) -> None:
    """Forget what was set of a project with all its users, or of one user in it.

    :param names: only limits whose names are, or begin so with an underscore; None: all
    """
    statement = sqlalchemy.delete(QuotaLimit.__table__).where(_Q.project_id == project_id)
    if user_id:
        statement = statement.where(_Q.user_id == user_id)
    if names is not None:
        statement = statement.where(sqlalchemy.or_(*_are_or_begin(_Q.resource, names)))
    with db.writer() as session:
        changed(session, statement)


def _are_or_begin(column: Any, names: Iterable[str]) -> list[Any]:
    return [
        criterion for name in names for criterion in (column == name, column.startswith(f'{name}_', autoescape=True))
    ]


@retry_on_deadlock
def rename_limits(db: Database, old: Mapping[str, str]) -> None:
    """Rename resources in limits, as those of a volume type are with it.

    Counters are those of the deltas of routings, and follow them.

    :param old: old name -> new name
    """
    with db.writer() as session:
        for before, after in sorted(old.items()):
            for table in (QuotaLimit.__table__, QuotaClass.__table__):
                changed(session, sqlalchemy.delete(table).where(table.c.resource == after))
                changed(session, sqlalchemy.update(table).where(table.c.resource == before).values(resource=after))
