# SPDX-License-Identifier: Apache-2.0
"""Whole clouds in one call: ``Cloud(pods=2)`` is one Keystone, one Glance, one Neutron and two pods
of Nova, Cinder and Placement each.

    cloud = Cloud(pods=2)
    cloud.add_servers('Pod1', 'demo', 3)
    cloud.transport().request('GET', cloud.pod('Pod1').nova_url + '/servers',
                              {'X-Auth-Token': cloud.token('demo')})

Regions are named Pod1..PodN; RegionOne has the endpoints of the gateway, Keystone, Glance and Neutron.
"""

import dataclasses
import datetime
import hashlib
import uuid
from collections.abc import Mapping
from typing import Any
from urllib import parse

from trio2o.lab.disks import Disk
from trio2o.lab.emulated import cinder as cinder_app
from trio2o.lab.emulated import glance as glance_app
from trio2o.lab.emulated import keystone as keystone_app
from trio2o.lab.emulated import neutron as neutron_app
from trio2o.lab.emulated import nova as nova_app
from trio2o.lab.emulated import placement as placement_app
from trio2o.lab.emulated.cinder.storage import Storage
from trio2o.lab.emulated.clock import Clock
from trio2o.lab.emulated.nova import disks as server_disks
from trio2o.lab.emulated.service import Service
from trio2o.lab.emulated.transport import WSGIAdapter, WSGITransport

TOP = 'RegionOne'
PASSWORD = 'secret'
_SERVICE_USERS = ('nova', 'cinder', 'trio2o')


@dataclasses.dataclass
class Pod:
    """The services of one pod."""

    name: str
    nova: nova_app.Nova
    cinder: cinder_app.Cinder
    nova_url: str  # with /v2.1
    cinder_url: str  # with /v3
    placement: placement_app.Placement
    placement_url: str

    def each(self) -> tuple[Service, ...]:
        """Return all services, for example to add a fault to each."""
        return self.nova, self.cinder, self.placement

    def disk(self, kind: str, identifier: str) -> Disk:
        """Return the bytes of a resource: to read them, to compare checksums, or to write as the guest does.

        :param kind: ``volume``, ``snapshot``, ``backup``, ``image``, or ``root``, ``ephemeral`` or ``config drive`` of
            a server
        :raises KeyError: the pod has no such resource, or the resource no bytes
        """
        if kind in server_disks.LOCAL:
            return server_disks.find(self.nova, self.nova.servers[identifier], kind)
        if kind == 'image':
            assert self.nova.glance is not None
            return self.nova.glance.disk(identifier)
        if kind == 'backup':
            backups = self.cinder.storage.backups
            backups[self.cinder.backups[identifier]['id']]  # a record may have lost its objects
            return Disk(backups, identifier)
        return Disk({'volume': self.cinder.volumes, 'snapshot': self.cinder.snapshots}[kind][identifier])


class Cloud:
    """One Keystone, one Glance, one Neutron and any number of pods.

    :param pods: their number, or their names
    :param clock: the clock of all services
    :param zones: the availability zones in each pod
    :param nova: settings of each pod's Nova; each gets a copy
    :param cinder: settings of each pod's Cinder; each gets a copy
    :param gateway: host of the gateway, for its endpoints; ports are added
    :param log_size: number of requests that each service logs; 0 is none, None is all
    """

    def __init__(
        self,
        pods: int | list[str] = 2,
        clock: Clock | None = None,
        zones: tuple[str, ...] = ('nova',),
        nova: nova_app.Settings | None = None,
        cinder: 'cinder_app.Settings | None' = None,
        gateway: str = 'gateway.test',
        log_size: int | None = 10000,
    ) -> None:
        self.clock = clock or Clock()
        self.log_size = log_size
        self.zones = zones
        self.nova_settings = nova or nova_app.Settings()
        self.cinder_settings = cinder or cinder_app.Settings()
        self.keystone = keystone_app.Keystone('http://keystone.test:5000', self.clock, log_size)
        self.storage = Storage()  # all pods share it, unless a test gives a pod another one
        self.glance = glance_app.Glance(self.keystone, 'http://glance.test:9292', self.clock, log_size)
        self.neutron = neutron_app.Neutron(self.keystone, 'http://neutron.test:9696', self.clock, log_size)
        self.image = self.glance.add_image('cirros', id=_uuid('image', 'cirros'))
        self.pods: dict[str, Pod] = {}
        self.apps: dict[str, Any] = {
            'keystone.test:5000': self.keystone,
            'glance.test:9292': self.glance,
            'neutron.test:9696': self.neutron,
        }
        self._transports: list[WSGITransport] = []
        self._fill_keystone(gateway)
        names = [f'Pod{number}' for number in range(1, pods + 1)] if isinstance(pods, int) else pods
        for name in names:
            self.add_pod(name)

    # -- building --

    def _fill_keystone(self, gateway: str) -> None:
        keystone = self.keystone
        keystone.add_user('admin', PASSWORD, {'admin': ('admin',), 'demo': ('admin',)})
        keystone.add_user('demo', PASSWORD, {'demo': ('member',)})
        keystone.add_user('alt', PASSWORD, {'alt': ('member',)})
        keystone.add_user('reader', PASSWORD, {'demo': ('reader',)})
        for name in _SERVICE_USERS:
            keystone.add_user(name, PASSWORD, {'service': ('admin', 'service')})
        for service_type, port, path in (
            ('compute', 19998, '/v2.1'),
            ('volumev3', 19997, '/v3'),
            ('block-storage', 19997, '/v3'),
            ('trio2o', 19996, '/v1.0'),
        ):
            keystone.add_endpoint(TOP, service_type, f'http://{gateway}:{port}{path}')
        self._add_shared_endpoints(TOP)

    def _add_shared_endpoints(self, region: str) -> None:
        self.keystone.add_endpoint(region, 'identity', f'{self.keystone.url}/v3', 'keystone')
        self.keystone.add_endpoint(region, 'image', self.glance.url, 'glance')
        self.keystone.add_endpoint(region, 'network', self.neutron.url, 'neutron')

    def add_pod(
        self, name: str, nova: nova_app.Settings | None = None, cinder: 'cinder_app.Settings | None' = None
    ) -> Pod:
        """Add a pod, with its region and endpoints."""
        nova_settings = dataclasses.replace(nova or self.nova_settings)
        if nova is None and self.zones != ('nova',):
            nova_settings.zones = self.zones
        cinder_settings = dataclasses.replace(cinder or self.cinder_settings)
        if cinder is None:
            cinder_settings.zones = nova_settings.zones
        volumes = cinder_app.Cinder(
            self.keystone, self.clock, cinder_settings, self.glance, self.log_size, self.storage
        )
        compute = nova_app.Nova(
            self.keystone, self.clock, nova_settings, volumes, self.glance, self.log_size, self.neutron
        )
        compute.hosts = [f'{name.lower()}-compute-1']
        volumes.hosts = [f'{name.lower()}-volume-1']
        host = name.lower()
        pod = Pod(
            name,
            compute,
            volumes,
            f'http://{host}.nova.test:8774/v2.1',
            f'http://{host}.cinder.test:8776/v3',
            placement_app.Placement(compute, self.log_size),
            f'http://{host}.placement.test:8778',
        )
        self.pods[name] = pod
        self._mount(pod.nova_url, compute)
        self._mount(pod.cinder_url, volumes)
        self._mount(pod.placement_url, pod.placement)
        self.add_pod_endpoints(name, pod.nova_url, pod.cinder_url, pod.placement_url)
        return pod

    def add_pod_endpoints(self, name: str, nova_url: str, cinder_url: str, placement_url: str) -> None:
        """Add the region and the endpoints of a pod, which may be served by another process."""
        self.keystone.add_endpoint(name, 'placement', placement_url, 'placement')
        self.keystone.add_endpoint(name, 'compute', nova_url, 'nova')
        self.keystone.add_endpoint(name, 'volumev3', cinder_url, 'cinder')
        self.keystone.add_endpoint(name, 'block-storage', cinder_url, 'cinder')
        self._add_shared_endpoints(name)

    def _mount(self, url: str, app: Any) -> None:
        self.mount(parse.urlsplit(url).netloc, app)

    def mount(self, netloc: str, app: Any) -> None:
        """Let every transport of this cloud call a WSGI application at ``host:port``."""
        self.apps[netloc] = app
        for transport in self._transports:
            transport.apps[netloc] = app

    def move_endpoints(self, moves: Mapping[str, str]) -> None:
        """Replace ``http://host:port`` in the catalog.

        :param moves: old one -> new one
        """
        rows = []
        for row in self.keystone.endpoints:
            old = root_of(row.url)
            rows.append(dataclasses.replace(row, url=moves[old] + row.url[len(old) :]) if old in moves else row)
        self.keystone.endpoints = rows

    # -- calling its services --

    def transport(self, real_time: bool = False, **options: Any) -> WSGITransport:
        """Return a transport that calls all services without a socket."""
        transport = WSGITransport(self.apps, real_time, **options)
        self._transports.append(transport)
        return transport

    def adapter(self, real_time: bool = False) -> WSGIAdapter:
        """Return a transport for ``requests`` and keystoneauth."""
        return WSGIAdapter(self.transport(real_time))

    def pod(self, name: str) -> Pod:
        """Return a pod by name."""
        return self.pods[name]

    def token(self, user: str = 'demo', project: str | None = None, expires_in: float = 3600.0) -> str:
        """Issue a token to ``admin``, ``demo``, ``alt``, ``reader`` or a service user.

        :param project: the default is the first project in which the user has roles
        """
        known = self.keystone.users[user]
        return self.keystone.issue_token(user, project or next(iter(known.roles)), expires_in=expires_in)

    def project_id(self, name: str) -> str:
        """Return the id of a project."""
        return self.keystone.add_project(name)

    def user_id(self, name: str) -> str:
        """Return the id of a user."""
        return self.keystone.users[name].id

    def clear_logs(self) -> None:
        """Clear the request logs of all services."""
        for app in self.apps.values():
            if isinstance(app, Service):
                app.requests.clear()

    # -- adding resources --

    def add_servers(
        self,
        pod: str,
        project: str,
        count: int = 1,
        name: str = 'server',
        spacing: float = 1.0,
        start: datetime.datetime | None = None,
        **given: Any,
    ) -> list[dict[str, Any]]:
        """Add servers to a pod without requests; ``created`` differs by ``spacing`` seconds."""
        nova = self.pods[pod].nova
        first = start or nova.stamp() - datetime.timedelta(seconds=int(count * spacing))
        owner = next(
            (user for user in self.keystone.users.values() if project in user.roles and user.name != 'admin'),
            self.keystone.users['admin'],
        )
        made = []
        for index in range(count):
            created = first + datetime.timedelta(seconds=int(index * spacing))
            made.append(
                nova_app.records.new(
                    nova,
                    f'{name}-{index}',
                    self.project_id(project),
                    owner.id,
                    next(iter(nova.flavors.values())),
                    **{'created_at': created, 'image_ref': self.image['id'], **given},
                )
            )
        return made

    def add_volumes(
        self,
        pod: str,
        project: str,
        count: int = 1,
        name: str = 'volume',
        size: int = 1,
        spacing: float = 1.0,
        start: datetime.datetime | None = None,
        **given: Any,
    ) -> list[dict[str, Any]]:
        """Add volumes to a pod without requests; ``created_at`` differs by ``spacing`` seconds."""
        cinder = self.pods[pod].cinder
        first = start or cinder.stamp() - datetime.timedelta(seconds=int(count * spacing))
        owner = next(
            (user for user in self.keystone.users.values() if project in user.roles and user.name != 'admin'),
            self.keystone.users['admin'],
        )
        return [
            cinder.add_volume(
                self.project_id(project),
                owner.id,
                size,
                **{
                    'name': f'{name}-{index}',
                    'created_at': first + datetime.timedelta(seconds=int(index * spacing)),
                    **given,
                },
            )
            for index in range(count)
        ]


def root_of(url: str) -> str:
    """Return ``http://host:port`` of a URL."""
    parts = parse.urlsplit(url)
    return f'{parts.scheme}://{parts.netloc}'


def _uuid(*words: str) -> str:
    return str(uuid.UUID(hashlib.md5('/'.join(words).encode(), usedforsecurity=False).hexdigest()))
