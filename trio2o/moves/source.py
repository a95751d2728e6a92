# SPDX-License-Identifier: Apache-2.0
"""What is in the source of a move, as the pod shows it to Trio2o's user."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from trio2o import exception
from trio2o.moves.sites import Site
from trio2o.resources import SERVER, Item
from trio2o.web import json_body

#: Microversions that show everything that a move keeps. A pod with an older one shows less.
SERVER_VERSION, VOLUME_VERSION = '2.100', '3.71'
#: Before it shows the flavor's content in place of its id.
_FLAVOR_VERSION = '2.46'
_TAGS_VERSION = '2.70'
ATTACHMENTS_VERSION = '2.89'
#: A pod below it makes the host name of a new server from its name.
HOSTNAME_VERSION = '2.90'
#: Metadata that Cinder itself shows to administrators.
_CINDERS_METADATA = ('readonly', 'attached_mode')


class NoSuchResource(exception.NotFound):
    """The pod of a server or volume says that it does not exist, or no pod has it.

    :ivar resource_id: the id that tenants know
    """

    def __init__(self, text: str, resource_id: str) -> None:
        super().__init__(text)
        self.resource_id = resource_id


@dataclass(frozen=True)
class Disk:
    """A volume of a move.

    :ivar top_id: the id that tenants see; ``volume['id']`` is that in the pod
    :ivar attachment: as Nova shows it; empty for a detached volume
    """

    top_id: str
    volume: Item
    attachment: Mapping[str, Any] = field(default_factory=dict)
    is_boot: bool = False

    @property
    def bottom_id(self) -> str:
        return str(self.volume['id'])

    @property
    def bytes(self) -> int:
        return int(self.volume['size']) << 30


@dataclass(frozen=True)
class Source:
    """A server with its volumes and interfaces, or a volume.

    :ivar server: as the pod shows it; None for a volume
    :ivar flavor: as the pod shows it; empty if it was deleted
    :ivar interfaces: as ``os-interface`` shows them
    """

    top_id: str
    server: Item | None
    disks: tuple[Disk, ...]
    flavor: Mapping[str, Any] = field(default_factory=dict)
    interfaces: tuple[Item, ...] = ()

    @property
    def project_id(self) -> str:
        if self.server is not None:
            return SERVER.owner_of(self.server, '')
        return str(self.disks[0].volume.get('os-vol-tenant-attr:tenant_id') or '')

    @property
    def name(self) -> str:
        item = self.server if self.server is not None else self.disks[0].volume
        return str(item.get('name') or '')

    @property
    def has_local_root(self) -> bool:
        """Whether the root disk is no volume."""
        return self.server is not None and bool(self.server.get('image'))


def disks_of(sources: Iterable[Source]) -> list[Disk]:
    """Return the volumes of servers, each once though several may use it."""
    return list({disk.top_id: disk for source in sources for disk in source.disks}.values())


def read_volume(site: Site, top_id: str, bottom_id: str) -> Source:
    """Read a volume. :raises NoSuchResource: the pod does not have it"""
    return Source(top_id, None, (Disk(top_id, show_volume(site, bottom_id)),))


def read_server(site: Site, top_id: str, bottom_id: str) -> Source:
    """Read a server. :raises NoSuchResource: the pod does not have it"""
    server = show_server(site, bottom_id)
    if server is None:
        raise NoSuchResource(f'Instance {top_id} could not be found.', top_id)
    flavor_id = str(json_body.at(site.compute.get(f'/servers/{bottom_id}', _FLAVOR_VERSION), 'server', 'flavor', 'id'))
    flavor = site.compute.find(f'/flavors/{quote(flavor_id, safe="")}', '2.61') or {}
    path = f'/servers/{bottom_id}/os-volume_attachments'
    attachments = json_body.objects_at(site.compute.get_list(path, ATTACHMENTS_VERSION), 'volumeAttachments')
    interfaces = json_body.objects_at(
        site.compute.get_list(f'/servers/{bottom_id}/os-interface', _TAGS_VERSION), 'interfaceAttachments'
    )
    root = server.get('OS-EXT-SRV-ATTR:root_device_name')
    disks = []
    for attachment in attachments:
        volume = show_volume(site, str(attachment['volumeId']))
        is_boot = not server.get('image') and attachment.get('device') == root
        disks.append(Disk(site.pod.ids_up.get(volume['id'], volume['id']), volume, attachment, is_boot))
    disks.sort(key=lambda disk: (not disk.is_boot, str(disk.attachment.get('device')), disk.top_id))
    return Source(top_id, server, tuple(disks), json_body.at(flavor, 'flavor') or {}, tuple(interfaces))


def show_server(site: Site, bottom_id: str) -> Item | None:
    """Return a server as a pod shows it; None if the pod says that it does not exist."""
    server: Item | None = json_body.at(site.compute.find(f'/servers/{bottom_id}', SERVER_VERSION), 'server')
    return None if server is None or server.get('status') == 'DELETED' else server


def place_of(server: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Return the host and the hypervisor of a server, as its pod names them; None for what the pod does not show."""
    host, node = (server.get(f'OS-EXT-SRV-ATTR:{name}') for name in ('host', 'hypervisor_hostname'))
    return host or None, node or None


def find_volume(site: Site, bottom_id: str) -> Item | None:
    """Return a volume as a pod shows it; None if the pod says that it does not exist."""
    found: Item | None = json_body.at(site.volume.find(f'/volumes/{bottom_id}', VOLUME_VERSION), 'volume')
    return found


def show_volume(site: Site, bottom_id: str) -> Item:
    """Return a volume as a pod shows it. :raises NoSuchResource: the pod says that it does not exist"""
    volume = find_volume(site, bottom_id)
    if volume is None:
        raise NoSuchResource(f'Volume {bottom_id} could not be found.', site.pod.ids_up.get(bottom_id, bottom_id))
    return volume


def has_snapshots(site: Site, bottom_id: str) -> bool:
    """Whether a volume has snapshots, so that its pod does not delete it."""
    path = f'/snapshots/detail?all_tenants=1&volume_id={quote(bottom_id)}&limit=1'
    found = json_body.objects_at(site.volume.get_list(path, '3.0'), 'snapshots')
    return any(each.get('volume_id') == bottom_id for each in found)


def snapshots_of(site: Site, bottom_id: str) -> list[str]:
    """Return the ids of the snapshots of a volume."""
    path = f'/snapshots/detail?all_tenants=1&volume_id={quote(bottom_id)}'
    found = json_body.objects_at(site.volume.get_list(path, '3.0'), 'snapshots')
    return sorted(str(each['id']) for each in found if each.get('volume_id') == bottom_id)


def own_metadata(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metadata of a volume that its owner has given it."""
    return {name: value for name, value in (item.get('metadata') or {}).items() if name not in _CINDERS_METADATA}
