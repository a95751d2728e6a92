# SPDX-License-Identifier: Apache-2.0
"""The kinds of resources that have routings."""

from trio2o.gateway.resource import Resource

SERVER = Resource(
    'server',
    'compute',
    '/servers',
    'server',
    'servers',
    zones=('OS-EXT-AZ:availability_zone', 'pinned_availability_zone'),
    owners=('tenant_id',),
    created='created',
    missing='Instance {id} could not be found.',
)
VOLUME = Resource(
    'volume',
    'volume',
    '/volumes',
    'volume',
    'volumes',
    zones=('availability_zone',),
    owners=('os-vol-tenant-attr:tenant_id',),
    missing='Volume {id} could not be found.',
)
SNAPSHOT = Resource(
    'snapshot',
    'volume',
    '/snapshots',
    'snapshot',
    'snapshots',
    owners=('os-extended-snapshot-attributes:project_id',),
    missing='Snapshot {id} could not be found.',
)

BACKUP = Resource(
    'backup',
    'volume',
    '/backups',
    'backup',
    'backups',
    zones=('availability_zone',),
    owners=('os-backup-project-attr:project_id',),
    missing='Backup {id} could not be found.',
    found_with=('volume', 'snapshot'),
    listed_at='3.18',
)
ATTACHMENT = Resource(
    'attachment',
    'volume',
    '/attachments',
    'attachment',
    'attachments',
    missing='Volume attachment could not be found with filter: attachment_id = {id}.',
    goes_at_once=True,
    found_with=('volume',),
)
TRANSFER = Resource(
    'transfer',
    'volume',
    '/volume-transfers',
    'transfer',
    'transfers',
    owners=('source_project_id',),
    missing='Transfer {id} could not be found.',
    goes_at_once=True,
    found_with=('volume',),
)
MESSAGE = Resource(
    'message',
    'volume',
    '/messages',
    'message',
    'messages',
    missing='Message {id} could not be found.',
    goes_at_once=True,
    found_with=('volume', 'snapshot', 'backup', 'group'),
)
GROUP = Resource(
    'group',
    'volume',
    '/groups',
    'group',
    'groups',
    zones=('availability_zone',),
    owners=('project_id',),
    missing='Group {id} could not be found.',
    found_with=('volume',),
    listed_at='3.58',
)
GROUP_SNAPSHOT = Resource(
    'group_snapshot',
    'volume',
    '/group_snapshots',
    'group_snapshot',
    'group_snapshots',
    owners=('project_id',),
    missing='GroupSnapshot {id} could not be found.',
    found_with=('snapshot', 'group'),
)
#: What Cinder keeps as a group of a type of its own, and shows under either name.
CONSISTENCYGROUP = Resource(
    'consistencygroup',
    'volume',
    '/consistencygroups',
    'consistencygroup',
    'consistencygroups',
    zones=('availability_zone',),
    missing='Group {id} could not be found.',
    found_with=('volume', 'group'),
)
CGSNAPSHOT = Resource(
    'cgsnapshot',
    'volume',
    '/cgsnapshots',
    'cgsnapshot',
    'cgsnapshots',
    missing='GroupSnapshot {id} could not be found.',
    found_with=('snapshot', 'consistencygroup', 'group'),
)

SERVER_GROUP = Resource(
    'server_group',
    'compute',
    '/os-server-groups',
    'server_group',
    'server_groups',
    owners=('project_id',),
    missing='Instance group {id} could not be found.',
    goes_at_once=True,
    is_sliced=True,
)
#: Volumes and snapshots as compute showed them up to 2.35; their routings are the same.
PROXIED_VOLUME = Resource(
    'volume',
    'compute',
    '/os-volumes',
    'volume',
    'volumes',
    zones=('availabilityZone',),
    created='createdAt',
    missing='Volume {id} could not be found.',
)
PROXIED_SNAPSHOT = Resource(
    'snapshot',
    'compute',
    '/os-snapshots',
    'snapshot',
    'snapshots',
    created='createdAt',
    missing='Snapshot {id} could not be found.',
)

#: Those whose end nobody tells; what is there still is found again by asking the pods.
UNFOLLOWED = frozenset(
    kind.type for kind in (ATTACHMENT, TRANSFER, MESSAGE, GROUP_SNAPSHOT, CONSISTENCYGROUP, CGSNAPSHOT)
)
#: Those whose routings are compared with what the pods have.
ROUTED = {kind.type: kind for kind in (SERVER, VOLUME, SNAPSHOT, BACKUP, GROUP, SERVER_GROUP)}
