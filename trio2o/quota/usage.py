# SPDX-License-Identifier: Apache-2.0
"""How much of the quota a resource uses, read from the resource as a pod shows it.

Older pods do not show sizes of a server's flavor; those come from the flavors in the database.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from trio2o.db import replicas, routings
from trio2o.db.database import Database
from trio2o.quota.amounts import Amounts, multiply, volume_type_of, with_volume_type
from trio2o.resources import owner_id

Item = Mapping[str, Any]

#: Microversions whose lists show everything measured here. An older pod gets its newest microversion.
VERSIONS = {'compute': '2.47', 'volume': '3.65'}

#: Nova does not count these servers. A soft-deleted one counts again if it is restored.
_UNCOUNTED = frozenset({'SOFT_DELETED', 'DELETED'})
_BETWEEN_FLAVORS = frozenset({'RESIZE', 'VERIFY_RESIZE', 'REVERT_RESIZE'})
#: The largest amount that one resource may show: databases of pods have no room for more.
_MAX_AMOUNT = 2**31 - 1
_BUSY = frozenset(
    {'creating', 'deleting', 'downloading', 'extending', 'managing', 'restoring', 'restoring-backup', 'retyping'}
)


@dataclass(frozen=True)
class Flavor:
    """The sizes of a flavor.

    :ivar ram: MiB
    :ivar root: GiB of the root disk
    :ivar disk: GiB of ephemeral disk and swap, swap rounded up as Placement does
    """

    vcpus: int
    ram: int
    root: int = 0
    disk: int = 0
    extra_specs: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_json(cls, shown: Mapping[str, Any]) -> Flavor:
        """Read a flavor of the database or of a pod, or the flavor embedded in a server.

        :raises KeyError: the sizes are missing
        """
        swap = int(shown.get('swap') or 0)
        ephemeral = int(shown.get('ephemeral') or shown.get('OS-FLV-EXT-DATA:ephemeral') or 0)
        return cls(
            int(shown['vcpus']),
            int(shown['ram']),
            int(shown.get('disk') or 0),
            ephemeral + -(-swap // 1024),
            shown.get('extra_specs') or {},
        )

    def placement_resources(self, count: int = 1, *, has_root_disk: bool = True) -> dict[str, int]:
        """Return what servers of this flavor use in a pod's Placement, by resource class.

        :param has_root_disk: False if the servers boot from a volume
        """
        disk = self.root + self.disk if has_root_disk else self.disk
        return multiply({'VCPU': self.vcpus, 'MEMORY_MB': self.ram, 'DISK_GB': disk}, count)


@dataclass(frozen=True)
class VolumeType:
    name: str
    extra_specs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Measured:
    """The quota usage of one resource.

    :ivar deltas: amounts that the resource uses
    :ivar is_settled: False while an operation in the pod is going to change them
    :ivar may_shrink: whether an operation may be reverted to the amounts of before, so that the larger of both count
    """

    deltas: Amounts
    is_settled: bool = True
    may_shrink: bool = False

    def counted_after(self, known: Amounts | None) -> dict[str, int]:
        """Return the amounts to count for a resource whose routing has these amounts so far."""
        if not self.may_shrink or not known:
            return dict(self.deltas)
        return {name: max(self.deltas.get(name, 0), known.get(name, 0)) for name in self.deltas.keys() | known.keys()}


def measure(db: Database, resource_type: str, item: Item) -> Measured | None:
    """Return the quota usage of a resource; None if the item does not show it."""
    read = _READERS.get(resource_type)
    try:
        measured = read(db, item) if read is not None else None
    except (TypeError, ValueError, OverflowError):
        return None
    # A negative amount would free quota for other resources.
    if measured is not None and all(0 <= amount <= _MAX_AMOUNT for amount in measured.deltas.values()):
        return measured
    return None


def deltas_of(db: Database, resource_type: str, item: Item) -> Amounts | None:
    """Return the amounts that a resource uses; None if the item does not show them."""
    measured = measure(db, resource_type, item)
    return None if measured is None else measured.deltas


def user_of(item: Item) -> str:
    """Return the user whose quota a resource uses, beside that of the project; empty if the item shows none."""
    return owner_id(item.get('user_id'))


def is_idle(item: Item) -> bool:
    """Whether the status of a resource shows no operation that changes its usage."""
    return item.get('status') not in _BUSY


def _server(db: Database, item: Item) -> Measured | None:
    if item.get('status') in _UNCOUNTED:
        return Measured({})
    flavor = item.get('flavor')
    if not isinstance(flavor, Mapping):
        return None
    if 'vcpus' in flavor and 'ram' in flavor:
        cores, ram = int(flavor['vcpus']), int(flavor['ram'])
    else:
        wanted = replicas.find_wanted(db, 'flavor', str(flavor.get('id')))
        if wanted is None:
            return None
        found = Flavor.from_json(wanted)
        cores, ram = found.vcpus, found.ram
    status = item.get('status')
    is_settled = item.get('OS-EXT-STS:task_state') is None and status not in ('BUILD', 'RESIZE', 'REVERT_RESIZE')
    return Measured({'instances': 1, 'cores': cores, 'ram': ram}, is_settled, status in _BETWEEN_FLAVORS)


def _volume(db: Database, item: Item) -> Measured | None:
    return _sized(item, 'volumes', lambda: item.get('volume_type'))


def _snapshot(db: Database, item: Item) -> Measured | None:
    def type_name() -> str | None:
        volume = routings.get(db, 'volume', str(item.get('volume_id')))
        return volume_type_of(volume.deltas) if volume is not None and volume.deltas else None

    return _sized(item, 'snapshots', type_name)


def _sized(item: Item, counted_as: str, type_name: Callable[[], str | None]) -> Measured | None:
    """Return the usage of a volume or snapshot.

    :param type_name: returns the volume type that its amounts are also counted for
    """
    is_settled = is_idle(item)
    if item.get('consumes_quota') is False:
        return Measured({}, is_settled)
    size = _size(item)
    if size is None:
        return None
    return Measured(with_volume_type({counted_as: 1, 'gigabytes': size}, type_name()), is_settled)


def _backup(db: Database, item: Item) -> Measured | None:
    size = _size(item)
    return None if size is None else Measured({'backups': 1, 'backup_gigabytes': size}, is_idle(item))


def _group(db: Database, item: Item) -> Measured | None:
    return Measured({'groups': 1}, is_idle(item))


def _server_group(db: Database, item: Item) -> Measured | None:
    return Measured({'server_groups': 1})


def _size(item: Item) -> int | None:
    size = item.get('size')
    return size if isinstance(size, int) else None


_READERS: Mapping[str, Callable[[Database, Item], Measured | None]] = {
    'server': _server,
    'server_group': _server_group,
    'volume': _volume,
    'snapshot': _snapshot,
    'backup': _backup,
    'group': _group,
    'consistencygroup': _group,
}
