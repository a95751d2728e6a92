# SPDX-License-Identifier: Apache-2.0
"""Statements that all tables share: select records, select a page, and insert rows that do not exist yet.

Only the modules of this package use it. The caller provides the connection.
"""

import functools
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Generic, TypeVar, cast

import sqlalchemy
from oslo_db.sqlalchemy import utils as oslo_db_paging
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.engine import Connection
from sqlalchemy.orm import registry
from sqlalchemy.sql import Executable

from trio2o.db.errors import UnfitText
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

    def all(self, connection: Connection, statement: Executable, params: Mapping[str, Any] | None = None) -> list[R]:
        record = self.record
        return [record(*row) for row in connection.execute(statement, params)]

    def first(
        self, connection: Connection, statement: Executable, params: Mapping[str, Any] | None = None
    ) -> R | None:
        row = connection.execute(statement, params).first()
        return None if row is None else self.record(*row)

    def one(self, connection: Connection, *criteria: Any) -> R | None:
        return self.first(connection, self.select.where(*criteria))

    def page(
        self,
        connection: Connection,
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
            at = self.one(connection, key == marker)
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
        return self.all(connection, paged)

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


class Among:
    """A collection of values that a column is compared with: ``column IN (...)``, for statements that are cached.

    For a parameter that expands, SQLAlchemy builds the text of the statement whenever it executes it, which takes as
    long as the query. So the number of parameters is fixed here. It is a power of two, so that there are few
    statements; the last value is repeated.

    :param name: of the parameters, with a number behind it
    """

    def __init__(self, name: str, values: Collection[str]) -> None:
        self.name = name
        self.values = sorted(values)
        self.size = 1 << (len(values) - 1).bit_length() if values else 0

    @property
    def params(self) -> dict[str, str]:
        last = len(self.values) - 1
        return {f'{self.name}{at}': self.values[min(at, last)] for at in range(self.size)}


def among(column: Any, name: str, size: int) -> Any:
    """Compare a column with the values of an ``Among`` of this name and size."""
    return column.in_([sqlalchemy.bindparam(f'{name}{at}', type_=column.type) for at in range(size)])


def changed(connection: Connection, statement: Executable, params: Any = None) -> int:
    """Execute an update, delete or insert.

    :returns: number of rows that it matched, or inserted
    """
    result = connection.execute(statement, params, execution_options={'preserve_rowcount': True})
    return cast('sqlalchemy.CursorResult[Any]', result).rowcount


def insert_or_ignore(connection: Connection, table: sqlalchemy.Table, rows: Sequence[Mapping[str, Any]]) -> int:
    """Insert the rows that violate no unique constraint.

    MySQL also ignores rows that violate a foreign key. A caller for which that matters reads the row back.

    :returns: number of rows inserted
    :raises UnfitText: a string is longer than its column; MySQL would truncate it
    """
    for row in rows:
        _check_lengths(table, row)
    statement = _inserting(table, connection.dialect.name)
    inserted = 0
    for start in range(0, len(rows), _ROWS_PER_STATEMENT):
        inserted += changed(connection, statement, rows[start : start + _ROWS_PER_STATEMENT])
    return inserted


def insert_one_or_ignore(connection: Connection, table: sqlalchemy.Table, row: Mapping[str, Any]) -> Any:
    """Insert a row, unless it violates a unique constraint (or, on MySQL, a foreign key).

    :returns: the primary key that the database gave to it; None if it was not inserted
    :raises UnfitText: as ``insert_or_ignore``
    """
    _check_lengths(table, row)
    result = connection.execute(
        _inserting(table, connection.dialect.name), row, execution_options={'preserve_rowcount': True}
    )
    if result.rowcount != 1:
        return None
    (key,) = result.inserted_primary_key or (None,)
    return key


@functools.cache
def _inserting(table: sqlalchemy.Table, dialect: str) -> Any:
    if dialect in ('mysql', 'mariadb'):
        return mysql.insert(table).prefix_with('IGNORE')
    if dialect == 'postgresql':
        return postgresql.insert(table).on_conflict_do_nothing()
    return sqlite.insert(table).on_conflict_do_nothing()


def _check_lengths(table: sqlalchemy.Table, row: Mapping[str, Any]) -> None:
    for name, length in _lengths(table):
        value = row.get(name)
        if isinstance(value, str) and len(value) > length:
            raise UnfitText(f'{name} is longer than {length} characters.')


@functools.cache
def _lengths(table: sqlalchemy.Table) -> list[tuple[str, int]]:
    lengths = ((column.name, getattr(column.type, 'length', None)) for column in table.c)
    return [(name, length) for name, length in lengths if length is not None]
