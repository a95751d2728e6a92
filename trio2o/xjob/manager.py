# SPDX-License-Identifier: Apache-2.0
"""Claim jobs, run them, prolong their leases, and finish or retry them.

Any number of managers work on one table. The claim (``db.jobs``) guarantees that only one of them runs a job at a
time. A manager that dies loses its jobs when their leases expire.
"""

from __future__ import annotations

import logging
import os
import random
import socket
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from oslo_config import cfg
from stevedore import ExtensionManager

from trio2o import exception, metrics
from trio2o.context import working_for
from trio2o.db import jobs as db_jobs
from trio2o.db.database import utcnow
from trio2o.db.records import Job as JobRecord
from trio2o.runtime import Runtime
from trio2o.xjob.jobs.base import GiveUp, Interrupted, JobHandler, Later, TryAgain

LOG = logging.getLogger(__name__)

NAMESPACE = 'trio2o.jobs'

#: Longest pause before a job is tried again.
MAX_RETRY_SECONDS = 600.0

#: Heartbeats in the time of one lease.
_HEARTBEATS = 3

TOO_LONG = 'it took too long'


def load_jobs() -> dict[str, JobHandler]:
    """Return an instance of each installed job, by type."""
    found: ExtensionManager[Any] = ExtensionManager(NAMESPACE, invoke_on_load=True, on_load_failure_callback=_raise)
    return {extension.name: extension.obj for extension in found if extension.obj is not None}


def _raise(_manager: Any, _entry_point: Any, error: BaseException) -> None:
    raise error


def owner_name() -> str:
    """Return a name that is unique to this worker."""
    return f'{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}'


class RunningTask:
    """One run of a job; implements ``jobs.base.Task``."""

    def __init__(self, manager: JobManager, job: JobRecord, deadline: datetime) -> None:
        self.job = job
        self.runtime = manager.runtime
        self._manager = manager
        self.deadline = deadline
        self._held_until = job.lease_until or manager.clock()
        self._interrupted: str | None = None
        self._woken = threading.Event()
        self._ended = threading.Event()
        self.is_overdue = False
        self.outcome: Any = None
        self.next_run: tuple[Any, float] | None = None

    def interrupt(self, reason: str) -> None:
        self._interrupted = self._interrupted or reason
        self._woken.set()

    @property
    def interrupted(self) -> str | None:
        """Why the run must end; None if it may go on."""
        return self._interrupted

    def check(self) -> None:
        self._check_time()
        if self._interrupted is None and self._manager.is_late(self._held_until):
            # On an overloaded host the heartbeats may be late, and another worker may have claimed the job.
            self.heartbeat()
        if self._interrupted is not None:
            raise Interrupted(self._interrupted)

    def _check_time(self) -> None:
        if self._interrupted is None and self._manager.clock() >= self.deadline:
            self.is_overdue = True
            self.interrupt(TOO_LONG)

    def wait(self, seconds: float) -> None:
        self.check()
        self._woken.wait(seconds)
        self.check()

    def progress(self, **values: Any) -> None:
        self.check()
        if not self._manager.save_progress(self.job, values):
            self.interrupt('another worker has taken it over')
            self.check()

    def result(self, value: Any) -> None:
        self.outcome = value

    def run_again(self, payload: Any, delay_seconds: float) -> None:
        self.next_run = payload, delay_seconds

    def heartbeat(self) -> None:
        """Prolong the lease, unless the run has exceeded its time."""
        self._check_time()
        if self.is_overdue:
            return
        job = self._manager.prolong(self.job)
        if job is None:
            self.interrupt('another worker has taken it over')
            return
        self._held_until = job.lease_until or self._held_until
        if job.is_cancel_wanted:
            self.interrupt('it was cancelled')

    def heartbeat_until_ended(self, seconds: float) -> None:
        while not self._ended.wait(seconds):
            try:
                self.heartbeat()
            except Exception:
                LOG.exception('Failed to prolong the lease of job %s', self.job.id)

    def end(self) -> None:
        self._ended.set()


class JobManager:
    """Runs one job for each call of ``run_one``, which any number of threads may call."""

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        runtime: Runtime,
        *,
        jobs: Mapping[str, JobHandler] | None = None,
        owner: str | None = None,
        clock: Callable[[], datetime] = utcnow,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """
        :param jobs: by type; None: the installed jobs
        :param clock: the time that leases and retries are computed from
        :param jitter: a number from 0 to 1, so that jobs that failed together are not retried together
        """
        self.runtime = runtime
        self.owner = owner or owner_name()
        self.clock = clock
        self._jobs = dict(load_jobs() if jobs is None else jobs)
        self._jitter = jitter
        self._lease_seconds = conf.xjob.lease_seconds
        self._retry_seconds = conf.xjob.retry_seconds
        self._pod_concurrency = conf.xjob.pod_concurrency
        self._running: dict[str, RunningTask] = {}
        self._is_stopping = False

    def run_one(self, job_id: str | None = None, with_pod: bool = True) -> JobRecord | None:
        """Claim and run a job.

        :param job_id: run this job, if it is due; None: any job that is due
        :param with_pod: whether it may be a job that calls a pod
        :returns: the job after its run; None if no job was due
        """
        job = self._claim(job_id, with_pod)
        if job is None:
            return None
        with working_for(job.request_id):
            started = time.monotonic()
            ended = self._run_claimed(job)
            metrics.job_ran(job.type, ended.state if ended else 'lost', time.monotonic() - started)
            return ended or db_jobs.get(self.runtime.db, job.id)

    def _run_claimed(self, job: JobRecord) -> JobRecord | None:
        """:returns: the job after its run; None if another worker has taken it over"""
        runner = self._jobs[job.type]
        deadline = self.clock() + timedelta(seconds=runner.max_seconds)
        task = RunningTask(self, job, deadline)
        self._running[job.id] = task
        heartbeats = threading.Thread(
            target=task.heartbeat_until_ended,
            args=(self._lease_seconds / _HEARTBEATS,),
            daemon=True,
        )
        heartbeats.start()
        LOG.info('Job %s: starting %s of %s', job.id, job.type, job.resource_key)
        try:
            ended = self._run(runner, task)
        finally:
            task.end()
            self._running.pop(job.id, None)
        if ended is None:
            LOG.warning('Job %s: another worker has claimed it', job.id)
            return None
        LOG.info('Job %s: %s of %s ended with state %s', job.id, job.type, job.resource_key, ended.state)
        return ended

    def stop(self) -> None:
        """Interrupt the running jobs at their next step, so that another worker continues them."""
        self._is_stopping = True
        for task in list(self._running.values()):
            task.interrupt('its worker is stopping')

    def stuck_jobs(self, seconds: float) -> list[str]:
        """Return the jobs that run for so much longer than they may, as they do not reach their next step."""
        now = self.clock()
        return [
            f'{task.job.type} {task.job.resource_key}'
            for task in list(self._running.values())
            if now > task.deadline + timedelta(seconds=seconds)
        ]

    def is_late(self, held_until: datetime) -> bool:
        """Whether the next heartbeat is overdue."""
        return self.clock() >= held_until - timedelta(seconds=self._lease_seconds / 2)

    def prolong(self, job: JobRecord) -> JobRecord | None:
        return db_jobs.heartbeat(self.runtime.db, job.id, self.owner, self._lease_seconds, self.clock())

    def save_progress(self, job: JobRecord, values: Mapping[str, Any]) -> bool:
        return db_jobs.progress(self.runtime.db, job.id, self.owner, dict(values), self.clock())

    def _claim(self, job_id: str | None, with_pod: bool) -> JobRecord | None:
        if self._is_stopping:
            return None
        db, now, lease = self.runtime.db, self.clock(), self._lease_seconds
        if job_id is None:
            return db_jobs.claim(db, self.owner, lease, now, self._jobs, self._pod_concurrency, with_pod)
        job = db_jobs.get(db, job_id)
        if job is None or job.type not in self._jobs or not job.is_active:
            return None  # mostly as a scan found the job before the message arrived
        return db_jobs.claim_id(db, job_id, self.owner, lease, now, self._pod_concurrency)

    def _run(self, runner: JobHandler, task: RunningTask) -> JobRecord | None:
        job = task.job
        try:
            runner.run(task)
        except Interrupted:
            return self._interrupted(task)
        except Later as pause:
            return self._paused(task, pause.seconds)
        except GiveUp as error:
            return self._finish(task, 'fail', str(error))
        except (TryAgain, exception.Trio2oException) as error:
            return self._failed(task, str(error))
        except Exception as error:
            LOG.exception('Job %s: %s of %s failed', job.id, job.type, job.resource_key)
            return self._failed(task, f'{type(error).__name__}: {error}')
        return self._finish(task, 'success', None)

    def _interrupted(self, task: RunningTask) -> JobRecord | None:
        job, reason = task.job, task.interrupted or ''
        if task.is_overdue:
            return self._failed(task, f'{reason}: the limit is {self._jobs[job.type].max_seconds:.0f} seconds')
        now = self.clock()
        # This also ends a job that was cancelled meanwhile.
        return db_jobs.retry_later(self.runtime.db, job.id, self.owner, now, reason, now, is_counted=False)

    def _paused(self, task: RunningTask, seconds: float) -> JobRecord | None:
        now = self.clock()
        run_after = now + timedelta(seconds=seconds)
        return db_jobs.retry_later(
            self.runtime.db, task.job.id, self.owner, run_after, None, now, is_counted=False, has_event=False
        )

    def _failed(self, task: RunningTask, error: str) -> JobRecord | None:
        job = task.job
        if job.attempts >= job.max_attempts:
            return self._finish(task, 'fail', error)
        now = self.clock()
        run_after = now + timedelta(seconds=self._pause(job.attempts))
        LOG.warning(
            'Job %s: %s of %s failed and will be retried at %s: %s',
            job.id,
            job.type,
            job.resource_key,
            run_after,
            error,
        )
        return db_jobs.retry_later(self.runtime.db, job.id, self.owner, run_after, error, now)

    def _pause(self, attempts: int) -> float:
        """Return the seconds before the next attempt: twice as long each time, then times 0.5 to 1.5 at random."""
        seconds = min(MAX_RETRY_SECONDS, self._retry_seconds * 2.0 ** min(attempts - 1, 30))
        return float(min(MAX_RETRY_SECONDS, seconds * (0.5 + self._jitter())))

    def _finish(self, task: RunningTask, state: str, error: str | None) -> JobRecord | None:
        now, next_run = self.clock(), None
        if task.next_run is not None:
            payload, seconds = task.next_run
            next_run = db_jobs.Again(now + timedelta(seconds=seconds), payload)
        return db_jobs.finish(
            self.runtime.db, task.job.id, self.owner, state, error, now, result=task.outcome, again=next_run
        )
