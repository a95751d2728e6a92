# SPDX-License-Identifier: Apache-2.0
"""Neutron: networks, subnets, ports, floating IPs and security groups. All pods share one Neutron.

    network = cloud.neutron.add_network('demo', cidr='10.0.0.0/29')
    port = cloud.neutron.add_port(network)
    ... a server with {'networks': [{'port': port['id']}]} ...
    cloud.neutron.ports_of(server_id)

It is empty at first, and a Nova whose Neutron has no network makes up the interfaces of its servers. There are no
routers, quotas, RBAC rules, trunks or QoS, and security groups have only the rules that Neutron gives to new ones. A
floating IP is attached to any port with an IPv4 address, and has no port of its own in the external network. There
are no agents: a bound port becomes ACTIVE when Nova runs its server.
"""

import ipaddress
import secrets
import uuid
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from trio2o.lab.emulated import service, wire
from trio2o.lab.emulated.clock import Clock, zulu
from trio2o.lab.emulated.neutron import api, kinds
from trio2o.lab.emulated.neutron.kinds import Kind, NeutronError, Row

if TYPE_CHECKING:
    from trio2o.lab.emulated.keystone import Keystone
    from trio2o.lab.emulated.nova import Nova

_BINDING = ('binding:host_id', 'binding:profile', 'binding:vnic_type')


class Neutron(service.PodService):
    """One Neutron for all pods.

    ``networks``, ``ports`` and the other collections are dicts, by id, of rows in the format of the Networking API.

    :ivar novas: the Nova of each pod; they get the events that Neutron sends to Nova
    :ivar notifies: whether it sends events, ``[DEFAULT] notify_nova_on_port_data_changes``
    """

    service_type = 'network'

    def __init__(
        self,
        keystone: 'Keystone',
        url: str = 'http://neutron.test:9696',
        clock: Clock | None = None,
        log_size: int | None = 10000,
    ) -> None:
        self.routes = api.ROUTES
        super().__init__(keystone, clock, log_size)
        self.url = url
        self.networks: dict[str, Row] = {}
        self.subnets: dict[str, Row] = {}
        self.ports: dict[str, Row] = {}
        self.floating_ips: dict[str, Row] = {}
        self.security_groups: dict[str, Row] = {}
        self.novas: list[Nova] = []
        self.notifies = True
        self._events: list[Row] = []

    def rows(self, kind: Kind) -> dict[str, Row]:
        """Return the resources of one kind."""
        return {
            kinds.NETWORK: self.networks,
            kinds.SUBNET: self.subnets,
            kinds.PORT: self.ports,
            kinds.FLOATING_IP: self.floating_ips,
            kinds.SECURITY_GROUP: self.security_groups,
        }[kind]

    # -- for tests --

    def add_network(
        self, project: str = 'demo', name: str = 'private', cidr: str | None = '10.0.0.0/24', **given: Any
    ) -> Row:
        """Add a network with one subnet.

        :param project: name of the project
        :param cidr: None: no subnet
        :param given: other attributes, as ``shared`` or ``router:external``
        """
        project_id = self.keystone.add_project(project)
        with self.lock:
            network = self.create(kinds.NETWORK, project_id, {'name': name, **given})
            if cidr:
                version = ipaddress.ip_network(cidr).version
                values = {'name': f'{name}-subnet', 'network_id': network['id'], 'cidr': cidr, 'ip_version': version}
                self.create(kinds.SUBNET, project_id, values)
            return network

    def add_port(self, network: Row, project: str | None = None, **given: Any) -> Row:
        """Add a port, as a tenant does before a server is created.

        :param project: name of the project; None: that of the network
        """
        project_id = network['project_id'] if project is None else self.keystone.add_project(project)
        return self.create(kinds.PORT, project_id, {'network_id': network['id'], **given})

    def ports_of(self, device_id: str) -> list[Row]:
        """Return the ports whose ``device_id`` is that of a server, the oldest first."""
        with self.lock:
            return [port for port in self.ports.values() if port['device_id'] == device_id]

    # -- requests --

    def answer(self, request: wire.Request) -> wire.Response:
        for nova in self.novas:  # with a lock of their own, so before Neutron's is taken
            nova.settle()
        response = super().answer(request)
        response.headers.append(('X-Openstack-Request-Id', request.request_id))
        self.notify()
        return response

    def respond(self, request: wire.Request) -> wire.Response:
        if request.path == '/':
            link = {'rel': 'self', 'href': f'{request.base}/v2.0/'}
            return wire.reply({'versions': [{'id': 'v2.0', 'status': 'CURRENT', 'links': [link]}]})
        return self.authenticate(request) or super().respond(request)

    def render(self, request: wire.Request, refusal: wire.Refusal) -> wire.Response:
        names = {400: 'HTTPBadRequest', 403: 'PolicyNotAuthorized', 404: 'HTTPNotFound', 503: 'HTTPServiceUnavailable'}
        kind = getattr(refusal, 'kind', None) or names.get(refusal.status, 'HTTPError')
        error = {'type': kind, 'message': refusal.message, 'detail': ''}
        return wire.reply({'NeutronError': error}, refusal.status, refusal.headers)

    def notify(self) -> None:
        """Send the events of changed ports to Nova, as if the notifier knew the pod of each server."""
        with self.lock:
            pending, self._events = self._events, []
        for event in pending if self.notifies else ():
            for nova in self.novas:
                nova.receive_event(event)

    def _note(self, name: str, port: Row) -> None:
        if port['device_id'] and port['device_owner'].startswith('compute:'):
            self._events.append({'name': name, 'server_uuid': port['device_id'], 'tag': port['id']})

    # -- changes, for any caller --

    def find(self, kind: Kind, identifier: str) -> Row:
        """Return a resource. :raises NeutronError: 404"""
        row = self.rows(kind).get(identifier)
        if row is None:
            raise kind.not_found(identifier)
        return row

    def create(self, kind: Kind, project_id: str, given: Row) -> Row:
        """Create a resource. :raises NeutronError: its values are refused"""
        makers = {
            kinds.NETWORK: self._new_network,
            kinds.SUBNET: self._new_subnet,
            kinds.PORT: self._new_port,
            kinds.FLOATING_IP: self._new_floating_ip,
            kinds.SECURITY_GROUP: self._new_security_group,
        }
        now = zulu(self.clock.now())
        common = {
            'id': str(uuid.uuid4()),
            'name': '',
            'project_id': project_id,
            'tenant_id': project_id,
            'description': '',
            'tags': [],
            'created_at': now,
            'updated_at': now,
            'revision_number': 1,
        }
        if kind is kinds.FLOATING_IP:
            del common['name']
        values = {name: value for name, value in given.items() if name not in ('project_id', 'tenant_id')}
        with self.lock:
            row = common | makers[kind](common, values)
            self.rows(kind)[row['id']] = row
            if kind is kinds.SUBNET:
                self.networks[row['network_id']]['subnets'].append(row['id'])
            if kind is kinds.FLOATING_IP and row['port_id']:
                self._note('network-changed', self.ports[row['port_id']])
            return row

    def update(self, kind: Kind, row: Row, given: Row, is_by_nova: bool = False) -> Row:
        """Change a resource.

        :param is_by_nova: it needs no event to know that
        :raises NeutronError: the values are refused; nothing is changed
        """
        with self.lock:
            before = dict(row)
            changes = dict(given)
            if kind is kinds.PORT:
                changes = self._port_changes(row, changes)
            if kind is kinds.FLOATING_IP:
                changes |= self._attached(changes.get('port_id', row['port_id']), changes.get('fixed_ip_address'), row)
            row.update(changes, updated_at=zulu(self.clock.now()), revision_number=row['revision_number'] + 1)
            if kind is kinds.PORT and not is_by_nova:
                self._note('network-changed', row)
            if kind is kinds.FLOATING_IP:
                for port_id in {before['port_id'], row['port_id']} - {None}:
                    self._note('network-changed', self.ports[port_id])
            return row

    def delete(self, kind: Kind, row: Row, is_by_nova: bool = False) -> None:
        """Delete a resource. :raises NeutronError: 409: it is in use"""
        with self.lock:
            self._check_unused(kind, row)
            del self.rows(kind)[row['id']]
            if kind is kinds.NETWORK:
                for subnet_id in row['subnets']:
                    del self.subnets[subnet_id]
            elif kind is kinds.SUBNET:
                self.networks[row['network_id']]['subnets'].remove(row['id'])
            elif kind is kinds.PORT:
                if not is_by_nova:
                    self._note('network-vif-deleted', row)
                for floating in self.floating_ips_of(row['id']):
                    floating.update(port_id=None, fixed_ip_address=None, status='DOWN')
            elif kind is kinds.FLOATING_IP and row['port_id']:
                self._note('network-changed', self.ports[row['port_id']])

    def floating_ips_of(self, port_id: str) -> list[Row]:
        """Return the floating IPs of a port."""
        return [row for row in self.floating_ips.values() if row['port_id'] == port_id]

    def group_of(self, name: str, project_id: str) -> Row:
        """Return a security group of a project by name or id, as Nova finds it.

        :raises NeutronError: 404; 409 for two of the same name
        """
        mine = [row for row in self.groups_of(project_id) if name in (row['id'], row['name'])]
        exact = [row for row in mine if row['id'] == name] or mine
        if not exact:
            raise kinds.SECURITY_GROUP.not_found(name)
        if len(exact) > 1:
            raise NeutronError(409, 'NoUniqueMatch', f"Multiple security_group matches found for name '{name}'")
        return exact[0]

    def groups_of(self, project_id: str) -> list[Row]:
        """Return the security groups of a project. As in Neutron, its default group is made by the first use."""
        with self.lock:
            found = [row for row in self.security_groups.values() if row['project_id'] == project_id]
            if project_id and not any(row['name'] == 'default' for row in found):
                values = {'name': 'default', 'description': 'Default security group'}
                found.insert(0, self.create(kinds.SECURITY_GROUP, project_id, values))
            return found

    # -- each kind --

    def _new_network(self, common: Row, given: Row) -> Row:
        return {
            'admin_state_up': True,
            'status': 'ACTIVE',
            'subnets': [],
            'shared': False,
            'router:external': False,
            'mtu': 1500,
            'port_security_enabled': True,
            'dns_domain': '',
            'availability_zone_hints': [],
            'availability_zones': [],
            'ipv4_address_scope': None,
            'ipv6_address_scope': None,
            **given,
        }

    def _new_subnet(self, common: Row, given: Row) -> Row:
        self.find(kinds.NETWORK, given['network_id'])
        try:
            cidr = ipaddress.ip_network(given.get('cidr') or '')
        except ValueError:
            raise invalid_cidr(given.get('cidr')) from None
        if cidr.version != int(given['ip_version']):
            raise kinds.invalid(f"cidr '{cidr}' does not match the ip_version '{given['ip_version']}'")
        gateway = given.get('gateway_ip', str(cidr[1]))
        return {
            'enable_dhcp': True,
            'dns_nameservers': [],
            'host_routes': [],
            'subnetpool_id': None,
            'ipv6_address_mode': None,
            'ipv6_ra_mode': None,
            'service_types': [],
            **given,
            'ip_version': cidr.version,
            'cidr': str(cidr),
            'gateway_ip': gateway,
            'allocation_pools': given.get('allocation_pools') or _pools(cidr, gateway),
        }

    def _new_port(self, common: Row, given: Row) -> Row:
        network = self.find(kinds.NETWORK, given['network_id'])
        secured = given.get('port_security_enabled', network['port_security_enabled'])
        groups = given.get('security_groups')
        if groups is None:
            own = self.groups_of(common['project_id']) if secured else []
            groups = [row['id'] for row in own if row['name'] == 'default']
        self._check_groups(groups)
        port = {
            'admin_state_up': True,
            'status': 'DOWN',
            'device_id': '',
            'device_owner': '',
            'dns_name': '',
            'allowed_address_pairs': [],
            'extra_dhcp_opts': [],
            'binding:host_id': '',
            'binding:profile': {},
            'binding:vnic_type': 'normal',
            'resource_request': None,
            'ip_allocation': 'none' if given.get('fixed_ips') == [] else 'immediate',
            'port_security_enabled': secured,
            **given,
            'security_groups': list(groups),
            'mac_address': self._mac(network['id'], given.get('mac_address'), common['id']),
            'fixed_ips': self._addresses(network, given.get('fixed_ips'), common['id']),
        }
        return port | _binding(port)

    def _port_changes(self, port: Row, given: Row) -> Row:
        network = self.networks[port['network_id']]
        changes = dict(given)
        if 'mac_address' in given:
            changes['mac_address'] = self._mac(network['id'], given['mac_address'], port['id'])
            if changes['mac_address'] != port['mac_address'] and port['binding:host_id']:
                raise NeutronError(
                    409,
                    'PortBound',
                    f'Unable to complete operation on port {port["id"]}, port is already bound, port type: '
                    f'{port["binding:vif_type"]}, old_mac {port["mac_address"]}, new_mac {changes["mac_address"]}.',
                )
        if 'fixed_ips' in given:
            changes['fixed_ips'] = self._addresses(network, given['fixed_ips'], port['id'])
        if 'security_groups' in given:
            changes['security_groups'] = list(given['security_groups'] or [])
            self._check_groups(changes['security_groups'])
        if any(name in given and (given[name] or None) != (port[name] or None) for name in _BINDING):
            changes['status'] = 'DOWN'
        return changes | _binding(port | changes)

    def _new_floating_ip(self, common: Row, given: Row) -> Row:
        network = self.find(kinds.NETWORK, given['floating_network_id'])
        if not network['router:external']:
            text = f'Bad floatingip request: Network {network["id"]} is not a valid external network.'
            raise NeutronError(400, 'BadRequest', text)
        wanted = given.get('floating_ip_address')
        fixed = self._addresses(network, [{'ip_address': wanted}] if wanted else None, common['id'])
        if not fixed:
            raise NeutronError(
                400,
                'ExternalIpAddressExhausted',
                f'Unable to find any IP address on external network {network["id"]}.',
            )
        return {
            'floating_network_id': network['id'],
            'floating_ip_address': fixed[0]['ip_address'],
            'description': given.get('description', ''),
            'router_id': None,
            'port_details': None,
            'dns_name': '',
            'dns_domain': '',
            'qos_policy_id': None,
            **self._attached(given.get('port_id'), given.get('fixed_ip_address'), common),
        }

    def _attached(self, port_id: str | None, address: str | None, floating: Row) -> Row:
        """Return the attributes of a floating IP of a port."""
        if not port_id:
            return {'port_id': None, 'fixed_ip_address': None, 'status': 'DOWN'}
        port = self.find(kinds.PORT, port_id)
        known = [fixed['ip_address'] for fixed in port['fixed_ips'] if ':' not in fixed['ip_address']]
        chosen = address or next(iter(known), None)
        if chosen not in known:
            text = f'Bad floatingip request: Port {port_id} does not have fixed ip {address}.'
            if address is None:
                text = f'Bad floatingip request: Cannot add floating IP to port {port_id} that has no fixed IPv4.'
            raise NeutronError(400, 'BadRequest', text)
        for other in self.floating_ips_of(port_id):
            if other['fixed_ip_address'] == chosen and other['id'] != floating['id']:
                raise NeutronError(
                    409,
                    'FloatingIPPortAlreadyAssociated',
                    f'Cannot associate floating IP {other["floating_ip_address"]} ({other["id"]}) with port {port_id} '
                    f'using fixed IP {chosen}, as that fixed IP already has a floating IP on external network '
                    f'{other["floating_network_id"]}.',
                )
        return {'port_id': port_id, 'fixed_ip_address': chosen, 'status': 'ACTIVE'}

    def _new_security_group(self, common: Row, given: Row) -> Row:
        is_default = given.get('name') == 'default'
        if is_default and any(
            row['name'] == 'default' and row['project_id'] == common['project_id']
            for row in self.security_groups.values()
        ):
            raise NeutronError(409, 'SecurityGroupDefaultAlreadyExists', 'Default security group already exists.')
        directions = [('egress', None), *([('ingress', common['id'])] if is_default else [])]
        rules = [
            {
                'id': str(uuid.uuid4()),
                'security_group_id': common['id'],
                'direction': direction,
                'ethertype': version,
                'remote_group_id': remote,
                'project_id': common['project_id'],
                'tenant_id': common['project_id'],
                'description': None,
                **dict.fromkeys(('protocol', 'port_range_min', 'port_range_max', 'remote_ip_prefix')),
            }
            for direction, remote in directions
            for version in ('IPv4', 'IPv6')
        ]
        return {'stateful': True, 'shared': False, **given, 'security_group_rules': rules}

    def _check_groups(self, groups: Iterable[str]) -> None:
        for group_id in groups:
            self.find(kinds.SECURITY_GROUP, group_id)

    def _check_unused(self, kind: Kind, row: Row) -> None:
        if kind is kinds.NETWORK:
            used = any(port['network_id'] == row['id'] for port in self.ports.values())
            text = f'Unable to complete operation on network {row["id"]}. There are one or more ports still in use on '
            refusal = NeutronError(409, 'NetworkInUse', text + 'the network.')
        elif kind is kinds.SUBNET:
            used = any(fixed['subnet_id'] == row['id'] for port in self.ports.values() for fixed in port['fixed_ips'])
            text = f'Unable to complete operation on subnet {row["id"]}: One or more ports have an IP allocation from '
            refusal = NeutronError(409, 'SubnetInUse', text + 'this subnet.')
        elif kind is kinds.SECURITY_GROUP:
            used = any(row['id'] in port['security_groups'] for port in self.ports.values())
            refusal = NeutronError(409, 'SecurityGroupInUse', f'Security Group {row["id"]} in use.')
        else:
            return
        if used:
            raise refusal

    # -- addresses --

    def _mac(self, network_id: str, wanted: str | None, port_id: str) -> str:
        taken = {
            port['mac_address']
            for port in self.ports.values()
            if port['network_id'] == network_id and port['id'] != port_id
        }
        if wanted:
            if wanted.lower() in taken:
                raise NeutronError(
                    409,
                    'MacAddressInUse',
                    f'Unable to complete operation for network {network_id}. The mac address {wanted.lower()} is in '
                    'use.',
                )
            return wanted.lower()
        return next(mac for mac in _random_macs() if mac not in taken)

    def _taken(self, network_id: str, but: str) -> set[str]:
        """Return the addresses of a network that are in use, but for those of one port or floating IP."""
        found = {
            fixed['ip_address']
            for port in self.ports.values()
            if port['network_id'] == network_id and port['id'] != but
            for fixed in port['fixed_ips']
        }
        return found | {
            row['floating_ip_address']
            for row in self.floating_ips.values()
            if row['floating_network_id'] == network_id and row['id'] != but
        }

    def _addresses(self, network: Row, wanted: list[Row] | None, port_id: str) -> list[Row]:
        """Choose the addresses of a port. None: one of each IP version that the network has."""
        subnets = [self.subnets[subnet_id] for subnet_id in network['subnets']]
        taken = self._taken(network['id'], port_id)
        if wanted is None:
            found = []
            for version in (4, 6):
                fitting = [subnet for subnet in subnets if subnet['ip_version'] == version]
                if fitting:
                    found.append(self._free(network, fitting, taken))
            return found
        found = []
        for each in wanted:
            if each.get('subnet_id') and each['subnet_id'] not in network['subnets']:
                self.find(kinds.SUBNET, each['subnet_id'])
                raise kinds.invalid(
                    f'Failed to create port on network {network["id"]}, because fixed_ips included invalid subnet '
                    f'{each["subnet_id"]}'
                )
            fitting = [subnet for subnet in subnets if each.get('subnet_id') in (None, subnet['id'])]
            if each.get('ip_address'):
                found.append(_given(each, fitting, taken))
            else:
                found.append(self._free(network, fitting, taken))
            taken.add(found[-1]['ip_address'])
        return found

    def _free(self, network: Row, subnets: list[Row], taken: set[str]) -> Row:
        for subnet in subnets:
            address = next((text for text in _pool_addresses(subnet) if text not in taken), None)
            if address is not None:
                return {'subnet_id': subnet['id'], 'ip_address': address}
        raise NeutronError(
            409, 'IpAddressGenerationFailure', f'No more IP addresses available on network {network["id"]}.'
        )


def invalid_cidr(text: Any) -> NeutronError:
    """Make the 400 of an address range that is none."""
    return kinds.bad(f"Invalid input for cidr. Reason: '{text}' is not a valid IP subnet.")


def _random_macs() -> Iterator[str]:
    while True:
        yield 'fa:16:3e:' + secrets.token_bytes(3).hex(':')


def _binding(port: Row) -> Row:
    """Return what Neutron makes of the host of a port."""
    return {
        'binding:host_id': port['binding:host_id'] or '',
        'binding:profile': port['binding:profile'] or {},
        'binding:vif_type': 'ovs' if port['binding:host_id'] else 'unbound',
        'binding:vif_details': {'port_filter': True} if port['binding:host_id'] else {},
    }


def _given(each: Row, subnets: list[Row], taken: set[str]) -> Row:
    """Return an address that the caller chose; it may be outside of the allocation pools."""
    try:
        address = ipaddress.ip_address(each['ip_address'])
    except ValueError:
        raise kinds.bad(
            f"Invalid input for fixed_ips. Reason: '{each['ip_address']}' is not a valid IP address."
        ) from None
    for subnet in subnets:
        cidr = ipaddress.ip_network(subnet['cidr'])
        if address not in cidr or (address.version == 4 and address in (cidr.network_address, cidr.broadcast_address)):
            continue
        if str(address) in taken:
            raise NeutronError(
                409,
                'IpAddressAlreadyAllocated',
                f'IP address {address} already allocated in subnet {subnet["id"]}',
            )
        return {'subnet_id': subnet['id'], 'ip_address': str(address)}
    if each.get('subnet_id'):
        text = f'IP address {address} is not a valid IP for the specified subnet.'
        raise NeutronError(400, 'InvalidIpForSubnet', text)
    text = f'IP address {address} is not a valid IP for any of the subnets on the specified network.'
    raise NeutronError(400, 'InvalidIpForNetwork', text)


def _pools(cidr: 'ipaddress.IPv4Network | ipaddress.IPv6Network', gateway: str | None) -> list[dict[str, str]]:
    """Return the ranges of a subnet without its gateway."""
    first, last = int(cidr[1]), int(cidr[-2 if cidr.version == 4 else -1])
    ranges = [(first, last)]
    middle = int(ipaddress.ip_address(gateway)) if gateway else None
    if middle is not None and first <= middle <= last:
        ranges = [(first, middle - 1), (middle + 1, last)]
    kind = ipaddress.IPv4Address if cidr.version == 4 else ipaddress.IPv6Address
    return [{'start': str(kind(start)), 'end': str(kind(end))} for start, end in ranges if start <= end]


def _pool_addresses(subnet: Row) -> Iterator[str]:
    for pool in subnet['allocation_pools']:
        address, end = ipaddress.ip_address(pool['start']), ipaddress.ip_address(pool['end'])
        while address <= end:
            yield str(address)
            address += 1
