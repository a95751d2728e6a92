# SPDX-License-Identifier: Apache-2.0
"""Pods, and the record of their state changes."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

import sqlalchemy
from oslo_db import exception as db_exc
from oslo_utils import uuidutils
from sqlalchemy import bindparam
from sqlalchemy.engine import Connection

from trio2o.db import bindings, jobs, moves, versions
from trio2o.db.database import Database, retry_on_deadlock, utcnow
from trio2o.db.errors import Duplicate, Full
from trio2o.db.jobs import JobRow
from trio2o.db.query import Columns, changed, insert_or_ignore
from trio2o.db.quotas import claims
from trio2o.db.records import (
    Binding,
    MovedResource,
    Pod,
    PodHost,
    PodStateChange,
    PodUsage,
    Replica,
    RetiredPodNumber,
    Routing,
    ServerGroupCopy,
)
from trio2o.db.table import Record

_PODS = Columns(Pod)
_VERSION = versions.current(versions.PODS)
_CHANGES = Columns(PodStateChange)
_TABLE = _PODS.table
_P = _TABLE.c
_NUMBERS = RetiredPodNumber.__table__
_N = _NUMBERS.c
# Tables whose rows are deleted with their pod.
_OF_POD: tuple[type[Record], ...] = (Binding, Routing, ServerGroupCopy, PodHost)
# The same, of tables with a version.
_OF_POD_WITH_VERSION: tuple[type[Record], ...] = (Replica, PodUsage, MovedResource)

_R = Routing.__table__.c
#: Most routings of a pod that one transaction deletes.
ROUTINGS_A_TRANSACTION = 1000

#: The number of a pod is a part of the integer ids that administrators see (``gateway.admin.ids``). It is the greatest
#: one that the column can have.
MAX_NUMBER = 32767


def list_all(db: Database) -> list[Pod]:
    """List all pods and the top region by name."""
    return [Pod(*row) for row in db.rows(_PODS.select.order_by(_P.pod_name), {})]


_CHANGED_SINCE = _PODS.select.where(_P.changed_in > bindparam('version'))
_COUNT = sqlalchemy.select(sqlalchemy.func.count()).select_from(_TABLE)


def changed_since(db: Database, version: int) -> tuple[list[Pod], int]:
    """List the pods that were changed after a version of the table.

    :returns: these pods, and the number of all pods, which tells whether others were deleted
    """
    changed_pods = [Pod(*row) for row in db.rows(_CHANGED_SINCE, {'version': version})]
    return changed_pods, db.rows(_COUNT, {})[0][0]


def get(db: Database, pod_id: str) -> Pod | None:
    with db.reader() as connection:
        return _PODS.one(connection, _P.pod_id == pod_id)


def get_by_name(db: Database, pod_name: str) -> Pod | None:
    with db.reader() as connection:
        return _PODS.one(connection, _P.pod_name == pod_name)


@retry_on_deadlock
def create(
    db: Database,
    *,
    pod_name: str,
    az_name: str = '',
    pod_az_name: str = '',
    pod_volume_az_name: str | None = None,
    dc_name: str = '',
    state: str = 'enabled',
    state_reason: str = '',
    resource_affinity_tag: Mapping[str, Any] | None = None,
    headroom: Mapping[str, Any] | None = None,
    endpoints: Mapping[str, Any] | None = None,
    pod_id: str = '',
    job: JobRow | None = None,
) -> Pod:
    """Record a new pod. It gets the smallest number that no pod has or had, else the one that is free for longest.

    :param endpoints: see ``set_endpoints``
    :param pod_id: an id that the caller has generated, if it is not empty
    :param job: a job to submit in the same transaction, see ``jobs.new_row``
    :raises Duplicate: there is already a pod of this name
    :raises Full: all numbers are in use
    """
    pod_id = pod_id or uuidutils.generate_uuid()
    while True:
        try:
            with db.writer() as connection:
                versions.advance(connection, versions.PODS)
                if _PODS.one(connection, _P.pod_name == pod_name):
                    raise Duplicate('pod_name', pod_name)
                row = {
                    'pod_id': pod_id,
                    'pod_name': pod_name,
                    'az_name': az_name,
                    'pod_az_name': pod_az_name,
                    'pod_volume_az_name': pod_volume_az_name,
                    'dc_name': dc_name,
                    'number': _free_number(connection),
                    'state': state,
                    'state_reason': state_reason,
                    'resource_affinity_tag': resource_affinity_tag,
                    'headroom': headroom,
                    'endpoints': endpoints,
                    'is_reconciled': False,
                    'created_at': utcnow(),
                }
                connection.execute(sqlalchemy.insert(_TABLE).values(changed_in=_VERSION, **row))
                moves.pod_is_back(connection, pod_name, pod_id)
                if job is not None:
                    jobs.submit_in(connection, job)
                return _existing(connection, pod_id)
        except db_exc.DBDuplicateEntry:
            # Another process took the name or the number. The next attempt fails, or takes the next number.
            continue


def _free_number(connection: Connection) -> int:
    """Return the number for a new pod, which no pod of late had: administrators may still use integer ids of that."""
    taken = set(connection.scalars(sqlalchemy.select(_P.number)))
    retired = list(connection.scalars(sqlalchemy.select(_N.number).order_by(_N.retired_at, _N.number)))
    unused = (number for number in range(1, MAX_NUMBER + 1) if number not in taken and number not in retired)
    number = next(unused, None) or next((each for each in retired if each not in taken), None)
    if number is None:
        raise Full(f'there are {MAX_NUMBER} pods already')
    changed(connection, sqlalchemy.delete(_NUMBERS).where(_N.number == number))
    return number


def _existing(connection: Connection, pod_id: str) -> Pod:
    pod = _PODS.one(connection, _P.pod_id == pod_id)
    assert pod is not None
    return pod


@retry_on_deadlock
def update(
    db: Database,
    pod_id: str,
    *,
    reason: str | None = None,
    user_id: str = '',
    bound_in: tuple[str, str] | None = None,
    job: JobRow | None = None,
    **values: Any,
) -> Pod | None:
    """Change columns of a pod. A change of its state is recorded with the reason and the user.

    :param reason: the new `state_reason`; with None it stays the same, or becomes empty if the state changes
    :param bound_in: the zone and the group of the pod, if they change: its bindings change in the same transaction
    :param job: a job to submit in the same transaction
    :returns: the changed pod; None if there is no such pod
    :raises Duplicate: another pod has the new name or number
    """
    try:
        with db.writer() as connection:
            versions.advance(connection, versions.PODS)
            pod = _PODS.first(connection, _PODS.select.where(_P.pod_id == pod_id).with_for_update())
            if pod is None:
                return None
            unknown = values.keys() - set(_PODS.names)
            if unknown:
                raise ValueError(f'pods has no {", ".join(sorted(unknown))}')
            state = values.get('state', pod.state)
            if state != pod.state:
                change = {
                    'pod_id': pod_id,
                    'from_state': pod.state,
                    'to_state': state,
                    'reason': reason or '',
                    'user_id': user_id,
                    'at': utcnow(),
                }
                connection.execute(sqlalchemy.insert(_CHANGES.table), change)
            if reason is not None or state != pod.state:
                values.setdefault('state_reason', reason or '')
            values['updated_at'] = utcnow()
            statement = sqlalchemy.update(_TABLE).where(_P.pod_id == pod_id)
            connection.execute(statement.values(changed_in=_VERSION, **values))
            if bound_in is not None:
                bindings.change_zone(connection, pod_id, *bound_in)
            if job is not None:
                jobs.submit_in(connection, job)
            return _existing(connection, pod_id)
    except db_exc.DBDuplicateEntry as error:
        field = 'number' if any('number' in column for column in error.columns) else 'pod_name'
        raise Duplicate(field, values.get(field)) from error


def delete(db: Database, pod_id: str, job: JobRow | None = None) -> bool:
    """Delete a pod and all rows that refer to it, except its state changes. The claims on it end.

    Many routings are deleted in several transactions, as one with a million rows would lock them for minutes, and
    Galera limits the size of a transaction. The last transaction deletes the pod. If the process ends before it, the
    pod counts as not reconciled, and its next full comparison records its resources again.

    :param job: a job to submit in the last transaction
    :returns: False if there was no such pod
    """
    if len(_some_routings(db, pod_id)) == ROUTINGS_A_TRANSACTION:
        set_reconciled(db, pod_id, None)
        while ids := _some_routings(db, pod_id):
            _delete_routings(db, ids)
    return _delete(db, pod_id, job)


def _some_routings(db: Database, pod_id: str) -> list[int]:
    statement = sqlalchemy.select(_R.id).where(_R.pod_id == bindparam('pod_id')).limit(ROUTINGS_A_TRANSACTION)
    return [id_ for (id_,) in db.rows(statement, {'pod_id': pod_id})]


@retry_on_deadlock
def _delete_routings(db: Database, ids: list[int]) -> None:
    with db.writer() as connection:
        changed(connection, sqlalchemy.delete(Routing.__table__).where(_R.id.in_(ids)))


@retry_on_deadlock
def _delete(db: Database, pod_id: str, job: JobRow | None) -> bool:
    with db.writer() as connection:
        # The routings may be many, so that the versions are locked after them.
        for record in _OF_POD:
            _delete_of_pod(connection, record, pod_id)
        versions.advance(connection, versions.PODS)
        for record in _OF_POD_WITH_VERSION:
            versions.advance(connection, record.__table__.name)
            _delete_of_pod(connection, record, pod_id)
        # After the routings, as counters are always locked last.
        claims.release_of_pod(connection, pod_id)
        number = connection.scalar(sqlalchemy.select(_P.number).where(_P.pod_id == pod_id))
        if not changed(connection, sqlalchemy.delete(_TABLE).where(_P.pod_id == pod_id)):
            return False
        insert_or_ignore(connection, _NUMBERS, [{'number': number, 'retired_at': utcnow()}])
        if job is not None:
            jobs.submit_in(connection, job)
        return True


def _delete_of_pod(connection: Connection, record: type[Record], pod_id: str) -> None:
    table = record.__table__
    changed(connection, sqlalchemy.delete(table).where(table.c.pod_id == pod_id))


def set_endpoints(db: Database, pod_id: str, endpoints: Mapping[str, Any]) -> bool:
    """Record the endpoints of a pod with their versions."""
    return _set(db, pod_id, endpoints=endpoints)


def set_reconciled(db: Database, pod_id: str, at: datetime | None) -> bool:
    """Record that all resources that the pod had at a time have routings; None: it is not known whether they have."""
    return _set(db, pod_id, is_reconciled=at is not None, reconciled_at=at, followed_at=at)


def set_adopted(db: Database, pod_id: str, at: datetime) -> bool:
    """Record that the objects that only this pod had were recorded."""
    return _set(db, pod_id, adopted_at=at)


@retry_on_deadlock
def set_changes_read(db: Database, pod_ids: Collection[str], at: datetime) -> None:
    """Record that the changes in reconciled pods up to a time have been read.

    The table gets no new version: the processes that keep it in memory do not need this time, and would read all pods
    again every few seconds.
    """
    with db.writer() as connection:
        changed(connection, sqlalchemy.update(_TABLE).where(_P.pod_id.in_(pod_ids)).values(followed_at=at))


_CHANGES_READ = sqlalchemy.select(_P.pod_id, sqlalchemy.func.coalesce(_P.followed_at, _P.reconciled_at)).where(
    _P.pod_id.in_(bindparam('pod_ids', expanding=True)), _P.reconciled_at.is_not(None)
)


def changes_read(db: Database, pod_ids: Collection[str]) -> dict[str, datetime]:
    """Return until when the changes in pods have been read, by pod id; nothing for pods that are not reconciled."""
    return {pod_id: at for pod_id, at in db.rows(_CHANGES_READ, {'pod_ids': list(pod_ids)})}


@retry_on_deadlock
def _set(db: Database, pod_id: str, **values: Any) -> bool:
    with db.writer() as connection:
        versions.advance(connection, versions.PODS)
        statement = sqlalchemy.update(_TABLE).where(_P.pod_id == pod_id)
        return changed(connection, statement.values(changed_in=_VERSION, **values)) > 0


def state_changes(db: Database, pod_id: str, limit: int = 100) -> list[PodStateChange]:
    """List the last state changes of a pod, the newest first."""
    with db.reader() as connection:
        return _CHANGES.all(
            connection,
            _CHANGES.select.where(_CHANGES.table.c.pod_id == pod_id).order_by(_CHANGES.table.c.id.desc()).limit(limit),
        )
