# SPDX-License-Identifier: Apache-2.0
"""Subresources of servers: metadata, tags, addresses, interfaces, consoles, diagnostics, security groups."""

from typing import TYPE_CHECKING, Any

from trio2o.lab.emulated import wire
from trio2o.lab.emulated.nova import networking, quotas, records, server_views
from trio2o.lab.emulated.wire import Refusal, Route

if TYPE_CHECKING:
    from trio2o.lab.emulated.nova import Nova


def list_metadata(nova: 'Nova', request: wire.Request) -> wire.Response:
    """GET /servers/{id}/metadata."""
    return wire.reply({'metadata': nova.server(request)['metadata']})


def write_metadata(nova: 'Nova', request: wire.Request) -> wire.Response:
    """POST /servers/{id}/metadata adds items, PUT replaces all."""
    given = nova.body(request, 'metadata')
    server = nova.server(request)
    kept = server['metadata'] if request.method == 'POST' else {}
    quotas.check_metadata(nova, request, {**kept, **given})
    records.touch(nova, server, metadata={**kept, **given})
    return wire.reply({'metadata': server['metadata']})


def _metadata_key(nova: 'Nova', request: wire.Request) -> tuple[dict[str, Any], str]:
    server, key = nova.server(request), request.args['key']
    if key not in server['metadata']:
        raise Refusal(404, 'Metadata item was not found')
    return server, key


def show_metadata(nova: 'Nova', request: wire.Request) -> wire.Response:
    """GET /servers/{id}/metadata/{key}."""
    server, key = _metadata_key(nova, request)
    return wire.reply({'meta': {key: server['metadata'][key]}})


def put_metadata(nova: 'Nova', request: wire.Request) -> wire.Response:
    """PUT /servers/{id}/metadata/{key}."""
    given, key = nova.body(request, 'meta'), request.args['key']
    server = nova.server(request)
    if key not in given:
        raise Refusal(400, 'Request body and URI mismatch')
    quotas.check_metadata(nova, request, {**server['metadata'], key: given[key]})
    records.touch(nova, server, metadata={**server['metadata'], key: given[key]})
    return wire.reply({'meta': {key: given[key]}})


def delete_metadata(nova: 'Nova', request: wire.Request) -> wire.Response:
    """DELETE /servers/{id}/metadata/{key}."""
    server, key = _metadata_key(nova, request)
    records.touch(nova, server, metadata={name: value for name, value in server['metadata'].items() if name != key})
    return wire.empty()


def list_tags(nova: 'Nova', request: wire.Request) -> wire.Response:
    """GET /servers/{id}/tags."""
    return wire.reply({'tags': sorted(nova.server(request)['tags'])})


def replace_tags(nova: 'Nova', request: wire.Request) -> wire.Response:
    """PUT /servers/{id}/tags."""
    body = nova.body_of(request, 'application/vnd.openstack.compute+json')
    if not isinstance(body, dict) or not isinstance(body.get('tags'), list):
        raise Refusal(400, "'tags' is a required property")
    server = nova.server(request)
    records.touch(nova, server, tags=set(body['tags']))
    return wire.reply({'tags': sorted(server['tags'])})


def delete_tags(nova: 'Nova', request: wire.Request) -> wire.Response:
    """DELETE /servers/{id}/tags."""
    records.touch(nova, nova.server(request), tags=set())
    return wire.empty()


def _tag(nova: 'Nova', request: wire.Request) -> tuple[dict[str, Any], str]:
    server, tag = nova.server(request), request.args['tag']
    if tag not in server['tags']:
        raise Refusal(404, f"Server {server['id']} has no tag '{tag}'")
    return server, tag


def show_tag(nova: 'Nova', request: wire.Request) -> wire.Response:
    """GET /servers/{id}/tags/{tag}: 204."""
    _tag(nova, request)
    return wire.empty()


def put_tag(nova: 'Nova', request: wire.Request) -> wire.Response:
    """PUT /servers/{id}/tags/{tag}: 201 with Location, or 204 if the server has the tag."""
    server, tag = nova.server(request), request.args['tag']
    if tag in server['tags']:
        return wire.bare(204)
    records.touch(nova, server, tags=server['tags'] | {tag})
    location = f'{request.prefix}/servers/{server["id"]}/tags/{tag}'
    return wire.bare(201, [('Location', location)])


def delete_tag(nova: 'Nova', request: wire.Request) -> wire.Response:
    """DELETE /servers/{id}/tags/{tag}."""
    server, tag = _tag(nova, request)
    records.touch(nova, server, tags=server['tags'] - {tag})
    return wire.empty()


def list_ips(nova: 'Nova', request: wire.Request) -> wire.Response:
    """GET /servers/{id}/ips."""
    return wire.reply({'addresses': server_views.addresses(nova.server(request), False)})


def show_ips(nova: 'Nova', request: wire.Request) -> wire.Response:
    """GET /servers/{id}/ips/{network}."""
    found = server_views.addresses(nova.server(request), False)
    network = request.args['network']
    if network not in found:
        raise Refusal(404, 'Instance is not a member of specified network')
    return wire.reply({network: found[network]})


def _made_up(request: wire.Request, server: dict[str, Any]) -> list[dict[str, Any]]:
    """Show the interfaces that Neutron does not know."""
    rows = [row for row in server['interfaces'] if not networking.is_in_neutron(row)]
    return [_interface(request, server, **row) for row in rows]


def _interface(
    request: wire.Request,
    server: dict[str, Any],
    port_id: str,
    net_id: str,
    mac_addr: str,
    port_state: str,
    fixed_ips: list[dict[str, str]],
    **others: Any,
) -> dict[str, Any]:
    view = {
        'port_id': port_id,
        'net_id': net_id,
        'mac_addr': mac_addr,
        'port_state': port_state,
        'fixed_ips': fixed_ips,
    }
    if request.minor >= 70:
        view['tag'] = server.get('nic_tags', {}).get(port_id)
    return view


def _interfaces(nova: 'Nova', request: wire.Request, server: dict[str, Any]) -> list[dict[str, Any]]:
    """Show the interfaces. As in Nova, those of Neutron are what Neutron says, and not what the info cache says."""
    return _made_up(request, server) + [
        _interface(
            request, server, port['id'], port['network_id'], port['mac_address'], port['status'], port['fixed_ips']
        )
        for port in networking.ports_of(nova, request, server)
    ]


def list_interfaces(nova: 'Nova', request: wire.Request) -> wire.Response:
    """GET /servers/{id}/os-interface."""
    return wire.reply({'interfaceAttachments': _interfaces(nova, request, nova.server(request))})


def _shown(nova: 'Nova', request: wire.Request, server: dict[str, Any], port_id: str) -> wire.Response:
    for interface in _interfaces(nova, request, server):
        if interface['port_id'] == port_id:
            return wire.reply({'interfaceAttachment': interface})
    if nova.neutron is not None and port_id in nova.neutron.ports:
        raise Refusal(404, f'Instance {server["id"]} does not have a port with id {port_id}')
    raise Refusal(404, f'Port id {port_id} could not be found.')


def show_interface(nova: 'Nova', request: wire.Request) -> wire.Response:
    """GET /servers/{id}/os-interface/{port}."""
    return _shown(nova, request, nova.server(request), request.args['port_id'])


def _require_state(request: wire.Request, server: dict[str, Any], action: str) -> None:
    if server['locked_by'] and not request.user.is_admin:
        raise Refusal(409, f'Instance {server["id"]} is locked')
    for key, states in (('vm_state', ('active', 'paused', 'stopped')), ('task_state', (None,))):
        if server[key] not in states:
            raise Refusal(409, f"Cannot '{action}' instance {server['id']} while it is in {key} {server[key]}")


def create_interface(nova: 'Nova', request: wire.Request) -> wire.Response:
    """POST /servers/{id}/os-interface: 200."""
    body = nova.body_of(request, 'application/vnd.openstack.compute+json') or {}
    given = body.get('interfaceAttachment', {})
    server = nova.server(request)
    if given.get('net_id') and given.get('port_id'):
        raise Refusal(400, 'Must not input both network_id and port_id')
    fixed = given.get('fixed_ips') or [{}]
    if fixed[0].get('ip_address') and not given.get('net_id'):
        raise Refusal(400, 'Must input network_id when request IP address')
    _require_state(request, server, 'attach_interface')
    if networking.neutron_of(nova) is not None:
        port_id = networking.attach(nova, request, server, given)
    else:
        port = records.interface(nova, given.get('net_id'), given.get('port_id'), fixed[0].get('ip_address'))
        server['interfaces'].append(port)
        port_id = port['port_id']
        server.setdefault('nic_tags', {})[port_id] = given.get('tag')
    user = request.user
    records.note(nova, server, 'attach_interface', request.request_id, user.user_id, user.project_id)
    return _shown(nova, request, server, port_id)


def delete_interface(nova: 'Nova', request: wire.Request) -> wire.Response:
    """DELETE /servers/{id}/os-interface/{port}: 202, as in Nova even if the server does not have the port."""
    server, port_id = nova.server(request), request.args['port_id']
    _require_state(request, server, 'detach_interface')
    user = request.user
    records.note(nova, server, 'detach_interface', request.request_id, user.user_id, user.project_id)
    for entry in [row for row in server['interfaces'] if row['port_id'] == port_id]:
        networking.detach(nova, server, entry)
    return wire.empty(202)


def create_console(nova: 'Nova', request: wire.Request) -> wire.Response:
    """POST /servers/{id}/remote-consoles, from 2.6: a URL in the pod."""
    given = nova.body(request, 'remote_console')
    nova.server(request)
    url = f'http://{nova.hosts[0]}:6080/vnc_auto.html?path=%3Ftoken%3D{nova.new_id()}'
    return wire.reply(
        {'remote_console': {'protocol': given.get('protocol', 'vnc'), 'type': given.get('type', 'novnc'), 'url': url}}
    )


def show_diagnostics(nova: 'Nova', request: wire.Request) -> wire.Response:
    """GET /servers/{id}/diagnostics, for admins; the format depends on the driver before 2.48."""
    server = nova.server(request)
    nova.admin_only(request, 'os_compute_api:os-server-diagnostics')
    if request.minor < 48:
        return wire.reply({'cpu0_time': 17300000000, 'memory': 524288})
    return wire.reply(
        {
            'state': 'running',
            'driver': 'libvirt',
            'hypervisor': 'fake',
            'hypervisor_os': 'fake',
            'uptime': 7,
            'config_drive': bool(server['config_drive']),
            'num_cpus': 1,
            'num_nics': 1,
            'num_disks': 1,
            'cpu_details': [],
            'nic_details': [],
            'disk_details': [],
            'memory_details': {'maximum': server['flavor']['ram'], 'used': 0},
        }
    )


def list_security_groups(nova: 'Nova', request: wire.Request) -> wire.Response:
    """GET /servers/{id}/os-security-groups, without rules."""
    server = nova.server(request)
    rows = networking.security_groups(nova, request, server)
    made_up = {'id': records.NETWORK, 'tenant_id': server['project_id'], 'description': '', 'name': ''}
    shown = [{key: row.get(key, made_up[key]) for key in made_up} | {'rules': []} for row in rows]
    return wire.reply({'security_groups': sorted(shown, key=lambda row: (row['tenant_id'], row['name']))})


def list_shares(nova: 'Nova', request: wire.Request) -> wire.Response:
    """GET /servers/{id}/shares, from 2.97. A test that wants shares writes them to the server's record."""
    if request.minor < 97:
        raise Refusal(404, 'The resource could not be found.')
    return wire.reply({'shares': nova.server(request).get('shares', [])})


ROUTES = [
    Route('GET', '/servers/{server_id}/shares', list_shares),
    Route('GET', '/servers/{server_id}/metadata', list_metadata),
    Route('POST', '/servers/{server_id}/metadata', write_metadata),
    Route('PUT', '/servers/{server_id}/metadata', write_metadata),
    Route('GET', '/servers/{server_id}/metadata/{key}', show_metadata),
    Route('PUT', '/servers/{server_id}/metadata/{key}', put_metadata),
    Route('DELETE', '/servers/{server_id}/metadata/{key}', delete_metadata),
    Route('GET', '/servers/{server_id}/tags', list_tags, since=26),
    Route('PUT', '/servers/{server_id}/tags', replace_tags, since=26),
    Route('DELETE', '/servers/{server_id}/tags', delete_tags, since=26),
    Route('GET', '/servers/{server_id}/tags/{tag}', show_tag, since=26),
    Route('PUT', '/servers/{server_id}/tags/{tag}', put_tag, since=26),
    Route('DELETE', '/servers/{server_id}/tags/{tag}', delete_tag, since=26),
    Route('GET', '/servers/{server_id}/ips', list_ips),
    Route('GET', '/servers/{server_id}/ips/{network}', show_ips),
    Route('GET', '/servers/{server_id}/os-interface', list_interfaces),
    Route('POST', '/servers/{server_id}/os-interface', create_interface),
    Route('GET', '/servers/{server_id}/os-interface/{port_id}', show_interface),
    Route('DELETE', '/servers/{server_id}/os-interface/{port_id}', delete_interface),
    Route('POST', '/servers/{server_id}/remote-consoles', create_console, since=6),
    Route('GET', '/servers/{server_id}/diagnostics', show_diagnostics),
    Route('GET', '/servers/{server_id}/os-security-groups', list_security_groups),
]
