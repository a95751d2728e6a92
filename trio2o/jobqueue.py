# SPDX-License-Identifier: Apache-2.0
"""Submit jobs, for work that takes longer than a request.

A job is a row in the database. The message that follows only wakes a worker; if it is lost, the next scan of a worker
finds the row.
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

#: Sends the workers a message about a job. Must return quickly, and may raise ``OSError``.
Notify = Callable[[Job], None]


class JobQueue:
    """Submits jobs to the workers."""

    def __init__(self, conf: cfg.ConfigOpts, db: Database, notify: Notify | None = None) -> None:
        """:param notify: None: send no messages, so that workers find jobs by their scans"""
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
        """Submit a job of a type for a resource.

        :param resource_key: only one job of a type is active for a key; a job that is waiting is returned as it is
        :param delay_seconds: earliest start, from now
        :param request_id: for the logs; None: the id of the request or job that this thread works for
        :returns: the job that will run
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
            self._send(job)
        return job

    def redo(self, job_id: str) -> Job | None:
        """Run a job again that has ended.

        :returns: the job that will run, which may be another one that is active for the resource; None if there is no
            job of this id
        """
        job = jobs.redo(self._db, job_id)
        if job is not None and self._notify is not None:
            self._send(job)
        return job

    def _send(self, job: Job) -> None:
        assert self._notify is not None
        try:
            self._notify(job)
        except OSError as error:
            LOG.info(
                'Could not notify workers of job %s (%s); it will be picked up by the periodic scan', job.id, error
            )
