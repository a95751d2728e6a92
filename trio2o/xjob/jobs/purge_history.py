# SPDX-License-Identifier: Apache-2.0
"""Remove what is kept only for a while: ended jobs, deleted objects, routings of what has gone."""

from __future__ import annotations

from datetime import timedelta

from trio2o.db import jobs, moved_resources, routings
from trio2o.db.session import utcnow
from trio2o.resources import UNFOLLOWED
from trio2o.xjob.jobs.base import Task

#: Deleted flavors, keypairs and types are remembered this long: a pod's list that was read before the
#: deletion must not bring them back.
GONE_HOURS = 24


class PurgeHistory:
    max_seconds = 1800.0

    def run(self, task: Task) -> None:
        runtime = task.runtime
        now = utcnow()
        before = now - timedelta(days=runtime.conf.xjob.history_days)
        removed = {'jobs': 0, 'routings': 0}
        purges = (
            ('jobs', jobs.purge),
            ('routings', routings.purge_deleted),
            ('routings', lambda db, before: routings.purge_types(db, UNFOLLOWED, before)),
        )
        for name, purge in purges:
            while True:
                gone = purge(runtime.db, before)
                removed[name] += gone
                task.check()
                if not gone:
                    break
        moved_resources.purge(runtime.db, now - timedelta(hours=GONE_HOURS))
        objects = runtime.replicator.desired.purge_deleted(now - timedelta(hours=GONE_HOURS))
        task.progress(objects=objects, **removed)
