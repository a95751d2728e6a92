# SPDX-License-Identifier: Apache-2.0
"""What a resource counts for in the quota, as its pod shows it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from trio2o.db import routings
from trio2o.db.session import Database
from trio2o.quota.amounts import Amounts, type_in, typed
from trio2o.quota.recorded import recorded_flavor

Item = Mapping[str, Any]


@dataclass(frozen=True)
class Measured:
    """:ivar is_settled: whether it will stay so by itself
    :ivar may_shrink: whether what it counted for before may come back, so that the larger of both counts
    """

    deltas: Amounts
    is_settled: bool = True
    may_shrink: bool = False

    def over(self, known: Amounts | None) -> dict[str, int]:
        """What it counts for, given what it counted for so far."""
        if not self.may_shrink or not known:
            return dict(self.deltas)
        return {name: max(self.deltas.get(name, 0), known.get(name, 0)) for name in self.deltas.keys() | known.keys()}


#: Versions whose lists show what is measured; older pods show less, and flavors and the like are looked up.
VERSIONS = {'compute': '2.47', 'volume': '3.65'}

#: Not counted while they can still be had back, or only seem to be there.
_AWAY = frozenset({'SOFT_DELETED', 'DELETED'})
_BETWEEN_FLAVORS = frozenset({'RESIZE', 'VERIFY_RESIZE', 'REVERT_RESIZE'})
_BUSY = frozenset(
    {'creating', 'deleting', 'downloading', 'extending', 'managing', 'restoring', 'restoring-backup', 'retyping'}
)


def is_at_rest(item: Item) -> bool:
    """Whether nothing is done to it just now, as its status says."""
    return item.get('status') not in _BUSY


def _server(db: Database, item: Item) -> Measured | None:
    if item.get('status') in _AWAY:
        return Measured({})
    flavor = item.get('flavor')
    if not isinstance(flavor, Mapping):
        return None
    if 'vcpus' in flavor and 'ram' in flavor:
        cores, ram = int(flavor['vcpus']), int(flavor['ram'])
    else:
        found = recorded_flavor(db, str(flavor.get('id')))
        if found is None:
            return None
        cores, ram = found.vcpus, found.ram
    status = item.get('status')
    is_settled = item.get('OS-EXT-STS:task_state') is None and status not in ('BUILD', 'RESIZE', 'REVERT_RESIZE')
    return Measured({'instances': 1, 'cores': cores, 'ram': ram}, is_settled, status in _BETWEEN_FLAVORS)


def _volume(db: Database, item: Item) -> Measured | None:
    is_settled = is_at_rest(item)
    if item.get('consumes_quota') is False:
        return Measured({}, is_settled)
    size = _size(item)
    if size is None:
        return None
    return Measured(typed({'volumes': 1, 'gigabytes': size}, item.get('volume_type')), is_settled)


def _snapshot(db: Database, item: Item) -> Measured | None:
    is_settled = is_at_rest(item)
    if item.get('consumes_quota') is False:
        return Measured({}, is_settled)
    size = _size(item)
    if size is None:
        return None
    volume = routings.get(db, 'volume', str(item.get('volume_id')))
    type_name = type_in(volume.deltas) if volume is not None and volume.deltas else None
    return Measured(typed({'snapshots': 1, 'gigabytes': size}, type_name), is_settled)


def _backup(db: Database, item: Item) -> Measured | None:
    size = _size(item)
    is_settled = is_at_rest(item)
    return None if size is None else Measured({'backups': 1, 'backup_gigabytes': size}, is_settled)


def _group(db: Database, item: Item) -> Measured | None:
    return Measured({'groups': 1}, is_at_rest(item))


def _server_group(db: Database, item: Item) -> Measured | None:
    return Measured({'server_groups': 1})


def _size(item: Item) -> int | None:
    size = item.get('size')
    return size if isinstance(size, int) else None


_KINDS: Mapping[str, Callable[[Database, Item], Measured | None]] = {
    'server': _server,
    'server_group': _server_group,
    'volume': _volume,
    'snapshot': _snapshot,
    'backup': _backup,
    'group': _group,
    'consistencygroup': _group,
}


def measure(db: Database, resource_type: str, item: Item) -> Measured | None:
    """What a resource counts for; None if what a pod shows does not tell."""
    kind = _KINDS.get(resource_type)
    try:
        return kind(db, item) if kind is not None else None
    except (TypeError, ValueError):
        return None


def deltas_of(db: Database, resource_type: str, item: Item) -> Amounts | None:
    found = measure(db, resource_type, item)
    return None if found is None else found.deltas


def user_of(item: Item) -> str:
    """The user whose quota it counts in beside the project's, if the item shows one."""
    user_id = item.get('user_id')
    return user_id if isinstance(user_id, str) else ''
