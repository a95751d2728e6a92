# SPDX-License-Identifier: Apache-2.0
"""Pure: amounts of quota resources, and which of them are counted over all pods.

What is not counted here, as metadata items or the size of a single volume, each pod checks by itself against the same
limit everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from trio2o.conf.quota import DEFAULTS

Amounts = Mapping[str, int]

UNLIMITED = -1

#: Counted over all pods, by service; members for each server group, by asking the pods
#: (``nova_apigw.server_groups.members``).
COUNTED = {
    'compute': ('instances', 'cores', 'ram', 'server_groups', 'server_group_members'),
    'volume': ('volumes', 'gigabytes', 'snapshots', 'backups', 'backup_gigabytes', 'groups'),
}
#: Counted for each volume type too, under the name with the type's behind it.
TYPED = ('volumes', 'gigabytes', 'snapshots')

#: Type of a resource with a routing -> what it counts for, its number first.
COUNTS = {
    'server': ('instances', 'cores', 'ram'),
    'server_group': ('server_groups',),
    'volume': ('volumes', 'gigabytes'),
    'snapshot': ('snapshots', 'gigabytes'),
    'backup': ('backups', 'backup_gigabytes'),
    'group': ('groups',),
    'consistencygroup': ('groups',),
}


def base_of(name: str) -> str:
    """``gigabytes`` of ``gigabytes_fast``; the name itself if it is of no volume type."""
    if name in DEFAULTS:
        return name
    stem = name.partition('_')[0]
    return stem if stem in TYPED and name != stem else name


def is_counted(name: str, service: str) -> bool:
    return base_of(name) in COUNTED.get(service, ())


def default_of(name: str, defaults: Amounts) -> int:
    """The limit of a resource for which none was set; types have none of their own."""
    return defaults.get(name, UNLIMITED)


def typed(amounts: Amounts, type_name: str | None) -> dict[str, int]:
    """Amounts with those of their volume type."""
    own = {f'{name}_{type_name}': amounts[name] for name in TYPED if name in amounts} if type_name else {}
    return {**amounts, **own}


def type_in(amounts: Amounts) -> str | None:
    """The volume type that amounts are of, if they are of one."""
    for name in amounts:
        if name not in DEFAULTS and base_of(name) != name:
            return name.partition('_')[2]
    return None


def part_of(resource_type: str, amounts: Amounts) -> dict[str, int]:
    """Of what a request takes, that which a resource of a type counts for; the rest is of what comes along."""
    own = COUNTS.get(resource_type, ())
    return {name: amount for name, amount in amounts.items() if base_of(name) in own}


def growth(old: Amounts, new: Amounts) -> dict[str, int]:
    """What has to be had on top of the old to have the new."""
    return {name: amount - old.get(name, 0) for name, amount in new.items() if amount > old.get(name, 0)}


def total(parts: Iterable[Amounts]) -> dict[str, int]:
    found: dict[str, int] = {}
    for part in parts:
        for name, amount in part.items():
            found[name] = found.get(name, 0) + amount
    return found


def times(amounts: Amounts, count: int) -> dict[str, int]:
    return {name: amount * count for name, amount in amounts.items()}


def affordable(once: Amounts, room: Mapping[str, int]) -> int | None:
    """How many times amounts fit into what room there is; None: any number of times."""
    fits = [max(0, room[name]) // amount for name, amount in once.items() if amount > 0 and name in room]
    return min(fits) if fits else None
