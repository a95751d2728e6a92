# SPDX-License-Identifier: Apache-2.0
"""The parts of a lab: services, ports, paths and passwords, all derived from a few choices."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import secrets
import sys
from typing import Any

HOST = '127.0.0.1'
TOP_REGION = 'RegionOne'
SHARED = ('keystone', 'glance', 'neutron')
PER_POD = ('placement', 'cinder', 'nova')
SERVICE_USERS = ('nova', 'cinder', 'neutron', 'placement', 'glance', 'trio2o')
DEFAULT_PORT_BASE = 15000
DEFAULT_PODS = 2
OWN_PYTHON = os.path.abspath(sys.executable)
HEALTH_PATHS = {
    'keystone': '/v3',
    'neutron': '/',
    'cinder': '/',
    'placement': '/',
    'nova': '/',
    'glance': '/',
}


@dataclasses.dataclass(frozen=True)
class Pod:
    """A pod: a Keystone region with its own Nova, Placement and Cinder.

    :ivar python: interpreter with the packages of its services
    :ivar database: URL of the server that has its databases; None: SQLite files
    """

    name: str
    python: str = OWN_PYTHON
    database: str | None = None


@dataclasses.dataclass(frozen=True)
class Service:
    """One process of the lab."""

    name: str
    kind: str
    port: int
    python: str
    pod: str | None = None
    database: str | None = None

    @property
    def is_sqlite(self) -> bool:
        return self.database is None

    @property
    def url(self) -> str:
        return f'http://{HOST}:{self.port}'

    @property
    def health_url(self) -> str:
        return self.url + HEALTH_PATHS[self.kind]

    @property
    def launcher(self) -> str:
        return f'trio2o.lab.real.launch_{self.kind}'


@dataclasses.dataclass(frozen=True)
class Gateway:
    """Addresses of Trio2o's services, for the endpoints of RegionOne."""

    host: str = HOST
    admin_port: int = 19996
    volume_port: int = 19997
    compute_port: int = 19998

    @property
    def admin_url(self) -> str:
        return f'http://{self.host}:{self.admin_port}/v1.0'

    @property
    def volume_url(self) -> str:
        return f'http://{self.host}:{self.volume_port}/v3'

    @property
    def compute_url(self) -> str:
        return f'http://{self.host}:{self.compute_port}/v2.1'


@dataclasses.dataclass(frozen=True)
class Topology:
    """The choices that were made when the lab was created; stored in ``lab.json``."""

    state_dir: pathlib.Path
    pods: tuple[Pod, ...]
    port_base: int
    gateway: Gateway
    password: str
    seed_flavors: bool = False

    @property
    def services(self) -> tuple[Service, ...]:
        shared = [Service(kind, kind, self.port_base + offset, OWN_PYTHON) for offset, kind in enumerate(SHARED)]
        of_pods = [
            Service(
                f'{pod.name}.{kind}',
                kind,
                self.port_base + 100 * number + offset,
                pod.python,
                pod.name,
                pod.database,
            )
            for number, pod in enumerate(self.pods, 1)
            for offset, kind in enumerate(PER_POD)
        ]
        return (*shared, *of_pods)

    def service(self, name: str) -> Service:
        return next(service for service in self.services if service.name == name)

    @property
    def auth_url(self) -> str:
        return self.service('keystone').url + '/v3'

    def config_dir(self, service: Service) -> pathlib.Path:
        return self.state_dir / 'etc' / service.name

    def config_file(self, service: Service) -> pathlib.Path:
        name = 'glance-api' if service.kind == 'glance' else service.kind
        return self.config_dir(service) / f'{name}.conf'

    def state_path(self, service: Service) -> pathlib.Path:
        return self.state_dir / 'data' / service.name

    @property
    def backups(self) -> pathlib.Path:
        return self.state_dir / 'data' / 'backups'

    def log_file(self, service: Service) -> pathlib.Path:
        return self.state_dir / 'log' / f'{service.name}.log'

    def pid_file(self, service: Service) -> pathlib.Path:
        return self.state_dir / 'run' / f'{service.name}.pid'

    def sqlite_file(self, database: str) -> pathlib.Path:
        return self.state_dir / 'db' / f'{database}.sqlite'

    def database_url(self, service: Service, database: str) -> str:
        """Return the URL of a database of a service such as ``Pod1.nova_api``."""
        if service.database is None:
            return f'sqlite:///{self.sqlite_file(database)}'
        return f'{service.database.rstrip("/")}/{self.schema_name(database)}?charset=utf8mb4&ssl_disabled=true'

    def schema_name(self, database: str) -> str:
        """Return the database's name on a server, which differs from those of other labs there."""
        return f'lab{self.port_base}_{database.replace(".", "_").lower()}'


def databases_of(service: Service) -> tuple[str, ...]:
    """Return the names of a service's databases."""
    if service.kind == 'nova':
        return tuple(f'{service.name}{suffix}' for suffix in ('_api', '', '_cell0'))
    return (service.name,)


def new_topology(
    state_dir: pathlib.Path,
    pods: int,
    port_base: int,
    gateway: Gateway,
    seed_flavors: bool,
    pythons: dict[str, str] | None = None,
    servers: dict[str, str] | None = None,
) -> Topology:
    """Make the topology of a new lab, with a random password.

    :param pythons: interpreters by pod
    :param servers: URLs of database servers by pod
    """
    interpreters, databases = pythons or {}, servers or {}
    names = [f'Pod{number}' for number in range(1, pods + 1)]
    return Topology(
        state_dir=state_dir,
        pods=tuple(
            Pod(name, os.path.abspath(interpreters.get(name, OWN_PYTHON)), databases.get(name)) for name in names
        ),
        port_base=port_base,
        gateway=gateway,
        password=secrets.token_hex(12),
        seed_flavors=seed_flavors,
    )


def with_pods(topology: Topology, pods: int) -> Topology:
    """Return the topology with another number of pods: without the last ones, or with new ones after them."""
    names = [f'Pod{number}' for number in range(len(topology.pods) + 1, pods + 1)]
    return dataclasses.replace(topology, pods=(*topology.pods[:pods], *(Pod(name) for name in names)))


def save(topology: Topology) -> None:
    """Write the topology to a file that only its owner can read, because it contains the lab's password."""
    record = dataclasses.asdict(topology)
    del record['state_dir']
    path = topology.state_dir / 'lab.json'
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 'w') as out:
        json.dump(record, out, indent=2)


def load(state_dir: pathlib.Path) -> Topology | None:
    """Read the topology of a lab; None if there is no lab."""
    path = state_dir / 'lab.json'
    if not path.exists():
        return None
    record: dict[str, Any] = json.loads(path.read_text())
    record['pods'] = tuple(Pod(**pod) for pod in record['pods'])
    record['gateway'] = Gateway(**record['gateway'])
    return Topology(state_dir=state_dir, **record)
