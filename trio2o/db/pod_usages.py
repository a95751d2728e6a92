# SPDX-License-Identifier: Apache-2.0
"""Capacity and use of the pods, as they were last read."""

from datetime import datetime
from typing import Any

import sqlalchemy
from oslo_db import exception as db_exc

from trio2o.db import versions
from trio2o.db.database import Database, retry_on_deadlock, utcnow
from trio2o.db.errors import RecordNotFound
from trio2o.db.query import Columns, insert_or_ignore
from trio2o.db.records import PodUsage

_USAGES = Columns(PodUsage)
_U = _USAGES.table.c


def list_all(db: Database) -> list[PodUsage]:
    return [PodUsage(*row) for row in db.rows(_USAGES.select.order_by(_U.pod_id, _U.service), {})]


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
