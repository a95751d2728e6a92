# SPDX-License-Identifier: Apache-2.0
"""What speaks against a move, or is lost by it: one function for each kind of finding.

A blocker means that the move would fail. A loss is something that the resource has in the source and will not have in
the target. A note is something that its owner should know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import quote

from trio2o import exception
from trio2o.moves import placement, requested
from trio2o.moves.placement import Placement
from trio2o.moves.requested import Requested
from trio2o.moves.sites import Site
from trio2o.moves.source import HOSTNAME_VERSION, Disk, Source, disks_of, has_snapshots
from trio2o.pods.podapi import PodRefused
from trio2o.pods.usage import BACKEND_SPEC
from trio2o.resources import Item
from trio2o.scheduler.capacity import Room
from trio2o.web import json_body

BLOCKER, LOSS, NOTE = 'blocker', 'loss', 'note'

#: The oldest microversion of a target whose servers can have the tags, names and descriptions of any other.
_OLDEST_TARGET = '2.52'
#: Since then a server can be created with a volume that other servers use.
_SHARED_VERSION = '2.60'
_MOVABLE_SERVERS = ('ACTIVE', 'SHUTOFF')
_MOVABLE_VOLUMES = ('available', 'in-use')
#: Pairs of metadata that a pod allows by default; a move adds one for some time.
_MOST_METADATA = 128
#: Extra specs of flavors that give a server a part of its host.
_DEVICES = ('pci_passthrough:', 'resources:VGPU', 'resources:PGPU', 'accel:', 'hw:pmem')
_TPM = ('hw:tpm_version', 'hw:tpm_model')


@dataclass(frozen=True)
class Finding:
    """:ivar code: a word for programs; ``resource``: the id that it is about, or ''"""

    level: str
    code: str
    text: str
    resource: str = ''


@dataclass
class Inspection:
    """What the checks look at.

    :ivar sources: a volume, or servers that are moved together
    :ivar ports: the ports of each server, as Neutron shows them, by its id; without those that were not asked for
    :ivar room: free capacity of pods; ``promised``: what other moves to the target request and have not
        built
    """

    source_site: Site
    target_site: Site
    sources: Sequence[Source]
    ports: Mapping[str, list[Item]]
    room: Room
    promised: Sequence[Requested]
    placements: Mapping[str, Placement]

    @cached_property
    def types(self) -> dict[str, Mapping[str, Any]]:
        """Volume types of the target: name -> extra specs."""
        listed = self.target_site.volume.get_list('/types?is_public=None', '3.0')
        rows = json_body.objects_at(listed, 'volume_types')
        return {str(row.get('name')): row.get('extra_specs') or {} for row in rows}

    @cached_property
    def requested(self) -> list[Requested]:
        """What the target has to have free."""
        backends: dict[str, str] = {}
        if any(disk.volume.get('volume_type') for disk in self.disks):
            backends = {name: str(specs.get(BACKEND_SPEC) or '') for name, specs in self.types.items()}
        of_servers = [each for source in self.sources for each in requested.of_server(source)]
        return [*of_servers, *requested.of_volumes(self.disks, backends)]

    @cached_property
    def disks(self) -> list[Disk]:
        return disks_of(self.sources)

    @property
    def project_id(self) -> str:
        return self.sources[0].project_id

    def other_servers(self, disk: Disk) -> list[str]:
        """Return the ids in the source of the servers that use a volume and are not moved with it."""
        ours = {str(source.server['id']) for source in self.sources if source.server is not None}
        attached = (str(each.get('server_id')) for each in disk.volume.get('attachments') or ())
        return [server_id for server_id in attached if server_id not in ours]


Check = Callable[[Inspection], Iterator[Finding]]
ServerCheck = Callable[[Inspection, Source], Iterator[Finding]]


def find_all(inspection: Inspection) -> list[Finding]:
    """Return the findings of all checks, the blockers first."""
    found = [finding for check in COMMON for finding in check(inspection)]
    for source in inspection.sources:
        if source.server is not None:
            found += [finding for check in OF_SERVERS for finding in check(inspection, source)]
    return sorted(found, key=lambda finding: (BLOCKER, LOSS, NOTE).index(finding.level))


def _access(look: Inspection) -> Iterator[Finding]:
    for site in (look.source_site, look.target_site):
        try:
            site.check_project()
        except exception.ServiceUnavailable:
            yield Finding(
                BLOCKER,
                'access',
                f"Keystone gives Trio2o's user of pod {site.pod.name} no token for project {look.project_id}: "
                'give it the role admin in the project.',
                look.project_id,
            )


def _target_pod(look: Inspection) -> Iterator[Finding]:
    pod = look.target_site.pod
    if not pod.is_enabled:
        yield Finding(BLOCKER, 'pod_state', f'Pod {pod.name} is {pod.record.state}, so nothing is created in it.')
    wanted = {'volume'} if look.sources[0].server is None else {'compute', 'volume'}
    for service in sorted(wanted - pod.endpoints.keys()):
        yield Finding(BLOCKER, 'endpoint', f'Pod {pod.name} has no {service} endpoint.')


def _glance(look: Inspection) -> Iterator[Finding]:
    ours, theirs = look.source_site.image, look.target_site.image
    if ours is None or theirs is None:
        yield Finding(BLOCKER, 'image_service', 'The catalog has no image endpoint for one of the pods.')
    elif ours.root != theirs.root:
        yield Finding(BLOCKER, 'image_service', 'The pods do not share one Glance, through which a move copies disks.')


def _volumes(look: Inspection) -> Iterator[Finding]:
    for disk in look.disks:
        for code, is_found, text in _VOLUME_CHECKS:
            if is_found(disk.volume):
                yield Finding(BLOCKER, code, text.format(status=disk.volume.get('status')), disk.top_id)
        yield from _shared(look, disk)
        yield from _snapshots(look, disk)
        yield from _volume_type(look, disk)


def _shared(look: Inspection, disk: Disk) -> Iterator[Finding]:
    ids_up = look.source_site.pod.ids_up
    others = [ids_up.get(each, each) for each in look.other_servers(disk)]
    if others:
        text = f'The volume is also attached to {", ".join(others)}: move its servers as one group of moves.'
        yield Finding(BLOCKER, 'multiattach', text, disk.top_id)
    elif len(disk.volume.get('attachments') or ()) > 1 and not look.target_site.compute.can(_SHARED_VERSION):
        text = f'Nova of pod {look.target_site.pod.name} cannot attach a volume to several servers.'
        yield Finding(BLOCKER, 'microversion', text, disk.top_id)


_VOLUME_CHECKS: tuple[tuple[str, Callable[[Item], Any], str], ...] = (
    ('state', lambda volume: volume.get('status') not in _MOVABLE_VOLUMES, 'The volume is {status}.'),
    ('encryption', lambda volume: volume.get('encrypted'), 'The volume is encrypted: its key is in the source.'),
    ('group', lambda volume: volume.get('group_id'), 'The volume belongs to a group of volumes.'),
    ('group', lambda volume: volume.get('consistencygroup_id'), 'The volume belongs to a consistency group.'),
    (
        'replication',
        lambda volume: volume.get('replication_status') not in (None, '', 'disabled', 'not-capable'),
        'Cinder replicates the volume.',
    ),
    (
        'metadata',
        lambda volume: len(volume.get('metadata') or ()) >= _MOST_METADATA,
        'The volume has as many metadata as pods allow, and a move needs one more.',
    ),
)


def _snapshots(look: Inspection, disk: Disk) -> Iterator[Finding]:
    if has_snapshots(look.source_site, disk.bottom_id):
        text = 'The volume has snapshots, which belong to its pod: delete them, or make volumes or backups of them.'
        yield Finding(BLOCKER, 'snapshots', text, disk.top_id)


def _volume_type(look: Inspection, disk: Disk) -> Iterator[Finding]:
    wanted = disk.volume.get('volume_type')
    if wanted and wanted not in look.types:
        text = f'Pod {look.target_site.pod.name} has no volume type {wanted}.'
        yield Finding(BLOCKER, 'volume_type', text, disk.top_id)


def _quota(look: Inspection) -> Iterator[Finding]:
    """What the target allows the project. The quota that tenants see counts the resource once throughout."""
    target, project = look.target_site, quote(look.project_id, safe='')
    wanted: list[tuple[Any, str, Mapping[str, int]]] = []
    if look.disks:
        size = sum(int(disk.volume['size']) for disk in look.disks)
        path = f'/os-quota-sets/{project}?usage=true'
        wanted.append((target.volume, path, {'volumes': len(look.disks), 'gigabytes': size}))
    flavors = [source.flavor for source in look.sources if source.server is not None and source.flavor]
    if flavors:
        amounts = {
            'instances': len(flavors),
            'cores': sum(int(flavor['vcpus']) for flavor in flavors),
            'ram': sum(int(flavor['ram']) for flavor in flavors),
        }
        wanted.append((target.compute, f'/os-quota-sets/{project}/detail', amounts))
    for api, path, needed in wanted:
        try:
            limits = json_body.at(api.get(path, '3.0' if api is target.volume else '2.36'), 'quota_set') or {}
        except PodRefused as error:
            yield Finding(NOTE, 'quota', f'The quota of the project in pod {target.pod.name} is not known: {error}')
            continue
        for name, amount in needed.items():
            row = limits.get(name)
            if not isinstance(row, dict) or int(row.get('limit', -1)) < 0:
                continue
            used = int(row.get('in_use', 0)) + int(row.get('reserved', 0))
            if used + amount > int(row['limit']):
                text = f'Pod {target.pod.name} allows the project {row["limit"]} {name}, of which {used} are in use.'
                yield Finding(BLOCKER, 'quota', f'{text} The move needs {amount}.')


def _capacity(look: Inspection) -> Iterator[Finding]:
    pod = look.target_site.pod
    if short := requested.shortage(look.room, pod, look.requested, look.promised):
        yield Finding(BLOCKER, 'capacity', f'Pod {pod.name} has not enough capacity: {short}.')


def _state(look: Inspection, source: Source) -> Iterator[Finding]:
    server = _server(source)
    status, task = server.get('status'), server.get('OS-EXT-STS:task_state')
    if status not in _MOVABLE_SERVERS:
        text = f'The server is {status}: only servers that are {" or ".join(_MOVABLE_SERVERS)} can be moved.'
        yield Finding(BLOCKER, 'state', text, source.top_id)
    elif task:
        yield Finding(BLOCKER, 'state', f'The server is busy: {task}.', source.top_id)
    if server.get('locked'):
        yield Finding(NOTE, 'locked', 'The server is locked, and will be locked in the target.', source.top_id)
    if not source.has_local_root and not any(disk.is_boot for disk in source.disks):
        yield Finding(BLOCKER, 'root', 'Nova does not say which volume the server boots from.', source.top_id)
    if len(server.get('metadata') or ()) >= _MOST_METADATA:
        text = 'The server has as many metadata as pods allow, and a move needs one more.'
        yield Finding(BLOCKER, 'metadata', text, source.top_id)


def _flavor(look: Inspection, source: Source) -> Iterator[Finding]:
    flavor, target = source.flavor, look.target_site
    if not flavor:
        yield Finding(BLOCKER, 'flavor', 'The flavor of the server was deleted.', source.top_id)
        return
    if target.compute.find(f'/flavors/{quote(str(flavor["id"]), safe="")}', '2.1') is None:
        yield Finding(BLOCKER, 'flavor', f'Pod {target.pod.name} has no flavor {flavor["id"]}.')
    specs = flavor.get('extra_specs') or {}
    for name in specs:
        if name.startswith(_DEVICES):
            text = f'The flavor gives servers a device of their host ({name}).'
            yield Finding(BLOCKER, 'device', text, source.top_id)
        if name in _TPM:
            text = f'The server has a virtual TPM ({name}), whose secrets are in the source.'
            yield Finding(BLOCKER, 'vtpm', text, source.top_id)
    if int(flavor.get('OS-FLV-EXT-DATA:ephemeral') or 0):
        yield Finding(LOSS, 'ephemeral', 'The ephemeral disk will be empty.', source.top_id)
    if flavor.get('swap'):
        yield Finding(NOTE, 'swap', 'The swap disk will be empty.', source.top_id)


def _microversions(look: Inspection, source: Source) -> Iterator[Finding]:
    target = look.target_site
    if not target.compute.can(_OLDEST_TARGET):
        text = f'Nova of pod {target.pod.name} is older than microversion {_OLDEST_TARGET}.'
        yield Finding(BLOCKER, 'microversion', text)
    elif not target.compute.can(HOSTNAME_VERSION):
        hostname = _server(source).get('OS-EXT-SRV-ATTR:hostname')
        text = f'Nova of pod {target.pod.name} makes the host name from the name: it may not be {hostname}.'
        yield Finding(LOSS, 'hostname', text)


def _shares(look: Inspection, source: Source) -> Iterator[Finding]:
    api = look.source_site.compute
    if not api.can('2.97'):
        return
    shares = json_body.objects_at(api.get(f'/servers/{_server(source)["id"]}/shares', '2.97'), 'shares')
    if shares:
        text = 'The server has shares of Manila, which are detached first by their owner.'
        yield Finding(BLOCKER, 'shares', text, source.top_id)


def _server_group(look: Inspection, source: Source) -> Iterator[Finding]:
    group = look.placements[source.top_id].group
    if look.placements[source.top_id].lost_group:
        text = 'The server leaves its server group, of which the target can have no copy.'
        yield Finding(LOSS, 'server_group', text, look.placements[source.top_id].lost_group)
    if group is None or not group.others:
        return
    if group.policy == placement.AFFINITY:
        # A create of a server elsewhere is refused, too.
        text = f'Its servers must be together: move it with {", ".join(group.others)}, as one group of moves.'
        yield Finding(BLOCKER, 'server_group', text, group.id)
    elif group.policy == placement.SOFT_AFFINITY:
        yield Finding(NOTE, 'server_group', 'Other servers of the group stay where they are.', group.id)


def _scheduler_hints(look: Inspection, source: Source) -> Iterator[Finding]:
    for name in look.placements[source.top_id].left_out:
        text = f'The scheduler hint {name} is about the source, and is left out.'
        yield Finding(LOSS, 'scheduler_hint', text, source.top_id)


def _ports(look: Inspection, source: Source) -> Iterator[Finding]:
    if not source.interfaces:
        return
    ours, theirs = look.source_site.network, look.target_site.network
    if ours is None or theirs is None or ours.root != theirs.root:
        text = 'The pods do not share one Neutron, which has the ports of the server.'
        yield Finding(BLOCKER, 'network_service', text)
        return
    known = {port['id'] for port in look.ports.get(source.top_id, ())}
    for interface in source.interfaces:
        if interface['port_id'] not in known:
            yield Finding(BLOCKER, 'port', 'Neutron does not know this port of the server.', interface['port_id'])
    for port in look.ports.get(source.top_id, ()):
        if port.get('binding:vnic_type', 'normal') != 'normal':
            text = f'The port is bound to a device of the host ({port["binding:vnic_type"]}).'
            yield Finding(BLOCKER, 'device', text, port['id'])
        if port.get('resource_request'):
            yield Finding(BLOCKER, 'port', 'The port needs bandwidth of its host.', port['id'])
        if port.get('trunk_details'):
            yield Finding(BLOCKER, 'port', 'The port is the parent of a trunk.', port['id'])


def _user(look: Inspection, source: Source) -> Iterator[Finding]:
    server = _server(source)
    yield Finding(
        NOTE,
        'instance_id',
        'The guest sees a new instance id: cloud-init runs again what it runs once for each instance, unless '
        'manual_cache_clean is set.',
        source.top_id,
    )
    yield Finding(
        NOTE,
        'user',
        "In the target the server belongs to Trio2o's user. Trio2o shows its owner and the name of its key pair.",
        source.top_id,
    )
    if server.get('status') == 'SHUTOFF':
        text = 'The server runs for a moment in the target before it is stopped again.'
        yield Finding(NOTE, 'power_state', text, source.top_id)
    if server.get('config_drive'):
        text = 'The config drive is made again. Files that were given at its creation are not in it.'
        yield Finding(NOTE, 'config_drive', text, source.top_id)
    yield Finding(NOTE, 'console_log', 'The console log begins again.', source.top_id)


def _server(source: Source) -> Item:
    assert source.server is not None
    return source.server


#: In an order in which the first blockers explain the later ones.
COMMON: tuple[Check, ...] = (_access, _target_pod, _glance, _volumes, _quota, _capacity)
OF_SERVERS: tuple[ServerCheck, ...] = (
    _state,
    _flavor,
    _microversions,
    _shares,
    _server_group,
    _scheduler_hints,
    _ports,
    _user,
)
