# SPDX-License-Identifier: Apache-2.0
"""The Cinder API-GW: Block Storage API v3 over all pods."""

from trio2o.cinder_apigw import (
    admin,
    attachments,
    backups,
    group_types,
    groups,
    limits,
    messages,
    qos,
    quotas,
    snapshots,
    transfers,
    types,
    versions,
    volumes,
    zones,
)
from trio2o.web.operations import OperationTable
from trio2o.web.service import Service, parse_range

SERVICE = Service(
    name='cinder_apigw',
    service_type='volume',
    catalog_types=('block-storage', 'volumev3', 'volume', 'block-store'),
    prefix='/v3',
    operations=OperationTable(
        [
            *volumes.OPERATIONS,
            *snapshots.OPERATIONS,
            *backups.OPERATIONS,
            *attachments.OPERATIONS,
            *transfers.OPERATIONS,
            *groups.OPERATIONS,
            *messages.OPERATIONS,
            *types.OPERATIONS,
            *group_types.OPERATIONS,
            *qos.OPERATIONS,
            *quotas.OPERATIONS,
            *limits.OPERATIONS,
            *admin.OPERATIONS,
            *zones.OPERATIONS,
            *versions.OPERATIONS,
        ]
    ),
    pages=versions.PAGES,
    version_name='volume',
    code_versions=parse_range('3.0', '3.71'),
    has_json_suffix=True,
    media_types=frozenset({'application/json', 'application/vnd.openstack.volume+json'}),
    malformed_url='Malformed request url',
)
