# SPDX-License-Identifier: Apache-2.0
"""Correct the counters of a project from its routings and open claims."""

import collections
from collections.abc import Sequence

import sqlalchemy
from sqlalchemy import bindparam

from trio2o.db.database import Database, retry_on_deadlock
from trio2o.db.query import Columns, changed
from trio2o.db.quotas import counters
from trio2o.db.quotas.counters import OF_OBJECT, Counter, Key
from trio2o.db.records import DELETED, QuotaClaim, QuotaUsage, Routing

_CLAIMS = Columns(QuotaClaim)
_C = _CLAIMS.table.c
_U = QuotaUsage.__table__.c
_R = Routing.__table__.c

_DELTAS = sqlalchemy.select(_R.user_id, _R.deltas).where(
    _R.resource_type.in_(bindparam('types', expanding=True)),
    _R.project_id == bindparam('project_id'),
    _R.state != DELETED,
)


@retry_on_deadlock
def recount_project(db: Database, project_id: str, types: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Set the counters of a project to the sums over its routings and open claims.

    Counters of single objects that count nothing any more are deleted: there is one for each server group ever used.

    :param types: resource types that use quota
    :returns: quota resource -> amount in use before and now, where they differ
    """
    with db.writer() as connection:
        statement = sqlalchemy.select(_U.user_id, _U.resource, _U.id, _U.in_use, _U.claimed)
        statement = statement.where(_U.project_id == project_id).order_by(_U.project_id, _U.user_id, _U.resource)
        locked = connection.execute(statement.with_for_update()).all()
        # Of two counters that count the same, the first is used.
        rows = {(project_id, row[0], counters.counted_as(row[1])): Counter(*row[2:]) for row in reversed(locked)}
        in_use: collections.Counter[Key] = collections.Counter()
        for user_id, deltas in connection.execute(_DELTAS, {'types': list(types), 'project_id': project_id}):
            in_use.update(counters.by_counter(project_id, user_id, deltas or {}))
        claimed: collections.Counter[Key] = collections.Counter()
        for open_claim in _CLAIMS.all(connection, _CLAIMS.select.where(_C.project_id == project_id)):
            claimed.update(counters.by_counter(project_id, open_claim.user_id, open_claim.resources))
        missing = {key for sums in (in_use, claimed) for key in sums if key not in rows}
        if missing:
            rows |= counters.lock(connection, missing)
        unused = [key for key in rows if OF_OBJECT in key[2] and not (in_use[key] or claimed[key])]
        ids = [rows.pop(key).id for key in unused]
        if ids:
            changed(connection, sqlalchemy.delete(QuotaUsage.__table__).where(_U.id.in_(ids)))
        repaired: dict[str, tuple[int, int]] = {}
        for key, row in rows.items():
            if row.in_use != in_use[key] and not key[1]:
                repaired[key[2]] = (row.in_use, in_use[key])
            row.in_use, row.claimed = in_use[key], claimed[key]
        if rows:
            counters.write(connection, list(rows.values()), is_recount=True)
        return repaired
