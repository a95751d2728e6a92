# SPDX-License-Identifier: Apache-2.0
"""Cinder's volumes: create, list, summary, show, update, delete."""

from typing import TYPE_CHECKING, Any

from trio2o.lab.emulated import wire
from trio2o.lab.emulated.cinder import lists, quotas, records, types
from trio2o.lab.emulated.clock import micro
from trio2o.lab.emulated.wire import Refusal, Route

if TYPE_CHECKING:
    from trio2o.lab.emulated.cinder import Cinder

Volume = dict[str, Any]
MISSING = 'Volume {} could not be found.'
MALFORMED = 'The server could not comply with the request since it is either malformed or otherwise incorrect.'
_FILTERS = [
    'name',
    'status',
    'metadata',
    'bootable',
    'migration_status',
    'availability_zone',
    'group_id',
    'size',
    'created_at',
    'updated_at',
]
_CREATE_KEYS = {
    'name',
    'description',
    'display_name',
    'display_description',
    'size',
    'volume_type',
    'metadata',
    'snapshot_id',
    'source_volid',
    'consistencygroup_id',
    'imageRef',
    'image_id',
    'availability_zone',
    'multiattach',
    'group_id',
    'backup_id',
}


def links(request: wire.Request, kind: str, identifier: str) -> list[dict[str, str]]:
    """Make the links self and bookmark; like Cinder, use X-Forwarded-Host if the request has it."""
    prefix, base = request.prefix, request.base
    forwarded = request.headers.get('x-forwarded-host')
    if forwarded:
        base = base.split('://')[0] + '://' + forwarded.split(',')[-1].strip()
        prefix = base + prefix[len(request.base) :]
    project = f'/{request.project_in_path}' if request.project_in_path else ''
    return [
        {'rel': 'self', 'href': f'{prefix}/{kind}/{identifier}'},
        {'rel': 'bookmark', 'href': f'{base}{project}/{kind}/{identifier}'},
    ]


def brief(cinder: 'Cinder', request: wire.Request, volume: Volume) -> dict[str, Any]:
    """Show a volume as in ``GET /volumes``."""
    return {'id': volume['id'], 'name': volume['name'], 'links': links(request, 'volumes', volume['id'])}


def _attachments(cinder: 'Cinder', request: wire.Request, volume: Volume) -> list[dict[str, Any]]:
    special = request.user.is_admin or 'service' in request.user.roles
    return [
        {
            'id': volume['id'],
            'attachment_id': row['id'],
            'volume_id': volume['id'],
            'server_id': row['instance'],
            'host_name': 'compute-1' if special else None,
            'device': row['device'],
            'attached_at': micro(row['attached_at']),
        }
        for row in records.attachments_of(cinder, volume['id'])
        if row['status'] == 'attached'
    ]


def full(cinder: 'Cinder', request: wire.Request, volume: Volume) -> dict[str, Any]:
    """Show a volume as in ``GET /volumes/{id}``, at the microversion of the request."""
    minor, admin = request.minor, request.user.is_admin
    kind = cinder.types.get(volume['type_id'])
    view: dict[str, Any] = {
        'id': volume['id'],
        'status': volume['status'],
        'size': volume['size'],
        'availability_zone': volume['availability_zone'],
        'created_at': micro(volume['created_at']),
        'updated_at': micro(volume['updated_at']),
        'name': volume['name'],
        'description': volume['description'],
        'volume_type': kind['name'] if kind else None,
        'snapshot_id': volume['snapshot_id'],
        'source_volid': volume['source_volid'],
        'metadata': visible_metadata(volume),
        'links': links(request, 'volumes', volume['id']),
        'user_id': volume['user_id'],
        'bootable': str(volume['bootable']).lower(),
        'encrypted': volume['encryption_key_id'] is not None,
        'replication_status': volume['replication_status'],
        'consistencygroup_id': None,
        'multiattach': volume['multiattach'],
        'attachments': _attachments(cinder, request, volume),
    }
    if request.method == 'GET':
        view['os-vol-tenant-attr:tenant_id'] = volume['project_id']
    if volume['image_metadata']:
        view['volume_image_metadata'] = volume['image_metadata']
    if admin:
        view['migration_status'] = volume['migration_status']
    if admin and request.method == 'GET':
        view |= {
            'os-vol-host-attr:host': volume['host'],
            'os-vol-mig-status-attr:migstat': volume['migration_status'],
            'os-vol-mig-status-attr:name_id': None,
        }
    if minor >= 13:
        view['group_id'] = volume['group_id']
    if minor >= 21 and admin:
        view['provider_id'] = None
    if minor >= 48:
        view |= {'shared_targets': None if minor >= 69 else True, 'service_uuid': None}
    if minor >= 61 and admin:
        view['cluster_name'] = None
    if minor >= 63:
        view['volume_type_id'] = volume['type_id']
    if minor >= 64 and volume['encryption_key_id']:
        view['encryption_key_id'] = volume['encryption_key_id']
    if minor >= 65:
        view['consumes_quota'] = True
    return view


def visible_metadata(volume: Volume) -> dict[str, str]:
    """Return the metadata with the read-only flag that Cinder adds."""
    if volume['readonly'] is None:
        return dict(volume['metadata'])
    return {**volume['metadata'], 'readonly': str(volume['readonly'])}


def find(cinder: 'Cinder', request: wire.Request, volume_id: str | None = None) -> Volume:
    """Return the volume in the path, or the one of an id.

    :raises Refusal: there is none, or the caller may not see it
    """
    wanted = volume_id or request.args['volume_id']
    volume = cinder.volumes.get(wanted)
    if volume is None or not lists.may_see(request, volume):
        raise Refusal(404, MISSING.format(wanted))
    return volume


def _list(cinder: 'Cinder', request: wire.Request, path: str, view: Any) -> wire.Response:
    filters = lists.filters_of(request, _FILTERS)
    chosen = lists.choose(request, list(cinder.volumes.values()), filters)
    page = lists.page_of(cinder, request, chosen, cinder.volumes, MISSING)
    body: dict[str, Any] = {'volumes': [view(cinder, request, volume) for volume in page]}
    count = len(chosen) if lists.counted(request) else None
    more = lists.links_of(cinder, request, page, path, count)
    if more:
        body['volumes_links'] = more
    if count is not None:
        body['count'] = count
    return wire.reply(body)


def list_volumes(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """GET /volumes."""
    return _list(cinder, request, 'volumes', brief)


def list_details(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """GET /volumes/detail."""
    return _list(cinder, request, 'volumes/detail', full)


def show_summary(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """GET /volumes/summary, from 3.12; with all metadata from 3.36."""
    filters = {key: value for key, value in request.params if request.user.is_admin}
    chosen = lists.choose(request, list(cinder.volumes.values()), filters)
    summary: dict[str, Any] = {'total_count': len(chosen), 'total_size': sum(row['size'] for row in chosen)}
    if request.minor >= 36:
        distinct: dict[str, list[str]] = {}
        for row in chosen:
            for key, value in row['metadata'].items():
                if value not in distinct.setdefault(key, []):
                    distinct[key].append(value)
        summary['metadata'] = distinct
    return wire.reply({'volume-summary': summary})


def show_volume(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """GET /volumes/{id}."""
    return wire.reply({'volume': full(cinder, request, find(cinder, request))})


def create_volume(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """POST /volumes: 202."""
    body = cinder.body(request, 'volume')
    unknown = sorted(set(body) - _CREATE_KEYS)
    if unknown:
        raise Refusal(400, f"Additional properties are not allowed ('{unknown[0]}' was unexpected)")
    source, snapshot = body.get('source_volid'), body.get('snapshot_id')
    origin = find(cinder, request, source) if source else None
    taken = None
    if snapshot:
        taken = cinder.snapshots.get(snapshot)
        if taken is None or not lists.may_see(request, taken):
            raise Refusal(404, f'Snapshot {snapshot} could not be found.')
    copied = cinder.bytes_of('volume', source) or cinder.bytes_of('snapshot', snapshot)
    if body.get('backup_id') and request.minor >= 47:
        saved = cinder.backups.get(body['backup_id'])
        if saved is None or not lists.may_see(request, saved):
            raise Refusal(404, f'Backup {body["backup_id"]} could not be found.')
        taken = taken or saved
        held = cinder.storage.backups.get(saved['id'])
        copied = copied or ({} if held is None else {'disk': held})
    if body.get('group_id') and request.minor >= 13:
        group = cinder.groups.get(body['group_id'])
        if group is None or not lists.may_see(request, group):
            raise Refusal(404, f'Group {body["group_id"]} could not be found.')
    model = origin or (cinder.volumes.get(taken['volume_id']) if taken else None)
    kind = _type(cinder, request, body.get('volume_type') or (model['type_id'] if model else None))
    size = _size(body, origin or taken)
    image = _image(cinder, body['image_id'] if 'image_id' in body else body.get('imageRef'))
    zone = _zone(cinder, body, model, kind)
    quotas.check_size(cinder, request, size)
    quotas.check(cinder, request, volumes=1, gigabytes=size)
    volume = records.new_volume(
        cinder,
        request.user.project_id,
        request.user.user_id,
        size,
        name=body.get('name', body.get('display_name')),
        description=body.get('description', body.get('display_description')),
        metadata=dict(body.get('metadata') or {}),
        type_id=kind['id'],
        snapshot_id=snapshot,
        source_volid=source,
        availability_zone=zone,
        status='creating',
        multiattach=str(body.get('multiattach', False)).lower() == 'true'
        or kind['extra_specs'].get('multiattach') == '<is> True',
        group_id=body.get('group_id'),
        updated_at=None,
        bootable=bool(origin and origin['bootable']),
        **(copied or cinder.bytes_of('image', image)),
    )
    view = full(cinder, request, volume)
    cinder.later(cinder.settings.build_seconds, lambda: _built(cinder, volume, image))
    return wire.reply({'volume': view}, 202)


def _image(cinder: 'Cinder', reference: str | None) -> str | None:
    """Return the id of an image, which a create refers to by its id, its URL or its name."""
    if not reference or cinder.glance is None:
        return reference
    last = reference.rpartition('/')[2]
    named = [image['id'] for image in cinder.glance.images.values() if image['name'] == reference]
    if last not in cinder.glance.images and len(named) != 1:
        raise Refusal(400, 'Invalid image identifier or unable to access requested image.')
    found = last if last in cinder.glance.images else named[0]
    if cinder.glance.images[found]['status'] != 'active':
        raise Refusal(
            400,
            f'Invalid input received: Invalid image identifier or unable to access requested image: '
            f'Image {found} is not active.',
        )
    return found


def _built(cinder: 'Cinder', volume: Volume, image: str | None) -> None:
    if volume['status'] != 'creating':
        return
    records.touch(cinder, volume, status='available')
    if image:
        name = cinder.glance.images[image]['name'] if cinder.glance else ''
        records.touch(cinder, volume, bootable=True, image_metadata={'image_id': image, 'image_name': name})


def _size(body: dict[str, Any], origin: dict[str, Any] | None) -> int:
    size = body.get('size')
    if size is None and origin is not None:
        return origin['size']
    if size is None:
        raise Refusal(400, MALFORMED)
    if not str(size).isdigit() or int(size) < 1:
        raise Refusal(
            400, f'Invalid input for field/attribute size. Value: {size}. {size} is less than the minimum of 1'
        )
    if origin is not None and int(size) < origin['size']:
        raise Refusal(
            400,
            f"Invalid input received: Volume size '{size}'GB cannot be smaller "
            f'than original volume size  {origin["size"]}GB. They must be >= '
            'original volume size.',
        )
    return int(size)


def _type(cinder: 'Cinder', request: wire.Request, wanted: str | None) -> dict[str, Any]:
    if not wanted:
        return records.default_type(cinder)
    kind = types.named(cinder, wanted)
    if kind is not None:
        return kind
    raise Refusal(
        404,
        f'Volume type {wanted} could not be found.'
        if _is_uuid(wanted)
        else f'Volume type with name {wanted} could not be found.',
    )


def _is_uuid(text: str) -> bool:
    return len(text) == 36 and text.count('-') == 4


def _zone(cinder: 'Cinder', body: dict[str, Any], origin: Volume | None, kind: dict[str, Any]) -> str:
    zone = body.get('availability_zone')
    bound = kind['extra_specs'].get('RESKEY:availability_zones')
    if bound is not None:
        usable = [name for name in cinder.settings.zones if name in map(str.strip, bound.split(','))]
        if not usable or (zone and zone not in usable):
            raise Refusal(400, f'Volume type is only usable in specified availability zones: {bound}')
        zone = zone or usable[0]
    if zone == '':
        text = "Invalid input for field/attribute availability_zone. Value: . '' should be non-empty"
        raise Refusal(400, text)
    if zone is None:
        return origin['availability_zone'] if origin else cinder.settings.zones[0]
    if zone in cinder.settings.zones:
        return zone
    if cinder.settings.zone_fallback:
        return cinder.settings.zones[0]
    raise Refusal(400, f"Availability zone '{zone}' is invalid.")


def update_volume(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """PUT /volumes/{id}."""
    body = cinder.body(request, 'volume')
    volume = find(cinder, request)
    names = {
        'name': 'name',
        'display_name': 'name',
        'description': 'description',
        'display_description': 'description',
        'metadata': 'metadata',
    }
    unknown = sorted(set(body) - set(names))
    if unknown:
        raise Refusal(400, f"Additional properties are not allowed ('{unknown[0]}' was unexpected)")
    records.touch(cinder, volume, **{names[key]: value for key, value in body.items()})
    return wire.reply({'volume': full(cinder, request, volume)})


def delete_volume(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """DELETE /volumes/{id}: 202."""
    volume = find(cinder, request)
    snapshots = [row for row in cinder.snapshots.values() if row['volume_id'] == volume['id']]
    cascade = str(request.last('cascade', 'false')).lower() in ('true', '1')
    if volume['status'] not in ('available', 'error', 'error_restoring', 'error_extending', 'error_managing') or (
        snapshots and not cascade
    ):
        raise Refusal(
            400,
            'Invalid volume: Volume status must be available or error or '
            'error_restoring or error_extending or error_managing and must not be '
            'migrating, attached, belong to a group, have snapshots, awaiting a '
            'transfer, or be disassociated from snapshots after volume '
            'transfer.',
        )
    records.touch(cinder, volume, status='deleting')
    cinder.later(cinder.settings.delete_seconds, lambda: erase(cinder, volume))
    return wire.bare(202)


def erase(cinder: 'Cinder', volume: Volume) -> None:
    """Remove a volume and its snapshots."""
    cinder.volumes.pop(volume['id'], None)
    for snapshot in [row for row in cinder.snapshots.values() if row['volume_id'] == volume['id']]:
        del cinder.snapshots[snapshot['id']]


ROUTES = [
    Route('GET', '/volumes', list_volumes),
    Route('POST', '/volumes', create_volume),
    Route('GET', '/volumes/detail', list_details),
    Route('GET', '/volumes/summary', show_summary, since=12),
    Route('GET', '/volumes/{volume_id}', show_volume),
    Route('PUT', '/volumes/{volume_id}', update_volume),
    Route('DELETE', '/volumes/{volume_id}', delete_volume),
]
