# SPDX-License-Identifier: Apache-2.0
"""Merge the sorted lists of several pods into the list that a single cloud would answer, without any input or output.

Pods sort by stored values, which may be finer than those that they show (a server's ``created`` has seconds, the
database may have microseconds). So items of one pod with equal sort values may come in any order, and they can only be
merged once all of them are read. Hence the horizon: the last items of a pod that may have more are not certain yet.
The answer gets only items before the horizon, and the pods at the horizon have to list more.

Pods may also sort by another comparison than we do: MySQL ignores the case of names, other databases do not. An item
that would come too early by its own sort values stays behind the item that its pod lists before it. So the items of
each pod keep the order of the pod, and the order is the same in the whole list and in pages of any length.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

Item = dict[str, Any]
#: Sort values of an item, its id last.
Keys = tuple[Any, ...]
#: The sort values that give an item its place, and the item.
Row = tuple[Any, ...]


@dataclass(frozen=True)
class Order:
    """The order of a list.

    :ivar read: functions that return the sort values of an item, in order; the id is added last
    :ivar descending: the direction of each of them and of the id
    """

    read: tuple[Callable[[Item], Any], ...]
    descending: tuple[bool, ...]
    id_field: str = 'id'

    def keys(self, item: Item) -> Keys:
        return self.keys_of([item])[0]

    def keys_of(self, items: Sequence[Item]) -> list[Keys]:
        """Return the sort values of each item."""
        columns = [[_comparable(value) for value in map(read, items)] for read in self.read]
        return list(zip(*columns, [str(item.get(self.id_field)) for item in items], strict=True))

    def is_kept(self, keys: Sequence[Keys]) -> bool:
        """Whether items are in the order already, by the values without the id. If directions differ, False."""
        directions = {*self.descending[:-1]}
        if len(directions) > 1:
            return False
        values = [each[:-1] for each in keys]
        return all(map(operator.le if True in directions else operator.ge, values[1:], values))

    def compare(self, left: Keys, right: Keys) -> int:
        """Return -1, 0 or 1: ``left`` comes before, at or after ``right``. A shorter one is compared by its length."""
        for a, b, descending in zip(left, right, self.descending, strict=False):
            if a != b:
                return -1 if (a < b) != descending else 1
        return 0


@dataclass
class PodItems:
    """The items that one pod has listed so far, in its own order.

    :ivar is_done: whether there are no more
    :ivar start: sort values, without the id, that none of its items comes before; () if that is not known
    """

    items: list[Item] = field(default_factory=list)
    is_done: bool = False
    start: Keys = ()


@dataclass(frozen=True)
class Merged:
    """The part of the merged list that is certain.

    :ivar items: the items up to the limit or the horizon
    :ivar to_read: indexes of the pods that have to list more to reach the limit
    :ivar is_more: whether there may be further items
    """

    items: list[Item]
    to_read: list[int]
    is_more: bool


@dataclass(frozen=True)
class After:
    """The marker of a page: the page has the items after it.

    :ivar keys: its own sort values
    :ivar index: index of the pod that lists it, if the pod lists from before the marker; then its position in the list
        of that pod counts
    """

    keys: Keys
    index: int | None = None


@dataclass(frozen=True)
class _Placed:
    """The items of one pod with the sort values that give them their place in the merged list.

    :ivar ids: the id of each item
    :ivar keys: the sort values of each item, or of the one that it stays behind
    """

    ids: list[str]
    keys: list[Keys]


@dataclass(frozen=True)
class _Start:
    """Where a page starts: after the marker.

    :ivar index: index of the pod that lists the marker; None if it is not read, or no longer lists it
    :ivar position: position of the marker in the list of that pod
    """

    keys: Keys
    index: int | None = None
    position: int = -1


@dataclass(frozen=True)
class _Horizon:
    """How far the merged order is certain.

    :ivar last: sort values, without the id, of the last item of each pod that may have more, or those that none of its
        items comes before; () if neither is known yet
    :ivar keys: the first of these in the order; None if all pods are done
    """

    last: dict[int, Keys]
    keys: Keys | None

    @property
    def is_unknown(self) -> bool:
        """Whether a pod that may have items has listed none yet, so that nothing is certain."""
        return self.keys == ()

    def pods(self, order: Order) -> list[int]:
        """The pods that have to list more to move the horizon."""
        if self.keys is None:
            return []
        return [
            index
            for index, keys in self.last.items()
            if (not keys if self.is_unknown else order.compare(keys, self.keys) == 0)
        ]


def merge(pods: Sequence[PodItems], order: Order, limit: int, after: After | None = None) -> Merged:
    """Merge the items that the pods have listed so far.

    :param limit: how many items are wanted
    :param after: leave out the marker and everything before it
    """
    placed = [_placed(pod, order) for pod in pods]
    start = _start(pods, placed, after)
    if start is None and after is not None and after.index is not None:
        return Merged([], [after.index], True)
    horizon = _horizon(pods, placed, order)
    rows = _sorted_rows(pods, placed, order, start)
    certain = _certain(rows, horizon, order)
    items = [row[-1] for row in rows[: min(certain, limit)]]
    is_more = len(rows) > len(items) or bool(horizon.last)
    return Merged(items, [] if certain >= limit else horizon.pods(order), is_more)


def _start(pods: Sequence[PodItems], placed: Sequence[_Placed], after: After | None) -> _Start | None:
    """Return where the page starts; None if it starts at the beginning, or if it is not known.

    The marker's place in the order of its own pod counts, once that pod has listed it.
    """
    if after is None or after.index is None:
        return _Start(after.keys) if after is not None else None
    own = placed[after.index]
    if after.keys[-1] in own.ids:
        position = own.ids.index(after.keys[-1])
        return _Start(own.keys[position], after.index, position)
    return _Start(after.keys) if pods[after.index].is_done else None


def _horizon(pods: Sequence[PodItems], placed: Sequence[_Placed], order: Order) -> _Horizon:
    last = {
        index: placed[index].keys[-1][:-1] if placed[index].keys else pod.start
        for index, pod in enumerate(pods)
        if not pod.is_done
    }
    first: Keys | None = None
    for keys in last.values():
        if not keys:
            return _Horizon(last, ())
        if first is None or order.compare(keys, first) < 0:
            first = keys
    return _Horizon(last, first)


def _sorted_rows(pods: Sequence[PodItems], placed: Sequence[_Placed], order: Order, start: _Start | None) -> list[Row]:
    """Return the items of all pods after the start in one order, each id once."""
    seen: set[str] = set()
    rows: list[Row] = []
    for index, (pod, own) in enumerate(zip(pods, placed, strict=True)):
        for position, (item, item_id, keys) in enumerate(zip(pod.items, own.ids, own.keys, strict=True)):
            if item_id in seen:
                continue
            if start is not None:
                relation = order.compare(keys, start.keys)
                # Items that stay behind the marker, or with it behind another item, have its sort values.
                if relation < 0 or (relation == 0 and (index != start.index or position <= start.position)):
                    continue
            seen.add(item_id)
            rows.append((*keys, item))
    # Stable sorts from the last value to the first, as each may have its own direction.
    for position in reversed(range(len(order.descending))):
        rows.sort(key=operator.itemgetter(position), reverse=order.descending[position])
    return rows


def _certain(rows: Sequence[Row], horizon: _Horizon, order: Order) -> int:
    """Return how many rows come before the horizon."""
    if horizon.keys is None:
        return len(rows)
    if horizon.is_unknown:
        return 0
    return next((i for i, row in enumerate(rows) if order.compare(row[:-2], horizon.keys) >= 0), len(rows))


def _placed(pod: PodItems, order: Order) -> _Placed:
    """Return the places of a pod's items, none of which is before that of the item before it."""
    own = order.keys_of(pod.items)
    ids = [keys[-1] for keys in own]
    if order.is_kept(own):
        return _Placed(ids, own)
    placed: list[Keys] = []
    last: Keys = ()
    for keys in own:
        if not last or order.compare(keys[:-1], last[:-1]) >= 0:
            last = keys
        placed.append(last)
    return _Placed(ids, placed)


def _comparable(value: Any) -> tuple[int, Any]:
    """Make values of one field comparable: some may be missing, and some numbers where others are text."""
    if type(value) is str:
        return (2, value)
    if value is None:
        return (0, 0)
    if isinstance(value, bool | int | float):
        return (1, value)
    return (2, str(value))
