# SPDX-License-Identifier: Apache-2.0
"""The compute hosts that each pod had when they were last listed, for use while the pod is unreachable."""

from collections.abc import Collection

import sqlalchemy

from trio2o.db.database import Database, retry_on_deadlock
from trio2o.db.query import changed, insert_or_ignore
from trio2o.db.records import PodHost

_TABLE = PodHost.__table__
_H = _TABLE.c
_OF_POD = sqlalchemy.select(_H.host).where(_H.pod_id == sqlalchemy.bindparam('pod_id')).order_by(_H.host)


def get(db: Database, pod_id: str) -> list[str]:
    return [host for (host,) in db.rows(_OF_POD, {'pod_id': pod_id})]


@retry_on_deadlock
def set_(db: Database, pod_id: str, hosts: Collection[str]) -> None:
    """Replace the hosts of a pod.

    :raises ValueError: a name is longer than the column
    """
    known = set(get(db, pod_id))
    gone, new = known - set(hosts), sorted(set(hosts) - known)
    if not gone and not new:
        return
    with db.writer() as connection:
        for host in sorted(gone):
            changed(connection, sqlalchemy.delete(_TABLE).where(_H.pod_id == pod_id, _H.host == host))
        insert_or_ignore(connection, _TABLE, [{'pod_id': pod_id, 'host': host} for host in new])
