# SPDX-License-Identifier: Apache-2.0
"""POST /volumes/{id}/action: the only key of the body is the action."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from trio2o.lab.disks import Disk
from trio2o.lab.emulated import wire
from trio2o.lab.emulated.cinder import lists, quotas, records, types, volumes
from trio2o.lab.emulated.wire import Refusal, Route

if TYPE_CHECKING:
    from trio2o.lab.emulated.cinder import Cinder

Volume = dict[str, Any]
Action = Callable[['Cinder', wire.Request, Volume, Any], wire.Response]


def act(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """Call the handler of the action in the body; 400 if there is none."""
    body = cinder.body_of(request, 'application/vnd.openstack.volume+json')
    if not isinstance(body, dict) or len(body) != 1:
        raise Refusal(400, 'Malformed request body')
    name, given = next(iter(body.items()))
    if name not in ACTIONS:
        raise Refusal(
            400, f'There is no such action: {name}. Verify the request body and Content-Type header and try again.'
        )
    action, since = ACTIONS[name]
    if request.minor < since:
        raise Refusal(404, 'The resource could not be found.')
    return action(cinder, request, volumes.find(cinder, request), given or {})


def _require_status(volume: Volume, *statuses: str) -> None:
    if volume['status'] not in statuses:
        raise Refusal(
            400,
            f'Invalid volume: Volume {volume["id"]} status must be '
            f'{" or ".join(statuses)}, but current status is: {volume["status"]}.',
        )


def _change_status(status: str, *statuses: str) -> Action:
    def action(cinder: 'Cinder', request: wire.Request, volume: Volume, given: Any) -> wire.Response:
        _require_status(volume, *statuses)
        records.touch(cinder, volume, status=status)
        return wire.empty(202)

    return action


def extend(cinder: 'Cinder', request: wire.Request, volume: Volume, given: Any) -> wire.Response:
    """Extend a volume; from 3.42 also while it is in use."""
    _require_status(volume, *(('available', 'in-use') if request.minor >= 42 else ('available',)))
    size = int(given.get('new_size', 0))
    if size <= volume['size']:
        raise Refusal(
            400,
            f'Invalid input received: New size for extend must be greater than '
            f'current size. (current: {volume["size"]}, extended: {size}).',
        )
    quotas.check_size(cinder, request, size)
    quotas.check(cinder, request, gigabytes=size - volume['size'])
    records.touch(cinder, volume, size=size)
    return wire.empty(202)


def attach(cinder: 'Cinder', request: wire.Request, volume: Volume, given: Any) -> wire.Response:
    """Attach a volume: the last call of attaching without the attachments API."""
    records.attach(cinder, volume, given.get('instance_uuid'), given.get('mountpoint'), mode=given.get('mode', 'rw'))
    return wire.empty(202)


def detach(cinder: 'Cinder', request: wire.Request, volume: Volume, given: Any) -> wire.Response:
    """Detach a volume: 409 for users while a server has it, unless the call has a service token."""
    wanted = given.get('attachment_id')
    for row in records.attachments_of(cinder, volume['id']):
        if wanted in (None, row['id']):
            if row['instance'] and not is_service_call(cinder, request):
                raise Refusal(409, f'Detach volume from instance {row["instance"]} using the Compute API')
            del cinder.attachments[row['id']]
    records.touch(cinder, volume, status='available')
    return wire.empty(202)


def is_service_call(cinder: 'Cinder', request: wire.Request) -> bool:
    """Whether the call has a service token, or comes from a service."""
    token = cinder.keystone.find(request.headers.get('x-service-token', ''))
    return 'service' in request.user.roles or (token is not None and 'service' in token.roles)


def reset_status(cinder: 'Cinder', request: wire.Request, volume: Volume, given: Any) -> wire.Response:
    """Set the status; for admins."""
    cinder.admin_only(request, 'volume_extension:volume_admin_actions:reset_status')
    if given.get('status'):
        records.touch(cinder, volume, status=given['status'])
    return wire.empty(202)


def force_delete(cinder: 'Cinder', request: wire.Request, volume: Volume, given: Any) -> wire.Response:
    """Delete a volume in any status; for admins."""
    cinder.admin_only(request, 'volume_extension:volume_admin_actions:force_delete')
    volumes.erase(cinder, volume)
    return wire.empty(202)


def set_bootable(cinder: 'Cinder', request: wire.Request, volume: Volume, given: Any) -> wire.Response:
    """Set the bootable flag: 200 without a body."""
    records.touch(cinder, volume, bootable=str(given.get('bootable')).lower() == 'true')
    return wire.empty(200)


def set_readonly(cinder: 'Cinder', request: wire.Request, volume: Volume, given: Any) -> wire.Response:
    """Set the read-only flag, which the metadata show."""
    _require_status(volume, 'available')
    records.touch(cinder, volume, readonly=str(given.get('readonly')).lower() == 'true')
    return wire.empty(202)


def retype(cinder: 'Cinder', request: wire.Request, volume: Volume, given: Any) -> wire.Response:
    """Change the type, by name or id."""
    _require_status(volume, 'available', 'in-use')
    wanted = given.get('new_type')
    kind = types.named(cinder, wanted)
    if kind is None:
        raise Refusal(404, f'Volume type with name {wanted} could not be found.')
    records.touch(cinder, volume, type_id=kind['id'])
    return wire.empty(202)


def set_image_metadata(cinder: 'Cinder', request: wire.Request, volume: Volume, given: Any) -> wire.Response:
    """Set image metadata: 200 with all of them."""
    volume['image_metadata'] = {**volume['image_metadata'], **given.get('metadata', {})}
    return wire.reply({'metadata': volume['image_metadata']})


def unset_image_metadata(cinder: 'Cinder', request: wire.Request, volume: Volume, given: Any) -> wire.Response:
    """Delete one key of the image metadata."""
    if given.get('key') not in volume['image_metadata']:
        raise Refusal(404, 'Metadata does not exist.')
    volume['image_metadata'] = {key: value for key, value in volume['image_metadata'].items() if key != given['key']}
    return wire.bare(200)


def show_image_metadata(cinder: 'Cinder', request: wire.Request, volume: Volume, given: Any) -> wire.Response:
    """Show the image metadata."""
    return wire.reply({'metadata': volume['image_metadata']})


def initialize(cinder: 'Cinder', request: wire.Request, volume: Volume, given: Any) -> wire.Response:
    """Return the connection info of Cinder's fake driver."""
    return wire.reply(
        {
            'connection_info': {
                'driver_volume_type': 'fake',
                'data': {'volume_id': volume['id']},
                'enforce_multipath': False,
            }
        }
    )


def upload(cinder: 'Cinder', request: wire.Request, volume: Volume, given: Any) -> wire.Response:
    """Create an image from the volume."""
    _require_status(volume, 'available', 'in-use')
    formats = {
        'container_format': given.get('container_format', 'bare'),
        'disk_format': given.get('disk_format', 'raw'),
    }
    image = (
        cinder.glance.add_image(given['image_name'], request.user.project_id, data=Disk(volume).read(), **formats)
        if cinder.glance
        else {'id': cinder.new_id()}
    )
    before = volume['status']
    if cinder.glance and cinder.glance.when_stored(image['id'], lambda: volume.update(status=before)):
        volume['status'] = 'uploading'
    kind = cinder.types[volume['type_id']]
    view = {
        'id': volume['id'],
        'status': 'uploading',
        'size': volume['size'],
        'display_description': volume['description'],
        'image_id': image['id'],
        'image_name': given['image_name'],
        'updated_at': None,
        **formats,
        'volume_type': {'id': kind['id'], 'name': kind['name']},
    }
    return wire.reply({'os-volume_upload_image': view}, 202)


def nothing(cinder: 'Cinder', request: wire.Request, volume: Volume, given: Any) -> wire.Response:
    """Accept an action that changes nothing here."""
    return wire.empty(202)


def revert(cinder: 'Cinder', request: wire.Request, volume: Volume, given: Any) -> wire.Response:
    """Revert to the bytes of the latest snapshot, from 3.40."""
    mine = [row for row in cinder.snapshots.values() if row['volume_id'] == volume['id']]
    if not mine:
        raise Refusal(400, f"Volume {volume['id']} doesn't have any snapshots.")
    latest = max(mine, key=lambda row: row['created_at'])
    if given.get('snapshot_id') != latest['id'] or not lists.may_see(request, latest):
        raise Refusal(
            400,
            f'Specified snapshot {given.get("snapshot_id")} is None or not the latest one of volume {volume["id"]}.',
        )
    Disk(volume).replace(Disk(latest).read())
    return wire.empty(202)


def reimage(cinder: 'Cinder', request: wire.Request, volume: Volume, given: Any) -> wire.Response:
    """Replace the bytes by those of an image, from 3.68."""
    copied = cinder.bytes_of('image', given.get('image_id'))
    if copied:
        Disk(volume).replace(copied['disk'])
    return wire.empty(202)


def unmanage(cinder: 'Cinder', request: wire.Request, volume: Volume, given: Any) -> wire.Response:
    """Forget a volume, which stays in the pool under the name that Cinder's drivers give it."""
    cinder.admin_only(request, 'volume_extension:volume_unmanage')
    _require_status(volume, 'available', 'error')
    cinder.storage.unmanaged[f'volume-{volume["id"]}'] = Disk(volume).read()
    volumes.erase(cinder, volume)
    return wire.bare(202)


#: Action -> function and first minor version.
ACTIONS: dict[str, tuple[Action, int]] = {
    'os-attach': (attach, 0),
    'os-detach': (detach, 0),
    'os-reserve': (_change_status('attaching', 'available'), 0),
    'os-unreserve': (_change_status('available', 'attaching'), 0),
    'os-begin_detaching': (_change_status('detaching', 'in-use'), 0),
    'os-roll_detaching': (_change_status('in-use', 'detaching'), 0),
    'os-initialize_connection': (initialize, 0),
    'os-terminate_connection': (nothing, 0),
    'os-extend': (extend, 0),
    'os-reset_status': (reset_status, 0),
    'os-force_delete': (force_delete, 0),
    'os-set_bootable': (set_bootable, 0),
    'os-update_readonly_flag': (set_readonly, 0),
    'os-retype': (retype, 0),
    'os-set_image_metadata': (set_image_metadata, 0),
    'os-unset_image_metadata': (unset_image_metadata, 0),
    'os-show_image_metadata': (show_image_metadata, 0),
    'os-volume_upload_image': (upload, 0),
    'revert': (revert, 40),
    'os-reimage': (reimage, 68),
    'os-unmanage': (unmanage, 0),
}

ROUTES = [Route('POST', '/volumes/{volume_id}/action', act)]
