# SPDX-License-Identifier: Apache-2.0
"""Routings: the pod of each resource. Requests mostly call `get`. Every statement uses an index.

Routings of deleted resources stay until they are purged, so that a lookup of such a resource need not call every pod.
The other ones are called live (`Routing.is_live`).

The quota usage of a project includes the deltas of its live routings. Functions that change deltas therefore change
the counters in the same transaction.
"""

import dataclasses
import functools
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy
from oslo_db import exception as db_exc
from sqlalchemy import Select, bindparam
from sqlalchemy.engine import Connection

from trio2o.db.database import Database, retry_on_deadlock, utcnow
from trio2o.db.errors import RecordNotFound
from trio2o.db.query import Among, Columns, among, changed, insert_one_or_ignore, insert_or_ignore
from trio2o.db.quotas import Settlement, claims, counters
from trio2o.db.quotas.counters import Key
from trio2o.db.records import (
    ACTIVE,
    DELETED,
    DELETING,
    LIVE_STATES,
    ROUTING_STATES,
    Binding,
    NewRouting,
    Pod,
    QuotaClaim,
    Routing,
)
from trio2o.db.table import stored_time

_ROUTINGS = Columns(Routing)
_TABLE = _ROUTINGS.table
_R = _TABLE.c
_BINDING = Binding.__table__.c
_CLAIM = QuotaClaim.__table__.c
_POD = Pod.__table__.c
_IDS_PER_QUERY = 1000
_IS_LIVE = _R.state != DELETED
#: Columns that determine which amounts are counted for which project and user.
_COUNTED = frozenset({'deltas', 'project_id', 'user_id', 'state'})

_GET = _ROUTINGS.select.where(_R.top_id == bindparam('top_id'), _R.resource_type == bindparam('resource_type'))
_GET_MANY = _ROUTINGS.select.where(
    _R.top_id.in_(bindparam('top_ids', expanding=True)),
    _R.resource_type == bindparam('resource_type'),
)


# The other index that begins with project and type has the rows in the order of the pods, which MariaDB may prefer
# although it reads those of deleted resources, too.
_LIVE_OF_PROJECT = 'FORCE INDEX (ix_routings_type_project_state_created)'
_LIVE_OF_ALL = 'FORCE INDEX (ix_routings_type_state_created)'
_OF_PODS = 'FORCE INDEX (ix_routings_type_pod_created)'
_LIVE: list[Any] = [sqlalchemy.literal_column(f"'{state}'") for state in LIVE_STATES]


@functools.cache
def _pods_of(types: int, with_bindings: bool) -> Any:
    """Build the statement that selects the pods in which a project has live resources of as many types.

    It reads an index of the project's live resources: neither those that were deleted nor the number of pods matter.

    :param with_bindings: also select the pods of the project's current bindings
    """
    statement = (
        sqlalchemy.select(_R.pod_id)
        .distinct()
        .with_hint(_TABLE, _LIVE_OF_PROJECT, 'mysql')
        .with_hint(_TABLE, _LIVE_OF_PROJECT, 'mariadb')
        .where(
            among(_R.resource_type, 'type', types),
            _R.project_id == bindparam('project_id'),
            _R.state.in_(_LIVE),
        )
    )
    if not with_bindings:
        return statement
    return statement.union_all(_bound(_BINDING.pod_id))


def _bound(*columns: Any) -> Select[Any]:
    """Select the pods that a project is bound to."""
    return sqlalchemy.select(*columns).where(
        _BINDING.tenant_id == bindparam('project_id'), _BINDING.ended_at.is_(None)
    )


def _creating(*columns: Any) -> Select[Any]:
    """Select the pods that did not answer creates of resources of a type, and may have created them."""
    return (
        sqlalchemy.select(*columns)
        .distinct()
        .where(
            _CLAIM.state == sqlalchemy.literal_column("'unknown'"),
            _CLAIM.resource_type == bindparam('resource_type'),
            _CLAIM.resource_id == '',
            _CLAIM.pod_id.is_not(None),
        )
    )


def _of_type(statement: Select[Any], of_project: bool) -> Select[Any]:
    """Limit a statement to resources of a type, of all projects or of one, and let it read the index of these."""
    index = _LIVE_OF_PROJECT if of_project else _LIVE_OF_ALL
    for dialect in ('mysql', 'mariadb'):
        statement = statement.with_hint(_TABLE, index, dialect)
    statement = statement.where(_R.resource_type == bindparam('resource_type'))
    return statement.where(_R.project_id == bindparam('project_id')) if of_project else statement


@functools.cache
def _newest(of_project: bool, is_first: bool) -> Any:
    """Build the statement of ``newest``. It reads as many entries of an index as it returns, in each live state."""
    no: Any = sqlalchemy.literal_column('0').label('may_have_more')
    columns = (_R.created_at, _R.pod_id)
    parts: list[Select[Any]] = []
    for state in _LIVE:
        dated = _of_type(sqlalchemy.select(*columns), of_project)
        dated = dated.where(_R.state == state, _R.created_at <= bindparam('until'))
        if not is_first:
            dated = dated.where(_R.top_id != bindparam('marker'))
        first = dated.order_by(_R.created_at.desc()).limit(bindparam('limit', type_=sqlalchemy.Integer())).subquery()
        undated = _of_type(sqlalchemy.select(*columns, no).distinct(), of_project)
        parts.append(sqlalchemy.select(*first.c, no))
        parts.append(undated.where(_R.state == state, _R.created_at.is_(None)))
    if is_first:
        no_time: Any = sqlalchemy.cast(sqlalchemy.null(), _R.created_at.type)
        yes: Any = sqlalchemy.literal_column('1')
        parts.append(_bound(no_time, _BINDING.pod_id, yes) if of_project else _creating(no_time, _CLAIM.pod_id, yes))
    return sqlalchemy.union_all(*parts)


@functools.cache
def _holders(pods: int) -> Any:
    """Build the statement that selects those of as many pods that have live resources of a type.

    It reads the index only until it finds one of each pod: a limit keeps servers from reading them all for a join.
    """
    one = (
        sqlalchemy.select(sqlalchemy.literal_column('1'))
        .select_from(_TABLE)
        .with_hint(_TABLE, _OF_PODS, 'mysql')
        .with_hint(_TABLE, _OF_PODS, 'mariadb')
        .where(_R.resource_type == bindparam('resource_type'), _R.pod_id == _POD.pod_id, _IS_LIVE)
        .limit(1)
        .correlate(_POD.pod_id.table)
        .scalar_subquery()
    )
    return sqlalchemy.select(_POD.pod_id).where(among(_POD.pod_id, 'pod', pods), one.is_not(None))


@functools.cache
def _pods_between(of_project: bool) -> Any:
    statement = _of_type(sqlalchemy.select(_R.pod_id), of_project)
    statement = statement.where(_R.created_at.between(bindparam('start'), bindparam('end')))
    return sqlalchemy.union(*(statement.where(_R.state == state) for state in _LIVE))


def get(db: Database, resource_type: str, top_id: str) -> Routing | None:
    """Return the routing of a resource in any state; None if there is none."""
    for row in db.rows(_GET, {'top_id': top_id, 'resource_type': resource_type}):
        return Routing(*row)
    return None


def get_many(db: Database, resource_type: str, top_ids: Collection[str]) -> dict[str, Routing]:
    """Return the routings of resources in any state, by top id."""
    wanted = list(dict.fromkeys(top_ids))
    found: dict[str, Routing] = {}
    for start in range(0, len(wanted), _IDS_PER_QUERY):
        ids = wanted[start : start + _IDS_PER_QUERY]
        for row in db.rows(_GET_MANY, {'top_ids': ids, 'resource_type': resource_type}):
            routing = Routing(*row)
            found[routing.top_id] = routing
    return found


def _row(new: NewRouting, now: datetime) -> dict[str, Any]:
    return {
        'top_id': new.top_id,
        'bottom_id': new.bottom_id or new.top_id,
        'pod_id': new.pod_id,
        'project_id': new.project_id,
        'resource_type': new.resource_type,
        'created_at': stored_time(new.created_at),
        'deltas': new.deltas,
        'user_id': new.user_id,
        'state': new.state,
        'recorded_at': now,
        'deleted_at': now if new.state == DELETED else None,
    }


@retry_on_deadlock
def record(db: Database, new: NewRouting, settlement: Settlement | None = None) -> Routing:
    """Record the routing of a resource.

    If the resource has a live routing in the same pod, its state is set, and its creation time, user and deltas if it
    has none. A live routing in another pod is not changed. A deleted routing is replaced, as the resource exists
    again. New deltas are counted as in use.

    :param settlement: the claim that becomes the deltas; None: the resource was found in the pod, see `record_many`
    :returns: the recorded routing, which may be in another pod
    :raises RecordNotFound: there is no such pod
    """
    row = _row(new, utcnow())
    key = {'top_id': new.top_id, 'resource_type': new.resource_type}
    try:
        with db.writer() as connection:
            inserted = row if settlement is not None else row | {'deltas': None}
            routing_id = insert_one_or_ignore(connection, _TABLE, inserted)
            is_new = routing_id is not None
            if is_new:
                known = Routing(id=routing_id, **inserted)
            else:
                found = _ROUTINGS.first(connection, _GET.with_for_update(), key)
                if found is None:
                    raise RecordNotFound('pod', new.pod_id)
                known = found
            changes = {} if is_new and inserted == row else _changes(known, row)
            claimed: Mapping[Key, int] = {}
            if settlement is not None:
                claimed = claims.settle(connection, settlement, new.deltas or {})
            elif changes.get('deltas'):
                counted, claimed = claims.match(connection, [dataclasses.replace(known, **changes)])
                changes['deltas'] = new.deltas if counted else None
            if changes:
                _update(connection, known.id, changes)
            now = _by_id(connection, known.id) if changes else known
            in_use = _counted(now) if is_new else _difference(known, now)
            counters.add(connection, in_use, claimed)
            return now
    except db_exc.DBReferenceError as error:
        raise RecordNotFound('pod', new.pod_id) from error


def _counted(routing: Routing | None) -> dict[Key, int]:
    """Return the counters in which the deltas of a routing are counted, with the amounts."""
    if routing is None or not routing.is_live or not routing.deltas:
        return {}
    return counters.by_counter(routing.project_id, routing.user_id, routing.deltas)


def _difference(before: Routing | None, after: Routing | None) -> dict[Key, int]:
    """Return by how much a change of a routing changes the counters."""
    old, new = _counted(before), _counted(after)
    return {key: new.get(key, 0) - old.get(key, 0) for key in old.keys() | new.keys()}


def _changes(known: Routing, row: Mapping[str, Any]) -> dict[str, Any]:
    if not known.is_live:
        return dict(row) if row['state'] != DELETED else {}
    if known.pod_id != row['pod_id']:
        return {}
    changes = {
        name: row[name] for name in ('created_at', 'deltas') if getattr(known, name) is None and row[name] is not None
    }
    if not known.user_id and row['user_id']:
        changes['user_id'] = row['user_id']
    # A resource that is being deleted may still be in a list.
    if known.state != row['state'] and not (known.state == DELETING and row['state'] == ACTIVE):
        changes |= {'state': row['state'], 'deleted_at': row['deleted_at']}
    return changes


def _by_id(connection: Connection, routing_id: int) -> Routing:
    routing = _ROUTINGS.one(connection, _R.id == routing_id)
    if routing is None:
        raise RecordNotFound('routing', routing_id)
    return routing


def _update(connection: Connection, routing_id: int, values: Mapping[str, Any]) -> bool:
    statement = sqlalchemy.update(_TABLE).where(_R.id == routing_id).values(**values)
    return changed(connection, statement) > 0


@retry_on_deadlock
def record_many(db: Database, rows: Iterable[NewRouting], claim_id: str | None = None) -> int:
    """Record resources that have no routing, and the deltas of those whose live routing has none.

    Their deltas are taken out of the claims of creates without an answer that they fit. Those that also fit a create
    that is being served get no deltas yet: its answer, or a later look at the pod, shows whose they are.

    :param claim_id: the claim that they are taken out of first
    :returns: number of new routings
    """
    now = utcnow()
    # Two writers that insert the same rows in different orders would deadlock.
    given = sorted(rows, key=lambda row: (row.resource_type, row.top_id))
    if not given:
        return 0
    with db.writer() as connection:
        # The database does not return which rows it inserted, so deltas are set in all rows that have none.
        new = insert_or_ignore(connection, _TABLE, [_row(row, now) | {'deltas': None} for row in given])
        found = _without_deltas(connection, [row for row in given if row.deltas is not None and row.state != DELETED])
        counted, claimed = claims.match(connection, found, claim_id) if found else ([], {})
        in_use: Counter[Key] = Counter()
        for routing in counted:
            _update(connection, routing.id, {'deltas': routing.deltas, 'user_id': routing.user_id})
            in_use.update(_counted(routing))
        counters.add(connection, in_use, claimed)
        return new


def _without_deltas(connection: Connection, rows: Sequence[NewRouting]) -> list[Routing]:
    """Lock the live routings that have no deltas. :returns: these, with the deltas that they should have"""
    wanted = {(row.resource_type, row.top_id): row for row in rows}
    found = []
    for start in range(0, len(rows), _IDS_PER_QUERY):
        some = rows[start : start + _IDS_PER_QUERY]
        statement = _ROUTINGS.select.where(
            _R.top_id.in_([row.top_id for row in some]),
            _R.resource_type.in_({row.resource_type for row in some}),
            _R.deltas.is_(None),
            _IS_LIVE,
        )
        statement = statement.order_by(_R.resource_type, _R.top_id).with_for_update()
        for known in _ROUTINGS.all(connection, statement):
            row = wanted.get((known.resource_type, known.top_id))
            if row is None or row.pod_id != known.pod_id:
                continue
            found.append(dataclasses.replace(known, deltas=row.deltas, user_id=known.user_id or row.user_id))
    return found


@retry_on_deadlock
def mark_deleted(
    db: Database, resource_type: str, top_id: str, pod_id: str | None = None, bottom_id: str | None = None
) -> bool:
    """Mark the routing of a resource as deleted, so that its deltas are no longer counted.

    :param pod_id: the pod that does not have the resource; a routing to another pod is kept. None: any pod
    :param bottom_id: the id that this pod does not have
    :returns: False if the resource has no such live routing
    """
    with db.writer() as connection:
        known = _ROUTINGS.first(connection, _GET.with_for_update(), {'top_id': top_id, 'resource_type': resource_type})
        if known is None or not known.is_live:
            return False
        if known.pod_id != (pod_id or known.pod_id) or known.bottom_id != (bottom_id or known.bottom_id):
            return False
        _update(connection, known.id, {'state': DELETED, 'deleted_at': utcnow()})
        counters.add(connection, _difference(known, None))
        return True


@retry_on_deadlock
def set_deltas(
    db: Database,
    resource_type: str,
    top_id: str,
    deltas: Mapping[str, int],
    *,
    claim_id: str | None = None,
    project_id: str | None = None,
    user_id: str | None = None,
) -> Routing | None:
    """Set the amounts that a resource uses, and its owner.

    :param claim_id: the claim to end with this
    :param project_id: None keeps the recorded one
    :param user_id: None keeps the recorded one
    :returns: the changed routing; None if the resource has no live routing
    """
    with db.writer() as connection:
        known = _ROUTINGS.first(connection, _GET.with_for_update(), {'top_id': top_id, 'resource_type': resource_type})
        values: dict[str, Any] = {'deltas': dict(deltas)}
        values |= {} if project_id is None else {'project_id': project_id}
        values |= {} if user_id is None else {'user_id': user_id}
        now = None
        if known is not None and known.is_live:
            _update(connection, known.id, values)
            now = dataclasses.replace(known, **values)
        in_use = _difference(known, now) if now is not None else {}
        counters.add(connection, in_use, claims.consume(connection, claim_id, None) if claim_id is not None else {})
        return now


def list_(
    db: Database,
    *,
    filters: Mapping[str, Any] | None = None,
    limit: int | None = None,
    marker: int | None = None,
    sort: Sequence[tuple[str, str]] = (('id', 'asc'),),
) -> list[Routing]:
    """List a page of routings, in every state unless filtered."""
    with db.reader() as connection:
        return _ROUTINGS.page(connection, filters=filters, limit=limit, marker=marker, sort=sort)


def count_by_project(db: Database, pod_id: str) -> list[tuple[str, str, int]]:
    """Count the live routings of a pod. :returns: (project id, resource type, count)"""
    count = sqlalchemy.func.count()
    columns = (_R.project_id, _R.resource_type)
    statement = sqlalchemy.select(*columns, count).where(_R.pod_id == pod_id, _IS_LIVE)
    with db.reader() as connection:
        rows = connection.execute(statement.group_by(*columns).order_by(*columns))
        return [(project_id, resource_type, number) for project_id, resource_type, number in rows]


def users_of_project(db: Database, pod_id: str, project_id: str) -> set[str]:
    """Return the users of a project who have resources in a pod that count in the quota of a user."""
    statement = sqlalchemy.select(_R.user_id).where(
        _R.resource_type.in_(('server', 'server_group')),
        _R.project_id == project_id,
        _R.pod_id == pod_id,
        _IS_LIVE,
        _R.user_id != '',
    )
    with db.reader() as connection:
        return set(connection.scalars(statement.distinct()))


def count_by_pod(db: Database, pod_id: str, types: Collection[str]) -> int:
    """Count the live routings that a pod has of some resource types."""
    with db.reader() as connection:
        statement = sqlalchemy.select(sqlalchemy.func.count()).where(
            _R.pod_id == pod_id, _IS_LIVE, _R.resource_type.in_(types)
        )
        return connection.execute(statement).scalar_one()


@retry_on_deadlock
def update(db: Database, routing_id: int, **values: Any) -> Routing | None:
    """Change columns of a routing.

    :returns: the changed routing; None if there is no such routing
    """
    unknown = set(values) - set(_ROUTINGS.names) | set(values) & {'id'}
    if unknown:
        raise ValueError(f'cannot set {", ".join(sorted(unknown))} of a routing')
    if 'state' in values:
        values.setdefault('deleted_at', utcnow() if values['state'] == DELETED else None)
    with db.writer() as connection:
        by_id = _ROUTINGS.select.where(_R.id == routing_id)
        known = _ROUTINGS.first(connection, by_id.with_for_update() if values.keys() & _COUNTED else by_id)
        if known is None or not values:
            return known
        _update(connection, routing_id, values)
        now = dataclasses.replace(known, **values)
        counters.add(connection, _difference(known, now))
        return now


@retry_on_deadlock
def delete(db: Database, routing_id: int) -> bool:
    """Delete the row of a routing.

    :returns: False if there was none
    """
    with db.writer() as connection:
        known = _ROUTINGS.first(connection, _ROUTINGS.select.where(_R.id == routing_id).with_for_update())
        if known is None:
            return False
        changed(connection, sqlalchemy.delete(_TABLE).where(_R.id == routing_id))
        counters.add(connection, _difference(known, None))
        return True


def move(
    connection: Connection,
    resource_type: str,
    top_id: str,
    source: tuple[str, str],
    target: tuple[str, str],
    created_at: datetime | None = None,
) -> bool:
    """Let the live routing of a resource lead to another pod.

    :param source: the pod that it leads to, and the id there
    :param target: that pod, and the id there; if a list has recorded the resource under this id as another one, that
        routing is removed
    :param created_at: when the other pod created it; None: the pod shows it later
    :returns: False if the resource has no live routing, or one that leads to neither of them
    """
    pod_id, bottom_id = target
    both = _ROUTINGS.select.where(_R.resource_type == resource_type, _R.top_id.in_((top_id, bottom_id)))
    locked = {each.top_id: each for each in _ROUTINGS.all(connection, both.order_by(_R.top_id).with_for_update())}
    known = locked.get(top_id)
    # A resource that goes back to its first pod has its first id again.
    duplicate = locked.get(bottom_id) if bottom_id != top_id else None
    if known is None or not known.is_live or (known.pod_id, known.bottom_id) not in (source, target):
        return False
    _update(connection, known.id, {'pod_id': pod_id, 'bottom_id': bottom_id, 'created_at': stored_time(created_at)})
    if duplicate is not None:
        changed(connection, sqlalchemy.delete(_TABLE).where(_R.id == duplicate.id))
        counters.add(connection, _difference(duplicate, None))
    return True


def _of_pod(resource_type: str, pod_id: str, project_id: str | None) -> list[Any]:
    criteria = [_R.resource_type == resource_type, _R.pod_id == pod_id]
    return criteria if project_id is None else [*criteria, _R.project_id == project_id]


def before(
    db: Database,
    resource_type: str,
    pod_id: str,
    project_id: str | None,
    created_at: datetime,
    newest_first: bool = True,
    with_deleted: bool = False,
) -> Routing | None:
    """Find the marker in a pod for a page that begins at a creation time, as the client's marker is in another pod.

    It is the last resource that the pod lists before that time. It is strictly newer (strictly older if the list
    begins with the oldest), so that the page contains all resources that were created at that time.

    :param with_deleted: include deleted resources, which Nova accepts as markers
    """
    criteria = _of_pod(resource_type, pod_id, project_id)
    if newest_first:
        criteria.append(_R.created_at > created_at)
        order = _R.created_at.asc()
    else:
        criteria.append(_R.created_at < created_at)
        order = _R.created_at.desc()
    if not with_deleted:
        # Not ``= ACTIVE``, for which SQLite would prefer an index of the resources of all pods.
        criteria.append(_R.state.not_in([state for state in ROUTING_STATES if state != ACTIVE]))
    with db.reader() as connection:
        return _ROUTINGS.first(connection, _ROUTINGS.select.where(*criteria).order_by(order).limit(1))


def list_for_pod(
    db: Database,
    resource_type: str,
    pod_id: str,
    project_id: str | None,
    limit: int | None = None,
    older_than: datetime | None = None,
) -> list[Routing]:
    """List the live routings of a pod, the newest first, those without a creation time last.

    :param older_than: list only resources that were created before this time
    """
    live = _ROUTINGS.select.where(*_of_pod(resource_type, pod_id, project_id), _IS_LIVE)
    dated = live.where(_R.created_at.is_not(None) if older_than is None else _R.created_at < older_than)
    with db.reader() as connection:
        found = _ROUTINGS.all(connection, dated.order_by(_R.created_at.desc()).limit(limit))
        # A second query, as database servers sort NULL differently, and with NULLS LAST PostgreSQL would not use the
        # index.
        rest = None if limit is None else limit - len(found)
        if rest != 0 and older_than is None:
            found += _ROUTINGS.all(connection, live.where(_R.created_at.is_(None)).limit(rest))
        return found


def pages_for_pod(
    db: Database,
    resource_type: str,
    pod_id: str,
    project_id: str | None = None,
    *,
    after: datetime | None = None,
    until: datetime | None = None,
    limit: int = 1000,
) -> Iterator[list[Routing]]:
    """Yield the live routings of a pod, the newest first, those without a creation time last.

    Each page takes one or two statements that read no more of the table than the page has. So all routings of a pod
    with millions can be read.

    :param after: only resources that were created after this time
    :param until: only resources that were created until this time, or, without ``after``, at a time that is not known
    :param limit: number of routings on a page, about; all of one moment are on the same page
    """
    live = _ROUTINGS.select.where(*_of_pod(resource_type, pod_id, project_id), _IS_LIVE)
    dated = live.where(_R.created_at.is_not(None) if after is None else _R.created_at > after)
    dated = dated.order_by(_R.created_at.desc())
    within = dated if until is None else dated.where(_R.created_at <= until)
    while True:
        with db.reader() as connection:
            page = _ROUTINGS.all(connection, within.limit(limit))
            if len(page) < limit:
                break
            last = page[-1].created_at
            page = [routing for routing in page if routing.created_at != last]
            page += _ROUTINGS.all(connection, live.where(_R.created_at == last))
        yield page
        within = dated.where(_R.created_at < last)
    if after is None:
        with db.reader() as connection:
            page += _ROUTINGS.all(connection, live.where(_R.created_at.is_(None)))
    yield page


@retry_on_deadlock
def purge_deleted(db: Database, older_than: datetime, limit: int = 10000) -> int:
    """Delete the routings of resources that were deleted before a time.

    :param limit: most rows to delete, in one transaction
    :returns: number of rows deleted; if it is `limit`, there may be more
    """
    which = sqlalchemy.select(_R.id).where(_R.state == DELETED, _R.deleted_at < older_than).order_by(_R.deleted_at)
    return _purge(db, which.limit(limit))


def purge_types(db: Database, types: Collection[str], older_than: datetime, limit: int = 10000) -> int:
    """Delete routings of some resource types that were recorded before a time; see `purge_deleted`."""
    which = sqlalchemy.select(_R.id).where(_R.resource_type.in_(types), _R.recorded_at < older_than)
    return _purge(db, which.limit(limit))


def _purge(db: Database, which: Select[Any]) -> int:
    with db.writer() as connection:
        ids = list(connection.scalars(which))
        for start in range(0, len(ids), _IDS_PER_QUERY):
            connection.execute(sqlalchemy.delete(_TABLE).where(_R.id.in_(ids[start : start + _IDS_PER_QUERY])))
        return len(ids)


def pods_of_project(
    db: Database, resource_types: Sequence[str], project_id: str, with_bindings: bool = False
) -> set[str]:
    """Return the ids of the pods in which a project has live resources of some of the types; with one query.

    :param with_bindings: also those that the project is bound to, where new resources may not have a routing yet
    """
    types = Among('type', resource_types)
    params = types.params | {'project_id': project_id}
    return {pod_id for (pod_id,) in db.rows(_pods_of(types.size, with_bindings), params)}


def holders(db: Database, resource_type: str, pod_ids: Collection[str]) -> set[str]:
    """Return those of some pods that have live resources of a type, of any project; with one query."""
    pods = Among('pod', pod_ids)
    if not pods.size:
        return set()
    return {pod_id for (pod_id,) in db.rows(_holders(pods.size), pods.params | {'resource_type': resource_type})}


@dataclasses.dataclass(frozen=True)
class Newest:
    """Where the newest live resources are.

    :ivar dated: creation time and pod of each, the newest first
    :ivar undated: ids of the pods with resources whose creation time is not known
    :ivar may_have_more: ids of the pods where new resources may not have a routing yet: those that the project is
        bound to; or of all projects, those that did not answer a create. Only for the first page
    """

    dated: list[tuple[datetime, str]]
    undated: set[str]
    may_have_more: set[str]


def newest(
    db: Database,
    resource_type: str,
    project_id: str | None,
    limit: int,
    marker: tuple[str, datetime] | None = None,
) -> Newest:
    """Return where the newest live resources are, with one query.

    :param project_id: None: of all projects
    :param limit: most resources with a creation time to return
    :param marker: a resource to leave out, with a time: so are those that were created later
    """
    marker_id, until = marker or ('', datetime.max)
    params = {'resource_type': resource_type, 'until': until, 'limit': limit, 'marker': marker_id}
    if marker is None:
        del params['marker']
    if project_id is not None:
        params['project_id'] = project_id
    dated: list[tuple[datetime, str]] = []
    undated: set[str] = set()
    may_have_more: set[str] = set()
    for created_at, pod_id, is_maybe in db.rows(_newest(project_id is not None, marker is None), params):
        if created_at is not None:
            dated.append((created_at, pod_id))
        else:
            (may_have_more if is_maybe else undated).add(pod_id)
    dated.sort(reverse=True)
    return Newest(dated[:limit], undated, may_have_more)


def pods_between(db: Database, resource_type: str, project_id: str | None, start: datetime, end: datetime) -> set[str]:
    """Return the ids of the pods that have live resources which were created between two times, both included.

    :param project_id: None: of all projects
    """
    params: dict[str, Any] = {'resource_type': resource_type, 'start': start, 'end': end}
    if project_id is not None:
        params['project_id'] = project_id
    return {pod_id for (pod_id,) in db.rows(_pods_between(project_id is not None), params)}
