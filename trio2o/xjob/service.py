# SPDX-License-Identifier: Apache-2.0
"""The worker as a service: threads that find jobs by messages and by scans of the table, and run them.

The threads go on after any exception. If one ends all the same, the process ends too, so that its supervisor starts
it again: a worker that lives and runs no jobs would not be noticed.

Messages only start a job sooner. Without a message broker the scans find all jobs, and the service connects in the
background as soon as there is a broker.
"""

from __future__ import annotations

import logging
import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import oslo_messaging
from oslo_config import cfg

from trio2o import metrics, rpc
from trio2o.runtime import Runtime
from trio2o.xjob.manager import JobManager
from trio2o.xjob.periodic import Periodic

LOG = logging.getLogger(__name__)

#: The submission of periodic jobs is stuck if it did not run for so many seconds, or so many scan intervals.
STUCK_SECONDS = 60.0
_STUCK_SCANS = 12
#: A job is stuck if it still runs so many seconds after it should have ended: a step may take as long as a call to a
#: pod.
STUCK_JOB_SECONDS = 600.0

#: Seconds that jobs have to finish a step when the service stops.
STOP_SECONDS = 20.0

_HINTS = 1000


def end_process() -> None:
    """End this process at once, with a status after which its supervisor starts it again."""
    logging.shutdown()
    os._exit(1)


class XJobService:
    """One per process."""

    def __init__(self, conf: cfg.ConfigOpts, runtime: Runtime, manager: JobManager | None = None) -> None:
        self._conf = conf
        self._scan_interval = conf.xjob.scan_interval
        self.manager = manager or JobManager(conf, runtime)
        self._periodic = Periodic(conf, runtime)
        self._hints: queue.Queue[str | None] = queue.Queue(_HINTS)
        self._threads: list[threading.Thread] = []
        self._stopping = threading.Event()
        self._ticked = time.monotonic()
        self._server: Any = None
        self._connecting: threading.Thread | None = None

    def start(self) -> None:
        self._connect()
        workers = [self._work] * self._conf.xjob.concurrency
        if len(workers) > 1:
            # Jobs of pods that do not answer can take all other threads for minutes.
            workers[0] = self._work_without_pods
        for target in [*workers, self._tick]:
            thread = threading.Thread(target=self._run_loop, args=(target,), daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """Stop claiming jobs, and interrupt the running ones at their next step."""
        self._stopping.set()
        self.manager.stop()
        for _ in range(self._conf.xjob.concurrency):
            self._hint(None)
        for thread in self._threads:
            thread.join(STOP_SECONDS)
        if self._server is not None:
            self._server.stop()
            self._server.wait()

    @property
    def is_connected(self) -> bool:
        """Whether the service is connected to a message broker."""
        return self._server is not None

    def problem(self) -> str:
        """Return why this worker runs no jobs; empty if it does."""
        waited = time.monotonic() - self._ticked
        if waited > max(STUCK_SECONDS, _STUCK_SCANS * self._scan_interval):
            return f'The loop that submits periodic jobs has not run for {waited:.0f} seconds.'
        stuck = self.manager.stuck_jobs(STUCK_JOB_SECONDS)
        if len(stuck) >= self._conf.xjob.concurrency:
            return f'All jobs that run here should have ended: {", ".join(stuck)}.'
        return ''

    def wait(self) -> None:
        """Wait until ``stop`` is called."""
        self._stopping.wait()

    def run_job(self, context: Any, job_id: str) -> None:
        """Receive the message that a job was submitted."""
        self._hint(job_id)

    def _hint(self, job_id: str | None) -> None:
        try:
            self._hints.put_nowait(job_id)
        except queue.Full:
            pass  # the threads are busy, and then scan the table for the next job

    def _run_loop(self, loop: Callable[[], None]) -> None:
        """Run one of the loops; end the process if the loop ends before the service stops."""
        try:
            loop()
        finally:
            # The interpreter ends green threads when it finalizes.
            if not self._stopping.is_set() and not sys.is_finalizing():
                LOG.critical('A thread of the job worker has ended; ending the process', exc_info=True)
                end_process()

    def _work(self) -> None:
        """Run jobs until the service stops; the work of each of its threads."""
        hint: str | None = None
        while not self._stopping.is_set():
            try:
                if hint is not None:
                    self.manager.run_one(hint)
                while not self._stopping.is_set() and self.manager.run_one() is not None:
                    pass
            except Exception:
                LOG.exception('Failed to claim or finish a job')
            try:
                hint = self._hints.get(timeout=self._scan_interval)
            except queue.Empty:
                hint = None

    def _work_without_pods(self) -> None:
        """Run jobs that call no pod, or any pod, until the service stops; the work of one thread.

        It takes no messages, as they may be about other jobs.
        """
        while not self._stopping.is_set():
            try:
                while not self._stopping.is_set() and self.manager.run_one(with_pod=False) is not None:
                    pass
            except Exception:
                LOG.exception('Failed to claim or finish a job')
            self._stopping.wait(self._scan_interval)

    def _tick(self) -> None:
        """Submit periodic jobs until the service stops; the work of one thread."""
        while not self._stopping.is_set():
            try:
                self._periodic.tick()
                self._connect()
            except Exception:
                LOG.exception('Failed to submit periodic jobs or to connect to the message broker')
            self._ticked = time.monotonic()
            metrics.loop_ran('periodic_jobs')
            self._stopping.wait(self._scan_interval)

    def _connect(self) -> None:
        """Connect to the broker in the background, unless connected or about to be."""
        if self.is_connected or (self._connecting and self._connecting.is_alive()):
            return
        server = rpc.get_server(self._conf, self.manager.owner, self)
        self._connecting = threading.Thread(target=self._listen, args=(server,), daemon=True)
        self._connecting.start()

    def _listen(self, server: Any) -> None:
        try:
            server.start()
        except (oslo_messaging.MessagingException, OSError) as error:
            LOG.warning('Failed to connect to the message broker (%s); jobs are found by scans', error)
        else:
            self._server = server
