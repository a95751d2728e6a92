# SPDX-License-Identifier: Apache-2.0
"""The steps that make volumes and server in the target, which tenants do not see there before the switch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from trio2o.db.records import VERIFIED
from trio2o.moves import copying, placement, ports
from trio2o.moves.ledger import MARKER, Unfit, Wait, marked
from trio2o.moves.sites import Site
from trio2o.moves.source import (
    ATTACHMENTS_VERSION,
    HOSTNAME_VERSION,
    SERVER_VERSION,
    Source,
    own_metadata,
    place_of,
    read_server,
    show_server,
    show_volume,
)
from trio2o.moves.step import Step, Work
from trio2o.pods.podapi import PodApi
from trio2o.resources import Item
from trio2o.web import json_body

_CREATE_VERSION = '2.94'
#: Since then a create may name a host in a field of its own.
_HOST_VERSION = '2.74'
#: Since then Nova accepts a request to keep a volume when its server is deleted.
_KEEP_VERSION = '2.85'


class BuildVolume(Step):
    """Cinder makes the volume of the image."""

    def __init__(self, disk_id: str) -> None:
        super().__init__(f'volume {disk_id}')
        self.disk_id = disk_id

    def run(self, work: Work) -> None:
        key, site = f'target/volume/{self.disk_id}', work.target
        api, marker = site.tenant_volume, work.ledger.marker(key)
        before = show_volume(work.source, work.ledger.id(f'source/volume/{self.disk_id}'))
        metadata = own_metadata(before)

        def create() -> str:
            document = {
                'size': before['size'],
                'name': before.get('name'),
                'description': before.get('description'),
                'volume_type': before.get('volume_type'),
                'imageRef': copying.image_of(work, self.disk_id),
                'metadata': {**metadata, MARKER: marker},
            }
            zone = site.pod.zone_in('volume')
            if zone:
                document['availability_zone'] = zone
            return str(api.send('POST', '/volumes', '3.0', {'volume': document}).json['volume']['id'])

        volume_id = work.ledger.make(key, create, lambda: copying.find_marked_volume(api, marker))
        self._complete(work, copying.wait_for_volume(site, volume_id), before)

    def _complete(self, work: Work, volume: Item, before: Item) -> None:
        """Give a volume what a create cannot give it."""
        api, path = work.target.volume, f'/volumes/{volume["id"]}'
        action = f'{path}/action'
        if _flag(volume.get('bootable')) != _flag(before.get('bootable')):
            api.send('POST', action, '3.0', {'os-set_bootable': {'bootable': _flag(before.get('bootable'))}})
        ours, theirs = (each.get('volume_image_metadata') or {} for each in (before, volume))
        for name in sorted(theirs.keys() - ours.keys()):
            api.send('POST', action, '3.0', {'os-unset_image_metadata': {'key': name}})
        changed = {name: value for name, value in ours.items() if theirs.get(name) != value}
        if changed:
            api.send('POST', action, '3.0', {'os-set_image_metadata': {'metadata': changed}})
        if _flag((before.get('metadata') or {}).get('readonly')):
            api.send('POST', action, '3.0', {'os-update_readonly_flag': {'readonly': True}})
        if MARKER in (volume.get('metadata') or {}):
            api.send('DELETE', f'{path}/metadata/{quote(MARKER)}', '3.0')

    def undo(self, work: Work) -> None:
        copying.delete_volume(work, work.target, f'target/volume/{self.disk_id}', work.target.tenant_volume)


def _flag(value: Any) -> bool:
    return str(value).lower() == 'true'


class VerifyVolume(Step):
    """Read the volume in the target once more, and compare its bytes with those of the source."""

    state = VERIFIED

    def __init__(self, disk: Mapping[str, Any]) -> None:
        super().__init__(f'verify volume {disk["id"]}')
        self.disk_id = disk['id']
        self.bytes = int(disk['size']) << 30

    def run(self, work: Work) -> None:
        done = f'verified/{self.disk_id}'
        key = f'check/{self.disk_id}'
        if not work.facts.get(done):
            volume_id = work.ledger.id(f'target/volume/{self.disk_id}')
            image = copying.upload(work, work.target, key, volume_id)
            if image['os_hash_value'] != copying.checksum_of(work, self.disk_id):
                raise Unfit(f'The bytes of volume {self.disk_id} differ in the target. Cancel the move.')
            work.note(**{done: True})
        copying.delete_image(work, key)

    def undo(self, work: Work) -> None:
        copying.delete_image(work, f'check/{self.disk_id}')


class VerifyImage(Step):
    """See that the image of a local root disk is still the one that Nova made."""

    state = VERIFIED

    def __init__(self, server_id: str) -> None:
        super().__init__(f'verify image of server {server_id}')
        self.server_id = server_id

    def run(self, work: Work) -> None:
        image = copying.wait_for_image(copying.glance_of(work.target), copying.image_of(work, self.server_id))
        before = copying.checksum_of(work, self.server_id), work.facts[f'root_bytes/{self.server_id}']
        if (image['os_hash_value'], image['size']) != before:
            raise Unfit(f'The image of the root disk of server {self.server_id} has changed. Cancel the move.')


class BuildKeyPair(Step):
    """Register the public key under Trio2o's user, under a name that no user of a project has."""

    def __init__(self, server_id: str) -> None:
        super().__init__(f'key pair of server {server_id}')
        self.server_id = server_id

    def run(self, work: Work) -> None:
        key = f'target/keypair/{self.server_id}'
        if key not in work.ledger.items:
            return
        name = _key_pair_name(work, key)
        server = show_server(work.source, work.source_server(self.server_id)) or {}
        owner, given = quote(str(server.get('user_id'))), quote(str(server.get('key_name')), safe='')
        api = work.target.tenant_compute

        def find() -> str | None:
            return name if api.find(f'/os-keypairs/{name}', '2.10') is not None else None

        def create() -> str:
            api.send('POST', '/os-keypairs', '2.10', {'keypair': document})
            return name

        if not work.ledger.id(key):
            found = work.source.compute.find(f'/os-keypairs/{given}?user_id={owner}', '2.10')
            if found is None:
                # Deleted since: the guest keeps the key that it has.
                return
            document = {'name': name, 'public_key': found['keypair']['public_key'], 'type': found['keypair']['type']}
        work.ledger.make(key, create, find)

    def undo(self, work: Work) -> None:
        delete_key_pair(work, f'target/keypair/{self.server_id}')


def _key_pair_name(work: Work, key: str) -> str:
    """Return a name of the characters that Nova allows."""
    return f'trio2o-move-{work.move.id}-{key.rpartition("/")[2]}'


def delete_key_pair(work: Work, key: str) -> None:
    """Delete a key pair of the ledger."""
    api, name = work.target.tenant_compute, _key_pair_name(work, key)
    if key in work.ledger.items and not work.ledger.is_gone(key):
        work.ledger.delete(
            key,
            lambda _name: api.find(f'/os-keypairs/{name}', '2.10'),
            lambda _name: api.send('DELETE', f'/os-keypairs/{name}', '2.10'),
            lambda: name if api.find(f'/os-keypairs/{name}', '2.10') is not None else None,
        )


class BuildServer(Step):
    """Nova makes a server in the target, and it boots."""

    def __init__(self, server_id: str) -> None:
        super().__init__(f'server {server_id}')
        self.server_id = server_id
        self.key = f'target/server/{server_id}'

    def run(self, work: Work) -> None:
        key, api = self.key, work.target.tenant_compute
        source = self._source(work)
        before = source.server
        assert before is not None
        marker = work.ledger.marker(key)

        hints = {} if work.ledger.id(key) else self._hints(work, before)

        def create() -> str:
            document = {'server': _server(work, source, {**(before.get('metadata') or {}), MARKER: marker})}
            if hints:
                document['os:scheduler_hints'] = hints
            return str(api.send('POST', '/servers', _CREATE_VERSION, document).json['server']['id'])

        server_id = work.ledger.make(key, create, lambda: _find_server(work, work.target, key))
        server = show_server(work.target, server_id)
        if server is None or server['status'] == 'ERROR':
            reason = json_body.at(server, 'fault', 'message') if server else 'it is gone'
            raise Unfit(f'The server was not built in pod {work.target.pod.name}: {reason}')
        if server.get('OS-EXT-STS:task_state') or server['status'] not in ('ACTIVE', 'SHUTOFF'):
            raise Wait(f'the server, which is {server["status"]}')
        if not server.get('OS-SRV-USG:launched_at'):
            raise Wait('the server to start')
        work.ledger.place(key, *place_of(server))
        self._complete(work, server, before)

    def _hints(self, work: Work, before: Item) -> dict[str, Any]:
        found = placement.read(work.runtime.db, work.source, work.target, before, work.move.project_id, work.servers)
        if found.group is not None and found.group.policy == placement.AFFINITY:
            work.note(**{f'affinity_group/{self.server_id}': found.group.id})
        return placement.hints_of(work, found)

    def _source(self, work: Work) -> Source:
        source = read_server(work.source, self.server_id, work.source_server(self.server_id))
        tags = {each['port_id']: each['tag'] for each in source.interfaces if each.get('tag')}
        work.note(port_tags={**(work.facts.get('port_tags') or {}), **tags})
        return source

    def _complete(self, work: Work, server: Item, before: Item) -> None:
        """Give a server what a create cannot give it, and the power state that it had."""
        api, path = work.target.tenant_compute, f'/servers/{server["id"]}'
        if MARKER in (server.get('metadata') or {}):
            api.send('DELETE', f'{path}/metadata/{quote(MARKER)}', '2.1')
        if work.facts.get(f'power/{self.server_id}') == 'SHUTOFF' and server['status'] == 'ACTIVE':
            api.send('POST', f'{path}/action', '2.1', {'os-stop': None})
            raise Wait('the server to stop')
        if before.get('locked') and not server.get('locked'):
            reason = before.get('locked_reason')
            api.send('POST', f'{path}/action', '2.73', {'lock': {'locked_reason': reason} if reason else None})

    def undo(self, work: Work) -> None:
        if group := work.facts.get(f'affinity_group/{self.server_id}'):
            placement.hold_affinity(work, group, work.source)
        # If its owner has deleted the one in the source meanwhile, that one has its ports back.
        delete_server_of(work, work.target, self.key)


def delete_server_of(work: Work, site: Site, key: str) -> None:
    """Delete a server of the ledger whose ports may be those of another server by now."""
    if work.ledger.is_gone(key):
        return
    if work.ledger.id(key):
        ports.forget(work, site, work.ledger.id(key))
        _keep_other_volumes(work, site, key)
    _delete_marked_server(work, site, key)


def _delete_marked_server(work: Work, site: Site, key: str) -> None:
    work.ledger.delete(
        key,
        lambda server_id: show_server(site, server_id),
        lambda server_id: delete_server(site.compute, server_id),
        lambda: _find_server(work, site, key),
    )


def _find_server(work: Work, site: Site, key: str) -> str | None:
    """Find the server that the last request for it has made."""
    sent_at = work.ledger.items[key].sent_at
    assert sent_at is not None
    since = (sent_at - timedelta(minutes=10)).isoformat(timespec='seconds')
    path = f'/servers/detail?changes-since={quote(since + "Z")}'
    listed = json_body.objects_at(site.tenant_compute.get_list(path, SERVER_VERSION), 'servers')
    return marked(work.ledger.marker(key), [item for item in listed if item.get('status') != 'DELETED'])


def check_keeps_volumes(work: Work) -> None:
    """See that Nova of the target can keep volumes that were attached since the switch.

    :raises Unfit: it would delete one with the server
    """
    for server_id in work.servers:
        for volume_id in _deleted_with_server(work, work.target, f'target/server/{server_id}'):
            _check_keeps(work.target, volume_id)


def _check_keeps(site: Site, volume_id: str) -> None:
    if not site.compute.can(_KEEP_VERSION):
        raise Unfit(f'Volume {volume_id} would be deleted with the server: detach it, and revert or resume.')


def _keep_other_volumes(work: Work, site: Site, key: str) -> None:
    """Let Nova keep volumes that were attached since the switch, even those that are deleted with the server.

    To their owner the server is not deleted.
    """
    for volume_id in _deleted_with_server(work, site, key):
        _check_keeps(site, volume_id)
        path = f'/servers/{work.ledger.id(key)}/os-volume_attachments/{volume_id}'
        body = {'volumeAttachment': {'volumeId': volume_id, 'delete_on_termination': False}}
        site.compute.send('PUT', path, _KEEP_VERSION, body)


def _deleted_with_server(work: Work, site: Site, key: str) -> Iterator[str]:
    """Return the volumes that Nova deletes with a server, and that are not those of the move."""
    server_id, api = work.ledger.id(key), site.compute
    if not server_id or show_server(site, server_id) is None:
        return
    side = key.split('/', 1)[0]
    own = {work.ledger.id(f'{side}/volume/{disk["id"]}') for disk in work.plan['volumes']}
    path = f'/servers/{server_id}/os-volume_attachments'
    for attachment in json_body.objects_at(api.get_list(path, ATTACHMENTS_VERSION), 'volumeAttachments'):
        volume_id = str(attachment['volumeId'])
        if volume_id not in own and attachment.get('delete_on_termination'):
            yield volume_id


def delete_server(api: PodApi, server_id: str) -> None:
    """Ask Nova to delete a server now, even if it is configured to keep deleted servers for some time."""
    api.send('POST', f'/servers/{server_id}/action', '2.1', {'forceDelete': None})


def _server(work: Work, source: Source, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body of the create."""
    before, target = source.server, work.target
    assert before is not None
    document: dict[str, Any] = {
        'name': before['name'],
        'flavorRef': source.flavor['id'],
        'metadata': dict(metadata),
        'networks': ports.networks_of(work, source.top_id),
        'description': before.get('description'),
        'OS-DCF:diskConfig': before.get('OS-DCF:diskConfig', 'MANUAL'),
        'config_drive': bool(before.get('config_drive')),
        'block_device_mapping_v2': _devices(work, source),
    }
    if source.has_local_root:
        document['imageRef'] = copying.image_of(work, source.top_id)
    zone, host = target.pod.zone_in('compute'), str(work.plan.get('host') or '')
    takes_host = target.compute.can(_HOST_VERSION)
    given = {
        # The scheduler of Nova checks a host of its own field, and passes over one that follows the zone.
        'availability_zone': f'{zone}:{host}' if host and not takes_host else zone,
        'host': host if takes_host else '',
        'accessIPv4': before.get('accessIPv4'),
        'accessIPv6': before.get('accessIPv6'),
        'user_data': before.get('OS-EXT-SRV-ATTR:user_data'),
        'key_name': work.ledger.id(f'target/keypair/{source.top_id}'),
        'tags': before.get('tags'),
        'trusted_image_certificates': before.get('trusted_image_certificates'),
    }
    if target.compute.can(HOSTNAME_VERSION):
        given['hostname'] = before.get('OS-EXT-SRV-ATTR:hostname')
    return document | {name: value for name, value in given.items() if value}


def _devices(work: Work, source: Source) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if source.has_local_root:
        found.append(
            {
                'uuid': copying.image_of(work, source.top_id),
                'source_type': 'image',
                'destination_type': 'local',
                'boot_index': 0,
                'delete_on_termination': True,
            }
        )
    for disk in source.disks:
        device = {
            'uuid': work.ledger.id(f'target/volume/{disk.top_id}'),
            'source_type': 'volume',
            'destination_type': 'volume',
            'boot_index': 0 if disk.is_boot else -1,
            'delete_on_termination': bool(disk.attachment.get('delete_on_termination')),
        }
        if disk.attachment.get('device'):
            device['device_name'] = disk.attachment['device']
        if disk.attachment.get('tag'):
            device['tag'] = disk.attachment['tag']
        found.append(device)
    return found
