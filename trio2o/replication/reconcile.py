# SPDX-License-Identifier: Apache-2.0
"""Compares the desired attributes of an object with those in a pod, and plans the steps between them. No I/O here.

Attributes are a plain dictionary of JSON values. The ``Shape`` of a kind says which fields can never change, which
are set as a whole, and which hold a mapping or a set that is changed item by item. A field that a pod's API does not
show is missing from the attributes that were read, and no step is planned for it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from trio2o.resources import folded_name

Attributes = Mapping[str, Any]

#: Key of the notes among desired attributes; see ``Notes``.
NOTES = 'notes'


@dataclass(frozen=True)
class Shape:
    """How the objects of a kind can change.

    :ivar fixed: fields that are given on creation only; an object with another value is another object
    :ivar fields: fields set as a whole
    :ivar maps: fields that hold a mapping, changed key by key
    :ivar sets: fields that hold a list of members, changed one by one
    :ivar local: keys of the maps for which a pod may have a value of its own
    :ivar defining: fields and maps that define the purpose of an object, so that objects of two pods with different
        values are different objects even if they have the same name
    :ivar partial_maps: maps of which only the desired keys are compared, and only where the pod has them
    """

    fixed: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    maps: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()
    local: frozenset[str] = frozenset()
    defining: tuple[str, ...] = ()
    partial_maps: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Notes:
    """The history of an object as far as a plan depends on it; kept with its desired attributes.

    :ivar first_generation: the generation after the last deletion; a pod with an older one has the deleted
        predecessor, which is replaced whatever its attributes
    :ivar pushed: local key -> generation of its last change through the gateway; a pod with an older generation gets
        that value, which may be changed in the pod afterwards
    """

    first_generation: int = 0
    pushed: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, desired: Attributes) -> Notes:
        """Read the notes in desired attributes."""
        notes = desired.get(NOTES) or {}
        return cls(notes.get('first_generation', 0), notes.get('pushed', {}))

    def add_to(self, desired: Attributes) -> dict[str, Any]:
        """Return the desired attributes with these notes in place of others."""
        attributes = without_notes(desired)
        notes: dict[str, Any] = {}
        if self.first_generation:
            notes['first_generation'] = self.first_generation
        if self.pushed:
            notes['pushed'] = dict(self.pushed)
        return {**attributes, NOTES: notes} if notes else attributes


def without_notes(desired: Attributes) -> dict[str, Any]:
    return {name: value for name, value in desired.items() if name != NOTES}


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


def describe(step: Step) -> str:
    """Describe a step to an operator."""
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


def fixed_differences(shape: Shape, desired: Attributes, actual: Attributes) -> tuple[str, ...]:
    """Return the fixed fields that differ, so that the pod's object is another one."""
    return tuple(name for name in shape.fixed if name in actual and actual[name] != desired.get(name))


def contradictions(shape: Shape, desired: Attributes, actual: Attributes) -> tuple[str, ...]:
    """Return the fixed and defining values that differ, so that an operator has to decide which is right.

    A value that is missing on one side is no contradiction: it can be added there.

    :returns: ``name`` for a field, ``map: key`` for an item of a map
    """
    names = list(fixed_differences(shape, desired, actual))
    for name in shape.defining:
        theirs, ours = actual.get(name), desired.get(name)
        if name in shape.maps:
            items = ours or {}
            names += [
                f'{name}: {key}'
                for key, value in sorted((theirs or {}).items())
                if key not in shape.local and items.get(key) != value
            ]
        elif name in actual and theirs is not None and theirs != ours:
            names.append(name)
    return tuple(names)


def plan(shape: Shape, desired: Attributes, actual: Attributes, seen: int | None = None) -> list[Step]:
    """Plan the steps that give a pod's object its desired attributes, fixed fields excepted.

    :param seen: generation that the pod has; None if it was never brought to one, so that its own values of local
        keys stay
    """
    steps: list[Step] = []
    values = {name: desired.get(name) for name in shape.fields if name in actual and actual[name] != desired.get(name)}
    if values:
        steps.append(SetFields(values))
    for name in shape.maps:
        if name in actual:
            steps += _map_steps(shape, name, desired, actual[name] or {}, seen)
    for name in shape.sets:
        if name in actual:
            steps += _set_steps(name, desired.get(name) or (), actual[name] or ())
    return steps


def _map_steps(
    shape: Shape, name: str, desired: Attributes, actual: Mapping[str, Any], seen: int | None
) -> list[Step]:
    items = desired.get(name) or {}
    if name in shape.partial_maps:
        different = {key: value for key, value in items.items() if key in actual and actual[key] != value}
        return [SetItems(name, different)] if different else []
    pushed = Notes.of(desired).pushed

    def is_up_to_pod(key: str) -> bool:
        return key in shape.local and (seen is None or seen >= pushed.get(key, 0))

    to_set = {
        key: value
        for key, value in items.items()
        if actual.get(key) != value and not (key in actual and is_up_to_pod(key))
    }
    to_drop = tuple(key for key in actual if key not in items and not is_up_to_pod(key))
    steps: list[Step] = []
    if to_drop:
        steps.append(DropItems(name, to_drop))
    if to_set:
        steps.append(SetItems(name, to_set))
    return steps


def keys_taken_for_one(shape: Shape, desired: Attributes, actual: Attributes) -> tuple[str, ...]:
    """Return the desired keys that a pod lacks though it has another spelling of each, which is also desired.

    A pod on MySQL has room for one of ``Foo`` and ``foo``: to set the one changes the other, for ever.

    :returns: ``map: key`` for each
    """
    found: list[str] = []
    for name in shape.maps:
        if name not in actual or name in shape.partial_maps:
            continue
        theirs, ours = actual[name] or {}, desired.get(name) or {}
        present = {folded_name(key) for key in ours if key in theirs}
        found += [f'{name}: {key}' for key in sorted(ours) if key not in theirs and folded_name(key) in present]
    return tuple(found)


def has_spellings(shape: Shape, desired: Attributes) -> bool:
    """Return whether a map has two keys that a pod may take for one."""
    return any(
        len({folded_name(key) for key in desired.get(name) or {}}) < len(desired.get(name) or {})
        for name in shape.maps
        if name not in shape.partial_maps
    )


def _set_steps(name: str, desired: Collection[str], actual: Collection[str]) -> list[Step]:
    steps: list[Step] = []
    missing = tuple(member for member in desired if member not in actual)
    excess = tuple(member for member in actual if member not in desired)
    if missing:
        steps.append(AddMembers(name, missing))
    if excess:
        steps.append(RemoveMembers(name, excess))
    return steps


def changed_local_items(shape: Shape, before: Attributes, after: Attributes) -> dict[str, Any]:
    """Return the local keys that a write changed in a pod, with the new value or None if it was removed."""
    changes: dict[str, Any] = {}
    for name in shape.maps:
        old, new = before.get(name) or {}, after.get(name) or {}
        for key in shape.local:
            if old.get(key) != new.get(key):
                changes[key] = new.get(key)
    return changes


def merge_local(shape: Shape, recorded: Attributes, after: Attributes, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the desired attributes after a write in one pod.

    They are the attributes in that pod, except for its local values: of these only the ones that the write changed.

    :param recorded: the desired attributes before the write
    :param after: the attributes in the pod after the write
    :param changes: see ``changed_local_items``
    """
    desired = without_notes(after)
    for name in shape.maps:
        items = dict(after.get(name) or {})
        old = recorded.get(name) or {}
        for key in shape.local:
            value = changes[key] if key in changes else old.get(key, items.get(key))
            if value is None:
                items.pop(key, None)
            else:
                items[key] = value
        desired[name] = items
    return desired


def merge(shape: Shape, before: Attributes, after: Attributes, desired: Attributes) -> dict[str, Any]:
    """Return the desired attributes with the changes that an older write made in one pod.

    Where other writes have changed the same field or item since, theirs stays. So do notes and local keys.

    :param before: the desired attributes that the pod had before the write
    :param after: the attributes in the pod after the write
    :param desired: the desired attributes now
    """
    merged = dict(desired)
    for name in shape.fields:
        if name in after and desired.get(name) == before.get(name):
            merged[name] = after[name]
    for name in shape.maps:
        if name in after:
            merged[name] = _merge_items(
                before.get(name) or {}, after[name] or {}, desired.get(name) or {}, shape.local
            )
    for name in shape.sets:
        if name in after:
            old, new = set(before.get(name) or ()), set(after[name] or ())
            merged[name] = sorted((set(desired.get(name) or ()) - (old - new)) | (new - old))
    return merged


def _merge_items(
    before: Mapping[str, Any], after: Mapping[str, Any], desired: Mapping[str, Any], local: Collection[str]
) -> dict[str, Any]:
    items = dict(desired)
    for key in (before.keys() | after.keys()) - set(local):
        if (key in desired, desired.get(key)) != (key in before, before.get(key)):
            continue
        if key in after:
            items[key] = after[key]
        else:
            items.pop(key, None)
    return items


@dataclass(frozen=True)
class KnownObject:
    """A recorded object, and its id in one pod.

    :ivar is_deleted: whether it was deleted, and pods may have it still
    :ivar bottom_id: None while its id in the pod is not known
    """

    key: str
    name: str
    is_deleted: bool
    bottom_id: str | None


@dataclass(frozen=True)
class PodObject:
    """An object that a pod has.

    :ivar key: the key of the object, or the one it would get if it was recorded from this pod
    :ivar bottom_id: its id in this pod
    """

    key: str
    bottom_id: str
    name: str
    attributes: Attributes


def pair(
    known: Iterable[KnownObject], found: Sequence[PodObject], by_name: bool
) -> tuple[dict[str, PodObject], list[PodObject]]:
    """Pair the objects of a pod with the recorded ones: by their ids, and the rest by key or name.

    :param by_name: pods choose the ids of this kind themselves, so that names are compared instead of keys
    :returns: key -> the pod's object; and the pod's objects that are not recorded
    """
    by_bottom_id = {item.bottom_id: item for item in found}
    pairs: dict[str, PodObject] = {}
    rest: list[KnownObject] = []
    for one in known:
        paired = by_bottom_id.pop(one.bottom_id, None) if one.bottom_id else None
        if paired is not None:
            pairs[one.key] = paired
        else:
            rest.append(one)
    left = {(item.name if by_name else item.key): item for item in by_bottom_id.values()}
    # A deleted object may have the same name as its successor, which takes precedence.
    for one in sorted(rest, key=lambda each: each.is_deleted):
        if by_name and one.is_deleted:
            continue
        paired = left.pop(one.name if by_name else one.key, None)
        if paired is not None:
            pairs[one.key] = paired
    return pairs, list(left.values())
