# SPDX-License-Identifier: Apache-2.0
"""Backups. A backup is in the pod of its volume, and can only be restored there."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trio2o import exception
from trio2o.cinder_apigw.paging import CinderList, shown_keys
from trio2o.cinder_apigw.quota_errors import over_quota_error
from trio2o.gateway.claiming import amounts_of
from trio2o.gateway.handlers.create import Create, Creation
from trio2o.gateway.handlers.forward import BodyRef, Forward, ForwardToAny, QuotaEffect
from trio2o.gateway.refs import Ref, refs
from trio2o.gateway.requested import Requested, default_type, whole_number
from trio2o.quota.amounts import Amounts, with_volume_type
from trio2o.quota.claims import OverQuota
from trio2o.resources import BACKUP, SNAPSHOT, VOLUME, Resource
from trio2o.routing.locator import Route
from trio2o.web import json_body
from trio2o.web.call import Answer, Call, parse_json
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


class CreateBackup(Create):
    """Create a backup in the pod of its volume."""

    resource = BACKUP
    unknown_zone = "Invalid input received: Availability zone '{zone}' is invalid."
    affinity_fields = {'volume_id': VOLUME, 'snapshot_id': SNAPSHOT}
    is_dependent = True

    def requested(self, creation: Creation) -> Requested:
        volume = amounts_of(creation.call, VOLUME, creation.inner.get('volume_id'))
        return Requested(quota={'backups': 1, 'backup_gigabytes': volume.get('gigabytes', 0)})

    def over_quota_error(self, error: OverQuota) -> exception.Trio2oException:
        return over_quota_error('backups', error)


class ImportBackup(Create):
    """Import the record of a backup into the pod that still has the backup or its volume."""

    resource = BACKUP
    body_key = 'backup-record'
    zone_field = ''

    def known_affinity_refs(self, creation: Creation) -> list[Ref]:
        record = _record(creation.document)
        return refs(BACKUP, record.get('id')) + refs(VOLUME, record.get('volume_id'))

    def requested(self, creation: Creation) -> Requested:
        size = whole_number(_record(creation.document).get('size'))
        return Requested(quota={'backups': 1, 'backup_gigabytes': size})

    def over_quota_error(self, error: OverQuota) -> exception.Trio2oException:
        return over_quota_error('backups', error)


def _record(document: Any) -> dict[str, Any]:
    """Return the contents of an exported record; {} if it cannot be read."""
    text = json_body.at(document, 'backup-record', 'backup_url')
    try:
        record = parse_json(base64.b64decode(text)) if isinstance(text, str) else None
    except (binascii.Error, ValueError):
        record = None
    return record if isinstance(record, dict) else {}


@dataclass(frozen=True)
class RestoreBackup(Forward):
    """Restore a backup to a volume in its pod, or to a new volume there."""

    resource: Resource = BACKUP
    quota_effect: QuotaEffect = QuotaEffect.GROWS
    other: BodyRef | None = BodyRef(VOLUME, ('restore', 'volume_id'))

    def quota_growth(self, call: Call, route: Route, counted: Amounts) -> Mapping[str, int]:
        if json_body.at(call.json, 'restore', 'volume_id'):
            return {}
        found = default_type(call)
        amounts = {'volumes': 1, 'gigabytes': counted.get('backup_gigabytes', 0)}
        return with_volume_type(amounts, found.name if found is not None else None)

    def over_quota_error(self, error: OverQuota) -> exception.Trio2oException:
        return over_quota_error('volumes', error)

    def new_refs(self, answer: Answer) -> list[Ref]:
        return refs(VOLUME, json_body.at(answer.json, 'restore', 'volume_id'))


_FORWARD = Forward(BACKUP)
_RELEASE = Forward(BACKUP, QuotaEffect.RELEASES)

OPERATIONS = [
    Operation('backups.list', 'GET', '/backups', BackupList('/backups', is_detailed=False)),
    Operation('backups.list_detail', 'GET', '/backups/detail', BackupList('/backups/detail', is_detailed=True)),
    Operation('backups.create', 'POST', '/backups', CreateBackup()),
    Operation('backups.import_record', 'POST', '/backups/import_record', ImportBackup()),
    Operation('backups.show', 'GET', '/backups/{id}', _FORWARD),
    Operation('backups.update', 'PUT', '/backups/{id}', _FORWARD, min_version=(3, 9)),
    Operation('backups.delete', 'DELETE', '/backups/{id}', _RELEASE),
    Operation('backups.restore', 'POST', '/backups/{id}/restore', RestoreBackup()),
    Operation('backups.export_record', 'GET', '/backups/{id}/export_record', _FORWARD),
    *actions('backups.action', '/backups/{id}/action', _FORWARD, 'os-reset_status'),
    *actions('backups.action', '/backups/{id}/action', _RELEASE, 'os-force_delete'),
    Operation('backups.action', 'POST', '/backups/{id}/action', ForwardToAny()),
]
