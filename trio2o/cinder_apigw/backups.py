# SPDX-License-Identifier: Apache-2.0
"""Backups: in the pod of their volume, where alone they can be restored."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from typing import Any

from trio2o.cinder_apigw import lists
from trio2o.cinder_apigw.volumes import is_full
from trio2o.gateway.forward import AskAny, Forward, at, named
from trio2o.gateway.gather import Gather
from trio2o.gateway.kinds import BACKUP, SNAPSHOT, VOLUME
from trio2o.gateway.place import Place, pin_if
from trio2o.gateway.resource import Resource
from trio2o.web.call import parse_json
from trio2o.web.operations import Operation, actions

SORT_KEYS = lists.sort_keys(
    'availability_zone',
    'container',
    'created_at',
    'data_timestamp',
    'fail_reason',
    'id',
    'name',
    'object_count',
    'size',
    'snapshot_id',
    'status',
    'updated_at',
    'user_id',
    'volume_id',
    'host',
    'parent_id',
    'service',
    'temp_volume_id',
    'temp_snapshot_id',
    display_name='name',
    display_description='description',
    project_id='os-backup-project-attr:project_id',
)


def backup_list(path: str, *, is_detailed: bool) -> Gather:
    return Gather(
        BACKUP,
        lists.paging(BACKUP, 'backups_links'),
        SORT_KEYS,
        ('created_at', True),
        path,
        detail_path='/backups/detail',
        brief=None if is_detailed else lists.brief('id', 'name', 'links'),
        all_projects=lists.all_projects,
        narrowed_by=(('volume_id', VOLUME),),
    )


def pins(document: Any) -> Iterable[tuple[Resource, str]]:
    backup = document['backup']
    return pin_if(VOLUME, backup.get('volume_id')) + pin_if(SNAPSHOT, backup.get('snapshot_id'))


def record_pins(document: Any) -> Iterable[tuple[Resource, str]]:
    """Where an exported record came from: the pod that has the backup still, or its volume."""
    text = at('backup-record', 'backup_url')(document)
    try:
        record = parse_json(base64.b64decode(text)) if isinstance(text, str) else None
    except (binascii.Error, ValueError):
        record = None
    if not isinstance(record, dict):
        return []
    return (pin_if(BACKUP, record.get('id')) or []) + pin_if(VOLUME, record.get('volume_id'))


def restored(document: Any) -> Iterable[tuple[Resource, str]]:
    """The volume that a restore goes to, which may have been made for it."""
    return pin_if(VOLUME, at('restore', 'volume_id')(document))


_UNKNOWN_ZONE = "Invalid input received: Availability zone '{zone}' is invalid."
CREATE = Place(BACKUP, unknown_zone=_UNKNOWN_ZONE, is_full=is_full, pins=pins, needs_pin=True)
IMPORT = Place(
    BACKUP, unknown_zone='', is_full=is_full, known_pins=record_pins, body_key='backup-record', zone_field=''
)
RESTORE = Forward(BACKUP, others=named(VOLUME, 'restore', 'volume_id'), born=restored)
FORWARD = Forward(BACKUP)

OPERATIONS = [
    Operation('backups.list', 'GET', '/backups', backup_list('/backups', is_detailed=False)),
    Operation('backups.list_detail', 'GET', '/backups/detail', backup_list('/backups/detail', is_detailed=True)),
    Operation('backups.create', 'POST', '/backups', CREATE),
    Operation('backups.import_record', 'POST', '/backups/import_record', IMPORT),
    Operation('backups.show', 'GET', '/backups/{id}', FORWARD),
    Operation('backups.update', 'PUT', '/backups/{id}', FORWARD, min_version=(3, 9)),
    Operation('backups.delete', 'DELETE', '/backups/{id}', FORWARD),
    Operation('backups.restore', 'POST', '/backups/{id}/restore', RESTORE),
    Operation('backups.export_record', 'GET', '/backups/{id}/export_record', FORWARD),
    *actions('backups.action', '/backups/{id}/action', FORWARD, 'os-reset_status', 'os-force_delete'),
    Operation('backups.action', 'POST', '/backups/{id}/action', AskAny()),
]
