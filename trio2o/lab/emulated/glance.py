# SPDX-License-Identifier: Apache-2.0
"""Glance: images and their bytes. All pods share one Glance.

An upload is done at once, so no request sees an image that is ``saving``, unless a test calls ``hold``.
"""

import hashlib
import re
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from trio2o.lab import disks
from trio2o.lab.emulated import service, wire
from trio2o.lab.emulated.clock import Clock, zulu

if TYPE_CHECKING:
    from trio2o.lab.emulated.keystone import Keystone

_BYTES = 'application/octet-stream'
_PATCH = 'application/openstack-images-v2.1-json-patch'
_RANGE = re.compile(r'bytes=(\d*)-(\d*)')
_READ_ONLY = {
    'checksum',
    'created_at',
    'file',
    'os_hash_algo',
    'os_hash_value',
    'schema',
    'self',
    'size',
    'status',
    'updated_at',
    'virtual_size',
}
#: Attributes that every image has, so that they cannot be removed.
_BASE = {
    'container_format',
    'disk_format',
    'min_disk',
    'min_ram',
    'name',
    'os_hidden',
    'owner',
    'protected',
    'tags',
    'visibility',
}


class Glance(service.PodService):
    """One Glance for all pods.

    ``images`` holds dicts in the format of the Image API v2, and ``contents`` the bytes of those that have some.
    """

    def __init__(
        self,
        keystone: 'Keystone',
        url: str = 'http://glance.test:9292',
        clock: Clock | None = None,
        log_size: int | None = 10000,
    ) -> None:
        self.routes = ROUTES
        super().__init__(keystone, clock, log_size)
        self.url = url
        self.images: dict[str, dict[str, Any]] = {}
        self.contents: dict[str, bytes] = {}
        self._is_held = False
        self._held: dict[str, bytes] = {}
        self._waiting: list[tuple[str, Callable[[], None]]] = []
        self._flips = 0

    def hold(self) -> None:
        """Leave the images that are uploaded from now on in ``saving``, until ``release``."""
        self._is_held = True

    def release(self) -> None:
        """End the uploads that were held."""
        with self.lock:
            self._is_held = False
            held, self._held = self._held, {}
            waiting, self._waiting = self._waiting, []
            for image_id, data in held.items():
                if image_id in self.images:
                    self.store(self.images[image_id], data)
        for _, work in waiting:
            work()

    def forget_uploads(self) -> None:
        """Let the uploads that are held never end, as if those who upload had died. Later ones are not held."""
        with self.lock:
            self._is_held = False
            self._held.clear()
            self._waiting.clear()

    def when_stored(self, image_id: str, work: Callable[[], None]) -> bool:
        """Do something once the upload of an image is released. :returns: False if it is not held"""
        if image_id not in self._held:
            return False
        self._waiting.append((image_id, work))
        return True

    def flip_byte(self) -> None:
        """Store the next image that has bytes with one wrong, so that they do not fit its ``os_hash_value``."""
        self._flips += 1

    def add_image(
        self, name: str, owner: str = '', visibility: str = 'public', data: bytes | None = None, **given: Any
    ) -> dict[str, Any]:
        """Store an active image.

        :param data: the default is a few bytes that no other image has
        """
        image = self.queue_image(name, owner, visibility, **given)
        self.store(image, disks.blank() if data is None else data)
        image.update(given)
        return image

    def queue_image(self, name: str | None, owner: str, visibility: str, **given: Any) -> dict[str, Any]:
        """Add an image without bytes, which is queued."""
        image_id = given.pop('id', None) or str(uuid.uuid4())
        now = zulu(self.clock.now())
        image = {
            'id': image_id,
            'name': name,
            'status': 'queued',
            'visibility': visibility,
            'protected': False,
            'owner': owner,
            'tags': [],
            'min_disk': 0,
            'min_ram': 0,
            'size': None,
            'virtual_size': None,
            'disk_format': 'raw',
            'container_format': 'bare',
            'checksum': None,
            'os_hash_algo': None,
            'os_hash_value': None,
            'os_hidden': False,
            'created_at': now,
            'updated_at': now,
            'self': f'/v2/images/{image_id}',
            'file': f'/v2/images/{image_id}/file',
            'schema': '/v2/schemas/image',
            **given,
        }
        self.images[image_id] = image
        return image

    def store(self, image: dict[str, Any], data: bytes) -> None:
        """Store the bytes of an image, which makes it active."""
        if self._is_held:
            self._held[image['id']] = data
            image.update(status='saving')
            return
        is_wrong = bool(self._flips and data)
        self._flips -= is_wrong
        self.contents[image['id']] = disks.flipped(data) if is_wrong else data
        image.update(
            status='active',
            size=len(data),
            checksum=hashlib.md5(data, usedforsecurity=False).hexdigest(),
            os_hash_algo='sha512',
            os_hash_value=disks.checksum(data),
            updated_at=zulu(self.clock.now()),
        )

    def erase(self, image_id: str) -> None:
        """Delete an image and its bytes."""
        self.images.pop(image_id, None)
        self.contents.pop(image_id, None)
        self._held.pop(image_id, None)

    def disk(self, image_id: str) -> disks.Disk:
        """Return the bytes of an image. Writing to them does not change the checksum that the API shows.

        :raises KeyError: the image does not exist, or has no bytes
        """
        if image_id not in self.contents:
            raise KeyError(image_id)
        return disks.Disk(self.contents, image_id)

    def respond(self, request: wire.Request) -> wire.Response:
        if request.path in ('/', '/versions', '/v2', '/v2/'):
            return wire.reply(
                {
                    'versions': [
                        {'id': 'v2.16', 'status': 'CURRENT', 'links': [{'rel': 'self', 'href': f'{request.base}/v2/'}]}
                    ]
                },
                300 if request.path == '/' else 200,
            )
        return self.authenticate(request) or super().respond(request)


def _find(glance: Glance, request: wire.Request, to_change: bool = False) -> dict[str, Any]:
    """Return the image in the path.

    :raises Refusal: 404 if the caller may not see it; 403 if it is another project's and the call is to change it
    """
    wanted = request.args['image_id']
    image = glance.images.get(wanted)
    is_mine = image is not None and (request.user.is_admin or image['owner'] == request.user.project_id)
    if image is None or not (is_mine or image['visibility'] in ('public', 'community')):
        raise wire.Refusal(404, f'No image found with ID {wanted}')
    if to_change and not is_mine:
        raise wire.Refusal(403, 'You are not authorized to complete this action.')
    return image


def list_images(glance: Glance, request: wire.Request) -> wire.Response:
    """GET /v2/images, by name, id or visibility."""
    rows = list(glance.images.values())
    for name in ('name', 'visibility', 'status', 'owner'):
        if request.has(name):
            rows = [row for row in rows if row[name] == request.last(name)]
    return wire.reply({'images': rows, 'first': '/v2/images', 'schema': '/v2/schemas/images'})


def show_image(glance: Glance, request: wire.Request) -> wire.Response:
    """GET /v2/images/{id}."""
    return wire.reply(_find(glance, request))


def create_image(glance: Glance, request: wire.Request) -> wire.Response:
    """POST /v2/images: 201, queued until the upload."""
    body = glance.body_of(request, '') or {}
    if not isinstance(body, dict):
        raise wire.Refusal(400, f'{body!r} is not of type "object"')
    for name in sorted(_READ_ONLY & set(body)):
        raise wire.Refusal(403, f"Attribute '{name}' is read-only.")
    if body.get('id') in glance.images:
        raise wire.Refusal(409, f'Image ID {body["id"]} already exists!')
    formats = {'disk_format': None, 'container_format': None}
    given = {
        'name': None,
        'visibility': 'shared',
        'owner': request.user.project_id,
        **formats,
        **body,
    }
    image = glance.queue_image(**given)
    return wire.reply(image, 201, [('Location', f'{request.base}/v2/images/{image["id"]}')])


def update_image(glance: Glance, request: wire.Request) -> wire.Response:
    """PATCH /v2/images/{id}: 200 with the image. Not of locations, and not with patches of v2.0."""
    kind = request.headers.get('content-type', '')
    if kind != _PATCH:
        raise wire.Refusal(415, f'Image PATCH expects Content-Type one of: {_PATCH}', [('Accept-Patch', _PATCH)])
    image = _find(glance, request, to_change=True)
    changes = glance.body_of(request, kind)
    if not isinstance(changes, list):
        raise wire.Refusal(400, 'Request body must be a JSON array of operation objects.')
    after = dict(image)
    for change in changes:
        _patch(request, after, change)
    after['tags'] = sorted(set(after['tags']))
    for name in set(image) - set(after):
        del image[name]
    image.update(after, updated_at=zulu(glance.clock.now()))
    return wire.reply(image)


def _patch(request: wire.Request, image: dict[str, Any], change: Any) -> None:
    """Apply one change of a JSON patch to an image."""
    if not isinstance(change, dict) or change.get('op') not in ('add', 'replace', 'remove'):
        raise wire.Refusal(400, 'Operations must be JSON objects with the member "op": add, replace or remove.')
    path = str(change.get('path', ''))
    name = path[1:].replace('~1', '/').replace('~0', '~')
    if not path.startswith('/') or '/' in path[1:]:
        raise wire.Refusal(400, f'Invalid JSON pointer for this resource: {path}')
    if name in _READ_ONLY | {'id'}:
        raise wire.Refusal(403, f"Attribute '{name}' is read-only.")
    if name == 'owner' and not request.user.is_admin:
        raise wire.Refusal(403, "Owner can't be updated by non admin.")
    if change['op'] != 'add' and name not in image:
        raise wire.Refusal(409, f'Property {name} does not exist.')
    if change['op'] == 'remove':
        if name in _BASE:
            raise wire.Refusal(403, f'Property {name} may not be removed.')
        del image[name]
        return
    if 'value' not in change:
        raise wire.Refusal(400, f'Operation "{change["op"]}" requires a member named "value".')
    wanted = {'tags': list, 'protected': bool, 'os_hidden': bool, 'min_disk': int, 'min_ram': int}.get(name, str)
    if not isinstance(change['value'], wanted) and not (name in ('name', 'owner') and change['value'] is None):
        raise wire.Refusal(400, f"Provided object does not match schema 'image': {name} is not of its type")
    image[name] = change['value']


def upload(glance: Glance, request: wire.Request) -> wire.Response:
    """PUT /v2/images/{id}/file: 204; 409 unless the image is queued."""
    if request.headers.get('content-type') != _BYTES:
        raise wire.Refusal(415, 'Invalid content type ' + request.headers.get('content-type', ''))
    image = _find(glance, request, to_change=True)
    if image['status'] != 'queued':
        raise wire.Refusal(409, f'Image status transition from {image["status"]} to saving is not allowed')
    if None in (image['disk_format'], image['container_format']):
        raise wire.Refusal(400, 'Properties disk_format, container_format must be set prior to saving data.')
    glance.store(image, request.body)
    return wire.empty()


def download(glance: Glance, request: wire.Request) -> wire.Response:
    """GET /v2/images/{id}/file: 200, or 206 of a range; 204 of an image without bytes."""
    image = _find(glance, request)
    data = glance.contents.get(image['id'])
    if data is None:
        return wire.empty()
    headers = [('Content-Type', _BYTES), ('Content-MD5', image['checksum'])]
    text = request.headers.get('range')
    if text is None:
        return wire.Response(200, headers, data)
    if ',' in text:
        raise wire.Refusal(400, 'Requests with multiple ranges are not supported in Glance.')
    match = _RANGE.fullmatch(text)
    if match is None or match.groups() == ('', ''):
        raise wire.Refusal(416, 'Invalid Range header.')
    first, last = match.groups()
    start = int(first) if first else max(len(data) - int(last), 0)
    end = min(int(last) + 1, len(data)) if first and last else len(data)
    if start >= len(data) or end <= start:
        raise wire.Refusal(416, 'Invalid start position in Range header.')
    headers.append(('Content-Range', f'bytes {start}-{end - 1}/{len(data)}'))
    return wire.Response(206, headers, data[start:end])


def delete_image(glance: Glance, request: wire.Request) -> wire.Response:
    """DELETE /v2/images/{id}: 204; 403 if it is protected."""
    image = _find(glance, request, to_change=True)
    if image['protected']:
        raise wire.Refusal(403, f'Image {image["id"]} is protected and cannot be deleted.')
    glance.erase(image['id'])
    return wire.empty()


ROUTES = [
    wire.Route('GET', '/v2/images', list_images),
    wire.Route('POST', '/v2/images', create_image),
    wire.Route('GET', '/v2/images/{image_id}', show_image),
    wire.Route('PATCH', '/v2/images/{image_id}', update_image),
    wire.Route('DELETE', '/v2/images/{image_id}', delete_image),
    wire.Route('PUT', '/v2/images/{image_id}/file', upload),
    wire.Route('GET', '/v2/images/{image_id}/file', download),
]
