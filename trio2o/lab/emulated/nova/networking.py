# SPDX-License-Identifier: Apache-2.0
"""Nova's use of Neutron: ports of servers, and the network info cache.

A server's ``interfaces`` are Nova's info cache: what Nova knows of the ports, whatever Neutron says by now. An entry
has ``preserve_on_delete``, which is True for a port that the caller gave. Entries without that key are made up, for a
server that was created without networks of Neutron, and Neutron does not know them.

As in Nova, deletion of a server deletes the ports whose ``device_id`` is still that of the server, and unbinds those
of the cache that are to be preserved *without* a look at who has them by now. A build that fails does the same with
the ports of its request.

Simplified: Nova's calls to Neutron cannot fail or be slow; a build has one attempt; the cache is not healed by a
periodic task, only by Neutron's events; SR-IOV, trunks, QoS and external DNS do not exist.
"""

import ipaddress
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from trio2o.lab.emulated import wire
from trio2o.lab.emulated.neutron.kinds import PORT, NeutronError
from trio2o.lab.emulated.wire import Refusal

if TYPE_CHECKING:
    from trio2o.lab.emulated.neutron import Neutron
    from trio2o.lab.emulated.nova import Nova

Server = dict[str, Any]
Row = dict[str, Any]

_UNEXPECTED = (
    'Unexpected API Error. Please report this at http://bugs.launchpad.net/nova/ and attach the Nova API log if '
    "possible.\n<class 'nova.exception.{}'>"
)
#: What Nova leaves out of the binding profile of a port that it unbinds.
_OF_DEVICE = {
    'pci_vendor_info',
    'pci_slot',
    'allocation',
    'arq_uuid',
    'physical_network',
    'card_serial_number',
    'vf_num',
    'pf_mac_address',
    'device_mac_address',
}


class AllocationFailed(Exception):
    """A port cannot be used. The name is that of Nova's exception."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name
        self.message = message


def _in_use(port_id: str) -> AllocationFailed:
    return AllocationFailed('PortInUse', f'Port {port_id} is still in use.')


def neutron_of(nova: 'Nova') -> 'Neutron | None':
    """Return Neutron; None if it has no network, so that this Nova makes up interfaces."""
    return nova.neutron if nova.neutron is not None and nova.neutron.networks else None


def is_in_neutron(interface: Row) -> bool:
    """Whether an entry of the info cache is of a port of Neutron."""
    return 'preserve_on_delete' in interface


# -- requests of users --


def requested(nova: 'Nova', request: wire.Request, body: Row, most: int) -> list[Row] | None:
    """Return the networks and ports that a create asks for; None if its interfaces are made up.

    :param most: number of servers
    :raises Refusal: Nova refuses them before it accepts the request
    """
    rows, neutron = body.get('networks'), neutron_of(nova)
    if neutron is None or not isinstance(rows, list) or not rows:
        return None
    wanted = [_row(row) for row in rows]
    ports = [row['port_id'] for row in wanted if row['port_id']]
    for port_id in ports:
        if ports.count(port_id) > 1:
            raise Refusal(400, f"Port ID '{port_id}' was specified twice: you cannot attach a port multiple times.")
    _check_groups(neutron, request, body)
    if most > 1 and ports:
        raise Refusal(
            400,
            'Failed to launch instances: Unable to launch multiple instances with a single configured port ID. Please '
            'launch your instance one by one with different ports.',
        )
    if most > 1 and any(row['address'] for row in wanted):
        raise Refusal(
            400, 'Failed to launch instances: max_count cannot be greater than 1 if an fixed_ip is specified.'
        )
    for row in wanted:
        if row['port_id']:
            _check_port(neutron, request, row['port_id'])
        else:
            _check_network(neutron, request, row)
    return wanted


def _row(row: Any) -> Row:
    if not isinstance(row, dict):
        raise Refusal(400, 'Bad networks format')
    if row.get('port') and row.get('fixed_ip') is not None:
        raise Refusal(
            400,
            f"Specified Fixed IP '{row['fixed_ip']}' cannot be used with port '{row['port']}': the two cannot be "
            'specified together.',
        )
    if not row.get('port') and 'uuid' not in row:
        raise Refusal(400, "Bad network format: missing 'uuid'")
    return {
        'port_id': row.get('port'),
        'network_id': None if row.get('port') else row['uuid'],
        'address': row.get('fixed_ip'),
        'tag': row.get('tag'),
    }


def _check_groups(neutron: 'Neutron', request: wire.Request, body: Row) -> None:
    for group in body.get('security_groups') or ():
        if group['name'] != 'default':
            try:
                neutron.group_of(group['name'], request.user.project_id)
            except NeutronError as error:
                raise Refusal(*_no_group(error, group['name'], request.user.project_id, 400)) from None


def _no_group(error: NeutronError, name: str, project_id: str, missing: int) -> tuple[int, str]:
    if error.status == 409:
        return 409, error.message
    return missing, f'Security group {name} is not found for project {project_id}'


def _may_use(request: wire.Request, row: Row) -> bool:
    return bool(request.user.is_admin or row['project_id'] == request.user.project_id)


def _check_port(neutron: 'Neutron', request: wire.Request, port_id: str) -> None:
    port = neutron.ports.get(port_id)
    if port is None or not (_may_use(request, port) or _may_use(request, neutron.networks[port['network_id']])):
        raise Refusal(400, f'Port id {port_id} could not be found.')
    if port['device_id']:
        raise Refusal(409, f'Port {port_id} is still in use.')
    if port['ip_allocation'] != 'none' and not port['fixed_ips']:
        raise Refusal(400, f'Port {port_id} requires a FixedIP in order to be used.')


def _check_network(neutron: 'Neutron', request: wire.Request, row: Row) -> None:
    network_id, address = row['network_id'], row['address']
    for port in neutron.ports.values() if address else ():
        if port['network_id'] == network_id and address in [fixed['ip_address'] for fixed in port['fixed_ips']]:
            owner = port['device_id']
            raise Refusal(400, f'Fixed IP address {address} is already in use on instance {owner}.')
    network = neutron.networks.get(network_id)
    if network is None or not (_may_use(request, network) or network['shared'] or network['router:external']):
        raise Refusal(400, f'Network {network_id} could not be found.')
    if not network['subnets']:
        raise Refusal(400, f'Network {network_id} requires a subnet in order to boot instances on.')
    if network['router:external'] and not network['shared'] and not request.user.is_admin:
        raise Refusal(403, f'It is not allowed to create an interface on external network {network_id}')


# -- ports of servers --


def allocate(nova: 'Nova', server: Server, wanted: list[Row], groups: Iterable[str] = ()) -> list[Row]:
    """Bind the ports that are asked for to a server and its host, and create those that do not exist yet.

    :param groups: names of security groups, for ports that are created
    :returns: the new entries of the info cache
    :raises AllocationFailed: nothing is bound, and what was created is deleted
    """
    neutron = neutron_of(nova)
    if neutron is None:
        raise AllocationFailed('NetworkNotFound', 'There is no network any more.')
    with neutron.lock:
        for row in wanted:
            if row['port_id']:
                _check_usable(neutron, server, row['port_id'])
        names = [name for name in groups if name != 'default']
        made: list[Row] = []
        ports = []
        try:
            chosen = [neutron.group_of(name, server['project_id'])['id'] for name in names]
            for row in wanted:
                port = neutron.ports[row['port_id']] if row['port_id'] else _create(neutron, server, row, chosen)
                made += [] if row['port_id'] else [port]
                ports.append(port)
            for port in ports:
                network = neutron.networks[port['network_id']]
                named = {} if network['dns_domain'] else {'dns_name': server['hostname']}
                owner = f'compute:{server["availability_zone"]}'
                binding = {'device_id': server['id'], 'device_owner': owner, 'binding:host_id': server['host']}
                neutron.update(PORT, port, {**binding, **named}, is_by_nova=True)
        except (NeutronError, AllocationFailed) as error:
            for port in made:
                neutron.delete(PORT, port, is_by_nova=True)
            if isinstance(error, AllocationFailed):
                raise
            raise AllocationFailed(error.kind, error.message) from None
        entries = [_entry(neutron, port, port not in made) for port in ports]
        tags = server.setdefault('nic_tags', {})
        for row, port in zip(wanted, ports, strict=True):
            tags[port['id']] = row['tag']
    server['interfaces'] = [*server['interfaces'], *entries]
    plug(nova, server)
    return entries


def _check_usable(neutron: 'Neutron', server: Server, port_id: str) -> None:
    port = neutron.ports.get(port_id)
    if port is None:
        raise AllocationFailed('PortNotFound', f'Port id {port_id} could not be found.')
    unusable = f'Port {port_id} not usable for instance {server["id"]}.'
    if port['project_id'] != server['project_id']:
        raise AllocationFailed('PortNotUsable', unusable)
    if port['device_id']:
        raise _in_use(port_id)
    if port['dns_name'] and port['dns_name'] != server['hostname']:
        raise AllocationFailed(
            'PortNotUsableDNS',
            f'{unusable} Value {port["dns_name"]} assigned to dns_name attribute does not match '
            f"instance's hostname {server['hostname']}",
        )


def _create(neutron: 'Neutron', server: Server, row: Row, groups: list[str]) -> Row:
    network = neutron.networks.get(row['network_id'])
    if network is None:
        raise AllocationFailed('NetworkNotFound', f'Network {row["network_id"]} could not be found.')
    if (network['port_security_enabled'] and not network['subnets']) or (
        groups and not network['port_security_enabled']
    ):
        raise AllocationFailed(
            'SecurityGroupCannotBeApplied',
            'Network requires port_security_enabled and subnet associated in order to apply security groups.',
        )
    given: Row = {'network_id': network['id'], 'device_id': server['id']}
    if row['address']:
        given['fixed_ips'] = [{'ip_address': row['address']}]
    if groups:
        given['security_groups'] = groups
    try:
        return neutron.create(PORT, server['project_id'], given)
    except NeutronError as error:
        if error.kind == 'IpAddressAlreadyAllocated':
            text = f'Fixed IP {row["address"]} is already in use.'
            raise AllocationFailed('FixedIpAlreadyInUse', text) from None
        if error.kind == 'IpAddressGenerationFailure':
            text = f'No fixed IP addresses available for network: {network["id"]}'
            raise AllocationFailed('NoMoreFixedIps', text) from None
        if error.kind == 'InvalidIpForNetwork':
            text = f'Fixed IP {row["address"]} is not a valid ip address for network {network["id"]}.'
            raise AllocationFailed('InvalidInput', f'Invalid input received: {text}') from None
        raise


def _entry(neutron: 'Neutron', port: Row, is_preserved: bool) -> Row:
    """Make the entry of a port in the info cache."""
    return {
        'port_id': port['id'],
        'net_id': port['network_id'],
        'network': neutron.networks[port['network_id']]['name'],
        'mac_addr': port['mac_address'],
        'port_state': port['status'],
        'fixed_ips': [dict(fixed) for fixed in port['fixed_ips']],
        'floating_ips': [row['floating_ip_address'] for row in neutron.floating_ips_of(port['id'])],
        'preserve_on_delete': is_preserved,
    }


def refresh(nova: 'Nova', server: Server, port_id: str) -> None:
    """Read one port again. As in Nova, the entry of a port that is not the server's any more stays as it is."""
    neutron = neutron_of(nova)
    if neutron is None:
        return
    with neutron.lock:
        port = neutron.ports.get(port_id)
        if port is None or port['device_id'] != server['id']:
            return
        kept = [each['port_id'] for each in server['interfaces'] if each.get('preserve_on_delete')]
        entry = _entry(neutron, port, port_id in kept)
    known = [each['port_id'] for each in server['interfaces']]
    server['interfaces'] = [entry if each['port_id'] == port_id else each for each in server['interfaces']]
    if port_id not in known:
        server['interfaces'].append(entry)


def plug(nova: 'Nova', server: Server) -> None:
    """Let the ports follow a server: to its host, ACTIVE while it runs, unbound while it is on no host.

    Only ports that Neutron counts as the server's, and that no other host has.
    """
    neutron = neutron_of(nova)
    if neutron is None or server['deleted'] or server['vm_state'] in ('building', 'error'):
        return
    with neutron.lock:
        for entry in server['interfaces']:
            port = neutron.ports.get(entry['port_id'])
            if not is_in_neutron(entry) or port is None or port['device_id'] != server['id']:
                continue
            if (port['binding:host_id'] or None) != server['host']:
                neutron.update(PORT, port, {'binding:host_id': server['host']}, is_by_nova=True)
            running = server['host'] is not None and server['power_state'] in (1, 3)
            port['status'] = 'ACTIVE' if running and port['admin_state_up'] else 'DOWN'
            entry['port_state'] = port['status']


def deallocate(nova: 'Nova', server: Server, asked_for: Iterable[str] = ()) -> None:
    """Take the ports from a server that is deleted, or whose build failed.

    :param asked_for: the ports of the request, if the build failed
    """
    neutron = neutron_of(nova)
    entries = [each for each in server['interfaces'] if is_in_neutron(each)]
    if neutron is None or not (entries or asked_for):
        return
    with neutron.lock:
        kept = {each['port_id'] for each in entries if each['preserve_on_delete']} | set(asked_for)
        doomed = [port for port in neutron.ports_of(server['id']) if port['id'] not in kept]
        unbind(neutron, kept)
        for port in doomed:
            neutron.delete(PORT, port, is_by_nova=True)
    server['interfaces'] = [each for each in server['interfaces'] if not is_in_neutron(each)]
    server.pop('nic_tags', None)


def unbind(neutron: 'Neutron', port_ids: Iterable[str]) -> None:
    """Unbind ports, whoever has them."""
    for port_id in port_ids:
        port = neutron.ports.get(port_id)
        if port is None:
            continue
        profile = {name: value for name, value in port['binding:profile'].items() if name not in _OF_DEVICE}
        changes = {'device_id': '', 'device_owner': '', 'binding:host_id': None, 'binding:profile': profile}
        if not neutron.networks[port['network_id']]['dns_domain']:
            changes['dns_name'] = ''
        neutron.update(PORT, port, changes, is_by_nova=True)


def attach(nova: 'Nova', request: wire.Request, server: Server, given: Row) -> str:
    """Attach a port, an address of a network, or the only network. Return the id of the port.

    :raises Refusal: as Nova refuses it
    """
    neutron = neutron_of(nova)
    assert neutron is not None
    fixed = given.get('fixed_ips') or [{}]
    wanted = {
        'port_id': given.get('port_id'),
        'network_id': given.get('net_id'),
        'address': fixed[0].get('ip_address'),
        'tag': given.get('tag'),
    }
    if wanted['network_id'] is None and wanted['port_id'] is None:
        wanted['network_id'] = _only_network(neutron, server)
    if wanted['port_id'] and wanted['port_id'] not in neutron.ports:
        raise Refusal(404, f'Port id {wanted["port_id"]} could not be found.')
    network = neutron.networks.get(wanted['network_id'] or '')
    if not wanted['port_id'] and (
        network is None or not (_may_use(request, network) or network['shared'] or network['router:external'])
    ):
        raise Refusal(404, f'Network {wanted["network_id"]} could not be found.')
    try:
        return str(allocate(nova, server, [wanted])[0]['port_id'])
    except AllocationFailed as error:
        status = {
            'PortInUse': 409,
            'FixedIpAlreadyInUse': 409,
            'PortNotFound': 404,
            'NetworkNotFound': 404,
            'PortNotUsable': 400,
            'NoMoreFixedIps': 400,
            'SecurityGroupCannotBeApplied': 400,
        }.get(error.name)
        raise Refusal(status or 500, error.message if status else _UNEXPECTED.format(error.name)) from None


def _only_network(neutron: 'Neutron', server: Server) -> str:
    found = [
        network['id']
        for network in neutron.networks.values()
        if network['shared'] or network['project_id'] == server['project_id']
    ]
    if not found:
        raise Refusal(
            400,
            f"No specific network was requested and none are available for project '{server['project_id']}'.",
        )
    if len(found) > 1:
        raise Refusal(400, 'Multiple possible networks found, use a Network ID to be more specific.')
    return str(found[0])


def detach(nova: 'Nova', server: Server, entry: Row) -> None:
    """Detach a port of the info cache: unbind it if it is to be preserved, or else delete it."""
    neutron = neutron_of(nova)
    if is_in_neutron(entry) and neutron is not None:
        with neutron.lock:
            port = neutron.ports.get(entry['port_id'])
            if entry['preserve_on_delete']:
                unbind(neutron, [entry['port_id']])
            elif port is not None:
                neutron.delete(PORT, port, is_by_nova=True)
    server.get('nic_tags', {}).pop(entry['port_id'], None)
    server['interfaces'] = [each for each in server['interfaces'] if each is not entry]


# -- views --


def version_of(address: str) -> int:
    """Return 4 or 6."""
    return ipaddress.ip_address(address).version


def ports_of(nova: 'Nova', request: wire.Request, server: Server) -> list[Row]:
    """Return the ports that Neutron shows to the caller as the server's."""
    if nova.neutron is None:
        return []
    return [port for port in nova.neutron.ports_of(server['id']) if _may_use(request, port)]


def security_groups(nova: 'Nova', request: wire.Request, server: Server) -> list[Row]:
    """Return the security groups of the server's ports, once for each port as Nova does.

    For a server with interfaces that are made up, only the names.
    """
    if any(is_in_neutron(each) for each in server['interfaces']) or ports_of(nova, request, server):
        assert nova.neutron is not None
        return [
            nova.neutron.security_groups[group_id]
            for port in ports_of(nova, request, server)
            for group_id in port['security_groups']
            if group_id in nova.neutron.security_groups
        ]
    return [{'name': name} for name in server['security_groups'] if server['interfaces']]


def change_group(nova: 'Nova', request: wire.Request, server: Server, name: str, is_added: bool) -> bool:
    """Add a security group to the ports of a server, or remove it.

    :returns: False if the interfaces of the server are made up
    :raises Refusal: there is no such group, or the server does not have it
    """
    ports = ports_of(nova, request, server)
    if nova.neutron is None or not ports:
        return False
    neutron = nova.neutron
    with neutron.lock:
        try:
            group_id = neutron.group_of(name, request.user.project_id)['id']
        except NeutronError as error:
            raise Refusal(*_no_group(error, name, request.user.project_id, 404)) from None
        changed = [port for port in ports if is_added or group_id in port['security_groups']]
        if not changed:
            raise Refusal(404, f'Security group {name} not associated with the instance {server["id"]}')
        for port in changed:
            if is_added and not (port['port_security_enabled'] and port['fixed_ips']):
                raise Refusal(
                    400,
                    'Network requires port_security_enabled and subnet associated in order to apply security groups.',
                )
            groups = [each for each in port['security_groups'] if each != group_id]
            neutron.update(PORT, port, {'security_groups': [*groups, *([group_id] if is_added else [])]})
    return True
