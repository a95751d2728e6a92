# SPDX-License-Identifier: Apache-2.0
"""Start, watch and stop the lab's processes.

A process is identified by its id and its start time, so that an old pid file never names another
process. If the pid file is lost, the process is found by its environment.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from typing import IO

from trio2o.lab.real import configure, loaded
from trio2o.lab.real.errors import ServiceFailed
from trio2o.lab.real.topology import HOST, Service, Topology

START_SECONDS = 180
STOP_SECONDS = 10


@dataclasses.dataclass(frozen=True)
class ServiceStatus:
    """The state of a process: ``running``, ``starting`` or ``stopped``."""

    service: Service
    pid: int | None
    state: str
    log: pathlib.Path


def status(topology: Topology, service: Service) -> ServiceStatus:
    """Return the state of a service."""
    pid = running_pid(topology, service) or adopt(topology, service)
    state = 'stopped' if pid is None else 'running' if is_healthy(service) else 'starting'
    return ServiceStatus(service, pid, state, topology.log_file(service))


def start_time(pid: int) -> str | None:
    """Return the start time of a process in clock ticks since boot; None if it does not run."""
    try:
        text = pathlib.Path(f'/proc/{pid}/stat').read_text()
    except OSError:
        return None
    fields = text.rpartition(')')[2].split()
    return None if fields[0] == 'Z' else fields[19]


def running_pid(topology: Topology, service: Service) -> int | None:
    """Return the process id of a service; None if the process that was started does not run any more."""
    try:
        pid_text, started = topology.pid_file(service).read_text().split()
    except (OSError, ValueError):
        return None
    return int(pid_text) if start_time(int(pid_text)) == started else None


def adopt(topology: Topology, service: Service) -> int | None:
    """Find the process of a service by its environment, and write its pid file, which was lost."""
    mark = f'LAB_CONFIG_FILE={topology.config_file(service)}'.encode()
    for folder in pathlib.Path('/proc').glob('[0-9]*'):
        with contextlib.suppress(OSError):
            if mark in (folder / 'environ').read_bytes().split(b'\0'):
                write_pid_file(topology, service, int(folder.name))
                return running_pid(topology, service)
    return None


def write_pid_file(topology: Topology, service: Service, pid: int) -> None:
    topology.pid_file(service).write_text(f'{pid} {start_time(pid)}\n')


def start(topology: Topology, service: Service) -> bool:
    """Start the process of a service without waiting for it.

    :returns: False if it runs already
    :raises ServiceFailed: another program uses the port
    """
    if running_pid(topology, service) is not None:
        return False
    if port_is_taken(service.port):
        if adopt(topology, service) is not None:
            return False
        raise ServiceFailed(
            f'port {service.port}, which {service.name} wants, is in use by another program: stop that; '
            'or remove this cloud with `tools/demo destroy` and create one on other ports with --port-base'
        )
    with topology.log_file(service).open('ab') as log:
        log.write(f'--- {service.name} starts at {time.strftime("%F %T")}\n'.encode())
        log.flush()
        write_pid_file(topology, service, launch(topology, service, log))
    return True


def launch(topology: Topology, service: Service, log: IO[bytes]) -> int:
    """Start the process of a service. :returns: its id"""
    environment = configure.environment(topology, service)
    folder = topology.state_path(service)
    loaders = topology.state_dir / 'loaded'
    if service.kind in loaded.MODULES and loaders.exists():
        return loaded.start(
            loaders,
            service.kind,
            service.launcher,
            service.python,
            environment=environment,
            state=str(folder),
            log=log.name,
        )
    return subprocess.Popen(
        [service.python, '-W', 'ignore', '-m', service.launcher],
        env=environment,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ).pid


def run(topology: Topology, service: Service, module: str, *arguments: str, log: pathlib.Path, **more: str) -> bool:
    """Run a module that calls a command of a service, and wait for its end.

    :param log: file for its output
    :param more: variables of its environment
    :returns: whether it succeeded
    """
    environment = {**configure.environment(topology, service), **more}
    loaders = topology.state_dir / 'loaded'
    if service.kind in loaded.MODULES and loaders.exists():
        request = {'environment': environment, 'state': str(topology.state_dir), 'log': str(log)}
        return not loaded.run(loaders, service.kind, module, service.python, *arguments, **request)
    with log.open('ab') as out:
        done = subprocess.run(
            [service.python, '-W', 'ignore', '-m', module, *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    return not done.returncode


def await_health(topology: Topology, service: Service, seconds: float = START_SECONDS) -> None:
    """Wait until a started service answers.

    :raises ServiceFailed: it ended, or does not answer in time
    """
    deadline = time.monotonic() + seconds
    while not is_healthy(service):
        log = topology.log_file(service)
        reap(topology, service)
        if running_pid(topology, service) is None:
            raise ServiceFailed(f'{service.name} ended while starting: see {log}{last_lines(log)}')
        if time.monotonic() > deadline:
            raise ServiceFailed(f'{service.name} did not answer within {seconds:.0f} s: see {log}{last_lines(log)}')
        time.sleep(0.3)


def reap(topology: Topology, service: Service) -> None:
    """Wait for a child process that has ended, so that it does not stay a zombie."""
    with contextlib.suppress(OSError, ValueError):
        os.waitpid(int(topology.pid_file(service).read_text().split()[0]), os.WNOHANG)


def last_lines(log: pathlib.Path, count: int = 8) -> str:
    lines = log.read_text(errors='replace').splitlines()[-count:]
    return ''.join(f'\n    {line[:300]}' for line in lines)


def is_healthy(service: Service) -> bool:
    """Whether a service answers over HTTP; a 4xx is an answer too."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(service.health_url, timeout=5) as response:
            return bool(response.status < 500)
    except urllib.error.HTTPError as error:
        return error.code < 500
    except OSError:
        return False


def check_ports(topology: Topology) -> None:
    """Check that the ports of all services are free, before anything is created.

    :raises ServiceFailed: ports are in use; the message names all of them
    """
    gateway = topology.gateway
    wanted = [
        *((service.port, service.name, '--port-base') for service in topology.services),
        (gateway.admin_port, "the gateway's Admin API", '--admin-port'),
        (gateway.volume_port, 'the Cinder API-GW', '--volume-port'),
        (gateway.compute_port, 'the Nova API-GW', '--compute-port'),
    ]
    taken = [(port, name, option) for port, name, option in wanted if port_is_taken(port)]
    if taken:
        ports = ', '.join(f'{port} ({name})' for port, name, _option in taken)
        options = ', '.join(dict.fromkeys(option for _port, _name, option in taken))
        raise ServiceFailed(
            f'ports are in use by another program: {ports}. Stop it, or choose other ports with {options}; '
            f'`tools/demo up --help` shows the options'
        )


def port_is_taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return True
    return False


def stop(topology: Topology, services: list[Service]) -> list[Service]:
    """Stop services at the same time; return those that were running."""
    pids = {
        service: pid
        for service in services
        if (pid := running_pid(topology, service) or adopt(topology, service)) is not None
    }
    for pid in pids.values():
        send(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    waiting = dict(pids)
    while waiting and time.monotonic() < deadline:
        for service in list(waiting):
            reap(topology, service)
            if running_pid(topology, service) is None:
                del waiting[service]
        time.sleep(0.05)
    for pid in waiting.values():
        send(pid, signal.SIGKILL)
    for service in services:
        reap(topology, service)
        topology.pid_file(service).unlink(missing_ok=True)
    return list(pids)


def send(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, number)
