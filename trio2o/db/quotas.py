# SPDX-License-Identifier: Apache-2.0
"""Counters of what is in use and what is claimed, the claims themselves, and the limits that were set.

A counter belongs to a project, or to one user in it. What is in use is, at any moment, the sum of the deltas of the
live routings; what is claimed is the sum of the open claims. Both change in the transaction that changes the
routing or the claim, so a crash leaves nothing but an open claim behind.

Every transaction that changes counters locks their rows first, in the order of the unique key, and one that also
changes routings or claims does that before. So none waits for another in a circle, and whoever holds the rows of a
project may add up its routings and claims and be exact.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy
from sqlalchemy import bindparam
from sqlalchemy.orm import Session

from trio2o.db.query import Columns, changed, insert_or_ignore
from trio2o.db.records import Quota, QuotaClaim, QuotaClass, QuotaUsage, Routing
from trio2o.db.session import Database, retry_on_deadlock, utcnow

#: What users have counters of their own for, beside those of the project.
OF_USERS = frozenset({'instances', 'cores', 'ram', 'server_groups'})

#: Project, user ('' for the whole project), resource.
Key = tuple[str, str, str]
Amounts = Mapping[str, int]

_CLAIMS = Columns(QuotaClaim)
_USAGES = Columns(QuotaUsage)
_USAGE = QuotaUsage.__table__
_CLAIM = QuotaClaim.__table__
_U = _USAGE.c
_C = _CLAIM.c
_Q = Quota.__table__.c
_K = QuotaClass.__table__.c
_R = Routing.__table__.c
_ROWS_A_STATEMENT = 50


@dataclass(frozen=True)
class Bound:
    """A limit that a claim must keep.

    :ivar members: projects whose use counts together; empty: only what is the project's own
    """

    project_id: str
    user_id: str
    resource: str
    limit: int
    members: tuple[str, ...] = ()

    @property
    def key(self) -> Key:
        return self.project_id, self.user_id, self.resource


@dataclass(frozen=True)
class Exceeded:
    """A bound that would not be kept."""

    bound: Bound
    requested: int
    used: int


class BoundsExceeded(Exception):
    """A claim was refused; nothing is changed."""

    def __init__(self, exceeded: Sequence[Exceeded]) -> None:
        super().__init__(', '.join(each.bound.resource for each in exceeded))
        self.exceeded = tuple(exceeded)


def counters(project_id: str, user_id: str, amounts: Amounts) -> dict[Key, int]:
    """The counters that amounts of resources are counted in."""
    found = {(project_id, '', name): amount for name, amount in amounts.items() if amount}
    if user_id:
        found |= {
            (project_id, user_id, name): amount for name, amount in amounts.items() if amount and name in OF_USERS
        }
    return found


# -- counters --

_LOCK = (
    sqlalchemy.select(_U.project_id, _U.user_id, _U.resource, _U.id, _U.in_use, _U.claimed)
    .where(
        _U.project_id.in_(bindparam('projects', expanding=True)),
        _U.user_id.in_(bindparam('users', expanding=True)),
        _U.resource.in_(bindparam('resources', expanding=True)),
    )
    .order_by(_U.project_id, _U.user_id, _U.resource)
    .with_for_update()
)


@dataclass(slots=True)
class _Row:
    id: int
    in_use: int
    claimed: int


def _locked(session: Session, keys: Collection[Key]) -> dict[Key, _Row]:
    """Lock counters, making those that are missing."""
    while True:
        params = {
            'projects': sorted({key[0] for key in keys}),
            'users': sorted({key[1] for key in keys}),
            'resources': sorted({key[2] for key in keys}),
        }
        found = {(row[0], row[1], row[2]): _Row(*row[3:]) for row in session.execute(_LOCK, params)}
        missing = sorted(key for key in keys if key not in found)
        if not missing:
            return found
        rows = [
            {'project_id': key[0], 'user_id': key[1], 'resource': key[2], 'in_use': 0, 'claimed': 0} for key in missing
        ]
        insert_or_ignore(session, _USAGE, rows)


@functools.cache
def _setting(count: int, is_recount: bool) -> Any:
    """The update of so many locked counters at once; made once, as making it takes longer than carrying it out."""
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
        sqlalchemy.update(_USAGE)
        .where(_U.id.in_(ids))
        .values(**values, updated_at=bindparam('now', type_=_U.updated_at.type))
    )


def _write(session: Session, rows: Sequence[_Row], is_recount: bool = False) -> None:
    """Write what was changed of locked counters."""
    for start in range(0, len(rows), _ROWS_A_STATEMENT):
        some = rows[start : start + _ROWS_A_STATEMENT]
        params: dict[str, Any] = {'now': utcnow()}
        for at, row in enumerate(some):
            params |= {f'id{at}': row.id, f'in_use{at}': row.in_use, f'claimed{at}': row.claimed}
        changed(session, _setting(len(some), is_recount), params)


def add(session: Session, in_use: Mapping[Key, int], claimed: Mapping[Key, int] | None = None) -> None:
    """Add to counters; none falls below zero."""
    claimed = claimed or {}
    keys = {key for changes in (in_use, claimed) for key, amount in changes.items() if amount}
    if not keys:
        return
    rows = _locked(session, keys)
    for key in keys:
        row = rows[key]
        row.in_use = max(0, row.in_use + in_use.get(key, 0))
        row.claimed = max(0, row.claimed + claimed.get(key, 0))
    _write(session, [rows[key] for key in keys])


_OF_PROJECT = _USAGES.select.where(_U.project_id == bindparam('project_id'), _U.user_id == bindparam('user_id'))


def usage(db: Database, project_id: str, user_id: str = '') -> dict[str, QuotaUsage]:
    """The counters of a project, or of one user in it, by resource."""
    rows = (QuotaUsage(*row) for row in db.rows(_OF_PROJECT, {'project_id': project_id, 'user_id': user_id}))
    return {row.resource: row for row in rows}


def projects(db: Database, marker: str = '', limit: int = 1000) -> list[str]:
    """Projects with counters, in order, after a marker."""
    statement = (
        sqlalchemy.select(_U.project_id).where(_U.project_id > marker).distinct().order_by(_U.project_id).limit(limit)
    )
    with db.reader() as session:
        return list(session.scalars(statement))


# -- claims --


@retry_on_deadlock
def claim(db: Database, row: QuotaClaim, bounds: Sequence[Bound]) -> None:
    """Claim what a row says, if all bounds are kept with it.

    :raises BoundsExceeded: one is not
    """
    wanted = counters(row.project_id, row.user_id, row.resources)
    with db.writer() as session:
        if not insert_or_ignore(session, _CLAIM, [{name: getattr(row, name) for name in _CLAIMS.names}]):
            return  # it was done before, and the answer of the database got lost
        rows = _locked(session, {*wanted, *(bound.key for bound in bounds)})
        used = [_used(session, bound, rows) for bound in bounds]
        over = [
            Exceeded(bound, row.resources[bound.resource], already)
            for bound, already in zip(bounds, used, strict=True)
            if already + row.resources[bound.resource] > bound.limit
        ]
        if over:
            raise BoundsExceeded(over)
        for key, amount in wanted.items():
            rows[key].claimed += amount
        _write(session, [rows[key] for key in wanted])


@retry_on_deadlock
def queue(db: Database, row: QuotaClaim) -> int:
    """Claim what a row says of its one resource, whatever the limit.

    :returns: how much of that is claimed now: by this one and by those that came before it
    """
    wanted = counters(row.project_id, row.user_id, row.resources)
    ((key, amount),) = wanted.items()
    with db.writer() as session:
        is_new = insert_or_ignore(session, _CLAIM, [{name: getattr(row, name) for name in _CLAIMS.names}])
        counter = _locked(session, wanted)[key]
        if is_new:
            counter.claimed += amount
            _write(session, [counter])
        return counter.claimed


def _used(session: Session, bound: Bound, rows: Mapping[Key, _Row]) -> int:
    if not bound.members:
        row = rows[bound.key]
        return row.in_use + row.claimed
    # The row of the bound is locked by every claim within it, so no other adds to these now.
    statement = sqlalchemy.select(sqlalchemy.func.sum(_U.in_use + _U.claimed)).where(
        _U.project_id.in_(bound.members), _U.user_id == '', _U.resource == bound.resource
    )
    return int(session.scalar(statement) or 0)


def end(session: Session, row: QuotaClaim) -> dict[Key, int]:
    """End a claim as it was made; with one statement less than ``consume``, if nobody touched it.

    :returns: as ``consume``
    """
    if not changed(session, _END, {'claim_id': row.id, 'as_made': row.resources}):
        return consume(session, row.id, None)
    return {key: -amount for key, amount in counters(row.project_id, row.user_id, row.resources).items()}


def consume(session: Session, claim_id: str, amounts: Amounts | None, **keep: Any) -> dict[Key, int]:
    """Take what has come true, or will not, out of a claim; what is left of it stays open.

    :param amounts: None takes all of it
    :param keep: columns of what stays open
    :returns: what is to be taken from the counters of what is claimed; nothing if the claim is settled already
    """
    found = _CLAIMS.first(session, _CLAIMS.select.where(_C.id == claim_id).with_for_update())
    if found is None:
        return {}
    taken = {
        name: amount if amounts is None else min(amount, max(0, amounts.get(name, 0)))
        for name, amount in found.resources.items()
    }
    rest = {name: amount - taken[name] for name, amount in found.resources.items() if amount > taken[name]}
    if rest or (keep and amounts is not None):
        changed(session, sqlalchemy.update(_CLAIM).where(_C.id == claim_id).values(resources=rest, **keep))
    else:
        changed(session, sqlalchemy.delete(_CLAIM).where(_C.id == claim_id))
    return {key: -amount for key, amount in counters(found.project_id, found.user_id, taken).items()}


_END = sqlalchemy.delete(_CLAIM).where(
    _C.id == bindparam('claim_id'), _C.resources == bindparam('as_made', type_=_C.resources.type)
)


@retry_on_deadlock
def give_back(db: Database, claim_id: str) -> None:
    """End a claim of which nothing came."""
    with db.writer() as session:
        add(session, {}, consume(session, claim_id, None))


@retry_on_deadlock
def keep(db: Database, claim_id: str, **values: Any) -> None:
    """Leave a claim open, with what is known of it now."""
    with db.writer() as session:
        changed(session, sqlalchemy.update(_CLAIM).where(_C.id == claim_id).values(**values))


@retry_on_deadlock
def watch(db: Database, row: QuotaClaim) -> None:
    """Note that something has to be looked at; nothing is claimed for it."""
    with db.writer() as session:
        insert_or_ignore(session, _CLAIM, [{name: getattr(row, name) for name in _CLAIMS.names}])


def claims(
    db: Database,
    *,
    project_id: str | None = None,
    due: datetime | None = None,
    limit: int = 100,
) -> list[QuotaClaim]:
    """Open claims: of a project, or those due by a time, those due first."""
    statement = _CLAIMS.select.order_by(_C.expires_at, _C.id).limit(limit)
    if project_id is not None:
        statement = statement.where(_C.project_id == project_id)
    if due is not None:
        statement = statement.where(_C.state.in_(CLAIM_STATES), _C.expires_at <= due)
    with db.reader() as session:
        return _CLAIMS.all(session, statement)


CLAIM_STATES = ('open', 'unknown', 'watch')

_CLAIMS_ON = _CLAIMS.select.where(_C.resource_id.in_(bindparam('ids', expanding=True)))


def claims_on(db: Database, resource_ids: Collection[str]) -> list[QuotaClaim]:
    """Open claims on changes of these resources."""
    if not resource_ids:
        return []
    return [QuotaClaim(*row) for row in db.rows(_CLAIMS_ON, {'ids': list(resource_ids)})]


@retry_on_deadlock
def take_up(db: Database, claim_id: str, seen: datetime | None, until: datetime) -> bool:
    """Put off when a claim is due, so that nobody else looks at it meanwhile; false if somebody does already."""
    with db.writer() as session:
        return (
            changed(
                session,
                sqlalchemy.update(_CLAIM).where(_C.id == claim_id, _C.expires_at == seen).values(expires_at=until),
            )
            > 0
        )


# -- recount --

_DELTAS = sqlalchemy.select(_R.user_id, _R.deltas).where(
    _R.resource_type.in_(bindparam('types', expanding=True)),
    _R.project_id == bindparam('project_id'),
    _R.state != 'deleted',
)


@retry_on_deadlock
def recount(db: Database, project_id: str, types: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Set the counters of a project to what its routings and open claims come to.

    :param types: of resources that count
    :returns: resource -> what was counted as in use before and is now, where that differs
    """
    with db.writer() as session:
        statement = sqlalchemy.select(_U.user_id, _U.resource, _U.id, _U.in_use, _U.claimed)
        statement = statement.where(_U.project_id == project_id).order_by(_U.project_id, _U.user_id, _U.resource)
        rows = {(project_id, row[0], row[1]): _Row(*row[2:]) for row in session.execute(statement.with_for_update())}
        in_use: Counter[Key] = Counter()
        for user_id, deltas in session.execute(_DELTAS, {'types': list(types), 'project_id': project_id}):
            in_use.update(counters(project_id, user_id, deltas or {}))
        claimed: Counter[Key] = Counter()
        for open_claim in _CLAIMS.all(session, _CLAIMS.select.where(_C.project_id == project_id)):
            claimed.update(counters(project_id, open_claim.user_id, open_claim.resources))
        missing = {key for sums in (in_use, claimed) for key in sums if key not in rows}
        if missing:
            rows |= _locked(session, missing)
        mended: dict[str, tuple[int, int]] = {}
        for key, row in rows.items():
            if row.in_use != in_use[key] and not key[1]:
                mended[key[2]] = (row.in_use, in_use[key])
            row.in_use, row.claimed = in_use[key], claimed[key]
        if rows:
            _write(session, list(rows.values()), is_recount=True)
        return mended


# -- limits --

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


def limits(db: Database, project_ids: Collection[str], user_id: str = '', class_name: str = 'default') -> Limits:
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


def limits_of_users(db: Database, project_id: str) -> dict[str, dict[str, int]]:
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
        _set(session, Quota.__table__, {'project_id': project_id, 'user_id': user_id}, given)


@retry_on_deadlock
def set_class_limits(db: Database, class_name: str, given: Amounts) -> None:
    with db.writer() as session:
        _set(session, QuotaClass.__table__, {'class_name': class_name}, given)


@retry_on_deadlock
def forget_limits(db: Database, project_id: str, user_id: str, names: Iterable[str] | None = None) -> None:
    """Forget what was set of a project with all its users, or of one user in it.

    :param names: only limits whose names are, or begin so with an underscore; None: all
    """
    statement = sqlalchemy.delete(Quota.__table__).where(_Q.project_id == project_id)
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
def rename(db: Database, old: Mapping[str, str]) -> None:
    """Rename resources in limits, as those of a volume type are with it.

    Counters are those of the deltas of routings, and follow them.

    :param old: old name -> new name
    """
    with db.writer() as session:
        for before, after in sorted(old.items()):
            for table in (Quota.__table__, QuotaClass.__table__):
                changed(session, sqlalchemy.delete(table).where(table.c.resource == after))
                changed(session, sqlalchemy.update(table).where(table.c.resource == before).values(resource=after))
