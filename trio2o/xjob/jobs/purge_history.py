# SPDX-License-Identifier: Apache-2.0
"""Remove old records: ended jobs, deleted objects, routings of deleted resources, and keys of transfers."""

from __future__ import annotations

from datetime import timedelta

from trio2o.db import jobs, move_groups, moved_resources, moves, routings, transfer_keys
from trio2o.db.database import utcnow
from trio2o.resources import NOT_RECONCILED
from trio2o.xjob.jobs.base import Task

#: Hours for which deleted flavors, key pairs and types stay recorded. Within this time, a pod's list that was read
#: before the deletion does not cause them to be recorded as new.
DELETED_HOURS = 24


class PurgeHistory:
    max_seconds = 1800.0

    def run(self, task: Task) -> None:
        runtime = task.runtime
        now = utcnow()
        before = now - timedelta(days=runtime.conf.xjob.history_days)
        removed = {'jobs': 0, 'events': 0, 'routings': 0, 'moves': 0, 'move_groups': 0}
        purges = (
            ('jobs', jobs.purge),
            ('events', jobs.purge_events),
            ('moves', moves.purge),
            ('move_groups', move_groups.purge),
            ('routings', routings.purge_deleted),
            ('routings', lambda db, before: routings.purge_types(db, NOT_RECONCILED, before)),
        )
        for name, purge in purges:
            while True:
                gone = purge(runtime.db, before)
                removed[name] += gone
                task.check()
                if not gone:
                    break
        transfer_keys.purge(runtime.db, before)
        moved_resources.purge(runtime.db, now - timedelta(hours=DELETED_HOURS))
        objects = runtime.replicator.desired.purge_deleted(now - timedelta(hours=DELETED_HOURS))
        task.progress(objects=objects, **removed)
