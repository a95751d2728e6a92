# SPDX-License-Identifier: Apache-2.0
"""Nova's proxies for Glance and Cinder up to 2.35, and assisted snapshots: those whose pod matters to a gateway."""

from typing import TYPE_CHECKING, Any

from trio2o.lab.emulated import paging, wire
from trio2o.lab.emulated.clock import micro
from trio2o.lab.emulated.wire import Refusal, Route

if TYPE_CHECKING:
    from trio2o.lab.emulated.cinder import Cinder
    from trio2o.lab.emulated.nova import Nova

LAST = 35
#: The properties that images show here.
_IMAGE_PROPERTIES = ('block_device_mapping', 'bdm_v2', 'cinder_img_volume_type')
Record = dict[str, Any]


def _cinder(nova: 'Nova') -> 'Cinder':
    if nova.cinder is None:
        raise Refusal(500, 'there is no Cinder in this pod')
    return nova.cinder


def _mine(request: wire.Request, records: dict[str, Record]) -> list[Record]:
    return [row for row in records.values() if row['project_id'] == request.user.project_id]


def _page(request: wire.Request, nova: 'Nova', rows: list[Record]) -> list[Record]:
    """Sort, the newest first, and apply limit and offset."""
    rows = paging.in_order(rows, ['created_at', 'id'], ['desc', 'desc'])
    start = paging.number(request, 'offset', 0)
    most = nova.settings.max_limit
    return rows[start : start + (paging.number(request, 'limit', 0, most) or most)]


def _find(request: wire.Request, records: dict[str, Record], kind: str) -> Record:
    wanted = request.args['id']
    row = records.get(wanted)
    if row is None or not (request.user.is_admin or row['project_id'] == request.user.project_id):
        raise Refusal(404, f'{kind} {wanted} could not be found.')
    return row


def _volume(volume: Record) -> Record:
    return {
        'id': volume['id'],
        'status': volume['status'],
        'size': volume['size'],
        'availabilityZone': volume['availability_zone'],
        'createdAt': micro(volume['created_at']),
        'attachments': [{}],
        'displayName': volume['name'],
        'displayDescription': volume['description'],
        'volumeType': None,
        'snapshotId': volume['snapshot_id'],
        'metadata': volume['metadata'],
    }


def _snapshot(snapshot: Record) -> Record:
    return {
        'id': snapshot['id'],
        'status': snapshot['status'],
        'size': snapshot['size'],
        'volumeId': snapshot['volume_id'],
        'createdAt': micro(snapshot['created_at']),
        'displayName': snapshot['name'],
        'displayDescription': snapshot['description'],
    }


def list_volumes(nova: 'Nova', request: wire.Request) -> wire.Response:
    """GET /os-volumes and /os-volumes/detail."""
    rows = _mine(request, _cinder(nova).volumes)
    return wire.reply({'volumes': [_volume(row) for row in _page(request, nova, rows)]})


def show_volume(nova: 'Nova', request: wire.Request) -> wire.Response:
    """GET /os-volumes/{id}."""
    return wire.reply({'volume': _volume(_find(request, _cinder(nova).volumes, 'Volume'))})


def create_volume(nova: 'Nova', request: wire.Request) -> wire.Response:
    """POST /os-volumes: 200."""
    body, cinder = nova.body(request, 'volume'), _cinder(nova)
    zone = body.get('availability_zone') or cinder.settings.zones[0]
    if zone not in cinder.settings.zones:
        raise Refusal(400, f"Availability zone '{zone}' is invalid.")
    volume = cinder.add_volume(
        request.user.project_id,
        request.user.user_id,
        int(body['size']),
        name=body.get('display_name'),
        availability_zone=zone,
        snapshot_id=body.get('snapshot_id'),
        **cinder.bytes_of('snapshot', body.get('snapshot_id')),
    )
    return wire.reply({'volume': _volume(volume)})


def delete_volume(nova: 'Nova', request: wire.Request) -> wire.Response:
    """DELETE /os-volumes/{id}: 202."""
    cinder = _cinder(nova)
    del cinder.volumes[_find(request, cinder.volumes, 'Volume')['id']]
    return wire.empty(202)


def list_snapshots(nova: 'Nova', request: wire.Request) -> wire.Response:
    """GET /os-snapshots and /os-snapshots/detail."""
    rows = _mine(request, _cinder(nova).snapshots)
    return wire.reply({'snapshots': [_snapshot(row) for row in _page(request, nova, rows)]})


def show_snapshot(nova: 'Nova', request: wire.Request) -> wire.Response:
    """GET /os-snapshots/{id}."""
    return wire.reply({'snapshot': _snapshot(_find(request, _cinder(nova).snapshots, 'Snapshot'))})


def create_snapshot(nova: 'Nova', request: wire.Request) -> wire.Response:
    """POST /os-snapshots: 200."""
    body, cinder = nova.body(request, 'snapshot'), _cinder(nova)
    wanted = body.get('volume_id')
    volume = cinder.volumes.get(wanted)
    if volume is None or volume['project_id'] != request.user.project_id:
        raise Refusal(404, f'Volume {wanted} could not be found.')
    return wire.reply({'snapshot': _snapshot(cinder.add_snapshot(wanted, name=body.get('display_name')))})


def delete_snapshot(nova: 'Nova', request: wire.Request) -> wire.Response:
    """DELETE /os-snapshots/{id}: 202."""
    cinder = _cinder(nova)
    del cinder.snapshots[_find(request, cinder.snapshots, 'Snapshot')['id']]
    return wire.empty(202)


def show_image(nova: 'Nova', request: wire.Request) -> wire.Response:
    """GET /images/{id}."""
    image = nova.glance.images.get(request.args['id']) if nova.glance is not None else None
    if image is None:
        raise Refusal(404, f'Image {request.args["id"]} could not be found.')
    return wire.reply({'image': _image(image)})


def list_images(nova: 'Nova', request: wire.Request) -> wire.Response:
    """GET /images/detail, by name."""
    images = nova.glance.images.values() if nova.glance is not None else ()
    return wire.reply({'images': [_image(each) for each in images if each['name'] == request.last('name')]})


def _image(image: dict[str, Any]) -> dict[str, Any]:
    """Show an image with those of its properties that concern volumes."""
    return {
        'id': image['id'],
        'name': image['name'],
        'minRam': 0,
        'minDisk': 0,
        'progress': 100,
        'metadata': {name: image[name] for name in _IMAGE_PROPERTIES if name in image},
        'created': image['created_at'],
        'updated': image['updated_at'],
        'status': 'ACTIVE',
        'OS-EXT-IMG-SIZE:size': image['size'],
        'links': [],
    }


def assist_snapshot(nova: 'Nova', request: wire.Request) -> wire.Response:
    """POST /os-assisted-volume-snapshots, which Cinder's drivers call."""
    body = nova.body(request, 'snapshot')
    nova.assisted.append(body['volume_id'])
    return wire.reply({'snapshot': {'id': body['create_info']['snapshot_id'], 'volumeId': body['volume_id']}})


def unassist_snapshot(nova: 'Nova', request: wire.Request) -> wire.Response:
    """DELETE /os-assisted-volume-snapshots/{id}: the parameter ``delete_info`` names the volume."""
    info = wire.loads((request.last('delete_info') or '{}').encode())
    nova.assisted.remove(info['volume_id'])
    return wire.empty(204)


def _proxied(path: str, handlers: tuple[Any, Any, Any, Any]) -> list[Route]:
    listed, shown, created, deleted = handlers
    return [
        Route('GET', path, listed, until=LAST),
        Route('GET', f'{path}/detail', listed, until=LAST),
        Route('POST', path, created, until=LAST),
        Route('GET', f'{path}/{{id}}', shown, until=LAST),
        Route('DELETE', f'{path}/{{id}}', deleted, until=LAST),
    ]


ROUTES = [
    Route('GET', '/images/detail', list_images, until=LAST),
    Route('GET', '/images/{id}', show_image, until=LAST),
    *_proxied('/os-volumes', (list_volumes, show_volume, create_volume, delete_volume)),
    *_proxied('/os-snapshots', (list_snapshots, show_snapshot, create_snapshot, delete_snapshot)),
    Route('POST', '/os-assisted-volume-snapshots', assist_snapshot),
    Route('DELETE', '/os-assisted-volume-snapshots/{id}', unassist_snapshot),
]
