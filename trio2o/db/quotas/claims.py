# SPDX-License-Identifier: Apache-2.0
"""Open claims: amounts of the quota that are reserved for requests until their outcome is known."""

from collections import Counter as Sum
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy
from sqlalchemy import bindparam
from sqlalchemy.engine import Connection

from trio2o.db.database import Database, retry_on_deadlock
from trio2o.db.query import Columns, changed, insert_or_ignore
from trio2o.db.quotas import counters, matching
from trio2o.db.quotas.counters import Amounts, Counter, Key
from trio2o.db.records import QuotaClaim, QuotaUsage, Routing

_CLAIMS = Columns(QuotaClaim)
_TABLE = _CLAIMS.table
_C = _TABLE.c
_U = QuotaUsage.__table__.c


#: Values of ``QuotaClaim.state``, where they are explained.
CLAIM_STATES = ('open', 'unknown', 'watch')


@dataclass(frozen=True)
class Bound:
    """A limit that a claim must not exceed.

    :ivar members: projects whose usage is counted together; empty: only that of the project
    """

    project_id: str
    user_id: str
    resource: str
    limit: int
    members: tuple[str, ...] = ()

    @property
    def key(self) -> Key:
        return self.project_id, self.user_id, counters.counted_as(self.resource)


@dataclass(frozen=True)
class Settlement:
    """A claim that becomes the deltas of a routing.

    :ivar claim: the row as it was inserted; None: the request that created the resource made no claim
    :ivar rest: new values of columns of the claim, which stays open with the amounts that are not among the deltas;
        None: the claim ends, and these amounts are released
    """

    claim: QuotaClaim | None
    rest: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Exceeded:
    """A limit that a claim would exceed.

    :ivar requested: amount of the claim
    :ivar used: amount in use or claimed before
    """

    bound: Bound
    requested: int
    used: int


class BoundsExceeded(Exception):
    """A claim was refused as it would exceed limits. Nothing is changed."""

    def __init__(self, exceeded: Sequence[Exceeded]) -> None:
        super().__init__(', '.join(each.bound.resource for each in exceeded))
        self.exceeded = tuple(exceeded)


@retry_on_deadlock
def insert_claim(db: Database, row: QuotaClaim, bounds: Sequence[Bound]) -> None:
    """Insert a claim, unless it would exceed a limit.

    :raises BoundsExceeded: it would; nothing is written
    """
    wanted = counters.by_counter(row.project_id, row.user_id, row.resources)
    with db.writer() as connection:
        if not insert_or_ignore(connection, _TABLE, [{name: getattr(row, name) for name in _CLAIMS.names}]):
            return  # an earlier attempt was committed, and the answer of the database was lost
        rows = counters.lock(connection, {*wanted, *(bound.key for bound in bounds)})
        used = [_used(connection, bound, rows) for bound in bounds]
        over = [
            Exceeded(bound, row.resources[bound.resource], already)
            for bound, already in zip(bounds, used, strict=True)
            if already + row.resources[bound.resource] > bound.limit
        ]
        if over:
            raise BoundsExceeded(over)
        for key, amount in wanted.items():
            rows[key].claimed += amount
        counters.write(connection, [rows[key] for key in wanted])


@retry_on_deadlock
def queue(db: Database, row: QuotaClaim) -> int:
    """Insert a claim on one quota resource without comparing it with a limit.

    :returns: the amount of the quota resource that this claim and the earlier ones reserve together
    """
    wanted = counters.by_counter(row.project_id, row.user_id, row.resources)
    ((key, amount),) = wanted.items()
    with db.writer() as connection:
        is_new = insert_or_ignore(connection, _TABLE, [{name: getattr(row, name) for name in _CLAIMS.names}])
        counter = counters.lock(connection, wanted)[key]
        if is_new:
            counter.claimed += amount
            counters.write(connection, [counter])
        return counter.claimed


def _used(connection: Connection, bound: Bound, rows: Mapping[Key, Counter]) -> int:
    if not bound.members:
        row = rows[bound.key]
        return row.in_use + row.claimed
    # Every claim that the limit applies to locks the counter of the limit's project, so these do not change now.
    statement = sqlalchemy.select(sqlalchemy.func.sum(_U.in_use + _U.claimed)).where(
        _U.project_id.in_(bound.members), _U.user_id == '', _U.resource == bound.key[2]
    )
    return int(connection.scalar(statement) or 0)


def settle(connection: Connection, settlement: Settlement, deltas: Amounts) -> dict[Key, int]:
    """Turn a claim into the deltas of a routing.

    :returns: as ``consume``
    """
    claimed = settlement.claim
    if claimed is None:
        return {}
    if settlement.rest is not None:
        return consume(connection, claimed.id, deltas, settlement.rest)
    # One statement less than `consume`, unless the claim was changed since it was inserted.
    if not changed(connection, _END, {'claim_id': claimed.id, 'as_made': claimed.resources}):
        return consume(connection, claimed.id, None)
    amounts = counters.by_counter(claimed.project_id, claimed.user_id, claimed.resources)
    return {key: -amount for key, amount in amounts.items()}


def consume(
    connection: Connection, claim_id: str, amounts: Amounts | None, rest: Mapping[str, Any] | None = None
) -> dict[Key, int]:
    """Take amounts out of a claim. It stays open with the rest, and ends if there is none.

    :param amounts: None: all amounts of the claim
    :param rest: new values of columns of the claim, which then stays open even if no amounts are left
    :returns: changes to the counters of claimed amounts, for ``counters.add``; empty if the claim has ended already
    """
    found = _CLAIMS.first(connection, _CLAIMS.select.where(_C.id == claim_id).with_for_update())
    if found is None:
        return {}
    taken = {
        name: amount if amounts is None else min(amount, max(0, amounts.get(name, 0)))
        for name, amount in found.resources.items()
    }
    left = {name: amount - taken[name] for name, amount in found.resources.items() if amount > taken[name]}
    if left or (rest and amounts is not None):
        changed(connection, sqlalchemy.update(_TABLE).where(_C.id == claim_id).values(resources=left, **(rest or {})))
    else:
        changed(connection, sqlalchemy.delete(_TABLE).where(_C.id == claim_id))
    return {key: -amount for key, amount in counters.by_counter(found.project_id, found.user_id, taken).items()}


def match(
    connection: Connection, found: Sequence[Routing], claim_id: str | None = None
) -> tuple[list[Routing], dict[Key, int]]:
    """Turn claims into the deltas of resources that were found in pods, whose creates were not answered.

    :param found: routings that the caller has locked, with deltas that were not counted before
    :param claim_id: see ``matching.match``
    :returns: the routings to be counted now, and changes to the counters of claimed amounts, for ``counters.add``
    """
    # Read after the routings were locked: the claim of a request that records one of them has not ended yet.
    projects = {routing.project_id for routing in found}
    claims = _CLAIMS.all(connection, _CLAIMS.select.where(_C.project_id.in_(projects)).order_by(_C.id))
    matches = matching.match(found, [claim for claim in claims if claim.resources], claim_id)
    changes: Sum[Key] = Sum()
    for taken_id, amounts in sorted(matches.taken.items()):
        changes.update(consume(connection, taken_id, amounts))
    return matches.counted, dict(changes)


_END = sqlalchemy.delete(_TABLE).where(
    _C.id == bindparam('claim_id'), _C.resources == bindparam('as_made', type_=_C.resources.type)
)


@retry_on_deadlock
def release(db: Database, claim_id: str) -> None:
    """End a claim and release its amounts."""
    with db.writer() as connection:
        counters.add(connection, {}, consume(connection, claim_id, None))


def release_of_pod(connection: Connection, pod_id: str) -> None:
    """End the claims on resources of a pod and release their amounts."""
    released: Sum[Key] = Sum()
    ids = list(connection.scalars(sqlalchemy.select(_C.id).where(_C.pod_id == pod_id).order_by(_C.id)))
    for claim_id in ids:
        released.update(consume(connection, claim_id, None))
    counters.add(connection, {}, released)


@retry_on_deadlock
def keep(db: Database, claim_id: str, **values: Any) -> None:
    """Change columns of a claim, which stays open."""
    with db.writer() as connection:
        changed(connection, sqlalchemy.update(_TABLE).where(_C.id == claim_id).values(**values))


@retry_on_deadlock
def watch(db: Database, row: QuotaClaim) -> None:
    """Insert a claim without amounts, so that the resource it names is measured again."""
    with db.writer() as connection:
        insert_or_ignore(connection, _TABLE, [{name: getattr(row, name) for name in _CLAIMS.names}])


def page_of_claims(
    db: Database,
    *,
    filters: Mapping[str, Any] | None = None,
    made_before: datetime | None = None,
    limit: int | None = None,
    marker: str | None = None,
    sort: Sequence[tuple[str, str]] = (('created_at', 'asc'),),
) -> list[QuotaClaim]:
    """List a page of open claims; see ``Columns.page``.

    :param made_before: list only claims that were made before this time
    :raises ValueError: see ``Columns.page``
    """
    criteria = [] if made_before is None else [_C.created_at <= made_before]
    with db.reader() as connection:
        return _CLAIMS.page(connection, filters=filters, limit=limit, marker=marker, sort=sort, criteria=criteria)


def get_claim(db: Database, claim_id: str) -> QuotaClaim | None:
    """Return an open claim; None if there is no such claim."""
    with db.reader() as connection:
        return _CLAIMS.one(connection, _C.id == claim_id)


def list_claims(
    db: Database,
    *,
    project_id: str | None = None,
    due: datetime | None = None,
    limit: int = 100,
) -> list[QuotaClaim]:
    """List open claims, those due first.

    :param due: list only the claims that are due at this time
    """
    statement = _CLAIMS.select.order_by(_C.expires_at, _C.id).limit(limit)
    if project_id is not None:
        statement = statement.where(_C.project_id == project_id)
    if due is not None:
        statement = statement.where(_C.state.in_(CLAIM_STATES), _C.expires_at <= due)
    with db.reader() as connection:
        return _CLAIMS.all(connection, statement)


_CLAIMS_ON = _CLAIMS.select.where(_C.resource_id.in_(bindparam('ids', expanding=True)))


def list_claims_on(db: Database, resource_ids: Collection[str]) -> list[QuotaClaim]:
    """List the open claims of changes of these resources."""
    if not resource_ids:
        return []
    return [QuotaClaim(*row) for row in db.rows(_CLAIMS_ON, {'ids': list(resource_ids)})]


@retry_on_deadlock
def postpone(db: Database, claim_id: str, due: datetime | None, until: datetime) -> bool:
    """Postpone a claim, so that no other worker settles it in the meantime.

    :param due: when the caller read that the claim is due
    :returns: False if another worker has postponed or ended it
    """
    with db.writer() as connection:
        return (
            changed(
                connection,
                sqlalchemy.update(_TABLE).where(_C.id == claim_id, _C.expires_at == due).values(expires_at=until),
            )
            > 0
        )


def count_claims_by_state(db: Database) -> dict[str, int]:
    """Return the number of claims by state."""
    with db.reader() as connection:
        rows = connection.execute(sqlalchemy.select(_C.state, sqlalchemy.func.count()).group_by(_C.state))
        return {state: count for state, count in rows}
