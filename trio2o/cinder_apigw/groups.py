# SPDX-License-Identifier: Apache-2.0
"""Generic volume groups, consistency groups, and the snapshots of both.

A group is in one pod with all of its volumes. The answer to a create does not name the resources that are created with
it (volumes of a copy, snapshots of a group snapshot). They get a routing when a request first names them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from trio2o import exception
from trio2o.cinder_apigw.paging import CinderList, shown_keys
from trio2o.cinder_apigw.quota_errors import over_quota_error
from trio2o.gateway.claiming import amounts_of
from trio2o.gateway.handlers.create import Create, Creation
from trio2o.gateway.handlers.forward import Forward, ForwardToAny, QuotaEffect
from trio2o.gateway.refs import Ref, check_number, refs
from trio2o.gateway.requested import Requested, snapshot_amounts
from trio2o.pods import podapi
from trio2o.quota.amounts import Amounts, total
from trio2o.quota.claims import OverQuota
from trio2o.quota.usage import deltas_of
from trio2o.resources import (
    CGSNAPSHOT,
    CONSISTENCYGROUP,
    GROUP,
    GROUP_SNAPSHOT,
    SNAPSHOT,
    VOLUME,
    Item,
    Resource,
    normalized_id,
)
from trio2o.routing.inventory import Inventory
from trio2o.web import json_body, pod_failures
from trio2o.web.call import Call
from trio2o.web.operations import Operation

LOG = logging.getLogger(__name__)


class _GroupsList(CinderList):
    """A list of groups or of their snapshots, which shows names and ids if it is not detailed."""

    summary_fields = ('id', 'name')

    @property
    def pod_path(self) -> str:
        return f'{self.resource.path}/detail'

    @property
    def link_path(self) -> str:
        return self.resource.path


class GroupList(_GroupsList):
    """``GET /groups`` and ``GET /groups/detail``."""

    resource = GROUP
    sort_keys = shown_keys(
        'availability_zone',
        'cluster_name',
        'created_at',
        'description',
        'group_snapshot_id',
        'host',
        'id',
        'name',
        'project_id',
        'replication_status',
        'source_group_id',
        'status',
        'updated_at',
        'user_id',
        group_type_id='group_type',
    )
    links_key = 'group_links'


class ConsistencyGroupList(GroupList):
    """``GET /consistencygroups`` and ``GET /consistencygroups/detail``."""

    resource = CONSISTENCYGROUP
    links_key = 'consistencygroup_links'


class GroupSnapshotList(_GroupsList):
    """``GET /group_snapshots`` and ``GET /group_snapshots/detail``."""

    resource = GROUP_SNAPSHOT
    sort_keys = shown_keys(
        'created_at',
        'description',
        'group_id',
        'group_type_id',
        'id',
        'name',
        'project_id',
        'status',
        'updated_at',
        'user_id',
    )
    links_key = 'group_snapshot_links'
    paged_since: ClassVar[tuple[int, int] | None] = (3, 29)
    related: ClassVar[Mapping[str, Resource]] = {'group_id': GROUP}


class CgsnapshotList(GroupSnapshotList):
    """``GET /cgsnapshots`` and ``GET /cgsnapshots/detail``."""

    resource = CGSNAPSHOT
    links_key = ''
    paged_since = None
    related = {}


class _CreateGroup(Create):
    """Create an empty group of either kind."""

    unknown_zone = "Invalid input received: Availability zone '{zone}' is invalid."

    def requested(self, creation: Creation) -> Requested:
        return Requested(quota={'groups': 1})

    def over_quota_error(self, error: OverQuota) -> exception.Trio2oException:
        return over_quota_error('groups', error)


class CreateGroup(_CreateGroup):
    """Create a group."""

    resource = GROUP

    def replicated_refs(self, creation: Creation) -> list[tuple[str, str]]:
        """Return the type of the group, and those of its volumes."""
        types, group_type = creation.inner.get('volume_types'), creation.inner.get('group_type')
        check_number(creation.call, 'volume_types', types if isinstance(types, list) else ())
        found = [('volume_type', name) for name in types if isinstance(name, str)] if isinstance(types, list) else []
        return [*found, ('group_type', group_type)] if isinstance(group_type, str) else found


class CreateConsistencyGroup(_CreateGroup):
    """Create a consistency group."""

    resource = CONSISTENCYGROUP

    def replicated_refs(self, creation: Creation) -> list[tuple[str, str]]:
        """Return the types of its volumes."""
        types = creation.inner.get('volume_types')
        names = types.split(',') if isinstance(types, str) else []
        check_number(creation.call, 'volume_types', names)
        return [('volume_type', name) for name in names if name]


class _CopyGroup(Create):
    """Create a group from another one, or from a snapshot of one, with a copy of each of its volumes."""

    zone_field = ''
    is_dependent = True

    def requested(self, creation: Creation) -> Requested:
        """Return one group, and the volumes of its source."""
        call, inner = creation.call, creation.inner
        group_id = inner.get('source_group_id') or inner.get('source_cgid')
        if group_id:
            volumes = _volumes_of(call, group_id)
        else:
            volumes = _volumes_in(call, inner.get('group_snapshot_id') or inner.get('cgsnapshot_id'))
        return Requested(quota=total([{'groups': 1}, *volumes]))

    def over_quota_error(self, error: OverQuota) -> exception.Trio2oException:
        return over_quota_error('groups', error)


class CopyGroup(_CopyGroup):
    """Create a group from another group or a group snapshot."""

    resource = GROUP
    body_key = 'create-from-src'
    affinity_fields = {'group_snapshot_id': GROUP_SNAPSHOT, 'source_group_id': GROUP}


class CopyConsistencyGroup(_CopyGroup):
    """Create a consistency group from another one or from a snapshot of one."""

    resource = CONSISTENCYGROUP
    body_key = 'consistencygroup-from-src'
    affinity_fields = {'cgsnapshot_id': CGSNAPSHOT, 'source_cgid': CONSISTENCYGROUP}


class _SnapshotGroup(Create):
    """Create a snapshot of a group, with a snapshot of each of its volumes."""

    zone_field = ''
    is_dependent = True

    def requested(self, creation: Creation) -> Requested:
        """Return a snapshot of each volume of the group."""
        inner = creation.inner
        volumes = _volumes_of(creation.call, inner.get('group_id') or inner.get('consistencygroup_id'))
        return Requested(quota=total(snapshot_amounts(volume) for volume in volumes))

    def over_quota_error(self, error: OverQuota) -> exception.Trio2oException:
        return over_quota_error('snapshots', error)


class CreateGroupSnapshot(_SnapshotGroup):
    """Create a snapshot of a group."""

    resource = GROUP_SNAPSHOT
    affinity_fields = {'group_id': GROUP}


class CreateCgsnapshot(_SnapshotGroup):
    """Create a snapshot of a consistency group."""

    resource = CGSNAPSHOT
    affinity_fields = {'consistencygroup_id': CONSISTENCYGROUP}


def _volumes_of(call: Call, group_id: Any) -> list[Amounts]:
    """Return the quota that each volume of a group uses."""
    group_id = normalized_id(group_id) if isinstance(group_id, str) else None
    items = _items_in_pod_of(call, VOLUME, GROUP, group_id)
    fields = ('group_id', 'consistencygroup_id')
    volumes = [item for item in items if group_id in (item.get(name) for name in fields)]
    return [deltas_of(call.runtime.db, VOLUME.type, volume) or {} for volume in volumes]


def _volumes_in(call: Call, snapshot_id: Any) -> list[Amounts]:
    """Return the quota that each volume with a snapshot in a group snapshot uses."""
    snapshot_id = normalized_id(snapshot_id) if isinstance(snapshot_id, str) else None
    items = _items_in_pod_of(call, SNAPSHOT, GROUP_SNAPSHOT, snapshot_id)
    snapshots = [item for item in items if item.get('group_snapshot_id') == snapshot_id]
    return [amounts_of(call, VOLUME, snapshot.get('volume_id')) for snapshot in snapshots]


def _items_in_pod_of(call: Call, resource: Resource, group: Resource, group_id: Any) -> list[Item]:
    """Return all resources of a kind that the project has in the pod of a group; none if the caller has no such group.

    :param group: the kind of the group, or of its snapshot
    :raises ServiceUnavailable: the pod of the group does not list them
    """
    if not isinstance(group_id, str):
        return []
    for kind in (group, CONSISTENCYGROUP) if group is GROUP else (group,):
        try:
            route = call.runtime.locator.find(call, kind, group_id)
        except exception.NotFound:
            continue
        if not route.is_live or not route.is_known_to(call):
            continue
        try:
            return list(Inventory(call.runtime, route.pod, resource, route.project_id).items())
        except (exception.Trio2oException, podapi.PodRefused) as error:
            LOG.warning('cannot claim quota for the %ss of %s %s: %s', resource.type, kind.type, route.top_id, error)
            raise pod_failures.unreachable(f'{kind.title} {route.top_id}', route.pod.zone) from error
    return []


@dataclass(frozen=True)
class UpdateGroup(Forward):
    """Update a group; the volumes that it gets or loses have to be in its pod."""

    def same_pod_refs(self, call: Call) -> Iterable[Ref]:
        """:raises BadRequest: the volumes are too many"""
        found: list[Ref] = []
        for name in ('add_volumes', 'remove_volumes'):
            text = json_body.at(call.json, self.resource.member, name)
            if isinstance(text, str):
                ids = {part.strip(): None for part in text.split(',')}
                check_number(call, name, ids)
                found += refs(VOLUME, *ids)
        return found


_GROUP = Forward(GROUP)
_SNAPSHOT = Forward(GROUP_SNAPSHOT)
_CG = Forward(CONSISTENCYGROUP)
_CGSNAPSHOT = Forward(CGSNAPSHOT)
_DELETE = {kind: Forward(kind, QuotaEffect.RELEASES) for kind in (GROUP, GROUP_SNAPSHOT, CONSISTENCYGROUP, CGSNAPSHOT)}

GROUPS = [
    Operation('groups.list', 'GET', '/groups', GroupList('/groups', is_detailed=False), None, (3, 13)),
    Operation(
        'groups.list_detail',
        'GET',
        '/groups/detail',
        GroupList('/groups/detail', is_detailed=True),
        None,
        (3, 13),
    ),
    Operation('groups.create', 'POST', '/groups', CreateGroup(), None, (3, 13)),
    Operation(
        'groups.action.create-from-src',
        'POST',
        '/groups/action',
        CopyGroup(),
        'create-from-src',
        (3, 14),
    ),
    Operation('groups.action.unknown', 'POST', '/groups/action', ForwardToAny(), None, (3, 13)),
    Operation('groups.show', 'GET', '/groups/{id}', _GROUP, None, (3, 13)),
    Operation('groups.update', 'PUT', '/groups/{id}', UpdateGroup(GROUP), None, (3, 13)),
    Operation('groups.action.delete', 'POST', '/groups/{id}/action', _DELETE[GROUP], 'delete', (3, 13)),
    Operation('groups.action.reset_status', 'POST', '/groups/{id}/action', _GROUP, 'reset_status', (3, 20)),
    *(
        Operation(f'groups.action.{key}', 'POST', '/groups/{id}/action', _GROUP, key, (3, 38))
        for key in (
            'enable_replication',
            'disable_replication',
            'failover_replication',
        )
    ),
    Operation(
        'groups.action.list_replication_targets',
        'POST',
        '/groups/{id}/action',
        Forward(GROUP, is_read=True),
        'list_replication_targets',
        (3, 38),
    ),
    Operation('groups.action', 'POST', '/groups/{id}/action', ForwardToAny(), None, (3, 13)),
]

GROUP_SNAPSHOTS = [
    Operation(
        'group_snapshots.list',
        'GET',
        '/group_snapshots',
        GroupSnapshotList('/group_snapshots', is_detailed=False),
        None,
        (3, 14),
    ),
    Operation(
        'group_snapshots.list_detail',
        'GET',
        '/group_snapshots/detail',
        GroupSnapshotList('/group_snapshots/detail', is_detailed=True),
        None,
        (3, 14),
    ),
    Operation(
        'group_snapshots.create',
        'POST',
        '/group_snapshots',
        CreateGroupSnapshot(),
        None,
        (3, 14),
    ),
    Operation('group_snapshots.show', 'GET', '/group_snapshots/{id}', _SNAPSHOT, None, (3, 14)),
    Operation('group_snapshots.delete', 'DELETE', '/group_snapshots/{id}', _DELETE[GROUP_SNAPSHOT], None, (3, 14)),
    Operation(
        'group_snapshots.action.reset_status',
        'POST',
        '/group_snapshots/{id}/action',
        _SNAPSHOT,
        'reset_status',
        (3, 19),
    ),
    Operation('group_snapshots.action', 'POST', '/group_snapshots/{id}/action', ForwardToAny(), None, (3, 14)),
]

CONSISTENCYGROUPS = [
    Operation(
        'consistencygroups.list',
        'GET',
        '/consistencygroups',
        ConsistencyGroupList('/consistencygroups', is_detailed=False),
    ),
    Operation(
        'consistencygroups.list_detail',
        'GET',
        '/consistencygroups/detail',
        ConsistencyGroupList('/consistencygroups/detail', is_detailed=True),
    ),
    Operation(
        'consistencygroups.create',
        'POST',
        '/consistencygroups',
        CreateConsistencyGroup(),
    ),
    Operation(
        'consistencygroups.create_from_src',
        'POST',
        '/consistencygroups/create_from_src',
        CopyConsistencyGroup(),
    ),
    Operation('consistencygroups.show', 'GET', '/consistencygroups/{id}', _CG),
    Operation('consistencygroups.delete', 'POST', '/consistencygroups/{id}/delete', _DELETE[CONSISTENCYGROUP]),
    *(
        Operation(name, 'PUT', path, UpdateGroup(CONSISTENCYGROUP))
        for name, path in (
            ('consistencygroups.update', '/consistencygroups/{id}'),
            ('consistencygroups.update_action', '/consistencygroups/{id}/update'),
        )
    ),
    Operation('cgsnapshots.list', 'GET', '/cgsnapshots', CgsnapshotList('/cgsnapshots', is_detailed=False)),
    Operation(
        'cgsnapshots.list_detail',
        'GET',
        '/cgsnapshots/detail',
        CgsnapshotList('/cgsnapshots/detail', is_detailed=True),
    ),
    Operation(
        'cgsnapshots.create',
        'POST',
        '/cgsnapshots',
        CreateCgsnapshot(),
    ),
    Operation('cgsnapshots.show', 'GET', '/cgsnapshots/{id}', _CGSNAPSHOT),
    Operation('cgsnapshots.delete', 'DELETE', '/cgsnapshots/{id}', _DELETE[CGSNAPSHOT]),
]

OPERATIONS = [*GROUPS, *GROUP_SNAPSHOTS, *CONSISTENCYGROUPS]
