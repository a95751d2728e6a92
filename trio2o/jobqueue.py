# SPDX-License-Identifier: Apache-2.0
"""Asking for work that outlives the request: a row first, a message second.

The row is what counts. The message only wakes a worker; should it get lost, the next scan finds
the row.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from oslo_config import cfg

from trio2o.context import current_request_id
from trio2o.db import jobs
from trio2o.db.records import Job
from trio2o.db.session import Database, utcnow

LOG = logging.getLogger(__name__)

#: Tells the workers of a job; must not take long, and may fail with ``OSError``.
Notify = Callable[[Job], None]


class JobQueue:
    """Where jobs are submitted."""

    def __init__(self, conf: cfg.ConfigOpts, db: Database, notify: Notify | None = None) -> None:
        """:param notify: None: the workers find the job by themselves, within a scan"""
        self._max_attempts = conf.xjob.max_attempts
        self._db = db
        self._notify = notify

    def submit(
        self,
        type: str,
        resource_key: str,
        payload: Any = None,
        *,
        delay_seconds: float = 0.0,
        request_id: str | None = None,
    ) -> Job:
        """Ask for a job on a resource.

        :param resource_key: one job of a type runs for one key at a time; one that waits already
            is the answer
        :param delay_seconds: how long it should wait at least
        :param request_id: of the request that wants it, for the logs; None: of what this thread works for
        """
        now = utcnow()
        job = jobs.submit(
            self._db,
            type,
            resource_key,
            payload,
            run_after=now + timedelta(seconds=delay_seconds),
            max_attempts=self._max_attempts,
            request_id=request_id or current_request_id(),
            now=now,
        )
        if self._notify is not None and not delay_seconds:
            self._tell(job)
        return job

    def redo(self, job_id: str) -> Job | None:
        """Run a job that ended once more.

        :returns: the job that will run, which is another one when the resource has one already; None when there is
            no such job
        """
        job = jobs.redo(self._db, job_id)
        if job is not None and self._notify is not None:
            self._tell(job)
        return job

    def _tell(self, job: Job) -> None:
        assert self._notify is not None
        try:
            self._notify(job)
        except OSError as error:
            LOG.info('job %s: no worker was told (%s); a scan finds it', job.id, error)
