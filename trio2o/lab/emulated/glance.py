# SPDX-License-Identifier: Apache-2.0
"""Glance: list and show images. All pods share one Glance."""

import uuid
from typing import TYPE_CHECKING, Any

from trio2o.lab.emulated import service, wire
from trio2o.lab.emulated.clock import Clock, zulu

if TYPE_CHECKING:
    from trio2o.lab.emulated.keystone import Keystone


class Glance(service.PodService):
    """One Glance for all pods; ``images`` holds dicts in the format of the Image API v2."""

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

    def add_image(self, name: str, owner: str = '', visibility: str = 'public', **given: Any) -> dict[str, Any]:
        """Store an active image."""
        image_id = given.pop('id', None) or str(uuid.uuid4())
        now = zulu(self.clock.now())
        image = {
            'id': image_id,
            'name': name,
            'status': 'active',
            'visibility': visibility,
            'protected': False,
            'owner': owner,
            'tags': [],
            'min_disk': 0,
            'min_ram': 0,
            'size': 1024,
            'virtual_size': None,
            'disk_format': 'raw',
            'container_format': 'bare',
            'checksum': '0' * 32,
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


def list_images(glance: Glance, request: wire.Request) -> wire.Response:
    """GET /v2/images, by name, id or visibility."""
    rows = list(glance.images.values())
    for name in ('name', 'visibility', 'status', 'owner'):
        if request.has(name):
            rows = [row for row in rows if row[name] == request.last(name)]
    return wire.reply({'images': rows, 'first': '/v2/images', 'schema': '/v2/schemas/images'})


def show_image(glance: Glance, request: wire.Request) -> wire.Response:
    """GET /v2/images/{id}."""
    image = glance.images.get(request.args['image_id'])
    if image is None:
        raise wire.Refusal(404, f'No image found with ID {request.args["image_id"]}')
    return wire.reply(image)


ROUTES = [wire.Route('GET', '/v2/images', list_images), wire.Route('GET', '/v2/images/{image_id}', show_image)]
