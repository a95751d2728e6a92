# SPDX-License-Identifier: Apache-2.0
"""Replicated objects with their desired state, and the replica of each pod."""

import contextlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import sqlalchemy
from oslo_db import exception as db_exc
from sqlalchemy import bindparam
from sqlalchemy.engine import Connection

from trio2o.db import versions
from trio2o.db.database import Database, retry_on_deadlock, utcnow
from trio2o.db.errors import RecordNotFound
from trio2o.db.query import Columns, changed, insert_or_ignore
from trio2o.db.quotas import rename_limits
from trio2o.db.records import Pod, Replica, ReplicatedObject
from trio2o.resources import folded_name

_OBJECTS = Columns(ReplicatedObject)
_REPLICAS = Columns(Replica)
_O = _OBJECTS.table.c
_R = _REPLICAS.table.c
_POD = Pod.__table__.c

# A deleted object without a replica in a pod need not be deleted there.
_IS_OUT_OF_SYNC = sqlalchemy.or_(
    sqlalchemy.and_(_R.object_id.is_(None), _O.is_deleted.is_(False)),
    _R.generation < _O.generation,
    _R.state.in_(('out_of_sync', 'failed')),
)

#: States of a replica that needs nothing more.
DONE_STATES = ('in_sync', 'gone')

_WANTED = sqlalchemy.select(_O.key, _O.wanted).where(_O.kind == bindparam('kind'), _O.is_deleted.is_(False))
_WANTED_ONE = _WANTED.where(_O.key == bindparam('key'))
_VERSION = versions.current(versions.REPLICAS)
_CHANGED_OBJECTS = sqlalchemy.select(_O.id).where(_O.changed_in > bindparam('version'))
_CHANGED_REPLICAS = sqlalchemy.select(_R.pod_id, _R.object_id).where(_R.changed_in > bindparam('version'))
_OWN_IDS = (
    sqlalchemy.select(_O.id, _R.pod_id, _R.bottom_id, _O.top_id)
    .join_from(_OBJECTS.table, _REPLICAS.table, _O.id == _R.object_id)
    .where(_O.top_id.is_not(None), _R.state != 'gone', _R.bottom_id != _O.top_id)
)
_OWN_IDS_OF_POD = _OWN_IDS.where(_R.pod_id == bindparam('pod_id'))


@contextlib.contextmanager
def _writer(db: Database) -> Iterator[Connection]:
    """Open a transaction that changes replicas or objects and sets their `changed_in` to ``_VERSION``."""
    with db.writer() as connection:
        versions.advance(connection, versions.REPLICAS)
        yield connection


def _one(connection: Connection, kind: str, key: str) -> ReplicatedObject | None:
    return _OBJECTS.one(connection, _O.kind == kind, _O.key == key)


def _change(connection: Connection, kind: str, key: str, **values: Any) -> bool:
    statement = (
        sqlalchemy.update(_OBJECTS.table)
        .where(_O.kind == kind, _O.key == key)
        .values(generation=_O.generation + 1, changed_in=_VERSION, updated_at=utcnow(), **values)
    )
    return changed(connection, statement) > 0


class OwnId(NamedTuple):
    """The id of an object in a pod, and the one that tenants see, where the two differ."""

    object_id: int
    pod_id: str
    bottom_id: str
    top_id: str


@dataclass(frozen=True)
class NewReplica:
    """The state of an object in a pod that has none recorded. The fields are those of ``set_replica``."""

    object_id: int
    bottom_id: str | None
    generation: int
    state: str
    error: str | None


class Superseded(Exception):
    """An object has another generation than the writer knows. Nothing is written."""


@dataclass(frozen=True)
class Origin:
    """The pod that has the recorded state already.

    :ivar bottom_id: id of the object there; None if the pod does not have the deleted object
    """

    pod_id: str
    bottom_id: str | None


@retry_on_deadlock
def upsert_object(
    db: Database,
    kind: str,
    key: str,
    wanted: Any,
    top_id: str | None = None,
    *,
    expected: int | None = None,
    origin: Origin | None = None,
) -> ReplicatedObject:
    """Record the desired state of an object, which is a new generation each time.

    :param top_id: None keeps the recorded one
    :param expected: generation that the new state was made from, 0 for an object without a record; None: any
    :param origin: the pod that has this state. Its replica is recorded in the same transaction, so that nobody takes
        the pod for one that is out of sync
    :raises Superseded: the object has another generation
    """
    with _writer(db) as connection:
        found = _upsert(connection, kind, key, wanted, top_id, expected)
        _set_origin(connection, found, origin)
        return found


@retry_on_deadlock
def upsert_with_limits(
    db: Database,
    kind: str,
    key: str,
    wanted: Any,
    top_id: str | None,
    renamed: Mapping[str, str],
    limit_kinds: Collection[str],
    *,
    expected: int | None = None,
    origin: Origin | None = None,
) -> tuple[ReplicatedObject, bool]:
    """Record an object as ``upsert_object`` does, and in the same transaction rename the limits that its name is in.

    With one of the two alone the limits would apply to no volume type.

    :param renamed: old name of a quota resource -> new name
    :param limit_kinds: kinds of replicated objects that hold limits
    :returns: the object, and whether any replicated limits changed
    :raises Superseded: the object has another generation
    """
    with _writer(db) as connection:
        found = _upsert(connection, kind, key, wanted, top_id, expected)
        _set_origin(connection, found, origin)
        rename_limits(connection, renamed)
        statement = _OBJECTS.select.where(_O.kind.in_(limit_kinds), _O.is_deleted.is_(False)).order_by(_O.id)
        is_changed = False
        for holder in _OBJECTS.all(connection, statement.with_for_update()):
            limits = holder.wanted['limits']
            moved = {renamed[name]: limit for name, limit in limits.items() if name in renamed}
            if moved:
                kept = {name: limit for name, limit in limits.items() if name not in renamed}
                _change(connection, holder.kind, holder.key, wanted={**holder.wanted, 'limits': {**kept, **moved}})
                is_changed = True
        return found, is_changed


def _check_generation(connection: Connection, kind: str, key: str, expected: int | None) -> None:
    """Lock an object, and compare its generation.

    :raises Superseded: the object has another one
    """
    if expected is None:
        return
    statement = _OBJECTS.select.where(_O.kind == kind, _O.key == key)
    known = _OBJECTS.first(connection, statement.with_for_update())
    if (known.generation if known is not None else 0) != expected:
        raise Superseded(f'{kind} {key} was changed since generation {expected}')


def _upsert(
    connection: Connection, kind: str, key: str, wanted: Any, top_id: str | None, expected: int | None
) -> ReplicatedObject:
    _check_generation(connection, kind, key, expected)
    values = {'wanted': wanted, 'is_deleted': False}
    if top_id is not None:
        values['top_id'] = top_id
    # If another process inserts the row in the meantime, change that one.
    if not _change(connection, kind, key, **values):
        if not _insert(connection, kind, key, top_id, wanted):
            if expected is not None:
                raise Superseded(f'{kind} {key} was created by another process')
            _change(connection, kind, key, **values)
    found = _one(connection, kind, key)
    assert found is not None
    return found


def _insert(
    connection: Connection, kind: str, key: str, top_id: str | None, wanted: Any, is_deleted: bool = False
) -> bool:
    """:returns: False if another process inserted the object in the meantime"""
    row = {
        'kind': kind,
        'key': key,
        'top_id': top_id,
        'wanted': wanted,
        'generation': 1,
        'is_deleted': is_deleted,
        'created_at': utcnow(),
        'updated_at': None,
    }
    if not insert_or_ignore(connection, _OBJECTS.table, [row]):
        return False
    _set_changed(connection, _O.kind == kind, _O.key == key)
    return True


def _set_changed(connection: Connection, *criteria: Any) -> None:
    connection.execute(sqlalchemy.update(_OBJECTS.table).where(*criteria).values(changed_in=_VERSION))


def _set_origin(connection: Connection, obj: ReplicatedObject, origin: Origin | None) -> None:
    """Record that a pod has the newest generation of an object, unless the pod was removed."""
    if origin is None:
        return
    pod = sqlalchemy.select(_POD.pod_id).where(_POD.pod_id == origin.pod_id)
    if connection.scalar(pod.with_for_update(read=True)) is not None:
        state = 'gone' if obj.is_deleted else 'in_sync'
        _set_replica(connection, obj.id, origin.pod_id, origin.bottom_id, obj.generation, state, None)


def get_object(db: Database, kind: str, key: str) -> ReplicatedObject | None:
    with db.reader() as connection:
        return _one(connection, kind, key)


def find_wanted(db: Database, kind: str, key: str, by_name: bool = False) -> Any:
    """Read the desired state of an object with one query; None if it should not exist.

    :param by_name: accept the object's name as key, too, and a name that a pod may take for it if no object has
        exactly this one. Reads all objects of the kind, so there must be few
    """
    if not by_name:
        rows = db.rows(_WANTED_ONE, {'kind': kind, 'key': key})
        return next((row.wanted for row in rows), None)
    rows = db.rows(_WANTED, {'kind': kind})
    for found in (
        next((row for row in rows if row.key == key), None),
        next((row for row in rows if row.wanted['name'] == key), None),
    ):
        if found is not None:
            return found.wanted
    folded = folded_name(key)
    alike = (row for row in rows if folded in (folded_name(row.key), folded_name(row.wanted['name'])))
    return next((row.wanted for row in alike), None)


def list_objects(db: Database, kind: str, with_deleted: bool = False, key_prefix: str = '') -> list[ReplicatedObject]:
    """List the objects of a kind in the order in which they were recorded.

    :param with_deleted: include deleted objects, which stay recorded while a pod may have them
    :param key_prefix: what their keys begin with
    """
    statement = _OBJECTS.select.where(_O.kind == kind).order_by(_O.id)
    if key_prefix:
        statement = statement.where(_O.key.startswith(key_prefix, autoescape=True))
    if not with_deleted:
        statement = statement.where(_O.is_deleted.is_(False))
    with db.reader() as connection:
        return _OBJECTS.all(connection, statement)


@retry_on_deadlock
def mark_object_deleted(
    db: Database,
    kind: str,
    key: str,
    *,
    unrecorded: Any = None,
    expected: int | None = None,
    origin: Origin | None = None,
) -> ReplicatedObject | None:
    """Record that an object should not exist any more, which is a new generation.

    :param unrecorded: attributes for an object that has no record, which is then recorded as deleted, as pods may have
        it; None: such an object is not recorded
    :param expected: as for ``upsert_object``
    :param origin: a pod that does not have it
    :returns: None if there is no such object
    :raises Superseded: the object has another generation
    """
    with _writer(db) as connection:
        _check_generation(connection, kind, key, expected)
        if not _change(connection, kind, key, is_deleted=True) and unrecorded is not None:
            if not _insert(connection, kind, key, key, unrecorded, is_deleted=True):
                _change(connection, kind, key, is_deleted=True)
        found = _one(connection, kind, key)
        if found is not None:
            _set_origin(connection, found, origin)
        return found


@retry_on_deadlock
def drop_object(db: Database, obj: ReplicatedObject) -> bool:
    """Delete the rows of an object that no pod has any more, and of its replicas.

    :returns: False if the object was changed since it was read, or is gone; then nothing is deleted
    """
    with _writer(db) as connection:
        known = _OBJECTS.first(connection, _OBJECTS.select.where(_O.id == obj.id).with_for_update())
        if known is None or known.generation != obj.generation:
            return False
        changed(connection, sqlalchemy.delete(_REPLICAS.table).where(_R.object_id == obj.id))
        return changed(connection, sqlalchemy.delete(_OBJECTS.table).where(_O.id == obj.id)) > 0


@retry_on_deadlock
def set_replica(
    db: Database,
    object_id: int,
    pod_id: str,
    *,
    bottom_id: str | None = None,
    generation: int,
    state: str,
    error: str | None = None,
) -> Replica:
    """Record the state of an object in a pod. Attempts are counted until the replica is in sync.

    :param bottom_id: None keeps the recorded one, unless the state is `gone`
    :raises RecordNotFound: there is no such object or pod
    """
    try:
        with _writer(db) as connection:
            _set_replica(connection, object_id, pod_id, bottom_id, generation, state, error)
            replica = _REPLICAS.one(connection, _R.object_id == object_id, _R.pod_id == pod_id)
    except db_exc.DBReferenceError as error_:
        raise RecordNotFound('object or pod', (object_id, pod_id)) from error_
    if replica is None:
        raise RecordNotFound('object or pod', (object_id, pod_id))
    return replica


@retry_on_deadlock
def add_replicas(db: Database, pod_id: str, new: Sequence[NewReplica]) -> None:
    """Record the states of objects in a pod, except those that have one recorded.

    :raises RecordNotFound: there is no such pod, or one of the objects does not exist; nothing is recorded, or on
        MySQL the states of the others
    """
    if not new:
        return
    rows = [
        {
            'object_id': each.object_id,
            'pod_id': pod_id,
            'bottom_id': each.bottom_id,
            'attempts': 0 if each.state in DONE_STATES else 1,
            'generation': each.generation,
            'state': each.state,
            'error': each.error,
            'updated_at': utcnow(),
        }
        for each in new
    ]
    ids = [each.object_id for each in new]
    try:
        with _writer(db) as connection:
            version = connection.scalar(sqlalchemy.select(_VERSION))
            insert_or_ignore(connection, _REPLICAS.table, [{**row, 'changed_in': version} for row in rows])
            known = sqlalchemy.select(sqlalchemy.func.count()).where(_R.object_id.in_(ids), _R.pod_id == pod_id)
            is_complete = connection.scalar(known) == len(set(ids))
    except db_exc.DBReferenceError as error:
        raise RecordNotFound('object or pod', pod_id) from error
    if not is_complete:
        raise RecordNotFound('object or pod', pod_id)


def _set_replica(
    connection: Connection,
    object_id: int,
    pod_id: str,
    bottom_id: str | None,
    generation: int,
    state: str,
    error: str | None,
) -> None:
    is_done = state in DONE_STATES
    values: dict[str, Any] = {
        'generation': generation,
        'state': state,
        'error': error,
        'updated_at': utcnow(),
        'changed_in': connection.scalar(sqlalchemy.select(_VERSION)),
    }
    if bottom_id is not None or state == 'gone':
        values['bottom_id'] = bottom_id
    row = {
        'object_id': object_id,
        'pod_id': pod_id,
        'bottom_id': bottom_id,
        'attempts': 0 if is_done else 1,
        **values,
    }
    change = (
        sqlalchemy.update(_REPLICAS.table)
        .where(_R.object_id == object_id, _R.pod_id == pod_id)
        .values(**values, attempts=0 if is_done else _R.attempts + 1)
    )
    if not changed(connection, change) and not insert_or_ignore(connection, _REPLICAS.table, [row]):
        changed(connection, change)


def list_replicas(
    db: Database,
    *,
    pod_id: str | None = None,
    kind: str | None = None,
    state: str | None = None,
    object_id: int | None = None,
) -> list[Replica]:
    """List the replicas that match all given values."""
    statement = _REPLICAS.select.order_by(_R.object_id, _R.pod_id)
    if kind is not None:
        statement = statement.join(_OBJECTS.table, _O.id == _R.object_id).where(_O.kind == kind)
    for column, value in ((_R.pod_id, pod_id), (_R.state, state), (_R.object_id, object_id)):
        if value is not None:
            statement = statement.where(column == value)
    with db.reader() as connection:
        return _REPLICAS.all(connection, statement)


def out_of_sync(
    db: Database, pod_id: str, prefixes: Mapping[str, str] | None = None
) -> list[tuple[ReplicatedObject, Replica | None]]:
    """List the objects that are out of sync in a pod, in the order in which they were recorded.

    :param prefixes: kind -> what keys begin with, for the objects with such keys only; '' for all of a kind
    :returns: pairs of object and replica; None for an object without a replica in the pod
    """
    statement = (
        sqlalchemy.select(*_OBJECTS.select.selected_columns, *_REPLICAS.select.selected_columns)
        .select_from(_OBJECTS.table)
        .outerjoin(_REPLICAS.table, sqlalchemy.and_(_R.object_id == _O.id, _R.pod_id == pod_id))
        .where(_IS_OUT_OF_SYNC)
        .order_by(_O.id)
    )
    if prefixes is not None:
        statement = statement.where(_has_key(prefixes))
    return [_with_replica(row) for row in db.rows(statement, {})]


def failed(
    db: Database, pod_ids: Collection[str], prefixes: Mapping[str, str]
) -> list[tuple[ReplicatedObject, Replica]]:
    """List the replicas that are in conflict or were refused, with their objects, in some pods.

    :param prefixes: as of ``out_of_sync``
    """
    statement = (
        sqlalchemy.select(*_OBJECTS.select.selected_columns, *_REPLICAS.select.selected_columns)
        .join_from(_REPLICAS.table, _OBJECTS.table, _R.object_id == _O.id)
        .where(_R.pod_id.in_(sorted(pod_ids)), _R.state == 'failed', _O.is_deleted.is_(False), _has_key(prefixes))
        .order_by(_O.id)
    )
    pairs = [_with_replica(row) for row in db.rows(statement, {})]
    return [(obj, replica) for obj, replica in pairs if replica is not None]


def _has_key(prefixes: Mapping[str, str]) -> Any:
    def matches(kind: str, prefix: str) -> Any:
        is_kind = _O.kind == kind
        return sqlalchemy.and_(is_kind, _O.key.startswith(prefix, autoescape=True)) if prefix else is_kind

    return sqlalchemy.or_(sqlalchemy.false(), *(matches(kind, prefix) for kind, prefix in prefixes.items()))


def _with_replica(row: Any) -> tuple[ReplicatedObject, Replica | None]:
    width = len(_OBJECTS.names)
    return ReplicatedObject(*row[:width]), None if row[width] is None else Replica(*row[width:])


def changed_since(db: Database, version: int) -> list[int]:
    """List the ids of objects that were changed after a version of the replicas, without those that were dropped."""
    return [row.id for row in db.rows(_CHANGED_OBJECTS, {'version': version})]


def replicas_changed_since(db: Database, version: int) -> list[tuple[str, int]]:
    """List the replicas that were changed after a version.

    :returns: pairs of pod id and object id
    """
    return [(pod_id, object_id) for pod_id, object_id in db.rows(_CHANGED_REPLICAS, {'version': version})]


def existing(db: Database, object_ids: Collection[int]) -> set[int]:
    """Return which of some objects have not been dropped."""
    statement = sqlalchemy.select(_O.id).where(_O.id.in_(sorted(object_ids)))
    return {row.id for row in db.rows(statement, {})}


def pods_out_of_sync(
    db: Database, object_ids: Collection[int] | None = None, pod_ids: Collection[str] | None = None
) -> list[tuple[str, int]]:
    """List the pods in which objects are out of sync, without the top region.

    :param object_ids: None: of all objects
    :param pod_ids: None: in all pods
    :returns: pairs of pod id and object id
    """
    statement = _in_all_pods(sqlalchemy.select(_POD.pod_id, _O.id))
    if object_ids is not None:
        statement = statement.where(_O.id.in_(sorted(object_ids)))
    if pod_ids is not None:
        statement = statement.where(_POD.pod_id.in_(sorted(pod_ids)))
    return [(pod_id, object_id) for pod_id, object_id in db.rows(statement, {})]


def count_out_of_sync(db: Database) -> dict[str, int]:
    """Return the number of objects that are out of sync, by pod id; without the top region."""
    counted = _in_all_pods(sqlalchemy.select(_POD.pod_id, sqlalchemy.func.count())).group_by(_POD.pod_id)
    with db.reader() as connection:
        pods = connection.scalars(sqlalchemy.select(_POD.pod_id).where(_POD.az_name != ''))
        counts: dict[str, int] = dict.fromkeys(pods, 0)
        counts.update((pod_id, count) for pod_id, count in connection.execute(counted))
        return counts


def _in_all_pods(statement: Any) -> Any:
    """Let a statement select pods and the objects that are out of sync in them."""
    return (
        statement.select_from(Pod.__table__)
        .join(_OBJECTS.table, sqlalchemy.true())
        .outerjoin(_REPLICAS.table, sqlalchemy.and_(_R.object_id == _O.id, _R.pod_id == _POD.pod_id))
        .where(_IS_OUT_OF_SYNC, _POD.az_name != '')
    )


def own_ids(
    db: Database, object_ids: Collection[int] | None = None, pod_ids: Collection[str] | None = None
) -> list[OwnId]:
    """List the ids that pods chose for objects.

    :param object_ids: None: of all objects
    :param pod_ids: None: in all pods
    """
    statement = _OWN_IDS
    if object_ids is not None:
        statement = statement.where(_O.id.in_(sorted(object_ids)))
    if pod_ids is not None:
        statement = statement.where(_R.pod_id.in_(sorted(pod_ids)))
    return [OwnId(*row) for row in db.rows(statement, {})]


def ids_up(db: Database, pod_id: str) -> dict[str, str]:
    """Map the ids that a pod chose for objects to those that tenants see, where they differ."""
    rows = db.rows(_OWN_IDS_OF_POD, {'pod_id': pod_id})
    return {each.bottom_id: each.top_id for each in (OwnId(*row) for row in rows)}
