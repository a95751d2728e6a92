# SPDX-License-Identifier: Apache-2.0
"""Backups: in the pod of their volume, where alone they can be restored."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from typing import Any

from trio2o.cinder_apigw import changes, needs
from trio2o.cinder_apigw.paging import CinderList, shown_keys
from trio2o.cinder_apigw.quota_errors import over
from trio2o.cinder_apigw.volumes import is_full
from trio2o.gateway.claiming import SHRINKS
from trio2o.gateway.handlers.create import Place, pin_if
from trio2o.gateway.handlers.forward import AskAny, Forward, named
from trio2o.gateway.requested import Needs, whole
from trio2o.resources import BACKUP, SNAPSHOT, VOLUME, Resource
from trio2o.web import json_body
from trio2o.web.call import Call, parse_json
from trio2o.web.operations import Operation, actions


class BackupList(CinderList):
    """``GET /backups`` and ``GET /backups/detail``."""

    resource = BACKUP
    sort_keys = shown_keys(
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
    links_key = 'backups_links'
    related = {'volume_id': VOLUME}
    summary_fields = ('id', 'name', 'links')

    @property
    def pod_path(self) -> str:
        return '/backups/detail'


def pins(document: Any) -> Iterable[tuple[Resource, str]]:
    backup = document['backup']
    return pin_if(VOLUME, backup.get('volume_id')) + pin_if(SNAPSHOT, backup.get('snapshot_id'))


def _record(document: Any) -> dict[str, Any]:
    """What an exported record says."""
    text = json_body.at(document, 'backup-record', 'backup_url')
    try:
        record = parse_json(base64.b64decode(text)) if isinstance(text, str) else None
    except (binascii.Error, ValueError):
        record = None
    return record if isinstance(record, dict) else {}


def of_record(call: Call, document: Any) -> Needs:
    """What the backup counts for that a record is of."""
    return Needs(quota={'backups': 1, 'backup_gigabytes': whole(_record(document).get('size'))})


def record_pins(document: Any) -> Iterable[tuple[Resource, str]]:
    """Where an exported record came from: the pod that has the backup still, or its volume."""
    record = _record(document)
    return (pin_if(BACKUP, record.get('id')) or []) + pin_if(VOLUME, record.get('volume_id'))


def restored(document: Any) -> Iterable[tuple[Resource, str]]:
    """The volume that a restore goes to, which may have been made for it."""
    return pin_if(VOLUME, json_body.at(document, 'restore', 'volume_id'))


_UNKNOWN_ZONE = "Invalid input received: Availability zone '{zone}' is invalid."
CREATE = Place(
    BACKUP,
    unknown_zone=_UNKNOWN_ZONE,
    is_full=is_full,
    pins=pins,
    needs_pin=True,
    needs=needs.of_backup,
    refuse=over('backups'),
)
IMPORT = Place(
    BACKUP,
    unknown_zone='',
    is_full=is_full,
    known_pins=record_pins,
    body_key='backup-record',
    zone_field='',
    needs=of_record,
    refuse=over('backups'),
)
RESTORE = Forward(BACKUP, others=named(VOLUME, 'restore', 'volume_id'), born=restored, change=changes.RESTORE)
FORWARD = Forward(BACKUP)
DELETE = Forward(BACKUP, change=SHRINKS)

OPERATIONS = [
    Operation('backups.list', 'GET', '/backups', BackupList('/backups', is_detailed=False)),
    Operation('backups.list_detail', 'GET', '/backups/detail', BackupList('/backups/detail', is_detailed=True)),
    Operation('backups.create', 'POST', '/backups', CREATE),
    Operation('backups.import_record', 'POST', '/backups/import_record', IMPORT),
    Operation('backups.show', 'GET', '/backups/{id}', FORWARD),
    Operation('backups.update', 'PUT', '/backups/{id}', FORWARD, min_version=(3, 9)),
    Operation('backups.delete', 'DELETE', '/backups/{id}', DELETE),
    Operation('backups.restore', 'POST', '/backups/{id}/restore', RESTORE),
    Operation('backups.export_record', 'GET', '/backups/{id}/export_record', FORWARD),
    *actions('backups.action', '/backups/{id}/action', FORWARD, 'os-reset_status'),
    *actions('backups.action', '/backups/{id}/action', DELETE, 'os-force_delete'),
    Operation('backups.action', 'POST', '/backups/{id}/action', AskAny()),
]
