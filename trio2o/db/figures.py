# SPDX-License-Identifier: Apache-2.0
"""Numbers for monitoring that no other part asks for; each by an index."""

from datetime import datetime

import sqlalchemy

from trio2o.db.records import Job, QuotaClaim
from trio2o.db.session import Database

_CLAIM = QuotaClaim.__table__.c
_JOB = Job.__table__.c


def claims_by_state(db: Database) -> dict[str, int]:
    """How many claims on quotas are in each state."""
    with db.reader() as session:
        rows = session.execute(sqlalchemy.select(_CLAIM.state, sqlalchemy.func.count()).group_by(_CLAIM.state))
        return {state: count for state, count in rows}


def longest_due(db: Database) -> datetime | None:
    """Since when the job that waits longest could have run; None when none waits."""
    with db.reader() as session:
        return session.scalar(sqlalchemy.select(sqlalchemy.func.min(_JOB.run_after)).where(_JOB.state == 'new'))
