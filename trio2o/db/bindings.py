# SPDX-License-Identifier: Apache-2.0
"""Bindings of projects to pods: those that the scheduler makes, those that operators make, and ended ones.

A binding that an operator makes is called pinned here.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy
from oslo_db import exception as db_exc
from oslo_utils import uuidutils
from sqlalchemy.engine import Connection

from trio2o.db.database import Database, retry_on_deadlock, utcnow
from trio2o.db.errors import Duplicate, RecordNotFound
from trio2o.db.query import Columns, changed, insert_or_ignore
from trio2o.db.records import Binding

_BINDINGS = Columns(Binding)
_TABLE = _BINDINGS.table
_B = _TABLE.c
_CURRENT = _BINDINGS.select.where(_B.tenant_id == sqlalchemy.bindparam('tenant_id'), _B.ended_at.is_(None)).order_by(
    _B.is_pinned.desc(), _B.started_at, _B.id
)


def _current_key(*parts: str) -> str:
    return hashlib.sha256('\0'.join(parts).encode('utf-8', 'surrogatepass')).hexdigest()


def _automatic_key(tenant_id: str, az_name: str, affinity_group: str) -> str:
    return _current_key('automatic', tenant_id, az_name, affinity_group)


def _key(tenant_id: str, pod_id: str, az_name: str, affinity_group: str, is_pinned: bool) -> str:
    if is_pinned:
        return _current_key('pinned', tenant_id, pod_id)
    return _automatic_key(tenant_id, az_name, affinity_group)


def _row(
    tenant_id: str, pod_id: str, az_name: str, affinity_group: str, is_pinned: bool, is_exclusive: bool = False
) -> dict[str, Any]:
    now = utcnow()
    return {
        'id': uuidutils.generate_uuid(),
        'tenant_id': tenant_id,
        'pod_id': pod_id,
        'az_name': az_name,
        'affinity_group': affinity_group,
        'is_pinned': is_pinned,
        'is_exclusive': is_exclusive,
        'current_key': _key(tenant_id, pod_id, az_name, affinity_group, is_pinned),
        'started_at': now,
        'ended_at': None,
        'created_at': now,
        'updated_at': None,
    }


def _by_id(connection: Connection, binding_id: str) -> Binding:
    binding = _BINDINGS.one(connection, _B.id == binding_id)
    if binding is None:
        raise RecordNotFound('binding', binding_id)
    return binding


def current(db: Database, tenant_id: str) -> list[Binding]:
    """List the current bindings of a project: pinned ones first, then the oldest first."""
    return [Binding(*row) for row in db.rows(_CURRENT, {'tenant_id': tenant_id})]


def list_(
    db: Database,
    *,
    filters: Mapping[str, Any] | None = None,
    limit: int | None = None,
    marker: str | None = None,
    sort: Sequence[tuple[str, str]] = (('created_at', 'asc'),),
) -> list[Binding]:
    """List a page of bindings, including ended ones unless the filter `ended_at` is None."""
    with db.reader() as connection:
        return _BINDINGS.page(connection, filters=filters, limit=limit, marker=marker, sort=sort)


def get(db: Database, binding_id: str) -> Binding | None:
    with db.reader() as connection:
        return _BINDINGS.one(connection, _B.id == binding_id)


@retry_on_deadlock
def create(
    db: Database,
    *,
    tenant_id: str,
    pod_id: str,
    az_name: str = '',
    affinity_group: str = '',
    is_exclusive: bool = False,
) -> Binding:
    """Pin a project to a pod. A project may be pinned to several pods.

    :raises Duplicate: the project is already pinned to this pod
    :raises RecordNotFound: there is no such pod
    """
    row = _row(tenant_id, pod_id, az_name, affinity_group, True, is_exclusive)
    try:
        with db.writer() as connection:
            connection.execute(sqlalchemy.insert(_TABLE), row)
            return _by_id(connection, row['id'])
    except db_exc.DBDuplicateEntry as error:
        raise Duplicate('pod_id', pod_id) from error
    except db_exc.DBReferenceError as error:
        raise RecordNotFound('pod', pod_id) from error


@retry_on_deadlock
def bind(db: Database, tenant_id: str, az_name: str, affinity_group: str, pod_id: str) -> Binding:
    """Bind a project to a pod, unless it already has a binding of the scheduler for this zone and group.

    :returns: the current binding, which may be to another pod if another request was first
    :raises RecordNotFound: there is no such pod
    """
    row = _row(tenant_id, pod_id, az_name, affinity_group, is_pinned=False)
    with db.writer() as connection:
        try:
            insert_or_ignore(connection, _TABLE, [row])
        except db_exc.DBReferenceError as error:
            raise RecordNotFound('pod', pod_id) from error
        binding = _BINDINGS.one(connection, _B.current_key == row['current_key'])
        if binding is None:
            raise RecordNotFound('pod', pod_id)
        return binding


@retry_on_deadlock
def move(db: Database, binding_id: str, pod_id: str) -> Binding:
    """End a binding and start one to another pod.

    :returns: the current binding. It is to another pod if another request moved the binding first
    :raises RecordNotFound: the binding does not exist, or has ended without a successor; or the pod does not exist
    :raises Duplicate: the binding is pinned, and the project is already pinned to that pod
    """
    try:
        with db.writer() as connection:
            old = _by_id(connection, binding_id)
            if old.is_current and old.pod_id == pod_id:
                return old
            if _end(connection, binding_id):
                row = _row(old.tenant_id, pod_id, old.az_name, old.affinity_group, old.is_pinned, old.is_exclusive)
                connection.execute(sqlalchemy.insert(_TABLE), row)
                return _by_id(connection, row['id'])
            key = _automatic_key(old.tenant_id, old.az_name, old.affinity_group)
            winner = _BINDINGS.one(connection, _B.current_key == key)
            if winner is None or old.is_pinned:
                raise RecordNotFound('current binding', binding_id)
            return winner
    except db_exc.DBDuplicateEntry as error:
        raise Duplicate('pod_id', pod_id) from error
    except db_exc.DBReferenceError as error:
        raise RecordNotFound('pod', pod_id) from error


def _end(connection: Connection, binding_id: str) -> bool:
    now = utcnow()
    ended = changed(
        connection,
        sqlalchemy.update(_TABLE)
        .where(_B.id == binding_id, _B.ended_at.is_(None))
        .values(ended_at=now, updated_at=now, current_key=None),
    )
    return ended > 0


def change_zone(connection: Connection, pod_id: str, az_name: str, affinity_group: str) -> None:
    """Adapt the bindings to a pod that is in another zone or group now: pinned ones change with it, the others end."""
    current = sqlalchemy.and_(_B.pod_id == pod_id, _B.ended_at.is_(None))
    elsewhere = sqlalchemy.or_(_B.az_name != az_name, _B.affinity_group != affinity_group)
    connection.execute(
        sqlalchemy.update(_TABLE)
        .where(current, _B.is_pinned)
        .values(az_name=az_name, affinity_group=affinity_group, updated_at=utcnow())
    )
    for binding_id in list(connection.scalars(sqlalchemy.select(_B.id).where(current, elsewhere))):
        _end(connection, binding_id)


@retry_on_deadlock
def change(db: Database, binding_id: str, *, is_pinned: bool, is_exclusive: bool) -> Binding:
    """Pin or unpin a current binding, and set whether it is exclusive.

    :raises RecordNotFound: there is no such binding, or it has ended
    :raises Duplicate: the project already has a current binding with the same key, see `Binding`
    """
    try:
        with db.writer() as connection:
            old = _by_id(connection, binding_id)
            key = _key(old.tenant_id, old.pod_id, old.az_name, old.affinity_group, is_pinned)
            statement = (
                sqlalchemy.update(_TABLE)
                .where(_B.id == binding_id, _B.ended_at.is_(None))
                .values(is_pinned=is_pinned, is_exclusive=is_exclusive, current_key=key, updated_at=utcnow())
            )
            if not changed(connection, statement):
                raise RecordNotFound('current binding', binding_id)
            return _by_id(connection, binding_id)
    except db_exc.DBDuplicateEntry as error:
        raise Duplicate('is_pinned', is_pinned) from error


@retry_on_deadlock
def end(db: Database, binding_id: str) -> bool:
    """End a binding. Its row stays as history.

    :returns: False if the binding was not current
    """
    with db.writer() as connection:
        return _end(connection, binding_id)


@retry_on_deadlock
def delete(db: Database, binding_id: str) -> bool:
    """Delete the row of a binding.

    :returns: False if there was none
    """
    with db.writer() as connection:
        gone = changed(
            connection,
            sqlalchemy.delete(_TABLE).where(_B.id == binding_id),
        )
        return gone > 0
