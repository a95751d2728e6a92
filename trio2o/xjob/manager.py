# SPDX-License-Identifier: Apache-2.0
"""Claims jobs, runs them, keeps their leases alive, and ends or retries them.

Any number of managers work on one table. What they may rely on is the claim (``db.jobs``): a job is run by
one of them at a time, and one that dies loses its jobs when their leases run out.
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
from oslo_db import exception as db_exc
from stevedore import ExtensionManager

from trio2o import exception, metrics
from trio2o.context import working_for
from trio2o.db import jobs as db_jobs
from trio2o.db.records import Job as JobRecord
from trio2o.db.session import utcnow
from trio2o.runtime import Runtime
from trio2o.xjob.jobs.base import GiveUp, Interrupted, Job, TryAgain

LOG = logging.getLogger(__name__)

NAMESPACE = 'trio2o.jobs'

#: However often it failed, it is tried again within ten minutes.
MAX_RETRY_SECONDS = 600.0

_BEATS_A_LEASE = 3

TOO_LONG = 'it took too long'


def load_jobs() -> dict[str, Job]:
    """One of each job that is installed, by type."""
    found: ExtensionManager[Any] = ExtensionManager(NAMESPACE, invoke_on_load=True, on_load_failure_callback=_refuse)
    return {extension.name: extension.obj for extension in found if extension.obj is not None}


def _refuse(_manager: Any, _entry_point: Any, error: BaseException) -> None:
    raise error


def owner_name() -> str:
    """A name no other worker has."""
    return f'{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}'


class RunningTask:
    """One run of one job, as ``jobs.base.Task`` describes it."""

    def __init__(self, manager: JobManager, job: JobRecord, deadline: datetime) -> None:
        self.job = job
        self.runtime = manager.runtime
        self._manager = manager
        self._deadline = deadline
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
        """Why the run has to end, if it has to."""
        return self._interrupted

    def check(self) -> None:
        self._check_time()
        if self._interrupted is None and self._manager.is_late(self._held_until):
            # On a machine that hardly gets on, the heartbeats may be late, and the job another's by now.
            self.beat()
        if self._interrupted is not None:
            raise Interrupted(self._interrupted)

    def _check_time(self) -> None:
        if self._interrupted is None and self._manager.clock() >= self._deadline:
            self.is_overdue = True
            self.interrupt(TOO_LONG)

    def wait(self, seconds: float) -> None:
        self.check()
        self._woken.wait(seconds)
        self.check()

    def progress(self, **what: Any) -> None:
        self.check()
        if not self._manager.remember_progress(self.job, what):
            self.interrupt('another worker has taken it over')
            self.check()

    def result(self, what: Any) -> None:
        self.outcome = what

    def again(self, payload: Any, delay_seconds: float) -> None:
        self.next_run = payload, delay_seconds

    def beat(self) -> None:
        """Prolong the lease, unless the run should have ended by now."""
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

    def beat_until_ended(self, seconds: float) -> None:
        while not self._ended.wait(seconds):
            try:
                self.beat()
            except db_exc.DBError:
                LOG.exception('job %s: its lease could not be prolonged', self.job.id)

    def end(self) -> None:
        self._ended.set()


class JobManager:
    """Runs jobs, one for each call of ``run_one``; any number of threads may call it."""

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        runtime: Runtime,
        *,
        jobs: Mapping[str, Job] | None = None,
        owner: str | None = None,
        clock: Callable[[], datetime] = utcnow,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """:param jobs: by type; those installed if None
        :param clock: the time leases and retries are reckoned by
        :param jitter: a number from 0 to 1, so that what failed together is not retried together
        """
        self.runtime = runtime
        self.owner = owner or owner_name()
        self.clock = clock
        self._jobs = dict(load_jobs() if jobs is None else jobs)
        self._jitter = jitter
        self._lease_seconds = conf.xjob.lease_seconds
        self._retry_seconds = conf.xjob.retry_seconds
        self._most_of_pod = conf.xjob.pod_concurrency
        self._running: dict[str, RunningTask] = {}
        self._is_stopping = False

    def run_one(self, job_id: str | None = None) -> JobRecord | None:
        """Claim and run a job.

        :param job_id: this one, if it is due; any if None
        :returns: the job after its run; None if there was none to run
        """
        job = self._claim(job_id)
        if job is None:
            return None
        with working_for(job.request_id):
            started = time.monotonic()
            ended = self._run_claimed(job)
            metrics.job_ran(job.type, ended.state if ended else 'lost', time.monotonic() - started)
            return ended or db_jobs.get(self.runtime.db, job.id)

    def _run_claimed(self, job: JobRecord) -> JobRecord | None:
        """:returns: the job after its run; None if another worker has taken it over"""
        kind = self._jobs[job.type]
        deadline = self.clock() + timedelta(seconds=kind.max_seconds)
        task = RunningTask(self, job, deadline)
        self._running[job.id] = task
        beats = threading.Thread(
            target=task.beat_until_ended,
            args=(self._lease_seconds / _BEATS_A_LEASE,),
            daemon=True,
        )
        beats.start()
        LOG.info('job %s: %s of %s starts', job.id, job.type, job.resource_key)
        try:
            ended = self._run(kind, task)
        finally:
            task.end()
            self._running.pop(job.id, None)
        if ended is None:
            LOG.warning('job %s: another worker has taken it over', job.id)
            return None
        LOG.info('job %s: %s of %s is %s', job.id, job.type, job.resource_key, ended.state)
        return ended

    def stop(self) -> None:
        """Have the running jobs end at their next step, to be taken up by another worker."""
        self._is_stopping = True
        for task in list(self._running.values()):
            task.interrupt('its worker is stopping')

    def is_late(self, held_until: datetime) -> bool:
        """Whether a lease should have been prolonged by now."""
        return self.clock() >= held_until - timedelta(seconds=self._lease_seconds / 2)

    def prolong(self, job: JobRecord) -> JobRecord | None:
        return db_jobs.heartbeat(self.runtime.db, job.id, self.owner, self._lease_seconds, self.clock())

    def remember_progress(self, job: JobRecord, what: Mapping[str, Any]) -> bool:
        return db_jobs.progress(self.runtime.db, job.id, self.owner, dict(what), self.clock())

    def _claim(self, job_id: str | None) -> JobRecord | None:
        if self._is_stopping:
            return None
        db, now, lease = self.runtime.db, self.clock(), self._lease_seconds
        if job_id is None:
            return db_jobs.claim(db, self.owner, lease, now, self._jobs, self._most_of_pod)
        job = db_jobs.get(db, job_id)
        if job is None or job.type not in self._jobs or not job.is_active:
            return None  # mostly: a scan was faster than the message
        return db_jobs.claim_id(db, job_id, self.owner, lease, now, self._most_of_pod)

    def _run(self, kind: Job, task: RunningTask) -> JobRecord | None:
        job = task.job
        try:
            kind.run(task)
        except Interrupted:
            return self._interrupted(task)
        except GiveUp as error:
            return self._finish(task, 'fail', str(error))
        except (TryAgain, exception.Trio2oException) as error:
            return self._failed(task, str(error))
        except Exception as error:
            LOG.exception('job %s: %s of %s failed', job.id, job.type, job.resource_key)
            return self._failed(task, f'{type(error).__name__}: {error}')
        return self._finish(task, 'success', None)

    def _interrupted(self, task: RunningTask) -> JobRecord | None:
        job, reason = task.job, task.interrupted or ''
        if task.is_overdue:
            return self._failed(task, f'{reason}: it is given {self._jobs[job.type].max_seconds:.0f} seconds')
        now = self.clock()
        # One that was cancelled meanwhile ends here, too.
        return db_jobs.retry_later(self.runtime.db, job.id, self.owner, now, reason, now, is_counted=False)

    def _failed(self, task: RunningTask, error: str) -> JobRecord | None:
        job = task.job
        if job.attempts >= job.max_attempts:
            return self._finish(task, 'fail', error)
        now = self.clock()
        run_after = now + timedelta(seconds=self._pause(job.attempts))
        LOG.warning(
            'job %s: %s of %s is tried again at %s: %s',
            job.id,
            job.type,
            job.resource_key,
            run_after,
            error,
        )
        return db_jobs.retry_later(self.runtime.db, job.id, self.owner, run_after, error, now)

    def _pause(self, attempts: int) -> float:
        """Seconds before the next attempt: twice as long each time, half to one and a half of it."""
        seconds = min(MAX_RETRY_SECONDS, self._retry_seconds * 2.0 ** min(attempts - 1, 30))
        return float(min(MAX_RETRY_SECONDS, seconds * (0.5 + self._jitter())))

    def _finish(self, task: RunningTask, state: str, error: str | None) -> JobRecord | None:
        now, again = self.clock(), None
        if task.next_run is not None:
            payload, seconds = task.next_run
            again = db_jobs.Again(now + timedelta(seconds=seconds), payload)
        return db_jobs.finish(
            self.runtime.db, task.job.id, self.owner, state, error, now, result=task.outcome, again=again
        )
