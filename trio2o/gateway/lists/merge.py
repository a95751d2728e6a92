# SPDX-License-Identifier: Apache-2.0
"""Pure: the sorted lists of many pods as the one list a single cloud would have answered.

Pods sort by what they store, which may be finer than what they show (a server's ``created`` has seconds, the
database may have microseconds). So the items of one pod that look equal may come in any order, and only once
all of them are here may they be put into the order of the whole. Hence the horizon: while a pod may have more,
its last items that look alike are not given out, and whoever holds the list up is asked for more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

Item = dict[str, Any]
#: Sort values of an item, its id last.
Keys = tuple[Any, ...]


@dataclass(frozen=True)
class Order:
    """A list's order.

    :ivar read: each sort value of an item, in order; the id is added last
    :ivar descending: for each of them and for the id
    """

    read: tuple[Callable[[Item], Any], ...]
    descending: tuple[bool, ...]
    id_field: str = 'id'

    def keys(self, item: Item) -> Keys:
        return (*[_comparable(read(item)) for read in self.read], str(item.get(self.id_field)))

    def compare(self, left: Keys, right: Keys) -> int:
        """-1, 0 or 1: where ``left`` stands to ``right`` in the list. A shorter one is compared as far as it goes."""
        for a, b, descending in zip(left, right, self.descending, strict=False):
            if a != b:
                return -1 if (a < b) != descending else 1
        return 0


@dataclass
class Part:
    """What one pod has told so far, in its own order."""

    items: list[Item] = field(default_factory=list)
    is_done: bool = False


@dataclass(frozen=True)
class Merged:
    """:ivar items: the list as far as it is certain; :ivar wanting: parts that have to tell more first"""

    items: list[Item]
    wanting: list[int]
    is_more: bool


@dataclass(frozen=True)
class After:
    """The marker a page starts behind.

    :ivar keys: its own sort values
    :ivar part: which part has it, if that part is told from its start; then its place there counts
    """

    keys: Keys
    part: int | None = None


def merge(parts: Sequence[Part], order: Order, limit: int, after: After | None = None) -> Merged:
    """Merge what is here.

    :param limit: how many items are wanted
    :param after: give only what comes after this
    """
    horizon: Keys | None = None
    is_blind = False
    bounds: dict[int, Keys] = {}
    placed: list[list[Keys]] = []
    for index, part in enumerate(parts):
        placed.append(_placed(part, order))
        if part.is_done:
            continue
        if not part.items:
            is_blind = True
            bounds[index] = ()
            continue
        bounds[index] = placed[-1][-1][:-1]
        if horizon is None or order.compare(bounds[index], horizon) < 0:
            horizon = bounds[index]
    behind = after.keys if after is not None else None
    if after is not None and after.part is not None:
        found = next((keys for keys in placed[after.part] if keys[-1] == after.keys[-1]), None)
        if found is None and not parts[after.part].is_done:
            return Merged([], [after.part], True)
        behind = found or behind
    seen: set[str] = set()
    rows: list[tuple[Keys, Item]] = []
    for part, part_keys in zip(parts, placed, strict=True):
        for item, keys in zip(part.items, part_keys, strict=True):
            if keys[-1] in seen or (behind is not None and order.compare(keys, behind) <= 0):
                continue
            seen.add(keys[-1])
            rows.append((keys, item))
    # Stable sorts from the last value to the first: each may have its own direction.
    for position in reversed(range(len(order.descending))):
        rows.sort(key=lambda row: row[0][position], reverse=order.descending[position])
    certain = 0 if is_blind else len(rows)
    if horizon is not None and not is_blind:
        certain = next((i for i, row in enumerate(rows) if order.compare(row[0][:-1], horizon) >= 0), len(rows))
    items = [item for _keys, item in rows[: min(certain, limit)]]
    is_more = len(rows) > len(items) or bool(bounds)
    if certain >= limit or not bounds:
        return Merged(items, [], is_more)
    if is_blind:
        wanting = [index for index, keys in bounds.items() if not keys]
    else:
        wanting = [index for index, keys in bounds.items() if order.compare(keys, horizon or ()) == 0]
    return Merged(items, wanting, is_more)


def _placed(part: Part, order: Order) -> list[Keys]:
    """The keys of a pod's items, never before those of the item above.

    A database may sort names in a way of its own, such as without regard to case. What then looks too early here
    goes where its pod has it: behind the item above it.
    """
    placed: list[Keys] = []
    last: Keys = ()
    for item in part.items:
        keys = order.keys(item)
        if last and order.compare(keys[:-1], last) < 0:
            keys = (*last, keys[-1])
        else:
            last = keys[:-1]
        placed.append(keys)
    return placed


def _comparable(value: Any) -> tuple[int, Any]:
    """Values of one field may be missing, or numbers here and text there; nothing may fail to compare."""
    if type(value) is str:
        return (2, value)
    if value is None:
        return (0, 0)
    if isinstance(value, bool | int | float):
        return (1, value)
    return (2, str(value))
