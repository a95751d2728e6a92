# SPDX-License-Identifier: Apache-2.0
"""Placement: capacity and use of a pod's hosts, computed from the pod's Nova. It is read-only."""

import hashlib
import uuid
from typing import TYPE_CHECKING, Any

from trio2o.lab.emulated import service, wire

if TYPE_CHECKING:
    from trio2o.lab.emulated.nova import Nova

# As real Nova's fake driver reports.
CAPACITY = {'VCPU': 1000, 'MEMORY_MB': 800000, 'DISK_GB': 600000}
_FLAVOR = {'VCPU': 'vcpus', 'MEMORY_MB': 'ram', 'DISK_GB': 'disk'}
_VERSION = {
    'id': 'v1.0',
    'max_version': '1.39',
    'min_version': '1.0',
    'status': 'CURRENT',
    'links': [{'rel': 'self', 'href': ''}],
}


class Placement(service.PodService):
    """One resource provider for each host of the pod's Nova.

    Tests change ``capacity`` (by host, or '' for all) to make a pod small or full, and ``ratios`` and ``reserved`` for
    all hosts.
    """

    def __init__(self, nova: 'Nova', log_size: int | None = 10000) -> None:
        self.routes = ROUTES
        super().__init__(nova.keystone, nova.clock, log_size)
        self.nova = nova
        self.capacity: dict[str, dict[str, int]] = {'': dict(CAPACITY)}
        self.ratios = {'VCPU': 4.0, 'MEMORY_MB': 1.0, 'DISK_GB': 1.0}
        self.reserved = {'VCPU': 0, 'MEMORY_MB': 512, 'DISK_GB': 0}
        nova.has_room = self.has_room

    def providers(self) -> dict[str, str]:
        """Map the uuids of the providers to hosts."""
        return {
            str(uuid.UUID(hashlib.md5(f'node/{host}'.encode(), usedforsecurity=False).hexdigest())): host
            for host in self.nova.hosts
        }

    def usage(self, host: str | None = None, project: str | None = None) -> dict[str, int]:
        """Sum up the live servers of a host or of a project."""
        live = [
            server
            for server in self.nova.servers.values()
            if not server['deleted']
            and server['host']
            and host in (None, server['host'])
            and project in (None, server['project_id'])
        ]
        return {name: sum(server['flavor'][key] for server in live) for name, key in _FLAVOR.items()}

    def inventory(self, host: str) -> dict[str, dict[str, Any]]:
        """Return the inventory of a host."""
        capacity = self.capacity.get(host) or self.capacity['']
        return {
            name: {
                'total': total,
                'reserved': self.reserved.get(name, 0),
                'min_unit': 1,
                'max_unit': total,
                'step_size': 1,
                'allocation_ratio': self.ratios.get(name, 1.0),
            }
            for name, total in capacity.items()
        }

    def has_room(self, host: str, flavor: dict[str, Any]) -> bool:
        """Whether a server of a flavor fits on a host; the emulated Nova calls this to schedule."""
        if self.capacity == {'': CAPACITY}:
            return True  # more than any test uses, so nothing has to be summed up
        used = self.usage(host)
        return all(
            used.get(name, 0) + flavor[_FLAVOR[name]] <= (row['total'] - row['reserved']) * row['allocation_ratio']
            for name, row in self.inventory(host).items()
            if name in _FLAVOR
        )

    def respond(self, request: wire.Request) -> wire.Response:
        if request.path == '/':
            return wire.reply({'versions': [_VERSION]})
        response = self.authenticate(request)
        if response is None:
            response = self._served(request)
        response.headers.append(('x-openstack-request-id', request.request_id))
        return response

    def _served(self, request: wire.Request) -> wire.Response:
        text = request.headers.get('openstack-api-version', '').rpartition(' ')[2] or '1.0'
        version = '1.39' if text == 'latest' else text
        echo = [('OpenStack-API-Version', f'placement {version}'), ('Vary', 'OpenStack-API-Version')]
        if not request.user.is_admin and 'service' not in request.user.roles:
            raise wire.Refusal(403, 'Access was denied to this resource.')
        request.minor = int(version.partition('.')[2] or 0)
        response = super().respond(request)
        response.headers += echo
        return response

    def render(self, request: wire.Request, refusal: wire.Refusal) -> wire.Response:
        title = wire.REASONS.get(refusal.status, 'Error')
        return wire.reply(
            {
                'errors': [
                    {
                        'status': refusal.status,
                        'title': title,
                        'request_id': request.request_id,
                        'detail': f'{refusal.message}\n\n   ',
                    }
                ]
            },
            refusal.status,
        )


def _host(placement: Placement, request: wire.Request) -> str:
    wanted = request.args['provider_id']
    host = placement.providers().get(wanted)
    if host is None:
        raise wire.Refusal(404, f'No resource provider with uuid {wanted} found')
    return host


def _provider(provider_id: str, host: str) -> dict[str, Any]:
    path = f'/resource_providers/{provider_id}'
    names = ('inventories', 'usages', 'aggregates', 'traits', 'allocations')
    return {
        'uuid': provider_id,
        'name': host,
        'generation': 1,
        'root_provider_uuid': provider_id,
        'parent_provider_uuid': None,
        'links': [{'rel': 'self', 'href': path}] + [{'rel': name, 'href': f'{path}/{name}'} for name in names],
    }


def list_providers(placement: Placement, request: wire.Request) -> wire.Response:
    """GET /resource_providers, by name, uuid or forbidden trait."""
    rows = [_provider(*row) for row in placement.providers().items()]
    if request.last('required') == '!COMPUTE_STATUS_DISABLED':
        if request.minor < 22:
            raise wire.Refusal(400, 'Invalid query string parameters')
        rows = [row for row in rows if row['name'] not in placement.nova.disabled]
    for key in ('name', 'uuid'):
        if request.has(key):
            rows = [row for row in rows if row[key] == request.last(key)]
    return wire.reply({'resource_providers': rows})


def show_provider(placement: Placement, request: wire.Request) -> wire.Response:
    """GET /resource_providers/{uuid}."""
    return wire.reply(_provider(request.args['provider_id'], _host(placement, request)))


def list_inventories(placement: Placement, request: wire.Request) -> wire.Response:
    """GET /resource_providers/{uuid}/inventories."""
    inventories = placement.inventory(_host(placement, request))
    return wire.reply({'resource_provider_generation': 1, 'inventories': inventories})


def list_usages(placement: Placement, request: wire.Request) -> wire.Response:
    """GET /resource_providers/{uuid}/usages."""
    return wire.reply({'resource_provider_generation': 1, 'usages': placement.usage(_host(placement, request))})


def show_project_usages(placement: Placement, request: wire.Request) -> wire.Response:
    """GET /usages?project_id=, from 1.9."""
    project = request.last('project_id')
    if not project:
        raise wire.Refusal(400, "Invalid query string parameters: 'project_id' is a required property")
    usages = placement.usage(project=project)
    return wire.reply({'usages': usages if any(usages.values()) else {}})


_ONE = '/resource_providers/{provider_id}'
ROUTES = [
    wire.Route('GET', '/resource_providers', list_providers),
    wire.Route('GET', _ONE, show_provider),
    wire.Route('GET', _ONE + '/inventories', list_inventories),
    wire.Route('GET', _ONE + '/usages', list_usages),
    wire.Route('GET', '/usages', show_project_usages, since=9),
]
