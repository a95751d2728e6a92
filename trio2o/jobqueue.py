# SPDX-License-Identifier: Apache-2.0
"""Submission of jobs, for work that takes longer than a request: first a row, then a message.

The row is the job. The message only wakes a worker; if it is lost, a periodic scan finds the row.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from oslo_config import cfg

from trio2o.context import current_request_id
from trio2o.db import jobs
from trio2o.db.database import Database, utcnow
from trio2o.db.jobs import JobRow
from trio2o.db.records import Job

LOG = logging.getLogger(__name__)

#: Notifies the workers of a job; must not take long, and may raise ``OSError``.
Notify = Callable[[Job], None]


class JobQueue:
    """Submits jobs."""

    def __init__(self, conf: cfg.ConfigOpts, db: Database, notify: Notify | None = None) -> None:
        """:param notify: None: workers find jobs with the periodic scan"""
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
        """Submit a job for a resource.

        :param resource_key: jobs of one type and key run one after another; if one is waiting, it is returned and no
            new job is made
        :param delay_seconds: earliest start, in seconds from now
        :param request_id: id of the request that causes the job, for the logs; None: that of this thread
        """
        job = jobs.submit_row(
            self._db, self.row(type, resource_key, payload, delay_seconds=delay_seconds, request_id=request_id)
        )
        if not delay_seconds:
            self.notify(job)
        return job

    def row(
        self,
        type: str,
        resource_key: str,
        payload: Any = None,
        *,
        delay_seconds: float = 0.0,
        request_id: str | None = None,
    ) -> JobRow:
        """Make the row of a job that a function of ``db`` submits in its own transaction; ``notify`` afterwards.

        The parameters are those of ``submit``.
        """
        now = utcnow()
        run_after = now + timedelta(seconds=delay_seconds)
        request_id = request_id or current_request_id()
        return jobs.new_row(type, resource_key, payload, run_after, self._max_attempts, request_id, now)

    def notify(self, job: Job) -> None:
        """Send a message to the workers that a job is due."""
        if self._notify is None:
            return
        try:
            self._notify(job)
        except OSError as error:
            LOG.info('Could not notify workers of job %s (%s); a scan will find it', job.id, error)

    def redo(self, job_id: str) -> Job | None:
        """Run a job that has ended once more.

        :returns: the job that will run: another one if the resource has a waiting job already; None if the job does
            not exist
        """
        job = jobs.redo(self._db, job_id)
        if job is not None:
            self.notify(job)
        return job
