# SPDX-License-Identifier: Apache-2.0
"""Ports of a Neutron that both pods share: the server in the target gets those of the server in the source.

Nova deletes the ports that it created with their server, and unbinds the others when their server is deleted,
whoever uses them by then. So Nova of the source has to forget the ports before its server is deleted: it gets the
event that Neutron sends for ports that were deleted, after which it touches them no more. It cannot get them back
then, so until the move is confirmed they are only unbound in Neutron, and a move that is undone binds them again.

Another way to keep addresses is another module with the names ``read``, ``steps``, ``networks_of``, ``forget``,
``check_in_target`` and ``check_after_deletion``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from trio2o.moves.ledger import Unfit, Wait
from trio2o.moves.sites import Site
from trio2o.moves.source import Source, show_server
from trio2o.moves.step import Step, Work
from trio2o.pods.port_bindings import FIELDS, bind
from trio2o.pods.shared_api import SharedApi
from trio2o.resources import Item
from trio2o.web import json_body


def read(site: Site, source: Source) -> list[Item]:
    """Return the ports of a server, in the order of its network cards as far as Nova shows it."""
    assert site.network is not None and source.server is not None
    listed = site.network.send('GET', f'/ports?device_id={quote(str(source.server["id"]))}')
    known = {each['port_id'] for each in source.interfaces}
    found = [port for port in json_body.objects_at(listed, 'ports') if port['id'] in known]
    # Nova lists interfaces in the order of Neutron, and addresses in its own.
    shown = _macs(source.server)
    return sorted(found, key=lambda port: shown.index(_mac(port)) if _mac(port) in shown else len(shown))


def _macs(server: Mapping[str, Any]) -> list[str]:
    """Return the MAC addresses of a server, as Nova remembers its ports."""
    return [
        str(each.get('OS-EXT-IPS-MAC:mac_addr')).lower()
        for addresses in (server.get('addresses') or {}).values()
        for each in addresses
    ]


def _mac(port: Mapping[str, Any]) -> str:
    return str(port.get('mac_address')).lower()


def steps(plan: Mapping[str, Any]) -> list[Step]:
    """Return the steps that take the ports from the source."""
    return [TakePorts()] if all_ports(plan) else []


def all_ports(plan: Mapping[str, Any]) -> list[str]:
    """Return the ids of the ports of all servers of a move."""
    return [port for server in plan['servers'] for port in server['ports']]


def _ports_of(work: Work, server_id: str) -> list[str]:
    return [port for server in work.plan['servers'] if server['id'] == server_id for port in server['ports']]


def networks_of(work: Work, server_id: str) -> Any:
    """Return the networks of the create of a server in the target."""
    ports = _ports_of(work, server_id)
    tags = work.facts.get('port_tags') or {}
    return [{'port': port, **({'tag': tags[port]} if tags.get(port) else {})} for port in ports] or 'none'


class TakePorts(Step):
    """Unbind the ports from the stopped servers in the source."""

    def __init__(self) -> None:
        super().__init__('take ports')

    def run(self, work: Work) -> None:
        neutron = neutron_of(work.source)
        if 'ports' not in work.facts:
            shown = [show_port(neutron, port_id) for port_id in all_ports(work.plan)]
            # Recorded before the first one is changed, so that a cancelled move gives them back.
            work.note(ports={port['id']: {name: port.get(name) for name in FIELDS} for port in shown})
        for server_id in work.servers:
            for port_id in _ports_of(work, server_id):
                port = show_port(neutron, port_id)
                if port.get('device_id') == work.source_server(server_id):
                    bind(neutron, port, dict.fromkeys(FIELDS[:-1], '') | {FIELDS[-1]: {}})
                elif port.get('device_id'):
                    raise Unfit(f'Port {port_id} belongs to {port["device_id"]} by now.')

    def undo(self, work: Work) -> None:
        if 'ports' not in work.facts:
            return
        neutron = neutron_of(work.source)
        for server_id in work.servers:
            if show_server(work.source, work.source_server(server_id)) is not None:
                self._give_back(work, neutron, server_id)

    def _give_back(self, work: Work, neutron: SharedApi, server_id: str) -> None:
        for port_id in _ports_of(work, server_id):
            before, found = work.facts['ports'][port_id], neutron.get(f'/ports/{port_id}')
            if found is None or found['port'].get('device_id') == work.source_server(server_id):
                continue
            # The pod of the server in the target may be lost.
            if found['port'].get('device_id') not in _owners(work, server_id):
                raise Unfit(f'Port {port_id} belongs to {found["port"]["device_id"]} and cannot be given back.')
            bind(neutron, found['port'], before)


def check_not_given_away(work: Work) -> None:
    """See that no port of the servers belongs to something else by now, so that it can go back to the source.

    :raises Unfit: one does
    """
    if not all_ports(work.plan):
        return
    neutron = neutron_of(work.target)
    for server_id in work.servers:
        owners = {*_owners(work, server_id), work.source_server(server_id)}
        for port_id in _ports_of(work, server_id):
            found = neutron.get(f'/ports/{port_id}')
            device = found['port'].get('device_id') if found is not None else ''
            if device not in owners:
                raise Unfit(f'Port {port_id} belongs to {device} now: take it from there, and revert or resume.')


def _owners(work: Work, server_id: str) -> set[str | None]:
    """Return what a port belongs to that can be given to a server in the source."""
    return {'', None, work.target_server(server_id)}


def forget(work: Work, site: Site, server_id: str) -> None:
    """Let Nova forget the ports that its server no longer has, so that it does not touch them when it is deleted.

    :param server_id: of the server in the pod
    :raises Wait: it has not done so yet
    """
    server = show_server(site, server_id)
    ports = all_ports(work.plan)
    if server is None or not ports:
        return
    neutron, shown = neutron_of(site), _macs(server)
    found = [neutron.get(f'/ports/{port_id}') for port_id in ports]
    held = [
        each['port']['id']
        for each in found
        if each is not None and _mac(each['port']) in shown and each['port'].get('device_id') != server_id
    ]
    for port_id in held:
        event = {'name': 'network-vif-deleted', 'server_uuid': server_id, 'tag': port_id}
        site.compute.send('POST', '/os-server-external-events', '2.1', {'events': [event]})
    if held:
        raise Wait(f'Nova of pod {site.pod.name} to forget the ports')


def neutron_of(site: Site) -> SharedApi:
    """Return the Neutron of a pod. :raises Unfit: the catalog has none any more"""
    if site.network is None:
        raise Unfit(f'The catalog has no network endpoint for pod {site.pod.name} any more.')
    return site.network


def show_port(neutron: SharedApi, port_id: str) -> Item:
    """Return a port. :raises Unfit: Neutron does not have it"""
    found = neutron.get(f'/ports/{port_id}')
    if found is None:
        raise Unfit(f'Port {port_id} was deleted.')
    port: Item = found['port']
    return port


def check_after_deletion(work: Work, server_id: str, server: Item) -> None:
    """See that the deletion of a server in the source has taken no port from the one in the target.

    A port that Nova of the target does not know was detached by its owner.

    :raises Unfit: a port was taken
    """
    ports = _ports_of(work, server_id)
    if not ports:
        return
    neutron, shown = neutron_of(work.target), _macs(server)
    for port_id in ports:
        found = neutron.get(f'/ports/{port_id}')
        port = found['port'] if found is not None else {}
        if _mac(port) in shown and port.get('device_id') != server['id']:
            raise Unfit(f'Port {port_id} belongs to {port.get("device_id") or "no server"}, not to {server["id"]}.')


def check_in_target(work: Work, server_id: str, server: Item) -> None:
    """See that a server in the target has its ports, and that they work if it runs.

    :raises Wait: a port is not active yet
    :raises Unfit: a port belongs to something else
    """
    ports = _ports_of(work, server_id)
    if not ports:
        return
    neutron = neutron_of(work.target)
    for port_id in ports:
        port = show_port(neutron, port_id)
        if port.get('device_id') != server['id']:
            raise Unfit(f'Port {port_id} belongs to {port.get("device_id") or "no server"}, not to {server["id"]}.')
        if server['status'] == 'ACTIVE' and port.get('status') == 'DOWN' and port.get('admin_state_up'):
            raise Wait(f'port {port_id} to become active')
