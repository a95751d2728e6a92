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
from collections.abc import Callable, Iterator, Sequence
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
from trio2o.db.records import NewRouting
from trio2o.lab.emulated.transport import WSGITransport
from trio2o.lab.ports import free_ports
from trio2o.runtime import build_runtime
from trio2o.web.app import build_app

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
START_SECONDS = 60
#: Service -> version in the path of its API.
VERSIONS = {'nova_apigw': '/v2.1', 'cinder_apigw': '/v3'}
#: What serves the API-GWs.
OWN, UWSGI = 'own', 'uwsgi'
_ROWS_AT_ONCE = 10000


class NotServing(Exception):
    """A process has ended, or does not serve."""


class Pods:
    """Emulated pods, in one process of their own.

    :ivar cloud: their description (``describe`` in ``pods.py``) and their ``pid``
    """

    def __init__(self, count: int = 2, delay_ms: float = 0.0) -> None:
        self._command = [sys.executable, os.path.join(HERE, 'pods.py'), f'--pods={count}', f'--delay-ms={delay_ms}']

    def __enter__(self) -> Pods:
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdin is not None and self._process.stdout is not None
        self._input, self._output = self._process.stdin, self._process.stdout
        self.cloud: dict[str, Any] = {**json.loads(self._output.readline()), 'pid': self._process.pid}
        return self

    def __exit__(self, *exception: object) -> None:
        self._input.close()
        self._process.wait(10)

    def take_down(self, name: str, how: str) -> None:
        """Let a pod ``refuse`` connections, ``hang`` (accept requests and not answer) or be ``slow``."""
        self._input.write(f'{how} {name}\n'.encode())
        self._input.flush()
        self._output.readline()


class Gateway:
    """The API-GWs, configured for the pods, with all of them registered and reconciled.

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
    ) -> None:
        """:param options: ``section.option=value``, which override those that the bench sets
        :param server: ``own``, or ``uwsgi`` with the sample configuration in ``etc``
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
        self.pod_ids = self._register(conf)

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

    def fill(self, count: int) -> None:
        """Add routings of servers that no request names, until there are ``count`` routings."""
        have = sum(routings.count_by_pod(self.db, pod_id, ['server']) for pod_id in self.pod_ids.values())
        pods = list(self.pod_ids.values())
        for start in range(have, count, _ROWS_AT_ONCE):
            routings.record_many(
                self.db,
                [
                    self._routing(pods[index % len(pods)], 'alt', str(uuid.uuid4()))
                    for index in range(start, min(start + _ROWS_AT_ONCE, count))
                ],
            )

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
    def running(self, profile: str = '', service: str = 'nova_apigw') -> Iterator[int]:
        """Run one of the API-GWs.

        :param profile: file for a profile; empty: no profile
        :returns: id of the process
        """
        # Trio2o XJob does not run, so nothing else says that the changes in the pods are known.
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
