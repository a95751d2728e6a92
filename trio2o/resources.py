# SPDX-License-Identifier: Apache-2.0
"""The types of resources: their names, paths and fields in the APIs."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

Item = dict[str, Any]

#: The property of an image that names the type of the volumes that Cinder creates from it.
IMAGE_VOLUME_TYPE = 'cinder_img_volume_type'

#: The ids that Nova and Cinder give to resources, and those of projects and users in the columns of routings.
_UUID = re.compile(r'[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}')
_OWNER = re.compile(r'[!-~]{1,64}')

#: Years in which a resource can have been created: the clocks of hosts begin with the first one, and days can be added
#: to any time in the last one, which Python and databases cannot do with the very last times that they know.
_YEARS = range(1970, 9999)


def normalized_id(text: str) -> str:
    """Return a UUID in lower case, as pods store it, and any other text as it is.

    A pod on MySQL finds a resource by its id in capitals too. It is the same resource, with the same routing.
    """
    lower = text.lower()
    return lower if lower != text and _UUID.fullmatch(lower) else text


def folded_name(text: str) -> str:
    """Return a text that is equal for all names that a pod may take for the same.

    Databases differ in what they compare: MySQL ignores case, blanks at the end and, with some collations, accents,
    while PostgreSQL ignores nothing. So equal texts are only a reason to ask the pod.
    """
    parts = unicodedata.normalize('NFKD', text.casefold())
    return ''.join(each for each in parts if not unicodedata.combining(each)).casefold().rstrip()


def is_resource_id(value: Any) -> bool:
    """Whether a value of a pod's answer is the id of a resource. Nothing else is recorded as one."""
    return isinstance(value, str) and _UUID.fullmatch(value) is not None


def owner_id(value: Any) -> str:
    """Return a value of a pod's answer if it can be the id of a project or a user, else an empty string."""
    return value if isinstance(value, str) and _OWNER.fullmatch(value) else ''


@dataclass(frozen=True)
class Resource:
    """A type of resources that have ids.

    :ivar type: name in routings: ``server``
    :ivar service: ``compute`` or ``volume``: the API that has it
    :ivar path: path of the collection, below the version: ``/servers``
    :ivar member: key of one resource in a body
    :ivar collection: key of several resources in a body
    :ivar zones: fields of a resource that hold an availability zone
    :ivar owners: fields of a resource that may hold its project, the preferred one first
    :ivar name: field of a resource with its name
    :ivar created: field of a resource with its creation time
    :ivar host_id: field of a resource with the hash of its project and of the name of its host
    :ivar part_of: field of a resource with the id of the one that it is a part of, without which tenants do not see it
    :ivar missing: message of the 404, with ``{id}``
    :ivar is_deleted_synchronously: whether a resource is deleted when the pod answers, and not some time later
    :ivar lists_by_offset: whether its lists have only offsets, and no details, markers or times of change
    :ivar listed_at: first microversion whose lists show owner and creation time; '' for the oldest
    :ivar found_with: types from which resources of this type are made, so that a pod may have both
    """

    type: str
    service: str
    path: str
    member: str
    collection: str
    zones: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    name: str = 'name'
    created: str = 'created_at'
    missing: str = 'The resource could not be found.'
    is_deleted_synchronously: bool = False
    found_with: tuple[str, ...] = ()
    listed_at: str = ''
    lists_by_offset: bool = False
    host_id: str = ''
    part_of: str = ''

    @property
    def title(self) -> str:
        return self.type.replace('_', ' ').capitalize()

    def owner_of(self, item: Mapping[str, Any], default: str) -> str:
        return next((owner for name in self.owners if (owner := owner_id(item.get(name)))), default)

    def created_at(self, item: Mapping[str, Any]) -> datetime | None:
        """Return the creation time in a resource, UTC without a zone; None if it is not shown."""
        return parse_time(item.get(self.created))


@dataclass(frozen=True)
class SortKey:
    """A sort key of lists, and how to read its value from an item.

    :ivar read: None: the value is the field of the same name
    """

    name: str
    read: Callable[[Mapping[str, Any]], Any] | None = None

    def of(self, item: Mapping[str, Any]) -> Any:
        return item.get(self.name) if self.read is None else self.read(item)


def parse_time(text: Any) -> datetime | None:
    """Parse a time as Nova (``2026-01-31T12:00:00Z``) or Cinder (``2026-01-31T12:00:00.000000``) writes it.

    :returns: UTC without a zone; None if it is not such a time, or of a year in which nothing can have been created
    """
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo:
            moment = moment.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return None
    return moment if moment.year in _YEARS else None


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
    host_id='hostId',
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
    is_deleted_synchronously=True,
    found_with=('volume',),
    part_of='volume_id',
)
TRANSFER = Resource(
    'transfer',
    'volume',
    '/volume-transfers',
    'transfer',
    'transfers',
    owners=('source_project_id',),
    missing='Transfer {id} could not be found.',
    is_deleted_synchronously=True,
    found_with=('volume',),
)
MESSAGE = Resource(
    'message',
    'volume',
    '/messages',
    'message',
    'messages',
    missing='Message {id} could not be found.',
    is_deleted_synchronously=True,
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
#: Cinder stores it as a group with a group type of its own, and shows it in both APIs.
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
    is_deleted_synchronously=True,
    lists_by_offset=True,
)
#: Volumes and snapshots in the proxy APIs of Compute, up to 2.35. Their routings are those of VOLUME and SNAPSHOT.
PROXIED_VOLUME = Resource(
    'volume',
    'compute',
    '/os-volumes',
    'volume',
    'volumes',
    zones=('availabilityZone',),
    name='displayName',
    created='createdAt',
    missing='Volume {id} could not be found.',
)
PROXIED_SNAPSHOT = Resource(
    'snapshot',
    'compute',
    '/os-snapshots',
    'snapshot',
    'snapshots',
    name='displayName',
    created='createdAt',
    missing='Snapshot {id} could not be found.',
)

#: Types whose deletion in a pod Trio2o does not notice. Their routings are purged after some time; if the resource
#: still exists, a probe of the pods finds it again.
NOT_RECONCILED = frozenset(
    kind.type for kind in (ATTACHMENT, TRANSFER, MESSAGE, GROUP_SNAPSHOT, CONSISTENCYGROUP, CGSNAPSHOT)
)
#: Types whose routings are compared with the resources in the pods.
ROUTED = {kind.type: kind for kind in (SERVER, VOLUME, SNAPSHOT, BACKUP, GROUP, SERVER_GROUP)}
#: Type of a resource with a routing -> quota resources that it uses, the number of such resources first.
USED_BY = {
    'server': ('instances', 'cores', 'ram'),
    'server_group': ('server_groups',),
    'volume': ('volumes', 'gigabytes'),
    'snapshot': ('snapshots', 'gigabytes'),
    'backup': ('backups', 'backup_gigabytes'),
    'group': ('groups',),
    'consistencygroup': ('groups',),
}
