# SPDX-License-Identifier: Apache-2.0
"""Declares tables by the records that represent their rows.

A record is a frozen dataclass. The annotation of a field describes the column::

    @table('pod_hosts')
    @dataclass(frozen=True, slots=True)
    class PodHost(Record):
        pod_id: PodKey
        host: Annotated[str, Spec(String(255), primary_key=True)]

The column of a field that may be None may be NULL.

Times are UTC without a zone, with microseconds on every server. JSON is stored as text, as no query selects by a part
of it. Strings compare exactly (MySQL and MariaDB would ignore case). Those in an index are short enough for InnoDB's
limit of 3072 bytes, at four bytes for each character.
"""

import json
import typing
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, TypeVar

import sqlalchemy
from sqlalchemy import BigInteger, Boolean, Column, DateTime, ForeignKey, Integer, MetaData, SmallInteger, String, Text
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeDecorator, TypeEngine

R = TypeVar('R', bound='type[Record]')


class Record:
    """Base class of the records. A record is a row of `__table__`, and not bound to a connection."""

    __slots__ = ()
    __table__: ClassVar[sqlalchemy.Table]
    metadata: ClassVar[MetaData] = MetaData()


def table(name: str, *rules: sqlalchemy.schema.SchemaItem) -> Callable[[R], R]:
    """Declare the table of a record, as a class decorator.

    :param rules: indexes and unique constraints of the table
    """

    def declare(record: R) -> R:
        hints = typing.get_type_hints(record, include_extras=True)
        record.__table__ = sqlalchemy.Table(
            name,
            Record.metadata,
            *(_column(field, hints[field]) for field in record.__match_args__),  # type: ignore[attr-defined]
            *rules,
            mysql_engine='InnoDB',
            mysql_charset='utf8mb4',
            mysql_collate='utf8mb4_bin',
        )
        return record

    return declare


class Spec:
    """Description of a column, for the annotation of a field.

    :param references: the column of another table that is this column's foreign key
    :param options: arguments of `sqlalchemy.Column`
    """

    def __init__(self, type_: TypeEngine[Any], references: str | None = None, **options: Any) -> None:
        self.type = type_
        self.references = references
        self.options = options

    def column(self, name: str, nullable: bool) -> Column[Any]:
        references = [] if self.references is None else [ForeignKey(self.references)]
        return Column(name, self.type, *references, **{'nullable': nullable, **self.options})


def _column(name: str, hint: Any) -> Column[Any]:
    nullable = type(None) in typing.get_args(hint)
    if nullable:
        (hint,) = (each for each in typing.get_args(hint) if each is not type(None))
    (spec,) = hint.__metadata__
    column: Column[Any] = spec.column(name, nullable)
    return column


def stored_time(value: datetime | None) -> datetime | None:
    """Return a time as the tables store it: in UTC without a zone."""
    if value is not None and value.tzinfo is not None:
        return value.astimezone(UTC).replace(tzinfo=None)
    return value


class _UtcDateTime(TypeDecorator[datetime]):
    """A time in UTC with microseconds. A time in another zone is converted when it is written."""

    impl = DateTime().with_variant(mysql.DATETIME(fsp=6), 'mysql', 'mariadb')
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        return stored_time(value)


_LONG_TEXT = Text().with_variant(mysql.MEDIUMTEXT, 'mysql', 'mariadb')


class _Json(TypeDecorator[Any]):
    """Any JSON value, as text; None is NULL."""

    impl = _LONG_TEXT
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> str | None:
        return None if value is None else json.dumps(value, separators=(',', ':'))

    def process_result_value(self, value: str | None, dialect: Any) -> Any:
        return None if value is None else json.loads(value)


# SQLite increments a primary key automatically only if its type is INTEGER.
_BIG_ID = BigInteger().with_variant(Integer, 'sqlite')

#: A primary key that the database increments automatically.
NumberKey = Annotated[int, Spec(_BIG_ID, primary_key=True, autoincrement=True)]
ObjectKey = Annotated[int, Spec(_BIG_ID, references='replicated_objects.id', primary_key=True, autoincrement=False)]
UuidKey = Annotated[str, Spec(String(36), primary_key=True)]
Uuid = Annotated[str, Spec(String(36))]
PodKey = Annotated[str, Spec(String(36), references='pods.pod_id', primary_key=True)]
PodId = Annotated[str, Spec(String(36), references='pods.pod_id')]
JobId = Annotated[str, Spec(String(36), references='jobs.id')]

Str16 = Annotated[str, Spec(String(16))]
Str32 = Annotated[str, Spec(String(32))]
Str64 = Annotated[str, Spec(String(64))]
Str255 = Annotated[str, Spec(String(255))]
Str320 = Annotated[str, Spec(String(320))]
Str512 = Annotated[str, Spec(String(512))]
Str1024 = Annotated[str, Spec(String(1024))]
LongStr = Annotated[str, Spec(_LONG_TEXT)]

Int = Annotated[int, Spec(Integer())]
SmallInt = Annotated[int, Spec(SmallInteger())]
BigInt = Annotated[int, Spec(BigInteger())]
#: 0 in rows that a service of a release without the column inserts.
Counter = Annotated[int, Spec(BigInteger(), server_default=sqlalchemy.text('0'))]
Bool = Annotated[bool, Spec(Boolean())]
Time = Annotated[datetime, Spec(_UtcDateTime())]

Json = Annotated[Any, Spec(_Json())]
NullableJson = Annotated[Any, Spec(_Json(), nullable=True)]
JsonObject = Annotated[Mapping[str, Any], Spec(_Json())]
#: Amounts of quota resources, by name.
JsonAmounts = Annotated[Mapping[str, int], Spec(_Json())]
