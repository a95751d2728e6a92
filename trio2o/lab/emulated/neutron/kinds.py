# SPDX-License-Identifier: Apache-2.0
"""What Neutron knows of each kind of resource: its names, its attributes, and who may set or see them."""

import dataclasses
from collections.abc import Callable
from typing import Any

from trio2o.lab.emulated import wire

Row = dict[str, Any]


class NeutronError(wire.Refusal):
    """An error of Neutron, with the name that clients such as Nova distinguish it by."""

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(status, message)
        self.kind = kind


def invalid(message: str) -> NeutronError:
    """Make the 400 of a value that Neutron cannot use."""
    return NeutronError(400, 'InvalidInput', f'Invalid input for operation: {message}.')


def bad(message: str) -> NeutronError:
    """Make the 400 of a request that Neutron cannot read."""
    return NeutronError(400, 'HTTPBadRequest', message)


@dataclasses.dataclass(frozen=True)
class Kind:
    """One kind of resource.

    :ivar missing: name and text of the 404
    :ivar settable: attributes that a create and an update may have
    :ivar fixed: attributes that only a create may have
    :ivar required: attributes that a create must have
    :ivar restricted: attributes that only administrators and services see and set
    """

    name: str
    path: str
    missing: tuple[str, str]
    settable: frozenset[str]
    fixed: frozenset[str] = frozenset()
    required: tuple[str, ...] = ()
    restricted: frozenset[str] = frozenset()

    @property
    def plural(self) -> str:
        """The key of lists."""
        return self.path.replace('-', '_')

    def not_found(self, identifier: str) -> NeutronError:
        """Make the 404 of one resource."""
        return NeutronError(404, self.missing[0], self.missing[1].format(identifier))


_COMMON = {'description'}
_PROJECT = {'project_id', 'tenant_id'}

NETWORK = Kind(
    'network',
    'networks',
    ('NetworkNotFound', 'Network {} could not be found.'),
    frozenset(
        {'name', 'admin_state_up', 'shared', 'router:external', 'mtu', 'dns_domain', 'port_security_enabled', *_COMMON}
    ),
    frozenset(_PROJECT),
)
SUBNET = Kind(
    'subnet',
    'subnets',
    ('SubnetNotFound', 'Subnet {} could not be found.'),
    frozenset({'name', 'gateway_ip', 'allocation_pools', 'enable_dhcp', 'dns_nameservers', 'host_routes', *_COMMON}),
    frozenset({'network_id', 'cidr', 'ip_version', *_PROJECT}),
    ('network_id', 'ip_version'),
)
PORT = Kind(
    'port',
    'ports',
    ('PortNotFound', 'Port {} could not be found.'),
    frozenset(
        {
            'name',
            'admin_state_up',
            'mac_address',
            'fixed_ips',
            'device_id',
            'device_owner',
            'security_groups',
            'allowed_address_pairs',
            'extra_dhcp_opts',
            'dns_name',
            'port_security_enabled',
            'binding:host_id',
            'binding:profile',
            'binding:vnic_type',
            *_COMMON,
        }
    ),
    frozenset({'network_id', *_PROJECT}),
    ('network_id',),
    frozenset({'binding:host_id', 'binding:profile', 'binding:vif_type', 'binding:vif_details', 'resource_request'}),
)
FLOATING_IP = Kind(
    'floatingip',
    'floatingips',
    ('FloatingIPNotFound', 'Floating IP {} could not be found'),
    frozenset({'port_id', 'fixed_ip_address', *_COMMON}),
    frozenset({'floating_network_id', 'floating_ip_address', 'subnet_id', *_PROJECT}),
    ('floating_network_id',),
)
SECURITY_GROUP = Kind(
    'security_group',
    'security-groups',
    ('SecurityGroupNotFound', 'Security group {} does not exist'),
    frozenset({'name', 'stateful', *_COMMON}),
    frozenset(_PROJECT),
)
KINDS = (NETWORK, SUBNET, PORT, FLOATING_IP, SECURITY_GROUP)

#: Attributes of one type; of the others, any value is stored.
TYPES: dict[str, tuple[type, str]] = {
    **dict.fromkeys(('name', 'description', 'device_id', 'device_owner', 'dns_name', 'mac_address'), (str, 'string')),
    **dict.fromkeys(('admin_state_up', 'shared', 'router:external', 'port_security_enabled'), (bool, 'boolean')),
    **dict.fromkeys(('network_id', 'floating_network_id', 'cidr'), (str, 'UUID')),
    **dict.fromkeys(('fixed_ips', 'security_groups', 'allocation_pools'), (list, 'list')),
    'binding:profile': (dict, 'dictionary'),
}

#: Attributes of ports by which ``fixed_ips`` of a filter finds them.
FIXED_IP_FILTERS: dict[str, Callable[[Row, str], bool]] = {
    'ip_address': lambda fixed, value: fixed['ip_address'] == value,
    'ip_address_substr': lambda fixed, value: value in fixed['ip_address'],
    'subnet_id': lambda fixed, value: fixed['subnet_id'] == value,
}
