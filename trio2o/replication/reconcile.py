# SPDX-License-Identifier: Apache-2.0
"""Pure: what is wanted and what a pod has -> the steps that lead from one to the other.

An object is a plain dictionary of JSON values. Its ``Shape`` says which fields can never change,
which are set as a whole, and which hold a mapping or a set that is changed item by item. A field
that a pod's API does not show is missing from what was read, and left alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Object = Mapping[str, Any]

#: Key of the bookkeeping within a wanted object; see ``Notes``.
NOTES = 'notes'


@dataclass(frozen=True)
class Shape:
    """How the objects of a kind can change.

    :ivar fixed: fields that can only be given when it is made; another value is another object
    :ivar fields: fields set as a whole
    :ivar maps: fields that hold a mapping, changed key by key
    :ivar sets: fields that hold a list of members, changed one by one
    :ivar local: keys of the maps that a pod may have its own value for
    :ivar meaning: fields and maps that say what it is for, so that two pods with other values mean other things
    :ivar open_maps: maps of which only those keys matter that are wanted, where the pod has them at all
    """

    fixed: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    maps: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()
    local: frozenset[str] = frozenset()
    meaning: tuple[str, ...] = ()
    open_maps: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Notes:
    """What the wanted state has to remember of how it came about.

    :ivar born: generation below which what a pod has is one that was deleted since, whatever it is
        like
    :ivar pushed: local key -> generation of the last change through the gateway; a pod that has
        not seen it yet gets it, afterwards the pod's own value counts again
    """

    born: int = 0
    pushed: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, wanted: Object) -> Notes:
        notes = wanted.get(NOTES) or {}
        return cls(notes.get('born', 0), notes.get('pushed', {}))

    def on(self, wanted: Object) -> dict[str, Any]:
        """The wanted object with these notes."""
        bare = without_notes(wanted)
        notes: dict[str, Any] = {}
        if self.born:
            notes['born'] = self.born
        if self.pushed:
            notes['pushed'] = dict(self.pushed)
        return {**bare, NOTES: notes} if notes else bare


def without_notes(wanted: Object) -> dict[str, Any]:
    return {name: value for name, value in wanted.items() if name != NOTES}


@dataclass(frozen=True)
class SetFields:
    values: Mapping[str, Any]


@dataclass(frozen=True)
class SetItems:
    name: str
    items: Mapping[str, Any]


@dataclass(frozen=True)
class DropItems:
    name: str
    keys: tuple[str, ...]


@dataclass(frozen=True)
class AddMembers:
    name: str
    members: tuple[str, ...]


@dataclass(frozen=True)
class RemoveMembers:
    name: str
    members: tuple[str, ...]


Step = SetFields | SetItems | DropItems | AddMembers | RemoveMembers


def told(step: Step) -> str:
    """A step in an operator's words."""
    match step:
        case SetFields(values):
            return ', '.join(f'{name} becomes {value!r}' for name, value in values.items())
        case SetItems(name, items):
            return ', '.join(f'{name}: {key} becomes {value!r}' for key, value in items.items())
        case DropItems(name, keys):
            return f'{name} loses {", ".join(keys)}'
        case AddMembers(name, members):
            return f'{name} gains {", ".join(members)}'
        case RemoveMembers(name, members):
            return f'{name} loses {", ".join(members)}'


def differences(shape: Shape, wanted: Object, actual: Object) -> tuple[str, ...]:
    """The fixed fields in which a pod's object is another one."""
    return tuple(name for name in shape.fixed if name in actual and actual[name] != wanted.get(name))


def contradictions(shape: Shape, wanted: Object, actual: Object) -> tuple[str, ...]:
    """What a pod's own object says otherwise than what is wanted, so that neither may become the other unasked.

    What one of the two does not say at all can be added to it. ``name`` of a field, ``map: key`` of an item.
    """
    found = list(differences(shape, wanted, actual))
    for name in shape.meaning:
        there, here = actual.get(name), wanted.get(name)
        if name in shape.maps:
            items = here or {}
            found += [
                f'{name}: {key}'
                for key, value in sorted((there or {}).items())
                if key not in shape.local and items.get(key) != value
            ]
        elif name in actual and there is not None and there != here:
            found.append(name)
    return tuple(found)


def plan(shape: Shape, wanted: Object, actual: Object, seen: int | None = None) -> list[Step]:
    """Steps that make a pod's object what is wanted, its fixed fields apart.

    :param seen: generation this pod was brought to last; None: nothing is known of what it has,
        so its own values of local keys count
    """
    steps: list[Step] = []
    values = {name: wanted.get(name) for name in shape.fields if name in actual and actual[name] != wanted.get(name)}
    if values:
        steps.append(SetFields(values))
    for name in shape.maps:
        if name in actual:
            steps += _map_steps(shape, name, wanted, actual[name] or {}, seen)
    for name in shape.sets:
        if name in actual:
            steps += _set_steps(name, wanted.get(name) or (), actual[name] or ())
    return steps


def _map_steps(shape: Shape, name: str, wanted: Object, there: Mapping[str, Any], seen: int | None) -> list[Step]:
    items = wanted.get(name) or {}
    if name in shape.open_maps:
        known = {key: value for key, value in items.items() if key in there and there[key] != value}
        return [SetItems(name, known)] if known else []
    pushed = Notes.of(wanted).pushed

    def is_left(key: str) -> bool:
        """Whether the pod's own value stays."""
        return key in shape.local and (seen is None or seen >= pushed.get(key, 0))

    to_set = {
        key: value for key, value in items.items() if there.get(key) != value and not (key in there and is_left(key))
    }
    to_drop = tuple(key for key in there if key not in items and not is_left(key))
    steps: list[Step] = []
    if to_drop:
        steps.append(DropItems(name, to_drop))
    if to_set:
        steps.append(SetItems(name, to_set))
    return steps


def _set_steps(name: str, wanted: Collection[str], actual: Collection[str]) -> list[Step]:
    steps: list[Step] = []
    missing = tuple(member for member in wanted if member not in actual)
    excess = tuple(member for member in actual if member not in wanted)
    if missing:
        steps.append(AddMembers(name, missing))
    if excess:
        steps.append(RemoveMembers(name, excess))
    return steps


def changed_items(shape: Shape, before: Object, after: Object) -> dict[str, Any]:
    """Local keys that a write changed in a pod: the new value, or None where it is gone."""
    changes: dict[str, Any] = {}
    for name in shape.maps:
        old, new = before.get(name) or {}, after.get(name) or {}
        for key in shape.local:
            if old.get(key) != new.get(key):
                changes[key] = new.get(key)
    return changes


def merge_local(shape: Shape, recorded: Object, after: Object, changes: Mapping[str, Any]) -> dict[str, Any]:
    """What is wanted after a write in one pod: the state there, but of its local values only those
    that the write changed.
    """
    wanted = without_notes(after)
    for name in shape.maps:
        items = {key: value for key, value in (after.get(name) or {}).items()}
        old = recorded.get(name) or {}
        for key in shape.local:
            value = changes[key] if key in changes else old.get(key, items.get(key))
            if value is None:
                items.pop(key, None)
            else:
                items[key] = value
        wanted[name] = items
    return wanted


@dataclass(frozen=True)
class Known:
    """An object that is wanted (or wanted gone), and what is known of it in one pod.

    :ivar bottom_id: its id there, None while it is not known
    """

    key: str
    name: str
    is_deleted: bool
    bottom_id: str | None


@dataclass(frozen=True)
class Found:
    """What a pod has.

    :ivar key: the key it has, or would have if it was recorded from this pod
    :ivar bottom_id: its id in this pod
    """

    key: str
    bottom_id: str
    name: str
    wanted: Object


def pair(known: Iterable[Known], found: Sequence[Found], by_name: bool) -> tuple[dict[str, Found], list[Found]]:
    """Tell which of a pod's objects is which of those known: by id, and else by key or name.

    :param by_name: the pods choose the ids of this kind, so equal names are what joins them
    :returns: key -> what the pod has of it; and what nothing is known of
    """
    by_bottom_id = {item.bottom_id: item for item in found}
    pairs: dict[str, Found] = {}
    rest: list[Known] = []
    for one in known:
        there = by_bottom_id.pop(one.bottom_id, None) if one.bottom_id else None
        if there is not None:
            pairs[one.key] = there
        else:
            rest.append(one)
    left = {(item.name if by_name else item.key): item for item in by_bottom_id.values()}
    # One that was deleted may share its name with its successor, which comes first.
    for one in sorted(rest, key=lambda each: each.is_deleted):
        if by_name and one.is_deleted:
            continue
        there = left.pop(one.name if by_name else one.key, None)
        if there is not None:
            pairs[one.key] = there
    return pairs, list(left.values())
