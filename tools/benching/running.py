# SPDX-License-Identifier: Apache-2.0
"""Start and stop the processes to measure: emulated pods, the gateway, nginx."""

from __future__ import annotations

import configparser
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy
from load import Case

from trio2o import api, nova_apigw
from trio2o import conf as trio2o_conf
from trio2o.conf.quota import DEFAULTS
from trio2o.db import migration, routings
from trio2o.db import pods as db_pods
from trio2o.db.database import Database, utcnow
from trio2o.db.records import NewRouting
from trio2o.lab.emulated.transport import WSGITransport
from trio2o.lab.ports import free_ports
from trio2o.runtime import build_runtime
from trio2o.web.app import build_app

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
START_SECONDS = 30
_ROWS_AT_ONCE = 10000


class NotServing(Exception):
    """A process has ended, or does not serve."""


@contextlib.contextmanager
def pods(delay_ms: float = 0.0) -> Iterator[dict[str, Any]]:
    """Run two emulated pods.

    :returns: their description (``describe`` in ``pods.py``) and their ``pid``
    """
    command = [sys.executable, os.path.join(HERE, 'pods.py'), f'--delay-ms={delay_ms}']
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            yield {**json.loads(process.stdout.readline()), 'pid': process.pid}
        finally:
            process.stdin.close()
            process.wait(10)


class Gateway:
    """The Nova API-GW over SQLite, configured for the pods, with both of them registered and reconciled."""

    def __init__(self, directory: str, cloud: dict[str, Any], backend: str, options: Sequence[str] = ()) -> None:
        """:param options: ``section.option=value``, which override those that the bench sets"""
        self._directory = directory
        self._cloud = cloud
        self.port = free_ports(1)[0]
        self.url = f'http://127.0.0.1:{self.port}/v2.1'
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
                'nova_apigw': {'bind_host': '127.0.0.1', 'bind_port': str(self.port)},
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
            body = json.dumps({'pod': {'pod_name': name, 'az_name': f'az{number}'}}).encode()
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
        return NewRouting(
            'server', server_id, pod_id, self._cloud['projects'][project], created_at=utcnow() - timedelta(days=1)
        )

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

    @contextlib.contextmanager
    def running(self, profile: str = '') -> Iterator[int]:
        """Run the gateway.

        :param profile: file for a profile; empty: no profile
        :returns: id of the process
        """
        command = [sys.executable, '-m', 'trio2o.cmd.nova_apigw']
        if profile:
            command = [sys.executable, os.path.join(HERE, 'profiled.py'), profile]
        command += ['--config-file', self.config]
        # Python imports the checkout because it is the working directory.
        with (
            open(os.path.join(self._directory, 'gateway.out'), 'ab') as output,
            subprocess.Popen(command, cwd=TOP, stdout=output, stderr=output) as process,
        ):
            try:
                _wait_for(self.port, process)
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
def nginx(directory: str, upstream: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Run nginx in front of a pod, with one worker and connections that stay open.

    :param upstream: URL of the pod's API
    :returns: nginx's URL of that API, and the ids of its processes
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
            with open(f'/proc/{process.pid}/task/{process.pid}/children') as children:
                pids = (process.pid, *map(int, children.read().split()))
            yield f'http://127.0.0.1:{port}{parts.path}', pids
        finally:
            process.terminate()
            process.wait(10)


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
