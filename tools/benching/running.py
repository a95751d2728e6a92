# SPDX-License-Identifier: Apache-2.0
"""Start and stop the processes to measure: emulated pods, the gateway, nginx."""

from __future__ import annotations

import configparser
import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy
from load import Case

from trio2o import api, nova_apigw
from trio2o import conf as trio2o_conf
from trio2o.conf.quota import DEFAULTS
from trio2o.db import migration, replicas, routings
from trio2o.db import pods as db_pods
from trio2o.db.database import Database, utcnow
from trio2o.db.records import NewRouting, Routing
from trio2o.lab.emulated.transport import WSGITransport
from trio2o.lab.ports import free_ports
from trio2o.runtime import build_runtime
from trio2o.web.app import build_app

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
START_SECONDS = 60
#: Service -> version in the path of its API.
VERSIONS = {'nova_apigw': '/v2.1', 'cinder_apigw': '/v3', 'api': '/v1.0'}
#: What serves the API-GWs.
OWN, UWSGI = 'own', 'uwsgi'
_ROWS_AT_ONCE = 10000
#: Dialect -> an id that is as random as those of Nova.
_RANDOM_ID = {
    'sqlite': 'lower(hex(randomblob(16)))',
    'postgresql': 'md5(gen_random_uuid()::text)',
    **dict.fromkeys(('mysql', 'mariadb'), 'md5(uuid())'),
}
#: Emulated pods in one process, at most.
PODS_A_PROCESS = 500


class NotServing(Exception):
    """A process has ended, or does not serve."""


class Pods:
    """Emulated pods, in processes of their own: one for each ``PODS_A_PROCESS``.

    :ivar cloud: their description (``describe`` in ``pods.py``), the id of the process with the first pods as ``pid``,
        and those of all as ``pids``
    """

    def __init__(self, count: int = 2, delay_ms: float = 0.0, each: int = 0) -> None:
        """:param each: number of servers that each pod has besides those of the cases"""
        self._commands = [
            [
                sys.executable,
                os.path.join(HERE, 'pods.py'),
                f'--first={start + 1}',
                f'--pods={min(PODS_A_PROCESS, count - start)}',
                f'--total={count}',
                f'--each={each}',
                f'--delay-ms={delay_ms}',
            ]
            for start in range(0, count, PODS_A_PROCESS)
        ]

    def __enter__(self) -> Pods:
        self._processes = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for command in self._commands
        ]
        parts = [self._read(process) for process in self._processes]
        self._process_of = {
            pod: process for process, part in zip(self._processes, parts, strict=True) for pod in part['pods']
        }
        self.cloud: dict[str, Any] = parts[0]
        for part in parts[1:]:
            for pod, url in part['pods'].items():
                urls = f'{url} {part["volume_urls"][pod]} {part["placement_urls"][pod]}'
                self._send(self._processes[0], f'pod {pod} {urls}')
            for project, servers in part['servers'].items():
                self.cloud['servers'][project] += servers
            for name in ('pods', 'volume_urls', 'placement_urls', 'created'):
                self.cloud[name] |= part[name]
        pids = [process.pid for process in self._processes]
        self.cloud |= {'pid': pids[0], 'pids': pids}
        return self

    def __exit__(self, *exception: object) -> None:
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.close()
        for process in self._processes:
            process.wait(10)

    def take_down(self, name: str, how: str) -> None:
        """Let a pod ``refuse`` connections, ``hang`` (accept requests and not answer) or be ``slow``."""
        self._send(self._process_of[name], f'{how} {name}')

    def _send(self, process: subprocess.Popen[bytes], line: str) -> None:
        """Send a command to a process, and wait until it is done."""
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(f'{line}\n'.encode())
        process.stdin.flush()
        process.stdout.readline()

    def _read(self, process: subprocess.Popen[bytes]) -> dict[str, Any]:
        assert process.stdout is not None
        found: dict[str, Any] = json.loads(process.stdout.readline())
        return found


class Gateway:
    """The services of Trio2o, configured for the pods.

    Without the option ``database.connection`` its database is a file of SQLite.

    :ivar url: URL of the Compute API
    :ivar urls: service -> URL of its API
    """

    def __init__(
        self,
        directory: str,
        cloud: dict[str, Any],
        backend: str,
        options: Sequence[str] = (),
        server: str = OWN,
        is_registered: bool = True,
    ) -> None:
        """:param options: ``section.option=value``, which override those that the bench sets
        :param server: ``own``, or ``uwsgi`` with the sample configuration in ``etc``
        :param is_registered: whether to register all pods and record their resources, as Trio2o XJob does
        """
        self._directory = directory
        self._cloud = cloud
        self._server = server
        self._ports = dict(zip(VERSIONS, free_ports(len(VERSIONS)), strict=True))
        self.urls = {service: f'http://127.0.0.1:{port}{VERSIONS[service]}' for service, port in self._ports.items()}
        self.url = self.urls['nova_apigw']
        self.config = os.path.join(directory, 'trio2o.conf')
        self.log = os.path.join(directory, 'gateway.log')
        self._write(backend, options)
        conf = trio2o_conf.new_config(files=[self.config])
        self.db = Database(conf)
        migration.upgrade(self.db)
        self.pod_ids = self._register(conf) if is_registered else {}

    def _write(self, backend: str, options: Sequence[str]) -> None:
        keystone = self._cloud['keystone']
        identity = {
            'auth_type': 'password',
            'auth_url': f'{keystone}/v3',
            'username': 'trio2o',
            'password': 'secret',
            'project_name': 'service',
            'user_domain_name': 'Default',
            'project_domain_name': 'Default',
        }
        parser = configparser.ConfigParser(interpolation=None, default_section='no defaults')
        parser.read_dict(
            {
                'DEFAULT': {'state_path': self._directory, 'concurrency_backend': backend, 'log_file': self.log},
                'database': {'connection': f'sqlite:///{self._directory}/trio2o.sqlite'},
                **{
                    service: {'bind_host': '127.0.0.1', 'bind_port': str(port)}
                    for service, port in self._ports.items()
                },
                'keystone_authtoken': {**identity, 'www_authenticate_uri': keystone},
                'service_auth': identity,
                # Limits that are never reached: a create claims quota, as in most clouds, and is never refused.
                'quota': dict.fromkeys(DEFAULTS, '1000000000'),
            }
        )
        for option in options:
            name, _equals, value = option.partition('=')
            section, _dot, key = name.rpartition('.')
            if section and not parser.has_section(section):
                parser.add_section(section)
            parser[section or 'DEFAULT'][key] = value
        with open(self.config, 'w') as file:
            parser.write(file)

    def _register(self, conf: Any) -> dict[str, str]:
        """Register the pods through the Admin API, and record their servers."""
        runtime = build_runtime(conf, db=self.db)
        admin = WSGITransport({'api.bench': build_app(api.SERVICE, runtime)})
        headers = [('X-Auth-Token', self._cloud['tokens']['admin']), ('Content-Type', 'application/json')]
        found = {}
        for number, name in enumerate(self._cloud['pods'], 1):
            body = json.dumps({'pod': {'pod_name': name, 'az_name': f'az{2 - number % 2}'}}).encode()
            status, _headers, answer = admin.request('POST', 'http://api.bench/v1.0/pods', headers, body)
            if status != 200:
                raise RuntimeError(f'{name} was not registered: {status} {answer.decode()}')
            found[name] = json.loads(answer)['pod']['pod_id']
            db_pods.set_reconciled(self.db, found[name], utcnow())
        for view in runtime.registry.refresh().pods:
            runtime.replicator.pods.join(view, is_adopted=True)
        rows = [
            self._routing(found[pod], project, server)
            for project, servers in self._cloud['servers'].items()
            for server, pod in servers
        ]
        routings.record_many(self.db, rows)
        runtime.pod_threads.shutdown()
        return found

    def read_pods(self) -> None:
        """Learn which pods others have registered."""
        self.pod_ids = {pod.pod_name: pod.pod_id for pod in db_pods.list_all(self.db)}

    def set_replica_behind(self) -> None:
        """Record that each pod has an old flavor, one that the requests do not use."""
        flavor = next(each for each in replicas.list_objects(self.db, 'flavor') if each.key != '1')
        for pod_id in self.pod_ids.values():
            replicas.set_replica(self.db, flavor.id, pod_id, generation=0, state='out_of_sync')

    def statements(self, case: Case) -> int:
        """Count the database statements of one request that follows another one like it."""
        runtime = build_runtime(trio2o_conf.new_config(files=[self.config]), db=self.db)
        app = WSGITransport({'compute.bench': build_app(nova_apigw.SERVICE, runtime)})
        headers = [('X-Auth-Token', self._cloud['tokens'][case.token]), ('Content-Type', 'application/json')]
        seen: list[str] = []

        def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
            seen.append(statement)

        sqlalchemy.event.listen(self.db.engine, 'before_cursor_execute', note)
        try:
            for _turn in range(2):
                seen.clear()
                status, _headers, answer = app.request(
                    case.method, f'http://compute.bench/v2.1{case.paths[0]}', headers, case.body.encode()
                )
                if status >= 300:
                    raise NotServing(f'{case.name}: {status} {answer.decode()}')
        finally:
            sqlalchemy.event.remove(self.db.engine, 'before_cursor_execute', note)
            runtime.pod_threads.shutdown()
        return len(seen)

    def _routing(self, pod_id: str, project: str, server_id: str) -> NewRouting:
        """Make a routing; a server that no pod has is older than all others, so that no page of a list has it."""
        created = self._cloud['created'].get(server_id)
        created_at = datetime.fromisoformat(created) if created else utcnow() - timedelta(days=1)
        return NewRouting('server', server_id, pod_id, self._cloud['projects'][project], created_at=created_at)

    def fill(self, servers: int, volumes: int = 0, deleted: Mapping[str, int] | None = None) -> None:
        """Add routings of resources that no request names, until there are so many.

        :param servers: number of routings of servers, in all projects
        :param volumes: the same of volumes
        :param deleted: project -> number of routings of deleted servers to add
        """
        for resource_type, count in (('server', servers), ('volume', volumes)):
            have = sum(routings.count_by_pod(self.db, pod_id, [resource_type]) for pod_id in self.pod_ids.values())
            self._add('alt', resource_type, count - have)
        for project, count in (deleted or {}).items():
            self._add(project, 'server', count, state='deleted')

    def _add(self, project: str, resource_type: str, count: int, **values: Any) -> None:
        pods = list(self.pod_ids.values())
        rows = [
            replace(
                self._routing(pods[index % len(pods)], project, str(uuid.uuid4())),
                resource_type=resource_type,
                **values,
            )
            for index in range(min(count, _ROWS_AT_ONCE))
        ]
        routings.record_many(self.db, rows)
        ids = [row.top_id for row in rows]
        table = Routing.__table__
        names = [name for name in table.c.keys() if name not in ('id', 'top_id', 'bottom_id')]
        new_id: Any = sqlalchemy.text(_RANDOM_ID[self.db.dialect])
        # The rows are copied in the database, which takes a tenth of the time.
        for start in range(_ROWS_AT_ONCE, count, _ROWS_AT_ONCE):
            copied = (
                sqlalchemy.select(new_id, new_id, *(table.c[name] for name in names))
                .where(table.c.resource_type == resource_type, table.c.top_id.in_(ids))
                .limit(min(_ROWS_AT_ONCE, count - start))
            )
            with self.db.writer() as connection:
                connection.execute(sqlalchemy.insert(table).from_select(['top_id', 'bottom_id', *names], copied))

    def _uwsgi(self, service: str) -> list[str]:
        """Return a command that serves with the sample configuration, at our port."""
        sample = f'trio2o-{service.replace("_", "-")}.ini'
        with open(os.path.join(TOP, 'etc', 'uwsgi', sample)) as file:
            text = re.sub(r'(?m)^http-socket = .*$', f'http-socket = 127.0.0.1:{self._ports[service]}', file.read())
        path = os.path.join(self._directory, sample)
        with open(path, 'w') as file:
            file.write(text)
        return [os.path.join(os.path.dirname(sys.executable), 'uwsgi'), '--ini', path]

    @contextlib.contextmanager
    def running(self, profile: str = '', service: str = 'nova_apigw', has_xjob: bool = False) -> Iterator[int]:
        """Run one of the HTTP services.

        :param profile: file for a profile; empty: no profile
        :param has_xjob: whether Trio2o XJob runs, too
        :returns: id of the process
        """
        if not has_xjob:
            # Nothing else says that the changes in the pods are known.
            db_pods.set_changes_read(self.db, list(self.pod_ids.values()), utcnow())
        # Python imports the checkout because it is the working directory.
        command = [sys.executable, '-m', f'trio2o.cmd.{service}', '--config-file', self.config]
        if profile:
            command = [sys.executable, os.path.join(HERE, 'profiled.py'), profile, '--config-file', self.config]
        elif self._server == UWSGI:
            command = self._uwsgi(service)
        environment = {**os.environ, 'OS_TRIO2O_CONFIG_FILES': self.config}
        with (
            open(os.path.join(self._directory, 'gateway.out'), 'ab') as output,
            subprocess.Popen(command, cwd=TOP, stdout=output, stderr=output, env=environment) as process,
        ):
            try:
                _wait_until(lambda: _is_healthy(self._ports[service]), process)
                yield process.pid
                if profile:
                    process.send_signal(signal.SIGUSR2)
                    _wait_until(lambda: os.path.exists(profile), process)
            finally:
                process.send_signal(signal.SIGTERM)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(10)
                process.kill()


@contextlib.contextmanager
def process(module: str, config: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a module of Trio2o that serves until SIGTERM."""
    output = os.path.join(os.path.dirname(config), f'{module}.out')
    with (
        open(output, 'ab') as file,
        subprocess.Popen(
            [sys.executable, '-m', module, '--config-file', config], cwd=TOP, stdout=file, stderr=file
        ) as started,
    ):
        try:
            yield started
        finally:
            started.terminate()
            started.wait(30)


@contextlib.contextmanager
def nginx(directory: str, upstream: str) -> Iterator[tuple[str, int]]:
    """Run nginx in front of a pod, with one worker and connections that stay open.

    :param upstream: URL of the pod's API
    :returns: nginx's URL of that API, and the id of its process
    """
    parts = urlsplit(upstream)
    port = free_ports(1)[0]
    config = os.path.join(directory, 'nginx.conf')
    with open(os.path.join(HERE, 'nginx.conf')) as template, open(config, 'w') as file:
        file.write(
            template.read()
            .replace('@DIRECTORY@', directory)
            .replace('@PORT@', str(port))
            .replace('@UPSTREAM@', parts.netloc)
        )
    command = ['nginx', '-p', directory, '-c', config, '-e', os.path.join(directory, 'nginx.log')]
    environment = {**os.environ, 'PATH': f'{os.environ["PATH"]}:/usr/sbin'}
    with subprocess.Popen(command, env=environment) as process:
        try:
            _wait_for(port, process)
            yield f'http://127.0.0.1:{port}{parts.path}', process.pid
        finally:
            process.terminate()
            process.wait(10)


def _is_healthy(port: int) -> bool:
    """Return whether a service answers; uWSGI listens long before."""
    connection = http.client.HTTPConnection('127.0.0.1', port, timeout=START_SECONDS)
    try:
        connection.request('GET', '/healthcheck')
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    def is_up() -> bool:
        with contextlib.suppress(OSError), socket.create_connection(('127.0.0.1', port), 1):
            return True
        return False

    _wait_until(is_up, process)


def _wait_until(is_so: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        if is_so():
            return
        time.sleep(0.05)
    raise NotServing(f'{process.args!r} does not serve')
