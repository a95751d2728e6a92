# SPDX-License-Identifier: Apache-2.0
"""Hosts, hypervisors and services of all pods, for admins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from trio2o.gateway.admin.by_id import ForwardById
from trio2o.gateway.admin.by_name import ForwardByName, NameSource
from trio2o.gateway.admin.ids import AdminResource, split_name
from trio2o.gateway.admin.lists import AdminList, AdminPaging
from trio2o.gateway.handlers.sum import Sum
from trio2o.gateway.translate import PodNames, zone_up
from trio2o.nova_apigw.availability_zones import INTERNAL
from trio2o.pods.registry import PodView
from trio2o.resources import Item
from trio2o.web.call import Call
from trio2o.web.operations import Operation


def translate_zone(item: Item, names: PodNames) -> None:
    """Replace the pod's name of its zone by the one that tenants know, in place.

    The zone of services that serve no zone is the same on both sides.
    """
    if item.get('zone') != INTERNAL:
        item['zone'] = zone_up(item.get('zone'), names)


HOST = AdminResource('Host', 'host', 'hosts', 'Compute host {id} could not be found.', rename=translate_zone)
HYPERVISOR = AdminResource(
    'Hypervisor',
    'hypervisor',
    'hypervisors',
    "Hypervisor with ID '{id}' could not be found.",
    numbers=(('id',), ('service', 'id')),
    uuids_from=(2, 53),
)
SERVICE = AdminResource(
    'Service', 'service', 'services', 'Service {id} could not be found.', uuids_from=(2, 53), rename=translate_zone
)

#: The list of services has the names of hosts.
BY_HOST = NameSource('Host', '/os-services', 'services', 'host', lambda name: [('host', name)])
BY_NODE = NameSource('Hypervisor', '/os-hypervisors', 'hypervisors', 'hypervisor_hostname', lambda name: [])

COMPUTE = 'nova-compute'
#: Since this version lists contain partial records of servers and services in a pod that does not answer, as Nova has
#: them for a cell that is down.
UNKNOWN_FROM = (2, 69)


def record_compute_hosts(call: Call, pod: PodView, services: list[Item]) -> None:
    """Record the compute hosts of a pod, given all of its compute services."""
    hosts = sorted({str(item.get('host')) for item in services if item.get('binary') == COMPUTE})
    call.runtime.compute_hosts.record(pod, hosts)


class ServiceList(AdminList):
    """``GET /os-services``."""

    def items_read(self, call: Call, pod: PodView, items: list[Item]) -> None:
        """Record the compute hosts of a pod, unless the list may lack some of them."""
        if all(name == 'binary' and value == COMPUTE for name, value in call.query):
            record_compute_hosts(call, pod, items)

    def partial_records(self, call: Call, pods: Sequence[PodView]) -> list[Item] | None:
        """Return partial records of the compute services of these pods, with status ``UNKNOWN``.

        There are none before 2.69, for other binaries, and if the hosts of a pod were never listed.
        """
        if call.version is None or call.version < UNKNOWN_FROM:
            return None
        query = dict(call.query)
        if query.get('binary', COMPUTE) != COMPUTE:
            return None
        hosts = {pod: call.runtime.compute_hosts.of(pod) for pod in pods}
        if not all(hosts.values()):
            return None
        only, host = split_name(call, query['host']) if 'host' in query else (None, None)
        return [
            {'binary': COMPUTE, 'host': name, 'status': 'UNKNOWN'}
            for pod in pods
            for name in hosts[pod]
            if (only is None or only.id == pod.id) and host in (None, name)
        ]


def add_numbers(key: str) -> Callable[[list[dict[str, Any]]], dict[str, Any]]:
    """Return a function that adds up each number of the objects under a key."""

    def combine(documents: list[dict[str, Any]]) -> dict[str, Any]:
        total: dict[str, Any] = {}
        for document in documents:
            for name, value in document[key].items():
                known = total.get(name, 0)
                total[name] = known + value if isinstance(value, int | float) else known or value
        return {key: total}

    return combine


_PAGES = AdminPaging((2, 33), 'hypervisors_links', unpaged_with=frozenset({'hypervisor_hostname_pattern'}))
_HYPERVISORS = AdminList(HYPERVISOR, _PAGES, named=('hypervisor_hostname_pattern',))
_HYPERVISOR = ForwardById(HYPERVISOR, '/os-hypervisors')
_PATTERN = AdminList(HYPERVISOR, is_search=True)

_HOST = ForwardByName(HOST, BY_HOST)
#: These GETs change the state of a host, so they are not sent twice.
_POWER = ForwardByName(HOST, BY_HOST, is_repeated=False)
_SERVICE = ForwardById(SERVICE, '/os-services', is_shown=False)
_SERVICE_BY_HOST = ForwardByName(SERVICE, BY_HOST, ('host',))


def _host(name: str, path: str = '', method: str = 'GET') -> Operation:
    return Operation(f'hosts.{name}', method, '/os-hosts/{id}' + path, _POWER if path else _HOST, max_version=(2, 42))


def _service(name: str, path: str, min_version: tuple[int, int] | None = None) -> Operation:
    return Operation(
        f'services.{name}',
        'PUT',
        f'/os-services/{path}',
        _SERVICE_BY_HOST,
        min_version=min_version,
        max_version=(2, 52),
    )


OPERATIONS = [
    Operation('hosts.list', 'GET', '/os-hosts', AdminList(HOST, zoned=('zone',)), max_version=(2, 42)),
    _host('show'),
    _host('update', method='PUT'),
    _host('reboot', '/reboot'),
    _host('shutdown', '/shutdown'),
    _host('startup', '/startup'),
    Operation('hypervisors.list', 'GET', '/os-hypervisors', _HYPERVISORS),
    Operation('hypervisors.list_detail', 'GET', '/os-hypervisors/detail', _HYPERVISORS),
    Operation(
        'hypervisors.statistics',
        'GET',
        '/os-hypervisors/statistics',
        Sum(add_numbers('hypervisor_statistics')),
        max_version=(2, 87),
    ),
    Operation('hypervisors.show', 'GET', '/os-hypervisors/{id}', _HYPERVISOR),
    Operation('hypervisors.search', 'GET', '/os-hypervisors/{id}/search', _PATTERN, max_version=(2, 52)),
    Operation('hypervisors.servers', 'GET', '/os-hypervisors/{id}/servers', _PATTERN, max_version=(2, 52)),
    Operation('hypervisors.uptime', 'GET', '/os-hypervisors/{id}/uptime', _HYPERVISOR, max_version=(2, 87)),
    Operation(
        'services.list',
        'GET',
        '/os-services',
        ServiceList(SERVICE, named=('host',)),
    ),
    _service('disable', 'disable'),
    _service('disable_log_reason', 'disable-log-reason'),
    _service('enable', 'enable'),
    _service('force_down', 'force-down', (2, 11)),
    Operation('services.update', 'PUT', '/os-services/{id}', _SERVICE, min_version=(2, 53)),
    Operation('services.delete', 'DELETE', '/os-services/{id}', _SERVICE),
]
