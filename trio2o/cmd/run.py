# SPDX-License-Identifier: Apache-2.0
"""Start and stop of all commands that serve.

Listening sockets are opened first, so that a port in use is reported at once and in one line. With one worker the
process that was started serves itself; several are forked by oslo.service, which replaces those that die. The
components of a process (HTTP servers, the job worker) are made after the fork, as connections and threads do not
survive one.

SIGTERM and SIGINT stop the process after running requests. SIGHUP reads mutable options again.
"""

from __future__ import annotations

import importlib
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from oslo_config import cfg
from oslo_log import log as oslo_log
from oslo_service import service as oslo_service
from oslo_service import systemd

from trio2o import concurrency, gc_tuning, metrics, version
from trio2o import conf as trio2o_conf
from trio2o.conf import credentials, log_records
from trio2o.conf import files as conf_files
from trio2o.db import database
from trio2o.runtime import Runtime
from trio2o.web.app import build_app
from trio2o.web.middleware.access_log import AccessLog

LOG = logging.getLogger(__name__)

#: Configuration group -> package with SERVICE.
SERVICES = {
    'api': 'trio2o.api',
    'cinder_apigw': 'trio2o.cinder_apigw',
    'nova_apigw': 'trio2o.nova_apigw',
}

#: Seconds for which a process that is stopped waits for running requests.
GRACE_SECONDS = 30.0


class Component(Protocol):
    """A part of a process with a start and a stop."""

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def wait(self) -> None: ...


@dataclass(frozen=True)
class Listener:
    """A service and its listening socket."""

    name: str
    sock: socket.socket

    def component(self, conf: cfg.ConfigOpts, runtime: Runtime) -> Component:
        service = importlib.import_module(SERVICES[self.name]).SERVICE
        options = conf[self.name]
        return concurrency.WSGIServer(
            self.sock,
            AccessLog(build_app(service, runtime)),
            threads=options.threads,
            keepalive=options.keepalive_timeout,
            timeout=GRACE_SECONDS,
            body_seconds=options.body_timeout,
            max_body=conf.oslo_middleware.max_request_body_size,
        )


class CannotStart(Exception):
    """An error that an operator can correct, described in one line."""


def guarded(prog: str, function: Callable[[], int]) -> int:
    """Run a command; an error at start is reported in one line.

    :returns: the exit status
    """
    try:
        return function()
    except (CannotStart, cfg.Error) as error:
        print(f'{prog}: {" ".join(str(error).split())}', file=sys.stderr)
        return 1


def configure(prog: str, argv: Sequence[str] | None) -> cfg.ConfigOpts:
    """Read the configuration and set up logging."""
    conf = trio2o_conf.new_config(sys.argv[1:] if argv is None else argv, prog=prog)
    # trio2o.cmd.early has already used this option, and ignores errors. They are reported here.
    if conf.concurrency_backend != concurrency.backend():
        raise CannotStart(f'started with {concurrency.backend()}, but {conf.concurrency_backend} is configured')
    if conf.concurrency_backend == 'eventlet' and database.waits_in_c(conf):
        # Eventlet cannot switch to another green thread meanwhile.
        raise CannotStart('[database] connection: mysqlclient (mysql+mysqldb) needs concurrency_backend = threading')
    conf_files.check(conf)
    credentials.check(conf)
    oslo_log.setup(conf, 'trio2o', version.version_string())
    log_records.tune(conf)
    return conf


def listen(conf: cfg.ConfigOpts, *names: str) -> list[Listener]:
    """Open the listening sockets of services.

    :raises CannotStart: an address cannot be used
    """
    return [Listener(name, listen_at(name, conf[name].bind_host, conf[name].bind_port)) for name in names]


def listen_at(name: str, host: str, port: int) -> socket.socket:
    """Open a listening socket.

    :param name: configuration group with the address
    :raises CannotStart: the address cannot be used
    """
    try:
        sock = concurrency.listen(host, port)
    except OSError as error:
        raise CannotStart(f'[{name}] cannot listen on {host}:{port}: {error.strerror or error}') from error
    LOG.info('%s listens on %s port %s', name, *sock.getsockname()[:2])
    return sock


def run(conf: cfg.ConfigOpts, make_components: Callable[[], list[Component]], workers: int = 1) -> int:
    """Run components until a signal stops the process.

    :param make_components: called in each process
    :returns: the exit status
    """
    if workers == 1:
        status = _run_here(conf, make_components)
    else:
        launcher = oslo_service.ProcessLauncher(conf, restart_method='mutate')
        launcher.launch_service(_Worker(make_components), workers=workers)
        try:
            status = launcher.wait() or 0
        except SystemExit as ended:  # how oslo.service's threading backend ends
            status = int(ended.code or 0)
        metrics.remove_directory()
    logging.shutdown()
    sys.stdout.flush()
    # Do not wait for threads that still wait for a pod.
    os._exit(status)


def _run_here(conf: cfg.ConfigOpts, make_components: Callable[[], list[Component]]) -> int:
    signals = concurrency.Signals(signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    components = make_components()
    for component in components:
        component.start()
    gc_tuning.freeze()
    LOG.info('started with %s', concurrency.backend())
    systemd.notify_once()
    while True:
        number = signals.wait()
        if number != signal.SIGHUP:
            break
        LOG.info('SIGHUP: reading mutable options again')
        conf.mutate_config_files()
    LOG.info('%s: stopping', signal.Signals(number).name)
    signals.restore()
    stop_all(components)
    LOG.info('stopped')
    return 0


def stop_all(components: Sequence[Component]) -> None:
    """Stop components concurrently, as each may wait for running requests or jobs."""
    threads = [threading.Thread(target=component.stop) for component in components]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


class _Worker(oslo_service.ServiceBase):
    """The service that oslo.service runs in each forked process."""

    def __init__(self, make_components: Callable[[], list[Component]]) -> None:
        self._make_components = make_components
        self._components: list[Component] = []
        self._stopped = threading.Event()

    def start(self) -> None:
        self._components = self._make_components()
        for component in self._components:
            component.start()
        gc_tuning.freeze()
        LOG.info('worker %s started with %s', os.getpid(), concurrency.backend())

    def stop(self) -> None:
        stop_all(self._components)
        self._components = []
        self._stopped.set()

    def wait(self) -> None:
        self._stopped.wait()

    def reset(self) -> None:
        """SIGHUP: oslo.service has already read the mutable options again."""
