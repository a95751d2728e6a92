# SPDX-License-Identifier: Apache-2.0
"""Removed APIs: the gateway answers as Nova does at every version, mostly 410, without a call to a pod."""

from __future__ import annotations

from dataclasses import dataclass

from trio2o.gateway.handlers.forward import ForwardToAny
from trio2o.web import faults
from trio2o.web.call import Answer, Call
from trio2o.web.operations import Operation

_MESSAGES = {
    400: 'The server could not comply with the request since it is either malformed or otherwise incorrect.',
    410: 'This resource is no longer available. No forwarding address is given.',
}


@dataclass(frozen=True)
class Removed:
    """Answer that the API was removed.

    :ivar status: status of Nova's answer
    """

    status: int = 410

    def __call__(self, call: Call) -> Answer:
        return faults.fault(self.status, _MESSAGES[self.status], call.version_headers)


_REMOVED = Removed()

_ROWS = (
    ('agents.list', 'GET', '/os-agents'),
    ('agents.create', 'POST', '/os-agents'),
    ('agents.update', 'PUT', '/os-agents/{id}'),
    ('agents.delete', 'DELETE', '/os-agents/{id}'),
    ('cells.create', 'POST', '/os-cells'),
    ('cells.list', 'GET', '/os-cells'),
    ('cells.capacities', 'GET', '/os-cells/capacities'),
    ('cells.list_detail', 'GET', '/os-cells/detail'),
    ('cells.info', 'GET', '/os-cells/info'),
    ('cells.sync_instances', 'POST', '/os-cells/sync_instances'),
    ('cells.show', 'GET', '/os-cells/{id}'),
    ('cells.update', 'PUT', '/os-cells/{id}'),
    ('cells.delete', 'DELETE', '/os-cells/{id}'),
    ('cells.show_capacities', 'GET', '/os-cells/{id}/capacities'),
    ('certificates.create', 'POST', '/os-certificates'),
    ('certificates.show', 'GET', '/os-certificates/{id}'),
    ('cloudpipe.list', 'GET', '/os-cloudpipe'),
    ('cloudpipe.create', 'POST', '/os-cloudpipe'),
    ('cloudpipe.update', 'PUT', '/os-cloudpipe/{id}'),
    ('fixed_ips.show', 'GET', '/os-fixed-ips/{id}'),
    ('floating_ip_dns.list', 'GET', '/os-floating-ip-dns'),
    ('floating_ip_dns.update', 'PUT', '/os-floating-ip-dns/{id}'),
    ('floating_ip_dns.delete', 'DELETE', '/os-floating-ip-dns/{id}'),
    ('floating_ip_dns_entries.show', 'GET', '/os-floating-ip-dns/{domain_id}/entries/{id}'),
    ('floating_ip_dns_entries.update', 'PUT', '/os-floating-ip-dns/{domain_id}/entries/{id}'),
    ('floating_ip_dns_entries.delete', 'DELETE', '/os-floating-ip-dns/{domain_id}/entries/{id}'),
    ('floating_ips_bulk.list', 'GET', '/os-floating-ips-bulk'),
    ('floating_ips_bulk.create', 'POST', '/os-floating-ips-bulk'),
    ('floating_ips_bulk.show', 'GET', '/os-floating-ips-bulk/{id}'),
    ('floating_ips_bulk.update', 'PUT', '/os-floating-ips-bulk/{id}'),
    ('fping.list', 'GET', '/os-fping'),
    ('fping.show', 'GET', '/os-fping/{id}'),
    ('networks.create', 'POST', '/os-networks'),
    ('networks.add', 'POST', '/os-networks/add'),
    ('networks.delete', 'DELETE', '/os-networks/{id}'),
    ('security_group_default_rules.list', 'GET', '/os-security-group-default-rules'),
    ('security_group_default_rules.create', 'POST', '/os-security-group-default-rules'),
    ('security_group_default_rules.show', 'GET', '/os-security-group-default-rules/{id}'),
    ('security_group_default_rules.delete', 'DELETE', '/os-security-group-default-rules/{id}'),
    ('tenant_networks.create', 'POST', '/os-tenant-networks'),
    ('tenant_networks.delete', 'DELETE', '/os-tenant-networks/{id}'),
    ('consoles.list', 'GET', '/servers/{server_id}/consoles'),
    ('consoles.create', 'POST', '/servers/{server_id}/consoles'),
    ('consoles.show', 'GET', '/servers/{server_id}/consoles/{id}'),
    ('consoles.delete', 'DELETE', '/servers/{server_id}/consoles/{id}'),
    ('virtual_interfaces.list', 'GET', '/servers/{server_id}/os-virtual-interfaces'),
)
_ACTIONS = (
    ('fixed_ips', '/os-fixed-ips/{id}/action', ('reserve', 'unreserve')),
    (
        'networks',
        '/os-networks/{id}/action',
        ('disassociate', 'associate_host', 'disassociate_host', 'disassociate_project'),
    ),
    ('servers', '/servers/{id}/action', ('resetNetwork',)),
)

OPERATIONS = [
    *(Operation(name, method, path, _REMOVED) for name, method, path in _ROWS),
    *(
        Operation(f'{noun}.action.{key}', 'POST', path, _REMOVED, action=key)
        for noun, path, keys in _ACTIONS
        for key in keys
    ),
    # A pod refuses unknown actions in Nova's words.
    *(
        Operation(f'{noun}.action', 'POST', path, ForwardToAny())
        for noun, path, _keys in _ACTIONS
        if noun != 'servers'
    ),
    Operation(
        'servers.action.os-getRDPConsole',
        'POST',
        '/servers/{id}/action',
        Removed(400),
        action='os-getRDPConsole',
        max_version=(2, 5),
    ),
]
