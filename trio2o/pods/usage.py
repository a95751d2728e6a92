# SPDX-License-Identifier: Apache-2.0
"""Capacity and use of a pod, computed from what Placement and Cinder return. No I/O here.

Resources have the names of Placement's resource classes (``VCPU``, ``MEMORY_MB``, ``DISK_GB``, ...); that of volumes
is ``gigabytes``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import reduce
from typing import Any

Json = dict[str, Any]

COMPUTE_RESOURCES = ('VCPU', 'MEMORY_MB', 'DISK_GB')
GIGABYTES = 'gigabytes'

#: The extra spec of a volume type that names the backends its volumes may be on.
BACKEND_SPEC = 'volume_backend_name'


@dataclass(frozen=True)
class Amount:
    """One resource of one pod. None means unlimited.

    :ivar capacity: amount that can be allocated: with overcommitment, without the reserved amount
    :ivar used: amount allocated
    :ivar free: amount left; more than the difference where a host has more allocated than its capacity
    :ivar largest: the largest amount that one server or volume can get
    """

    capacity: float | None
    used: float
    free: float | None
    largest: float | None

    def __add__(self, other: Amount) -> Amount:
        return Amount(
            _sum(self.capacity, other.capacity),
            self.used + other.used,
            _sum(self.free, other.free),
            None if self.largest is None or other.largest is None else max(self.largest, other.largest),
        )

    def less(self, taken: float) -> Amount:
        """The amount after a further allocation."""
        free = None if self.free is None else self.free - taken
        largest = self.largest if free is None or self.largest is None else min(self.largest, max(free, 0))
        return Amount(self.capacity, self.used + taken, free, largest)


NOTHING = Amount(0, 0, 0, 0)


@dataclass(frozen=True)
class Pool:
    """One pool of one backend of a pod's Cinder."""

    name: str
    backend: str
    amount: Amount


@dataclass(frozen=True)
class Usage:
    """Capacity and use of one service of one pod at one time.

    :ivar shortages: kinds of requests -> what the pod has not enough of for them; filled by the scheduler
    """

    collected_at: datetime
    amounts: Mapping[str, Amount] = field(default_factory=dict)
    pools: tuple[Pool, ...] = ()
    shortages: dict[Any, str] = field(default_factory=dict, compare=False, repr=False)

    def of_backend(self, backend: str) -> Mapping[str, Amount]:
        """Amounts of the pools of one backend; '' for all backends."""
        if not backend or not self.pools:
            return self.amounts
        found = [pool.amount for pool in self.pools if pool.backend == backend]
        return {GIGABYTES: reduce(Amount.__add__, found, NOTHING)}

    def to_json(self) -> Json:
        """The JSON form for the database, without the time."""
        return {
            'amounts': {name: asdict(amount) for name, amount in self.amounts.items()},
            'pools': [{'name': pool.name, 'backend': pool.backend, **asdict(pool.amount)} for pool in self.pools],
        }

    @classmethod
    def from_json(cls, stored: Any, collected_at: datetime) -> Usage | None:
        """Read the JSON form; None if another release stored it in a form not known here."""
        try:
            amounts = {name: _amount(item) for name, item in stored['amounts'].items()}
            pools = tuple(Pool(item['name'], item['backend'], _amount(item)) for item in stored['pools'])
        except (KeyError, TypeError, AttributeError):
            return None
        return cls(collected_at, amounts, pools)


def _amount(item: Mapping[str, Any]) -> Amount:
    return Amount(item['capacity'], item['used'], item['free'], item['largest'])


def _sum(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other


def from_placement(collected_at: datetime, providers: Iterable[tuple[Mapping[str, Any], Mapping[str, int]]]) -> Usage:
    """Sum up Placement's resource providers.

    :param providers: inventories and usages of each; a pod without providers has no capacity
    """
    amounts: dict[str, Amount] = dict.fromkeys(COMPUTE_RESOURCES, NOTHING)
    for inventories, usages in providers:
        for name, inventory in inventories.items():
            amounts[name] = amounts.get(name, NOTHING) + _provided(inventory, usages.get(name, 0))
    return Usage(collected_at, amounts)


def _provided(inventory: Mapping[str, Any], used: int) -> Amount:
    ratio = float(inventory.get('allocation_ratio', 1.0))
    capacity = max(0, math.floor((inventory['total'] - inventory.get('reserved', 0)) * ratio))
    free = max(0, capacity - used)
    return Amount(capacity, used, free, min(free, inventory.get('max_unit', capacity)))


def from_cinder(collected_at: datetime, pools: Iterable[Mapping[str, Any]]) -> Usage | None:
    """Sum up the pools that Cinder's scheduler returns, as its own capacity filter computes them.

    :returns: None without pools: a scheduler that has just started has no reports yet
    """
    found = []
    for pool in pools:
        capabilities = pool.get('capabilities') or {}
        if capabilities.get('backend_state', 'up') == 'up':
            found.append(
                Pool(
                    str(pool.get('name', '')),
                    str(capabilities.get('volume_backend_name') or ''),
                    _pooled(capabilities),
                )
            )
    if not found:
        return None
    total = reduce(Amount.__add__, (pool.amount for pool in found))
    return Usage(collected_at, {GIGABYTES: total}, tuple(found))


def _pooled(reported: Mapping[str, Any]) -> Amount:
    allocated = _number(reported.get('allocated_capacity_gb')) or 0.0
    total, free = _number(reported.get('total_capacity_gb')), _number(reported.get('free_capacity_gb'))
    if total is None or free is None:
        # "infinite" and "unknown": Cinder creates volumes there without further checks.
        return Amount(None, allocated, None, None)
    reserved = math.floor(total * (_number(reported.get('reserved_percentage')) or 0.0) / 100)
    ratio = _number(reported.get('max_over_subscription_ratio'))
    if reported.get('thin_provisioning_support') in (True, 'True', 'true') and ratio is not None and ratio >= 1:
        provisioned = _number(reported.get('provisioned_capacity_gb'))
        provisioned = allocated if provisioned is None else provisioned
        left = max(0.0, min(total * ratio - provisioned, (free - reserved) * ratio))
        return Amount((total - reserved) * ratio, provisioned, left, left)
    left = max(0.0, free - reserved)
    return Amount(max(0.0, total - reserved), max(0.0, total - free), left, left)


def _number(value: Any) -> float | None:
    """Convert to a finite number; None if that is not possible."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None
