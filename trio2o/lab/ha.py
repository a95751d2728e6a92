# SPDX-License-Identifier: Apache-2.0
"""``trio2o-lab ha``: Trio2o on two hosts behind HAProxy, on MariaDB and RabbitMQ.

The hosts are two loopback addresses: each has the three HTTP services under uWSGI and a job worker, configured by the
sample files under ``etc``. A process that ends is started again, as by systemd. HAProxy, MariaDB and RabbitMQ are the
distribution's.
"""

from __future__ import annotations

import argparse
import configparser
import contextlib
import csv
import dataclasses
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping

from trio2o.lab import servers
from trio2o.lab.load import Load, Target
from trio2o.lab.real.errors import LabError

ETC = pathlib.Path(__file__).resolve().parents[2] / 'etc'
VIP = '127.0.0.1'
HOSTS = {'host1': '127.0.0.2', 'host2': '127.0.0.3'}
#: Configuration group of a service -> its command, and its port and HAProxy backend in the samples.
SERVICES = {
    'api': ('trio2o-api', 19996, 'trio2o_admin'),
    'cinder_apigw': ('trio2o-cinder-apigw', 19997, 'trio2o_volume'),
    'nova_apigw': ('trio2o-nova-apigw', 19998, 'trio2o_compute'),
}
#: Processes of a service on a host. Each loads the service for itself; the load is on the Compute API.
PROCESSES = {'api': 1, 'cinder_apigw': 1, 'nova_apigw': 2}
START_SECONDS = 90
STOP_SECONDS = 90
RESTART_SECONDS = 1.0
POLL_SECONDS = 0.2
PROGRAMS = {'haproxy': 'haproxy'}


@dataclasses.dataclass(frozen=True)
class Process:
    """A process to run.

    :ivar urls: all answer 200 once it serves; empty: it has no port
    :ivar backend: its ``backend/server`` in HAProxy, or None
    """

    name: str
    command: tuple[str, ...]
    env: Mapping[str, str]
    urls: tuple[str, ...] = ()
    backend: str | None = None


def layout(confs: Mapping[str, pathlib.Path], state: pathlib.Path, ports: Mapping[str, int]) -> list[Process]:
    """Write the configuration files of the processes, and return the processes in the order of their start.

    :param confs: the ``trio2o.conf`` of each host
    """
    programs = pathlib.Path(sys.executable).parent
    found = []
    for host, address in HOSTS.items():
        conf = confs[host]
        for group, (name, port, backend) in SERVICES.items():
            ini = state / f'{name}-{host}.ini'
            ini.write_text(
                (ETC / 'uwsgi' / f'{name}.ini')
                .read_text()
                .replace('processes = 2', f'processes = {PROCESSES[group]}')
                .replace(f'http-socket = :{port}', f'http-socket = {address}:{ports[group]}')
                .replace('; virtualenv = /opt/trio2o', f'virtualenv = {sys.prefix}')
            )
            files = {'OS_TRIO2O_CONFIG_FILES': str(conf)}
            urls = (health_of(address, ports[group]),)
            found.append(
                Process(
                    f'{name}@{host}', (str(programs / 'uwsgi'), '--ini', str(ini)), files, urls, f'{backend}/{host}'
                )
            )
        found.append(Process(f'trio2o-xjob@{host}', (str(programs / 'trio2o-xjob'), f'--config-file={conf}'), {}))
    config = (ETC / 'haproxy' / 'haproxy.cfg').read_text()
    for group, (_name, port, _backend) in SERVICES.items():
        config = config.replace(f':{port}"', f':{ports[group]}"')
    (state / 'haproxy.cfg').write_text(config)
    addresses = {f'TRIO2O_{host.upper()}': address for host, address in HOSTS.items()}
    env = {'TRIO2O_VIP': VIP, 'TRIO2O_RUN': str(state), **addresses}
    haproxy = ('haproxy', '-db', '-f', str(state / 'haproxy.cfg'))
    return [*found, Process('haproxy', haproxy, env, tuple(health_of(VIP, port) for port in ports.values()))]


def health_of(address: str, port: int) -> str:
    return f'http://{address}:{port}/healthcheck'


def write_conf(base: pathlib.Path, path: pathlib.Path, connection: str, transport_url: str) -> dict[str, int]:
    """Write the configuration of all processes; return the ports of the services."""
    parser = configparser.RawConfigParser(default_section='no defaults')
    parser.read(base)
    changes = {
        'DEFAULT': {'transport_url': transport_url, 'state_path': str(path.parent)},
        'database': {'connection': connection},
        # As in a cluster of brokers, where a quorum queue survives the loss of one broker.
        'oslo_messaging_rabbit': {'rabbit_quorum_queue': 'true', 'rabbit_transient_quorum_queue': 'true'},
    }
    for section, options in changes.items():
        if not parser.has_section(section):
            parser.add_section(section)
        for name, value in options.items():
            parser.set(section, name, value)
    with open(path, 'w', opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        parser.write(file)
    return {group: parser.getint(group, 'bind_port', fallback=port) for group, (_n, port, _b) in SERVICES.items()}


def is_healthy(url: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=5) as response:
            return bool(response.status == 200)
    except (urllib.error.HTTPError, OSError):
        return False


class Supervisor:
    """Keeps processes running until ``end`` is called."""

    def __init__(self, state: pathlib.Path, processes: list[Process]) -> None:
        self._state = state
        self._processes = {process.name: process for process in processes}
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._ended = threading.Event()

    def end(self, *_signal: object) -> None:
        self._ended.set()

    def run(self) -> None:
        """Start all processes, and those that end again, until ``end``; then stop all."""
        try:
            for name in self._processes:
                self._start(name)
            while not self._ended.wait(POLL_SECONDS):
                for name, running in list(self._running.items()):
                    if running.poll() is not None:
                        print(f'{name} ended with {running.returncode}: starting it again', flush=True)
                        self._ended.wait(RESTART_SECONDS)
                        self._start(name)
        finally:
            self._stop()

    def _start(self, name: str) -> None:
        process = self._processes[name]
        with open(self._state / f'{name}.log', 'ab') as log:
            self._running[name] = subprocess.Popen(
                process.command,
                env={**os.environ, **process.env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=servers.ends_with_us(signal.SIGKILL),
            )
        self._note()

    def _note(self) -> None:
        """Write the running processes to a file for the other commands, and replace it atomically."""
        rows = [
            {'name': name, 'pid': running.pid, 'urls': process.urls, 'backend': process.backend}
            for name, running in self._running.items()
            for process in [self._processes[name]]
        ]
        file = self._state / 'processes.json.new'
        file.write_text(json.dumps({'supervisor': os.getpid(), 'processes': rows}))
        file.rename(self._state / 'processes.json')

    def _stop(self) -> None:
        for running in reversed(self._running.values()):
            send(running.pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        for running in self._running.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                running.wait(max(0.1, deadline - time.monotonic()))
            send(running.pid, signal.SIGKILL)
            running.wait()
        (self._state / 'processes.json').unlink(missing_ok=True)


def send(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, number)


@dataclasses.dataclass(frozen=True)
class Running:
    """A running process, as the supervisor has recorded it."""

    name: str
    pid: int
    urls: tuple[str, ...]
    backend: str | None

    @property
    def state(self) -> str:
        return 'running' if all(is_healthy(url) for url in self.urls) else 'starting'


def noted(state: pathlib.Path) -> list[Running]:
    """Read the running processes that the supervisor has recorded.

    :raises LabError: there are none
    """
    try:
        found = json.loads((state / 'processes.json').read_text())
        os.kill(found['supervisor'], 0)
    except (OSError, ValueError):
        raise LabError(f'nothing runs in {state}: start it with `tools/demo --ha`') from None
    return [Running(**row) for row in found['processes']]


def chosen_of(state: pathlib.Path, name: str) -> Running:
    found = {process.name: process for process in noted(state)}
    if name not in found:
        raise LabError(f'there is no {name}: choose one of {", ".join(found)}')
    return found[name]


def await_all(state: pathlib.Path, seconds: float = START_SECONDS) -> None:
    """Wait until all processes serve.

    :raises LabError: a process does not
    """
    deadline = time.monotonic() + seconds
    while True:
        late = late_ones(state)
        if not late:
            return
        if time.monotonic() > deadline:
            raise LabError(f'{", ".join(late)} did not start: see the log files in {state}')
        time.sleep(POLL_SECONDS)


def late_ones(state: pathlib.Path) -> list[str]:
    """Return the names of the processes that do not serve yet."""
    try:
        return [process.name for process in noted(state) if process.state != 'running']
    except LabError:
        return ['all of it']


def run_in_haproxy(state: pathlib.Path, command: str) -> str:
    """Send a command to HAProxy's admin socket; return the answer."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(state / 'haproxy.sock'))
        connection.sendall(f'{command}\n'.encode())
        return b''.join(iter(lambda: connection.recv(65536), b'')).decode().strip()


def await_idle(state: pathlib.Path, backend: str) -> None:
    """Wait until HAProxy has no open request at a server, or until the longest request would have ended."""
    deadline = time.monotonic() + STOP_SECONDS
    while time.monotonic() < deadline and stat_of(state, backend)['scur'] != '0':
        time.sleep(POLL_SECONDS)


def stat_of(state: pathlib.Path, backend: str) -> dict[str, str]:
    """Return what HAProxy shows of a server, by the names of its columns, such as ``status``."""
    rows = csv.DictReader(run_in_haproxy(state, 'show stat').removeprefix('# ').splitlines())
    return next(row for row in rows if f'{row["pxname"]}/{row["svname"]}' == backend)


def restart(state: pathlib.Path, name: str) -> None:
    """Restart a process so that no request is lost: HAProxy drains it first.

    :raises LabError: it does not come back
    """
    before = chosen_of(state, name)
    if before.backend is not None:
        run_in_haproxy(state, f'set server {before.backend} state drain')
        await_idle(state, before.backend)
    send(before.pid, signal.SIGTERM)
    await_back(state, before)
    if before.backend is not None:
        run_in_haproxy(state, f'set server {before.backend} state ready')


def kill(state: pathlib.Path, name: str) -> None:
    """Send SIGKILL to a process and its workers."""
    send(chosen_of(state, name).pid, signal.SIGKILL)


def await_back(state: pathlib.Path, before: Running) -> None:
    """Wait until a process has ended and its successor serves.

    :raises LabError: it does not come back
    """
    deadline = time.monotonic() + STOP_SECONDS + START_SECONDS
    while (after := chosen_of(state, before.name)).pid == before.pid or after.state != 'running':
        if time.monotonic() > deadline:
            raise LabError(f'{before.name} did not come back: see {state / before.name}.log')
        time.sleep(POLL_SECONDS)


def freeze(state: pathlib.Path, host: str) -> None:
    """Stop all processes of a host with SIGSTOP: it answers nothing, and closes no connection."""
    for process in processes_of(state, host):
        send(process.pid, signal.SIGSTOP)


def thaw(state: pathlib.Path, host: str) -> None:
    """Let the processes of a frozen host continue."""
    for process in processes_of(state, host):
        send(process.pid, signal.SIGCONT)


def processes_of(state: pathlib.Path, host: str) -> list[Running]:
    """Return the running processes of a host.

    :raises LabError: there is no such host
    """
    if host not in HOSTS:
        raise LabError(f'there is no {host}: choose one of {", ".join(HOSTS)}')
    return [process for process in noted(state) if process.name.endswith(f'@{host}')]


def in_turn(state: pathlib.Path, act: Callable[[pathlib.Path, str], None]) -> Iterator[str]:
    """Restart or kill one process after the other, each when the one before is back.

    It leaves HAProxy alone, because there is only one.

    :raises LabError: a process does not come back
    """
    for process in noted(state):
        if process.name != 'haproxy':
            yield process.name
            act(state, process.name)
            await_back(state, process)


def try_out(chosen: argparse.Namespace) -> None:
    """Kill or restart every process in turn while clients send requests, and print the answers.

    :raises LabError: a process does not come back, or a server is lost
    """
    state = pathlib.Path(chosen.state)
    load = Load(tenant_target()).start()
    try:
        for name in in_turn(state, restart if chosen.restart else kill):
            print(f'{"restarting" if chosen.restart else "kill -9 of"} {name}', flush=True)
    finally:
        seen = load.end()
    print(f'{"method":8}{"answer":>22}{"requests":>10}')
    for (method, status), count in sorted(seen.items(), key=str):
        print(f'{method:8}{status:>22}{count:>10}')
    print(f'the slowest took {load.slowest:.1f} s; {len(load.kept)} servers were created and not deleted')
    deadline = time.monotonic() + START_SECONDS
    while load.gone & load.ids() and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)  # until the pods have deleted them
    there = load.ids()
    load.clear()
    if load.kept - there or load.gone & there:
        raise LabError(
            f'{len(load.kept - there)} servers are lost, and {len(load.gone & there)} deleted servers still exist'
        )
    print('all of them are in the list, and no deleted one')


def tenant_target() -> Target:
    """Return the cloud of the OS_* variables, with its first image and network and its smallest flavor.

    :raises LabError: the variables name no cloud, or it lacks one of these
    """
    import openstack

    try:
        cloud = openstack.connect(load_yaml_config=False)
        url = urllib.parse.urlsplit(str(cloud.compute.get_endpoint()))
        flavor = min(cloud.compute.flavors(), key=lambda flavor: flavor.ram)
        image = next(cloud.image.images())
        network = next(cloud.network.networks())
    except (openstack.exceptions.SDKException, StopIteration, ValueError) as error:
        raise LabError(f'no cloud to send requests to; source an openrc file first ({error})') from error
    server = {
        'name': 'load',
        'flavorRef': flavor.id,
        'imageRef': image.id,
        'networks': [{'uuid': network.id}],
    }
    return Target(url.hostname or '', url.port or 80, url.path, str(cloud.auth_token), server)


def check_programs() -> None:
    """:raises LabError: a program is not installed"""
    os.environ['PATH'] = f'{os.environ.get("PATH", "")}:/usr/sbin:/usr/local/sbin'
    for program, package in PROGRAMS.items():
        if shutil.which(program) is None:
            raise LabError(f'{program} is not installed: on Debian, apt-get install {package}')


def run_all(chosen: argparse.Namespace) -> None:
    """Serve in the foreground until SIGINT or SIGTERM.

    :raises LabError: a program is not installed, or does not start
    """
    check_programs()
    state = pathlib.Path(chosen.state).resolve()
    state.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        try:
            database = chosen.database or stack.enter_context(servers.mariadb())
            broker = stack.enter_context(servers.rabbitmq())
        except servers.NotInstalled as error:
            raise LabError(f'{error}: on Debian, apt-get install mariadb-server rabbitmq-server') from None
        base, conf = pathlib.Path(chosen.conf), state / 'trio2o.conf'
        ports = write_conf(base, conf, database, broker)
        manage = [str(pathlib.Path(sys.executable).parent / 'trio2o-db-manage'), f'--config-file={conf}', 'db_sync']
        if subprocess.run(manage, check=False).returncode:
            raise LabError('the database could not be created')
        confs = dict.fromkeys(HOSTS, conf)
        if chosen.host1_database:
            confs['host1'] = state / 'trio2o-host1.conf'
            write_conf(base, confs['host1'], chosen.host1_database, broker)
        supervisor = Supervisor(state, layout(confs, state, ports))
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, supervisor.end)
        supervisor.run()


def show(chosen: argparse.Namespace) -> None:
    """Print the running processes."""
    rows = [('process', 'pid', 'state', 'health')]
    rows += [(p.name, str(p.pid), p.state, ' '.join(p.urls) or '-') for p in noted(pathlib.Path(chosen.state))]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        print('  '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``ha`` and its commands."""
    parser = subparsers.add_parser('ha', help='Trio2o on two hosts behind HAProxy')
    commands = parser.add_subparsers(dest='command', required=True)

    def add(name: str, command: Callable[[argparse.Namespace], None], text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.add_argument('--state', default='.lab/ha', help='folder of the installation (default: .lab/ha)')
        added.set_defaults(run=lambda chosen: guarded(command, chosen))
        return added

    of_run = add('run', run_all, 'run all processes in the foreground until interrupted')
    of_run.add_argument('--conf', required=True, help='a trio2o.conf, as `trio2o-lab real conf` prints')
    of_run.add_argument('--database', help='URL of an empty database (default: a private MariaDB server)')
    of_run.add_argument('--host1-database', help='URL by which host1 reaches the database, if it differs')
    add('wait', lambda chosen: await_all(pathlib.Path(chosen.state)), 'wait until all processes serve')
    add('status', show, 'show every process')
    of_try = add('try', try_out, 'kill -9 each process in turn while clients send requests, and count the answers')
    of_try.add_argument('--restart', action='store_true', help='restart instead, which loses no request')
    of_restart = add('restart', each(restart), 'restart processes one after the other, without losing a request')
    of_kill = add('kill', each(kill), 'kill -9 processes and their workers')
    for names in (of_restart, of_kill):
        names.add_argument('names', nargs='+', metavar='NAME', help='a process, such as trio2o-api@host1')
    of_freeze = add('freeze', each(freeze), 'stop all processes of a host with SIGSTOP, as if it had lost its power')
    of_thaw = add('thaw', each(thaw), 'let the processes of a frozen host continue')
    for hosts in (of_freeze, of_thaw):
        hosts.add_argument('names', nargs='+', metavar='HOST', choices=list(HOSTS), help='host1 or host2')


def each(act: Callable[[pathlib.Path, str], None]) -> Callable[[argparse.Namespace], None]:
    """Make a command that does something to the named processes or hosts in turn."""

    def command(chosen: argparse.Namespace) -> None:
        for name in chosen.names:
            act(pathlib.Path(chosen.state), name)
            print(f'{act.__name__}: {name}', flush=True)

    return command


def guarded(command: Callable[[argparse.Namespace], None], chosen: argparse.Namespace) -> int:
    try:
        command(chosen)
    except LabError as error:
        print(f'trio2o-lab: {error}', file=sys.stderr)
        return 1
    return 0
