# SPDX-License-Identifier: Apache-2.0
"""Capacity and use of the pods, as they were last read."""

import contextlib
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import sqlalchemy
from oslo_db import exception as db_exc
from sqlalchemy import bindparam

from trio2o.db import versions
from trio2o.db.database import Database, retry_on_deadlock, utcnow
from trio2o.db.errors import RecordNotFound
from trio2o.db.query import Columns, insert_or_ignore
from trio2o.db.records import PodUsage

_USAGES = Columns(PodUsage)
_U = _USAGES.table.c


def list_all(db: Database) -> list[PodUsage]:
    return [PodUsage(*row) for row in db.rows(_USAGES.select.order_by(_U.pod_id, _U.service), {})]


def set_many(db: Database, usages: Sequence[PodUsage]) -> None:
    """Replace the usages of services of pods, in one transaction. Usages of pods that do not exist are dropped."""
    if not usages:
        return
    try:
        _set_many(db, usages)
    except db_exc.DBReferenceError:
        # One of the pods was deleted meanwhile.
        for usage in usages:
            with contextlib.suppress(RecordNotFound):
                set_(db, usage.pod_id, usage.service, usage.data, usage.collected_at)


@retry_on_deadlock
def _set_many(db: Database, usages: Sequence[PodUsage]) -> None:
    columns = (_U.pod_id, _U.service)
    with db.writer() as connection:
        versions.advance(connection, versions.USAGES)
        rows = connection.execute(sqlalchemy.select(*columns).where(_U.pod_id.in_({u.pod_id for u in usages})))
        known = {(pod_id, service) for pod_id, service in rows}
        new = [asdict(usage) for usage in usages if (usage.pod_id, usage.service) not in known]
        if new:
            insert_or_ignore(connection, _USAGES.table, new)
        old = [usage for usage in usages if (usage.pod_id, usage.service) in known]
        if old:
            connection.execute(
                sqlalchemy.update(_USAGES.table).where(_U.pod_id == bindparam('id'), _U.service == bindparam('of')),
                [{'id': u.pod_id, 'of': u.service, 'data': u.data, 'collected_at': u.collected_at} for u in old],
            )


@retry_on_deadlock
def set_(db: Database, pod_id: str, service: str, data: Any, collected_at: datetime | None = None) -> PodUsage:
    """Replace the usage of one service of a pod.

    :raises RecordNotFound: there is no such pod
    """
    values = {'data': data, 'collected_at': collected_at or utcnow()}
    change = sqlalchemy.update(_USAGES.table).where(_U.pod_id == pod_id, _U.service == service)
    try:
        with db.writer() as connection:
            versions.advance(connection, versions.USAGES)
            if not insert_or_ignore(connection, _USAGES.table, [{'pod_id': pod_id, 'service': service, **values}]):
                connection.execute(change.values(**values))
            usage = _USAGES.one(connection, _U.pod_id == pod_id, _U.service == service)
    except db_exc.DBReferenceError as error:
        raise RecordNotFound('pod', pod_id) from error
    if usage is None:
        raise RecordNotFound('pod', pod_id)
    return usage
