# SPDX-License-Identifier: Apache-2.0
"""Statements that all tables share: select records, select a page, and insert rows that do not exist yet.

Only the modules of this package use it. The caller provides the session.
"""

import functools
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Generic, TypeVar, cast

import sqlalchemy
from oslo_db.sqlalchemy import utils as oslo_db_paging
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.orm import Session, registry
from sqlalchemy.sql import Executable

from trio2o.db.table import Record

R = TypeVar('R', bound=Record)

#: SQLite allows 32766 parameters in a statement, and a row has about a dozen.
_ROWS_PER_STATEMENT = 500


class Columns(Generic[R]):
    """Selects rows of a table as records."""

    def __init__(self, record: type[R]) -> None:
        self.record = record
        self.table = record.__table__
        self.names = tuple(self.table.c.keys())
        self.select = sqlalchemy.select(*self.table.c)

    def all(self, session: Session, statement: Executable, params: Mapping[str, Any] | None = None) -> list[R]:
        record = self.record
        return [record(*row) for row in session.execute(statement, params)]

    def first(self, session: Session, statement: Executable, params: Mapping[str, Any] | None = None) -> R | None:
        row = session.execute(statement, params).first()
        return None if row is None else self.record(*row)

    def one(self, session: Session, *criteria: Any) -> R | None:
        return self.first(session, self.select.where(*criteria))

    def page(
        self,
        session: Session,
        *,
        filters: Mapping[str, Any] | None,
        limit: int | None,
        marker: Any,
        sort: Sequence[tuple[str, str]],
        criteria: Sequence[Any] = (),
    ) -> list[R]:
        """Select a page.

        :param filters: column name -> value, or a collection of values
        :param marker: primary key of the last record on the page before
        :param sort: pairs of column and direction; the primary key is added, so that no two records are equal
        :param criteria: further criteria
        :raises ValueError: a column does not exist, or no record has the marker as its key
        """
        (key,) = self.table.primary_key.columns
        statement = self.select.where(*self._criteria(filters), *criteria)
        directions = dict(sort)
        directions.setdefault(key.name, sort[-1][1] if sort else 'asc')
        self._check(directions)
        at = None
        if marker is not None:
            at = self.one(session, key == marker)
            if at is None:
                raise ValueError(f'marker {marker!r} does not exist')
        paged: Executable = oslo_db_paging.paginate_query(
            statement,
            self._mapped,
            limit,
            list(directions),
            marker=at,
            sort_dirs=list(directions.values()),
        )
        return self.all(session, paged)

    @functools.cached_property
    def _mapped(self) -> type:
        """The table as a class of SQLAlchemy's ORM, as oslo.db pages through those only."""
        mapped = type(self.record.__name__, (), {})
        registry().map_imperatively(mapped, self.table)
        return mapped

    def _check(self, names: Collection[str]) -> None:
        unknown = set(names) - set(self.names)
        if unknown:
            raise ValueError(f'{self.table.name} has no {", ".join(sorted(unknown))}')

    def _criteria(self, filters: Mapping[str, Any] | None) -> list[Any]:
        self._check(filters or ())
        return [_matches(self.table.c[name], value) for name, value in (filters or {}).items()]


def _matches(column: Any, value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return column.is_(value)
    if isinstance(value, list | tuple | set | frozenset):
        return column.in_(sorted(value))
    return column == value


def changed(session: Session, statement: Executable, params: Any = None) -> int:
    """Execute an update, delete or insert.

    :returns: number of rows that it matched, or inserted
    """
    result = session.execute(statement, params, execution_options={'preserve_rowcount': True})
    return cast('sqlalchemy.CursorResult[Any]', result).rowcount


def insert_or_ignore(session: Session, table: sqlalchemy.Table, rows: Sequence[Mapping[str, Any]]) -> int:
    """Insert the rows that violate no unique constraint.

    MySQL also ignores rows that violate a foreign key. A caller for which that matters reads the row back.

    :returns: number of rows inserted
    :raises ValueError: a string is longer than its column; MySQL would truncate it
    """
    dialect = session.get_bind().dialect.name
    for row in rows:
        _check_lengths(table, row)
    statement: Any
    if dialect in ('mysql', 'mariadb'):
        statement = mysql.insert(table).prefix_with('IGNORE')
    elif dialect == 'postgresql':
        statement = postgresql.insert(table).on_conflict_do_nothing()
    else:
        statement = sqlite.insert(table).on_conflict_do_nothing()
    inserted = 0
    for start in range(0, len(rows), _ROWS_PER_STATEMENT):
        inserted += changed(session, statement, rows[start : start + _ROWS_PER_STATEMENT])
    return inserted


def _check_lengths(table: sqlalchemy.Table, row: Mapping[str, Any]) -> None:
    for name, value in row.items():
        if isinstance(value, str):
            length = getattr(table.c[name].type, 'length', None)
            if length is not None and len(value) > length:
                raise ValueError(f'{table.name}.{name} is longer than {length} characters')
