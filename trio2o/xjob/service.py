# SPDX-License-Identifier: Apache-2.0
"""The worker as a service: threads that run jobs, told of them by messages or finding them by scans.

Messages only make it faster. Without a broker everything goes on, at the pace of the scans; the connection
is made in the background whenever there is one.
"""

from __future__ import annotations

import logging
import queue
import threading
from typing import Any

import oslo_messaging
from oslo_config import cfg
from oslo_db import exception as db_exc

from trio2o import rpc
from trio2o.runtime import Runtime
from trio2o.xjob.manager import JobManager
from trio2o.xjob.periodic import Periodic

LOG = logging.getLogger(__name__)

#: Seconds that jobs have to come to a step's end when the service stops.
STOP_SECONDS = 20.0

_HINTS = 1000


class XJobService:
    """Start, stop, wait: one a process."""

    def __init__(
        self, conf: cfg.ConfigOpts, runtime: Runtime, manager: JobManager | None = None
    ) -> None:
        self._conf = conf
        self._scan_interval = conf.xjob.scan_interval
        self.manager = manager or JobManager(conf, runtime)
        self._periodic = Periodic(conf, runtime)
        self._hints: queue.Queue[str | None] = queue.Queue(_HINTS)
        self._threads: list[threading.Thread] = []
        self._stopping = threading.Event()
        self._server: Any = None

    def start(self) -> None:
        targets = [self._work] * self._conf.xjob.concurrency
        for target in [*targets, self._tick, self._listen]:
            thread = threading.Thread(target=target, daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """Take no more jobs; those that run end at their next step."""
        self._stopping.set()
        self.manager.stop()
        for _ in range(self._conf.xjob.concurrency):
            self._hint(None)
        server, self._server = self._server, None
        if server is not None:
            server.stop()
            server.wait()
        for thread in self._threads[:-1]:  # the last one may wait for a broker for ever
            thread.join(STOP_SECONDS)

    def wait(self) -> None:
        """Wait until it has been told to stop."""
        self._stopping.wait()

    def run_job(self, context: Any, job_id: str) -> None:
        """The message: somebody submitted a job."""
        self._hint(job_id)

    def _hint(self, job_id: str | None) -> None:
        try:
            self._hints.put_nowait(job_id)
        except queue.Full:
            pass  # there is enough to do, and what to do next the table says

    def _work(self) -> None:
        """One of the threads that run jobs."""
        hint: str | None = None
        while not self._stopping.is_set():
            try:
                if hint is not None:
                    self.manager.run_one(hint)
                while not self._stopping.is_set() and self.manager.run_one() is not None:
                    pass
            except db_exc.DBError:
                LOG.exception('jobs could not be read')
            try:
                hint = self._hints.get(timeout=self._scan_interval)
            except queue.Empty:
                hint = None

    def _tick(self) -> None:
        while not self._stopping.is_set():
            try:
                self._periodic.tick()
            except db_exc.DBError:
                LOG.exception('periodic jobs could not be submitted')
            self._stopping.wait(self._scan_interval)

    def _listen(self) -> None:
        while not self._stopping.is_set():
            server = rpc.get_server(self._conf, self.manager.owner, self)
            try:
                server.start()
            except (oslo_messaging.MessagingException, OSError) as error:
                LOG.warning('no broker (%s); jobs are found by scans', type(error).__name__)
                self._stopping.wait(self._scan_interval)
                continue
            self._server = server
            return
