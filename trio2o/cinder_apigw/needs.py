# SPDX-License-Identifier: Apache-2.0
"""What volumes and what is made of them take: of the quota, and of the pod that they go to."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from trio2o import exception
from trio2o.gateway.claiming import amounts_of
from trio2o.gateway.handlers.forward import at
from trio2o.gateway.requested import Needs, default_type, volume_type, whole
from trio2o.pods.podapi import PodRefused
from trio2o.quota.amounts import Amounts, total, type_in, typed
from trio2o.quota.settle import NotNow, Settler, Where
from trio2o.quota.usage import deltas_of
from trio2o.resources import BACKUP, CONSISTENCYGROUP, GROUP, GROUP_SNAPSHOT, SNAPSHOT, VOLUME, Resource
from trio2o.web.call import Call

LOG = logging.getLogger(__name__)

_SOURCES = (('snapshot_id', SNAPSHOT), ('source_volid', VOLUME), ('backup_id', BACKUP))


def of_volume(call: Call, document: Any) -> Needs:
    """One volume, of the size and type it is given, or else of those of what it is made from."""
    volume = document['volume']
    source = _source(call, volume)
    size = whole(volume.get('size')) or source.get('gigabytes') or source.get('backup_gigabytes') or 0
    found = volume_type(call, volume.get('volume_type') or type_in(source)) or default_type(call)
    return Needs(
        quota=typed({'volumes': 1, 'gigabytes': size}, found.name if found is not None else None),
        resources={'gigabytes': size},
        extra_specs=found.extra_specs if found is not None else {},
    )


def _source(call: Call, volume: Mapping[str, Any]) -> Amounts:
    if volume.get('size') and volume.get('volume_type'):
        return {}
    return next((amounts_of(call, kind, volume[key]) for key, kind in _SOURCES if volume.get(key)), {})


def of_snapshot(call: Call, document: Any) -> Needs:
    """One snapshot, of the size and type of its volume."""
    volume = amounts_of(call, VOLUME, document['snapshot'].get('volume_id'))
    return Needs(quota=_snapshot_of(volume))


def _snapshot_of(volume: Amounts) -> dict[str, int]:
    return typed({'snapshots': 1, 'gigabytes': volume.get('gigabytes', 0)}, type_in(volume))


def of_backup(call: Call, document: Any) -> Needs:
    volume = amounts_of(call, VOLUME, document['backup'].get('volume_id'))
    return Needs(quota={'backups': 1, 'backup_gigabytes': volume.get('gigabytes', 0)})


def of_group(call: Call, document: Any) -> Needs:
    return Needs(quota={'groups': 1})


def of_copied_group(call: Call, document: Any) -> Needs:
    """A group, and a volume for each of those that it is made from."""
    inner = at('create-from-src')(document) or at('consistencygroup-from-src')(document) or {}
    group_id = inner.get('source_group_id') or inner.get('source_cgid')
    if group_id:
        parts = _volumes_of(call, group_id)
    else:
        parts = _volumes_in(call, inner.get('group_snapshot_id') or inner.get('cgsnapshot_id'))
    return Needs(quota=total([{'groups': 1}, *parts]))


def of_group_snapshot(call: Call, document: Any) -> Needs:
    """A snapshot of each volume of a group."""
    inner = at('group_snapshot')(document) or at('cgsnapshot')(document) or {}
    volumes = _volumes_of(call, inner.get('group_id') or inner.get('consistencygroup_id'))
    return Needs(quota=total(_snapshot_of(volume) for volume in volumes))


def _volumes_of(call: Call, group_id: Any) -> list[Amounts]:
    """What each volume of a group counts for."""
    items = _members(call, VOLUME, GROUP, group_id)
    fields = ('group_id', 'consistencygroup_id')
    return _measured(call, VOLUME, [item for item in items if group_id in (item.get(name) for name in fields)])


def _volumes_in(call: Call, snapshot_id: Any) -> list[Amounts]:
    """What each volume counts for that a snapshot of a group is of."""
    items = _members(call, SNAPSHOT, GROUP_SNAPSHOT, snapshot_id)
    chosen = [item for item in items if item.get('group_snapshot_id') == snapshot_id]
    return [amounts_of(call, VOLUME, item.get('volume_id')) for item in chosen]


def _measured(call: Call, resource: Resource, items: Iterable[Mapping[str, Any]]) -> list[Amounts]:
    return [deltas_of(call.runtime.db, resource.type, item) or {} for item in items]


def _members(call: Call, resource: Resource, of: Resource, of_id: Any) -> list[dict[str, Any]]:
    """What the project has of a kind where something is; nothing if its pod does not tell."""
    if not isinstance(of_id, str):
        return []
    for kind in (of, CONSISTENCYGROUP) if of is GROUP else (of,):
        route = call.runtime.locator.look_up(kind.type, of_id)
        if route is None or not route.is_live:
            continue
        try:
            return list(Settler(call.runtime).items(Where(route.pod, resource.type, route.project_id)))
        except (NotNow, exception.Trio2oException, PodRefused) as error:
            LOG.warning('%ss of %s %s are counted when they are there: %s', resource.type, kind.type, of_id, error)
    return []
