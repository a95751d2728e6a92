# SPDX-License-Identifier: Apache-2.0
"""Groups of volumes and their snapshots, under the names of today and as consistency groups.

A group is in one pod with all its volumes. What is born with it (volumes of a copy, snapshots of a group
snapshot) is not named in any answer, and found where it is asked for first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from trio2o.cinder_apigw import needs
from trio2o.cinder_apigw.paging import CinderList, shown_keys
from trio2o.cinder_apigw.quota_errors import over
from trio2o.cinder_apigw.volumes import is_full
from trio2o.gateway.claiming import SHRINKS
from trio2o.gateway.handlers.create import Pins, Place, References, pin_if
from trio2o.gateway.handlers.forward import AskAny, Forward, Others
from trio2o.resources import CGSNAPSHOT, CONSISTENCYGROUP, GROUP, GROUP_SNAPSHOT, VOLUME, Resource
from trio2o.web import json_body
from trio2o.web.operations import Operation

_UNKNOWN_ZONE = "Invalid input received: Availability zone '{zone}' is invalid."


class _GroupsList(CinderList):
    """A list of groups or of their snapshots, whose brief form has names and ids."""

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


def source(key: str, **kinds: Resource) -> Pins:
    """What a new one is made from, by the name of the field."""

    def pins(document: Any) -> Iterable[tuple[Resource, str]]:
        inner = json_body.at(document, key) or {}
        return [pin for name, resource in kinds.items() for pin in pin_if(resource, inner.get(name))]

    return pins


def members(key: str) -> Others:
    """The volumes that an update puts in or takes out."""

    def others(document: Any) -> Iterable[tuple[Resource, str]]:
        texts = [json_body.at(document, key, name) for name in ('add_volumes', 'remove_volumes')]
        ids = [part.strip() for text in texts if isinstance(text, str) for part in text.split(',')]
        return [pin for volume_id in ids for pin in pin_if(VOLUME, volume_id)]

    return others


def group_references(document: Any) -> list[tuple[str, str]]:
    group = document['group']
    types = group.get('volume_types')
    found = [('volume_type', name) for name in types if isinstance(name, str)] if isinstance(types, list) else []
    if isinstance(group.get('group_type'), str):
        found.append(('group_type', group['group_type']))
    return found


def consistencygroup_references(document: Any) -> list[tuple[str, str]]:
    types = document['consistencygroup'].get('volume_types')
    names = types.split(',') if isinstance(types, str) else []
    return [('volume_type', name) for name in names if name]


def create(resource: Resource, references: References) -> Place:
    return Place(
        resource,
        unknown_zone=_UNKNOWN_ZONE,
        is_full=is_full,
        references=references,
        needs=needs.of_group,
        refuse=over('groups'),
    )


def create_from(resource: Resource, pins: Pins, body_key: str = '') -> Place:
    """:param body_key: of what a copy of a group is made from; without it a group is snapshotted"""
    return Place(
        resource,
        unknown_zone='',
        is_full=is_full,
        pins=pins,
        body_key=body_key,
        zone_field='',
        needs_pin=True,
        needs=needs.of_copied_group if body_key else needs.of_group_snapshot,
        refuse=over('groups' if body_key else 'snapshots'),
    )


_GROUP = Forward(GROUP)
_SNAPSHOT = Forward(GROUP_SNAPSHOT)
_CG = Forward(CONSISTENCYGROUP)
_CGSNAPSHOT = Forward(CGSNAPSHOT)
_DELETE = {kind: Forward(kind, change=SHRINKS) for kind in (GROUP, GROUP_SNAPSHOT, CONSISTENCYGROUP, CGSNAPSHOT)}

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
    Operation('groups.create', 'POST', '/groups', create(GROUP, group_references), None, (3, 13)),
    Operation(
        'groups.action.create-from-src',
        'POST',
        '/groups/action',
        create_from(
            GROUP,
            source('create-from-src', group_snapshot_id=GROUP_SNAPSHOT, source_group_id=GROUP),
            'create-from-src',
        ),
        'create-from-src',
        (3, 14),
    ),
    Operation('groups.action.unknown', 'POST', '/groups/action', AskAny(), None, (3, 13)),
    Operation('groups.show', 'GET', '/groups/{id}', _GROUP, None, (3, 13)),
    Operation('groups.update', 'PUT', '/groups/{id}', Forward(GROUP, others=members('group')), None, (3, 13)),
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
    Operation('groups.action', 'POST', '/groups/{id}/action', AskAny(), None, (3, 13)),
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
        create_from(GROUP_SNAPSHOT, source('group_snapshot', group_id=GROUP)),
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
    Operation('group_snapshots.action', 'POST', '/group_snapshots/{id}/action', AskAny(), None, (3, 14)),
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
        create(CONSISTENCYGROUP, consistencygroup_references),
    ),
    Operation(
        'consistencygroups.create_from_src',
        'POST',
        '/consistencygroups/create_from_src',
        create_from(
            CONSISTENCYGROUP,
            source('consistencygroup-from-src', cgsnapshot_id=CGSNAPSHOT, source_cgid=CONSISTENCYGROUP),
            'consistencygroup-from-src',
        ),
    ),
    Operation('consistencygroups.show', 'GET', '/consistencygroups/{id}', _CG),
    Operation('consistencygroups.delete', 'POST', '/consistencygroups/{id}/delete', _DELETE[CONSISTENCYGROUP]),
    *(
        Operation(name, 'PUT', path, Forward(CONSISTENCYGROUP, others=members('consistencygroup')))
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
        create_from(CGSNAPSHOT, source('cgsnapshot', consistencygroup_id=CONSISTENCYGROUP)),
    ),
    Operation('cgsnapshots.show', 'GET', '/cgsnapshots/{id}', _CGSNAPSHOT),
    Operation('cgsnapshots.delete', 'DELETE', '/cgsnapshots/{id}', _DELETE[CGSNAPSHOT]),
]

OPERATIONS = [*GROUPS, *GROUP_SNAPSHOTS, *CONSISTENCYGROUPS]
