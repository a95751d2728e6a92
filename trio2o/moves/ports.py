# SPDX-License-Identifier: Apache-2.0
"""Ports of a Neutron that both pods share: the server in the target gets those of the server in the source.

Nova deletes the ports that it created with their server, and unbinds the others when their server is deleted,
whoever uses them by then. So before the target gets a port, it is unbound in Neutron, and Nova of the source gets the
event that Neutron sends for ports that were deleted. Then Nova forgets the port without touching it.

Another way to keep addresses is another module with the names ``read``, ``steps`` and ``networks_of``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from trio2o.moves.ledger import Unfit, Wait
from trio2o.moves.sites import Site
from trio2o.moves.source import Source, show_server
from trio2o.moves.step import Step, Work
from trio2o.pods.shared_api import SharedApi
from trio2o.resources import Item
from trio2o.web import json_body

_UNBOUND = {'device_id': '', 'device_owner': '', 'binding:host_id': '', 'binding:profile': {}}


def read(site: Site, source: Source) -> list[Item]:
    """Return the ports of a server, in the order of its interfaces. One that Neutron does not know is left out."""
    assert site.network is not None and source.server is not None
    listed = site.network.send('GET', f'/ports?device_id={quote(str(source.server["id"]))}')
    found = {port['id']: port for port in json_body.objects_at(listed, 'ports')}
    return [found[each['port_id']] for each in source.interfaces if each['port_id'] in found]


def steps(plan: Mapping[str, Any]) -> list[Step]:
    """Return the steps that take the ports from the source."""
    return [TakePorts()] if plan['ports'] else []


def networks_of(work: Work) -> Any:
    """Return the networks of the create of the server in the target."""
    ports: list[str] = work.plan['ports']
    tags = work.facts.get('port_tags') or {}
    return [{'port': port, **({'tag': tags[port]} if tags.get(port) else {})} for port in ports] or 'none'


class TakePorts(Step):
    """Unbind the ports from the stopped server in the source."""

    def __init__(self) -> None:
        super().__init__('take ports')

    def run(self, work: Work) -> None:
        neutron, source = neutron_of(work.source), work.source_server
        if 'ports' not in work.facts:
            shown = [show_port(neutron, port_id) for port_id in work.plan['ports']]
            # Recorded before the first one is changed, so that a cancelled move gives them back.
            work.note(ports={port['id']: {name: port.get(name) for name in _UNBOUND} for port in shown})
        for port_id in work.plan['ports']:
            port = show_port(neutron, port_id)
            if port.get('device_id') == source:
                neutron.send('PUT', f'/ports/{port_id}', {'port': _UNBOUND})
            elif port.get('device_id'):
                raise Unfit(f'Port {port_id} belongs to {port["device_id"]} by now.')
        held = _cached(work, neutron)
        for port_id in held:
            event = {'name': 'network-vif-deleted', 'server_uuid': source, 'tag': port_id}
            work.source.compute.send('POST', '/os-server-external-events', '2.1', {'events': [event]})
        if held:
            raise Wait('Nova of the source to forget the ports')

    def undo(self, work: Work) -> None:
        if 'ports' not in work.facts:
            return
        neutron, source = neutron_of(work.source), work.source_server
        server = show_server(work.source, source)
        for port_id in work.facts['ports']:
            port = neutron.get(f'/ports/{port_id}')
            if port is None or server is None:
                continue
            owner = port['port'].get('device_id')
            if owner == source:
                continue
            if owner:
                raise Unfit(f'Port {port_id} belongs to {owner} and cannot be given back.')
            body = {'interfaceAttachment': {'port_id': port_id}}
            work.source.compute.send('POST', f'/servers/{source}/os-interface', '2.1', body)
        if server is not None and len(_cached(work, neutron)) < len(work.facts['ports']):
            raise Wait('Nova of the source to know the ports')


def _cached(work: Work, neutron: SharedApi) -> list[str]:
    """Return the ports of the move that Nova of the source still counts as the server's: its addresses show them."""
    server = show_server(work.source, work.source_server) or {}
    shown = {
        str(each.get('OS-EXT-IPS-MAC:mac_addr')).lower()
        for addresses in (server.get('addresses') or {}).values()
        for each in addresses
    }
    ports = {port_id: neutron.get(f'/ports/{port_id}') for port_id in work.plan['ports']}
    macs = {port_id: str(port['port']['mac_address']).lower() for port_id, port in ports.items() if port is not None}
    return [port_id for port_id, mac in macs.items() if mac in shown]


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


def check_in_target(work: Work, server: Item) -> None:
    """See that the server in the target has its ports, and that they work if it runs.

    :raises Wait: a port is not active yet
    :raises Unfit: a port belongs to something else
    """
    if not work.plan['ports']:
        return
    neutron = neutron_of(work.target)
    for port_id in work.plan['ports']:
        port = show_port(neutron, port_id)
        if port.get('device_id') != server['id']:
            raise Unfit(f'Port {port_id} belongs to {port.get("device_id") or "no server"}, not to {server["id"]}.')
        if server['status'] == 'ACTIVE' and port.get('status') == 'DOWN' and port.get('admin_state_up'):
            raise Wait(f'port {port_id} to become active')
