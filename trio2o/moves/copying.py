# SPDX-License-Identifier: Apache-2.0
"""The channel of images: the bytes of disks reach the target through a Glance that both pods share.

Nova makes an image of a local root disk. Of a volume, Cinder makes a snapshot, of that a volume, and uploads it: the
volume itself is in use, and is not touched. All of it belongs to the project of Trio2o's user.

Another channel is another module with the names ``NAME``, ``items``, ``bytes_of``, ``steps``, ``image_of`` and
``checksum_of``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from trio2o.db.moves import NewItem
from trio2o.db.records import COPIED
from trio2o.moves.ledger import MARKER, Lost, Unfit, Wait, marked
from trio2o.moves.sites import Site
from trio2o.moves.source import Source, disks_of, find_volume, show_server
from trio2o.moves.step import Step, Work
from trio2o.pods.podapi import PodApi
from trio2o.pods.shared_api import SharedApi
from trio2o.resources import Item
from trio2o.web import json_body

NAME = 'image'
#: What only the move needs goes when it ends, however it ends.
_BOTH = 'confirmed,reverted'
#: Cinder deletes no volume in these states.
_BUSY = ('creating', 'downloading', 'uploading')


def items(sources: Sequence[Source], source_site: Site, target_site: Site) -> list[NewItem]:
    """Return what the channel makes. The image of a local root disk has the id of its server in its key."""
    found = [
        NewItem(f'image/{source.top_id}', source_site.pod.id, 'image', '', delete_on=_BOTH)
        for source in sources
        if source.has_local_root
    ]
    for disk in disks_of(sources):
        for kind, resource_type in (('snapshot', 'snapshot'), ('copy', 'volume'), ('image', 'image')):
            found.append(NewItem(f'{kind}/{disk.top_id}', source_site.pod.id, resource_type, '', delete_on=_BOTH))
        found.append(NewItem(f'check/{disk.top_id}', target_site.pod.id, 'image', '', delete_on=_BOTH))
    return found


def bytes_of(sources: Sequence[Source], is_verified: bool) -> int:
    """Return the bytes that are copied."""
    roots = sum(int(source.flavor.get('disk') or 0) << 30 for source in sources if source.has_local_root)
    return roots + sum(disk.bytes for disk in disks_of(sources)) * (2 if is_verified else 1)


def steps(plan: Mapping[str, Any]) -> list[Step]:
    """Return the steps that make images of all disks."""
    found: list[Step] = [RootImage(server['id']) for server in plan['servers'] if server['has_local_root']]
    for disk in plan['volumes']:
        found += [Snapshot(disk['id']), Copy(disk['id']), Upload(disk), Tidy(disk['id'])]
    if found:
        found[-1].state = COPIED
    return found


def image_of(work: Work, disk_id: str) -> str:
    """Return the id of the image that has the bytes of a disk.

    :param disk_id: id of a volume, or of the server of a local root disk
    """
    return work.ledger.id(f'image/{disk_id}')


def checksum_of(work: Work, disk_id: str) -> str:
    """Return the checksum of the bytes of a disk in the source."""
    return str(work.facts[f'hash/{disk_id}'])


class RootImage(Step):
    """Nova makes an image of the local root disk of a server."""

    def __init__(self, server_id: str) -> None:
        super().__init__(f'image of server {server_id}')
        self.server_id = server_id

    def run(self, work: Work) -> None:
        key = f'image/{self.server_id}'
        glance = glance_of(work.source)
        name = work.ledger.marker(key)
        path = f'/servers/{work.source_server(self.server_id)}/action'
        body = {'createImage': {'name': name, 'metadata': {MARKER: name}}}

        def create() -> str:
            return str(work.source.compute.send('POST', path, '2.45', body).json['image_id'])

        def is_under_way() -> bool:
            server = show_server(work.source, work.source_server(self.server_id)) or {}
            return bool(server.get('OS-EXT-STS:task_state'))

        work.ledger.make(key, create, lambda: find_image(glance, name))
        image = _wait_for_upload(work, work.source, key, is_under_way)
        work.note(**{f'hash/{self.server_id}': image['os_hash_value'], f'root_bytes/{self.server_id}': image['size']})

    def undo(self, work: Work) -> None:
        delete_image(work, f'image/{self.server_id}')


class _OfVolume(Step):
    def __init__(self, verb: str, disk_id: str) -> None:
        super().__init__(f'{verb} volume {disk_id}')
        self.disk_id = disk_id

    def key(self, kind: str) -> str:
        return f'{kind}/{self.disk_id}'


class Snapshot(_OfVolume):
    """Cinder makes a snapshot of a volume, which may be in use by the stopped server."""

    def __init__(self, disk_id: str) -> None:
        super().__init__('snapshot of', disk_id)

    def run(self, work: Work) -> None:
        key, api = self.key('snapshot'), work.source.volume
        name = work.ledger.marker(key)
        volume_id = work.ledger.id(self.key('source/volume'))
        document = {'volume_id': volume_id, 'name': name, 'force': True, 'metadata': {MARKER: name}}

        def create() -> str:
            return str(api.send('POST', '/snapshots', '3.0', {'snapshot': document}).json['snapshot']['id'])

        snapshot_id = work.ledger.make(key, create, lambda: _find_snapshot(api, name))
        _wait_for_status(_show_snapshot(api, snapshot_id), 'snapshot', 'available')

    def undo(self, work: Work) -> None:
        delete_snapshot(work, self.key('snapshot'))


class Copy(_OfVolume):
    """Cinder makes a volume of the snapshot."""

    def __init__(self, disk_id: str) -> None:
        super().__init__('copy of', disk_id)

    def run(self, work: Work) -> None:
        key, api = self.key('copy'), work.source.volume
        name = work.ledger.marker(key)
        document = {'snapshot_id': work.ledger.id(self.key('snapshot')), 'name': name, 'metadata': {MARKER: name}}

        def create() -> str:
            return str(api.send('POST', '/volumes', '3.0', {'volume': document}).json['volume']['id'])

        volume_id = work.ledger.make(key, create, lambda: find_marked_volume(api, name))
        _wait_for_status(find_volume(work.source, volume_id), 'volume', 'available')

    def undo(self, work: Work) -> None:
        delete_volume(work, work.source, self.key('copy'))


class Upload(_OfVolume):
    """Cinder uploads the copy."""

    def __init__(self, disk: Mapping[str, Any]) -> None:
        super().__init__('image of', disk['id'])
        self.bytes = int(disk['size']) << 30

    def run(self, work: Work) -> None:
        image = upload(work, work.source, self.key('image'), work.ledger.id(self.key('copy')))
        work.note(**{f'hash/{self.disk_id}': image['os_hash_value']})

    def undo(self, work: Work) -> None:
        delete_image(work, self.key('image'))


class Tidy(_OfVolume):
    """Delete the copy and the snapshot of a volume."""

    def __init__(self, disk_id: str) -> None:
        super().__init__('delete copy of', disk_id)

    def run(self, work: Work) -> None:
        delete_volume(work, work.source, self.key('copy'))
        delete_snapshot(work, self.key('snapshot'))


# -- images --


def glance_of(site: Site) -> SharedApi:
    """Return the Glance of a pod. :raises Unfit: the catalog has none any more"""
    if site.image is None:
        raise Unfit(f'The catalog has no image endpoint for pod {site.pod.name} any more.')
    return site.image


def upload(work: Work, site: Site, key: str, volume_id: str) -> Item:
    """Let Cinder upload a volume that is not attached. :returns: the image"""
    glance, name = glance_of(site), work.ledger.marker(key)
    given = {'image_name': name, 'disk_format': 'raw', 'container_format': 'bare', 'force': False}

    def create() -> str:
        answer = site.volume.send('POST', f'/volumes/{volume_id}/action', '3.0', {'os-volume_upload_image': given})
        return str(answer.json['os-volume_upload_image']['image_id'])

    def is_under_way() -> bool:
        return (find_volume(site, volume_id) or {}).get('status') == 'uploading'

    work.ledger.make(key, create, lambda: find_image(glance, name))
    return _wait_for_upload(work, site, key, is_under_way)


def _wait_for_upload(work: Work, site: Site, key: str, is_under_way: Callable[[], bool]) -> Item:
    """Return an image that a pod makes, when it is complete.

    A process that dies leaves the image ``queued`` or ``saving`` for ever, while the volume or the server is ready
    again.

    :param is_under_way: whether the pod says that it makes the image
    :raises Wait: it is not complete yet
    :raises Lost: the pod does not make it any more
    """
    glance, image_id = glance_of(site), work.ledger.id(key)
    image: Item | None = glance.get(f'/images/{image_id}')
    status = _status(image)
    if status != 'active':
        if is_under_way():
            raise Wait(f'image {image_id}, which is {status}')
        # The image is complete before the pod says that it is done: it may be so since the first look.
        image = glance.get(f'/images/{image_id}')
        status = _status(image)
    if image is None or status != 'active':
        delete_image(work, key, site)
        raise Lost(f'Pod {site.pod.name} has given up image {image_id}, which was {status}.')
    return _with_checksum(image)


def _status(image: Item | None) -> str:
    return 'gone' if image is None else str(image.get('status'))


def find_image(glance: SharedApi, name: str) -> str | None:
    """Return the id of the image with a name that only one image can have; None if there is none."""
    listed = json_body.objects_at(glance.send('GET', f'/images?name={quote(name)}'), 'images')
    return next((str(image['id']) for image in listed if image.get('name') == name), None)


def wait_for_image(glance: SharedApi, image_id: str) -> Item:
    """Return an image that is complete.

    :raises Wait: it is not complete yet
    :raises Unfit: it never will be
    """
    image: Item | None = glance.get(f'/images/{image_id}')
    if image is None or image.get('status') in ('killed', 'deleted', 'pending_delete', 'deactivated'):
        raise Unfit(f'Image {image_id} was not made: it is {image["status"] if image else "gone"}.')
    if image.get('status') != 'active':
        raise Wait(f'image {image_id}, which is {image.get("status")}')
    return _with_checksum(image)


def _with_checksum(image: Item) -> Item:
    if not image.get('os_hash_value'):
        raise Unfit(f'Glance has no checksum of image {image["id"]}.')
    return image


def delete_image(work: Work, key: str, site: Site | None = None) -> None:
    """Delete an image of the ledger.

    :param site: a pod whose Glance has it; None: the source
    """
    if work.ledger.is_gone(key):
        return
    glance, name = glance_of(site or work.source), work.ledger.marker(key)
    work.ledger.delete(
        key,
        lambda image_id: glance.get(f'/images/{image_id}'),
        lambda image_id: glance.send('DELETE', f'/images/{image_id}'),
        lambda: find_image(glance, name),
    )


# -- snapshots and volumes --


def _find_snapshot(api: PodApi, name: str) -> str | None:
    listed = api.get_list(f'/snapshots/detail?all_tenants=1&name={quote(name)}', '3.0')
    return marked(name, json_body.objects_at(listed, 'snapshots'))


def _show_snapshot(api: PodApi, snapshot_id: str) -> Item | None:
    found: Item | None = json_body.at(api.find(f'/snapshots/{snapshot_id}', '3.0'), 'snapshot')
    return found


def find_marked_volume(api: PodApi, marker: str) -> str | None:
    """Return the id of the volume of the account's project that has a marker; None if there is none."""
    return marked(marker, json_body.objects_at(api.get_list('/volumes/detail?sort=created_at:desc', '3.0'), 'volumes'))


def _wait_for_status(item: Item | None, kind: str, wanted: str) -> None:
    status = None if item is None else str(item.get('status'))
    if status is None or status.startswith('error'):
        raise Unfit(f'The {kind} was not made: it is {status or "gone"}.')
    if status != wanted:
        raise Wait(f'the {kind}, which is {status}')


def wait_for_volume(site: Site, volume_id: str) -> Item:
    """Return a volume that is available. :raises Wait: it is not yet; :raises Unfit: it never will be"""
    volume = find_volume(site, volume_id)
    _wait_for_status(volume, 'volume', 'available')
    assert volume is not None
    return volume


def delete_snapshot(work: Work, key: str) -> None:
    """Delete a snapshot of the ledger."""
    if work.ledger.is_gone(key):
        return
    api, name = work.source.volume, work.ledger.marker(key)

    def show(snapshot_id: str) -> Item | None:
        snapshot = _show_snapshot(api, snapshot_id)
        if snapshot is not None and snapshot.get('status') == 'creating':
            raise Wait(f'snapshot {snapshot_id}, which pod {work.source.pod.name} still makes')
        return snapshot

    work.ledger.delete(
        key,
        show,
        lambda snapshot_id: api.send('DELETE', f'/snapshots/{snapshot_id}', '3.0'),
        lambda: _find_snapshot(api, name),
    )


def delete_volume(work: Work, site: Site, key: str, api: PodApi | None = None) -> None:
    """Delete a volume of the ledger.

    :param api: lists the volume; None: the one of the project of Trio2o's user
    :raises Wait: it is not gone yet, is not complete, or not detached from a server that was deleted
    """
    if work.ledger.is_gone(key):
        return
    listing, name = api or site.volume, work.ledger.marker(key)

    def show(volume_id: str) -> Item | None:
        volume = find_volume(site, volume_id)
        if volume is not None and volume.get('status') in ('in-use', 'detaching'):
            raise Wait(f'Nova of pod {site.pod.name} to detach volume {volume_id}')
        if volume is not None and volume.get('status') in _BUSY:
            raise Wait(f'volume {volume_id} of pod {site.pod.name}, which is {volume["status"]}')
        return volume

    work.ledger.delete(
        key,
        show,
        lambda volume_id: site.volume.send('DELETE', f'/volumes/{volume_id}', '3.0'),
        lambda: find_marked_volume(listing, name),
    )
