# SPDX-License-Identifier: Apache-2.0
"""Arithmetic with amounts of quota resources, and the names of those that Trio2o counts over all pods.

Each pod checks the other limits itself, such as the number of metadata items or the size of one volume: Trio2o
replicates them, and they concern one resource in one pod.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from trio2o.conf.quota import DEFAULTS
from trio2o.resources import USED_BY

#: Quota resource -> amount, such as ``{'volumes': 1, 'gigabytes': 10, 'gigabytes_fast': 10}``.
Amounts = Mapping[str, int]

UNLIMITED = -1

#: Quota resources that Trio2o counts over all pods, by service. Members of a server group are counted for each group,
#: by asking the pods (``nova_apigw.server_groups.members``).
COUNTED = {
    'compute': ('instances', 'cores', 'ram', 'server_groups', 'server_group_members'),
    'volume': ('volumes', 'gigabytes', 'snapshots', 'backups', 'backup_gigabytes', 'groups'),
}
#: Quota resources that are also counted for each volume type, under a name like ``gigabytes_fast``.
PER_VOLUME_TYPE = ('volumes', 'gigabytes', 'snapshots')


def base_name(name: str) -> str:
    """Return a quota resource's name without a volume type: ``gigabytes`` for ``gigabytes_fast``."""
    if name in DEFAULTS:
        return name
    stem = name.partition('_')[0]
    return stem if stem in PER_VOLUME_TYPE and name != stem else name


def is_counted(name: str, service: str) -> bool:
    """Whether Trio2o counts a quota resource of a service over all pods."""
    return base_name(name) in COUNTED.get(service, ())


def with_volume_type(amounts: Amounts, type_name: str | None) -> dict[str, int]:
    """Add the amounts that are counted for a volume type too; none if it is None."""
    of_type = (
        {f'{name}_{type_name}': amounts[name] for name in PER_VOLUME_TYPE if name in amounts} if type_name else {}
    )
    return {**amounts, **of_type}


def volume_type_of(amounts: Amounts) -> str | None:
    """Return the volume type that amounts are counted for, if any."""
    for name in amounts:
        if name not in DEFAULTS and base_name(name) != name:
            return name.partition('_')[2]
    return None


def charged_to(resource_type: str, amounts: Amounts) -> dict[str, int]:
    """Return the subset of requested amounts that a resource of this type uses.

    The other amounts are for resources created along with it, such as the volumes of a server.
    """
    used = USED_BY.get(resource_type, ())
    return {name: amount for name, amount in amounts.items() if base_name(name) in used}


def growth(old: Amounts, new: Amounts) -> dict[str, int]:
    """Return by how much each new amount is larger than the old one; smaller ones are left out."""
    return {name: amount - old.get(name, 0) for name, amount in new.items() if amount > old.get(name, 0)}


def total(parts: Iterable[Amounts]) -> dict[str, int]:
    """Add up amounts."""
    found: dict[str, int] = {}
    for part in parts:
        for name, amount in part.items():
            found[name] = found.get(name, 0) + amount
    return found


def multiply(amounts: Amounts, count: int) -> dict[str, int]:
    """Return the amounts of several resources that are alike."""
    return {name: amount * count for name, amount in amounts.items()}


def max_count(amounts: Amounts, free: Mapping[str, int]) -> int | None:
    """Return how many times amounts fit into the free amounts; None if no limit applies to any of them.

    :param free: limit minus usage of each limited quota resource; may be negative
    """
    fits = [max(0, free[name]) // amount for name, amount in amounts.items() if amount > 0 and name in free]
    return min(fits) if fits else None
