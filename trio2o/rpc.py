# SPDX-License-Identifier: Apache-2.0
"""Messages from the services to the workers, over oslo.messaging.

There is one cast, ``run_job(job_id)``, a hint that a job is due. No request waits for it, and a lost message loses
nothing, so an unreachable or slow broker delays no request.
"""

from __future__ import annotations

import logging
import queue
import threading
from typing import Any, Protocol

import oslo_messaging
from oslo_config import cfg
from oslo_messaging import opts as messaging_opts

from trio2o import compat

LOG = logging.getLogger(__name__)

TOPIC = 'trio2o-xjob'
VERSION = '1.0'

#: Transport without a configured broker: messages stay within this process.
IN_PROCESS = 'fake://'

_PENDING = 1000


class HasId(Protocol):
    """The part of a job that a message carries."""

    @property
    def id(self) -> str: ...


class JobHandler(Protocol):
    """Handler of the messages, in the worker."""

    def run_job(self, context: Any, job_id: str) -> None: ...


def get_transport(conf: cfg.ConfigOpts) -> oslo_messaging.RPCTransport:
    """The transport to the broker of ``[DEFAULT] transport_url``; without one, within the process."""
    for group, options in messaging_opts.list_opts():
        if group is None:
            conf.register_opts(options)
    for group, options in compat.messaging_options():
        conf.register_opts(options, group=group)
    default = next(
        opt.default for _group, options in messaging_opts.list_opts() for opt in options if opt.dest == 'transport_url'
    )
    url = conf.transport_url
    return oslo_messaging.get_rpc_transport(conf, IN_PROCESS if url == default else None)


def get_server(conf: cfg.ConfigOpts, name: str, handler: JobHandler) -> Any:
    """A server that passes messages to the handler; its ``start`` waits until it reaches the broker.

    :param name: name of this worker; each message goes to one of the workers
    """
    target = oslo_messaging.Target(topic=TOPIC, server=name)
    return oslo_messaging.get_rpc_server(get_transport(conf), target, [_Versioned(handler)])


class _Versioned:
    """The handler with the attribute that oslo.messaging requires."""

    target = oslo_messaging.Target(version=VERSION)

    def __init__(self, handler: JobHandler) -> None:
        self._handler = handler

    def run_job(self, context: Any, job_id: str) -> None:
        self._handler.run_job(context, job_id)


class Notifier:
    """Notifies workers of new jobs in a separate thread, as sending may have to wait for the broker."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._conf = conf
        self._waiting: queue.Queue[str] = queue.Queue(_PENDING)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def notify(self, job: HasId) -> None:
        """Queue a message for the workers; returns at once."""
        try:
            self._waiting.put_nowait(job.id)
        except queue.Full:
            LOG.info(
                'Could not notify workers of job %s (too many messages wait for the broker); a scan will find it',
                job.id,
            )
        self._start()

    def _start(self) -> None:
        """Start the thread with the first message: it would not survive the fork of a worker."""
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._send_all, daemon=True)
                self._thread.start()

    def _send_all(self) -> None:
        target = oslo_messaging.Target(topic=TOPIC, version=VERSION)
        client = oslo_messaging.get_rpc_client(get_transport(self._conf), target)
        while True:
            job_id = self._waiting.get()
            try:
                client.cast({}, 'run_job', job_id=job_id)
            except (oslo_messaging.MessagingException, OSError) as error:
                LOG.info('Could not notify workers of job %s (%s); a scan will find it', job_id, error)
