# SPDX-License-Identifier: Apache-2.0
"""A lab of real pods: the interface that tests, ``trio2o-lab`` and ``tools/demo`` use."""

from __future__ import annotations

import os
import pathlib
import shutil
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from trio2o.lab.disks import Disk, Folder
from trio2o.lab.real import configure, databases, gateway, processes, seed
from trio2o.lab.real.errors import LabError, SeedFailed
from trio2o.lab.real.gateway import gateway_sections
from trio2o.lab.real.processes import ServiceStatus
from trio2o.lab.real.rest import CallFailed
from trio2o.lab.real.topology import (
    DEFAULT_PODS,
    DEFAULT_PORT_BASE,
    SERVICE_USERS,
    TOP_REGION,
    Gateway,
    Service,
    Topology,
    load,
    new_topology,
    save,
    with_pods,
)

CORES = os.cpu_count() or 2
CATALOG_STEP = 'accounts and catalog'


def flavors_step(service: Service) -> str:
    return f'flavors of {service.pod}'


def no_progress(message: str) -> None:
    """Ignore a progress message."""


class RealLab:
    """Keystone, Glance, Neutron and any number of pods, with their state in one folder.

    The arguments are for a new lab; they do not change a lab that was configured before.

        lab = RealLab(".lab")
        lab.configure()
        lab.start()
        lab.stop(["Pod2"])
    """

    def __init__(
        self,
        state_dir: str | os.PathLike[str],
        pods: int = DEFAULT_PODS,
        port_base: int = DEFAULT_PORT_BASE,
        seed_flavors: bool = False,
        endpoints: Gateway | None = None,
        pythons: dict[str, str] | None = None,
        servers: dict[str, str] | None = None,
        progress: Callable[[str], None] = no_progress,
    ) -> None:
        self.state_dir = pathlib.Path(state_dir).resolve()
        self._progress = progress
        self._known = load(self.state_dir)
        self._wanted = (pods, port_base, endpoints or Gateway(), seed_flavors, pythons, servers)

    @property
    def exists(self) -> bool:
        """Whether the lab was configured before."""
        return self._known is not None

    @property
    def topology(self) -> Topology:
        if self._known is None:
            raise LabError(f'there is no lab in {self.state_dir}: start one with `trio2o-lab real up`')
        return self._known

    def disk(self, kind: str, identifier: str, pod: str = '') -> Disk:
        """Return the bytes of a resource: to read them, to compare checksums, or to write as the guest does.

        :param kind: ``volume`` or ``snapshot`` of a pod, ``root`` of a server of a pod, or ``image``
        :raises KeyError: there are no such bytes
        """
        service, folder, prefix = {
            'image': ('glance', 'images', ''),
            'root': (f'{pod}.nova', 'disks', ''),
            'volume': (f'{pod}.cinder', 'disks', 'volume-'),
            'snapshot': (f'{pod}.cinder', 'disks', 'snapshot-'),
        }[kind]
        files = Folder(self.topology.state_path(self.topology.service(service)) / folder)
        if prefix + identifier not in files:
            raise KeyError(identifier)
        return Disk(files, prefix + identifier)

    def configure(self) -> None:
        """Write configuration files and create databases; existing databases are kept."""
        self.state_dir.mkdir(parents=True, exist_ok=True)
        if self._known is None:
            topology = new_topology(self.state_dir, *self._wanted)
            processes.check_ports(topology)
            self._known = topology
            save(self._known)
        configure.configure(self._known)
        missing = databases.missing(self._known)
        if not missing:
            return
        self._step(f'databases of {len(missing)} services', lambda: self._make_databases(missing))

    def _make_databases(self, missing: list[Service]) -> None:
        # The first service of a kind migrates the template, the others copy it.
        first = {service.kind: service for service in reversed(missing)}
        rest = [service for service in missing if service not in first.values()]
        for batch in (list(first.values()), rest):
            each(batch, lambda service: databases.make(self.topology, service))
        if any(service.kind == 'keystone' for service in missing):
            seed.bootstrap(self.topology)

    def grow(self, pods: int) -> None:
        """Add pods up to a number; ``configure`` and ``start`` then create the new ones."""
        if pods > len(self.topology.pods):
            self._known = with_pods(self.topology, pods)
            save(self._known)
            self._mark(CATALOG_STEP).unlink(missing_ok=True)

    def shrink(self, pods: int) -> None:
        """Remove the last pods down to a number, with their databases, files, regions and endpoints."""
        gone = self.topology.pods[pods:]
        if not gone:
            return
        names = [pod.name for pod in gone]
        services = self._services(names)
        self._stop(services)
        seed.forget_regions(self.topology, names)
        databases.drop(self.topology, services)
        for service in services:
            shutil.rmtree(self.topology.state_path(service), ignore_errors=True)
            self._mark(flavors_step(service)).unlink(missing_ok=True)
        self._known = with_pods(self.topology, pods)
        save(self._known)

    def start(self, names: Iterable[str] | None = None) -> None:
        """Start services and wait for them.

        :param names: services or pods such as ``keystone``, ``Pod2`` or ``Pod2.nova``; None: all
        """
        wanted = self._services(names)
        # Nova and Cinder log in when they start, so the accounts are created before.
        early = [service for service in wanted if service.kind not in ('nova', 'cinder')]
        late = [service for service in wanted if service not in early]
        awaited = self._start(early)
        for service in [one for one in awaited if one.kind == 'keystone']:
            self._await(service)
            awaited.remove(service)
        # In a lab that has grown, Keystone runs already and lacks the new pods.
        self._seed([service for service in wanted if service.kind == 'keystone'])
        awaited += self._start(late)
        for service in awaited:
            self._await(service)
        self._seed(wanted)

    def _start(self, services: list[Service]) -> list[Service]:
        """Start services without waiting for them; return those that did not run."""
        started = each(services, lambda service: processes.start(self.topology, service))
        return [service for service, is_new in zip(services, started, strict=True) if is_new]

    def _await(self, service: Service) -> None:
        processes.await_health(self.topology, service)
        self._progress(f'{service.name} answers on port {service.port}')

    def _seed(self, services: list[Service]) -> None:
        steps: dict[str, Callable[[], None]] = {}
        for service in services:
            if service.kind == 'keystone':
                steps[CATALOG_STEP] = lambda: seed.seed_keystone(self.topology)
            elif service.kind == 'glance':
                steps['image cirros'] = lambda: seed.seed_image(self.topology)
            elif service.kind == 'neutron':
                steps['network private'] = lambda: seed.seed_network(self.topology)
            elif service.kind == 'nova' and self.topology.seed_flavors:
                steps[flavors_step(service)] = partial(seed.seed_pod, self.topology, str(service.pod))
        for name, step in steps.items():
            if not self._mark(name).exists():
                self._step(name, step)
                self._mark(name).touch()

    def _mark(self, step: str) -> pathlib.Path:
        return self.state_dir / 'run' / f'{step.replace(" ", "-")}.seeded'

    def stop(self, names: Iterable[str] | None = None) -> list[str]:
        """Stop services by name, all by default; return the names of those that ran."""
        return self._stop(self._services(names))

    def _stop(self, services: list[Service]) -> list[str]:
        return [service.name for service in processes.stop(self.topology, services)]

    def status(self) -> list[ServiceStatus]:
        """Return the state of every service."""
        return each(
            list(self.topology.services),
            lambda service: processes.status(self.topology, service),
            8,
        )

    def destroy(self) -> None:
        """Stop all services, and remove the lab's files and databases."""
        self.stop()
        databases.drop(self.topology, self.topology.services)
        for name in ('db', 'log', 'run', 'etc', 'data', 'path', 'templates', 'loaded'):
            shutil.rmtree(self.state_dir / name, ignore_errors=True)
        (self.state_dir / 'lab.json').unlink(missing_ok=True)
        self._known = None

    def credentials(self, user: str = 'admin', region: str = TOP_REGION) -> dict[str, str]:
        """Return the environment in which OpenStack clients act as a user in a region."""
        return {
            'OS_AUTH_URL': self.topology.auth_url,
            'OS_IDENTITY_API_VERSION': '3',
            'OS_USERNAME': user,
            'OS_PASSWORD': self.topology.password,
            'OS_PROJECT_NAME': 'service' if user in SERVICE_USERS else user,
            'OS_USER_DOMAIN_NAME': 'Default',
            'OS_PROJECT_DOMAIN_NAME': 'Default',
            'OS_REGION_NAME': region,
        }

    def service_auth(self, user: str = 'trio2o') -> dict[str, str]:
        """Return the keystoneauth options of Trio2o or another service."""
        return {
            'auth_type': 'password',
            'auth_url': self.topology.auth_url,
            'username': user,
            'password': self.topology.password,
            'project_name': 'service',
            'user_domain_name': 'Default',
            'project_domain_name': 'Default',
        }

    def gateway_conf(self, state_path: str | os.PathLike[str]) -> str:
        """Return a ``trio2o.conf`` for a gateway in front of these pods."""
        return configure.render(gateway_sections(self.topology, os.fspath(state_path)))

    def register_pods(self, names: Iterable[str] | None = None) -> list[str]:
        """Register pods in the running gateway, each in its own zone.

        :param names: services or pods; None: all
        :returns: names of the new ones
        """
        chosen = {str(service.pod) for service in self._services(names) if service.pod}
        try:
            return gateway.register(self.topology, chosen)
        except (CallFailed, OSError) as failure:
            raise SeedFailed(f'the pods could not be registered: {failure}') from None

    def _services(self, names: Iterable[str] | None) -> list[Service]:
        services = list(self.topology.services)
        if names is None:
            return services
        chosen: list[Service] = []
        for name in names:
            found = [one for one in services if name.lower() in (one.name.lower(), (one.pod or '').lower())]
            if not found:
                known = ', '.join(one.name for one in services)
                raise LabError(f'no service or pod is called {name}; there are {known}')
            chosen += found
        return [service for service in services if service in chosen]

    def _step(self, what: str, work: Callable[[], object]) -> None:
        begun = time.monotonic()
        try:
            work()
        except CallFailed as failure:
            raise SeedFailed(f'{what}: {failure}') from None
        self._progress(f'{what} ({time.monotonic() - begun:.1f} s)')


Item = TypeVar('Item')
Result = TypeVar('Result')


def each(items: list[Item], work: Callable[[Item], Result], at_once: int = CORES) -> list[Result]:
    """Call a function with each item, several at once; when all have ended, raise the first failure."""
    with ThreadPoolExecutor(max_workers=at_once) as pool:
        return list(pool.map(work, items))
