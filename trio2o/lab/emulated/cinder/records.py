# SPDX-License-Identifier: Apache-2.0
"""Records of volumes, snapshots and attachments, which are dicts."""

from typing import TYPE_CHECKING, Any

from trio2o.lab.disks import Disk

if TYPE_CHECKING:
    from trio2o.lab.emulated.cinder import Cinder


def default_type(cinder: 'Cinder') -> dict[str, Any]:
    """Return ``__DEFAULT__``, or the first type if that was deleted."""
    return next(
        (kind for kind in cinder.types.values() if kind['name'] == '__DEFAULT__'), next(iter(cinder.types.values()))
    )


def new_volume(cinder: 'Cinder', project_id: str, user_id: str, size: int, **given: Any) -> dict[str, Any]:
    """Add a volume that is available, unless ``given`` has another status, and blank, unless it has a ``disk``."""
    now = given.get('created_at') or cinder.stamp()
    volume = {
        'id': cinder.new_id(),
        'name': None,
        'description': None,
        'size': size,
        'project_id': project_id,
        'user_id': user_id,
        'status': 'available',
        'created_at': now,
        'updated_at': now,
        'availability_zone': cinder.settings.zones[0],
        'type_id': default_type(cinder)['id'],
        'snapshot_id': None,
        'source_volid': None,
        'metadata': {},
        'bootable': False,
        'multiattach': False,
        'readonly': None,
        'image_metadata': {},
        'host': f'{cinder.hosts[0]}@fake#fake',
        'migration_status': None,
        'replication_status': None,
        'group_id': None,
        'encryption_key_id': None,
    }
    volume |= given
    cinder.volumes[volume['id']] = volume
    return volume


def new_snapshot(cinder: 'Cinder', volume: dict[str, Any], **given: Any) -> dict[str, Any]:
    """Add a snapshot with the bytes of the volume; it is available, unless ``given`` has another status."""
    now = given.get('created_at') or cinder.stamp()
    snapshot = {
        'id': cinder.new_id(),
        'name': None,
        'description': None,
        'volume_id': volume['id'],
        'size': volume['size'],
        'project_id': volume['project_id'],
        'user_id': volume['user_id'],
        'status': 'available',
        'created_at': now,
        'updated_at': now,
        'metadata': {},
        'group_snapshot_id': None,
        'progress': '100%',
        'disk': Disk(volume).read(),
    }
    snapshot |= given
    cinder.snapshots[snapshot['id']] = snapshot
    return snapshot


def touch(cinder: 'Cinder', record: dict[str, Any], **changes: Any) -> None:
    """Change a record and its ``updated_at``."""
    record.update(changes)
    record['updated_at'] = cinder.stamp()


def attach(
    cinder: 'Cinder',
    volume: dict[str, Any],
    server_id: str | None,
    device: str | None,
    status: str = 'attached',
    mode: str = 'rw',
) -> str:
    """Add an attachment of a volume, and change the status of the volume.

    :returns: id of the attachment
    """
    attachment = {
        'id': cinder.new_id(),
        'volume_id': volume['id'],
        'instance': server_id,
        'device': device,
        'status': status,
        'attach_mode': mode,
        'attached_at': cinder.stamp() if status == 'attached' else None,
        'detached_at': None,
        'connection_info': {},
        'project_id': volume['project_id'],
        'created_at': cinder.stamp(),
    }
    cinder.attachments[attachment['id']] = attachment
    touch(cinder, volume, status='in-use' if status == 'attached' else 'reserved')
    return attachment['id']


def attachments_of(cinder: 'Cinder', volume_id: str) -> list[dict[str, Any]]:
    """Return the attachments of a volume."""
    return [row for row in cinder.attachments.values() if row['volume_id'] == volume_id]
