# SPDX-License-Identifier: Apache-2.0
"""The operation table: every operation is a row, and a request is matched against the rows.

Two rows with the same method, path and action are an error when the table is made, so a mistake fails the import.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from trio2o import exception

if TYPE_CHECKING:
    from trio2o.web.call import Answer, Call

Handler = Callable[['Call'], 'Answer']

ANY = 'any'
ADMIN = 'admin'
READER = 'reader'


@dataclass(frozen=True)
class Operation:
    """One row.

    :ivar name: stable name, ``servers.create``; policy rules and metrics are named after it
    :ivar path: below the version, with ids in braces: ``/servers/{server_id}``
    :ivar handler: takes a ``Call``, and returns an ``Answer`` or raises
    :ivar action: key of the body that distinguishes rows with the same method and path, or None
    :ivar min_version: first microversion that has it; below it the operation does not exist
    :ivar max_version: last microversion that has it
    :ivar role: role that the default of the policy rule requires; ``any``: the decision is left to the pods
    :ivar own_rule: name of another rule, ``moves.own``: whom it admits may use the operation for what belongs to the
        project of the token; '': there is none
    """

    name: str
    method: str
    path: str
    handler: Handler
    action: str | None = None
    min_version: tuple[int, int] | None = None
    max_version: tuple[int, int] | None = None
    role: str = ANY
    own_rule: str = ''

    def exists_at(self, version: tuple[int, int] | None) -> bool:
        """Return whether a microversion has the operation; True if there is no microversion."""
        if version is None:
            return True
        if self.min_version is not None and version < self.min_version:
            return False
        return self.max_version is None or version <= self.max_version


def actions(name: str, path: str, handler: Handler, *keys: str) -> list[Operation]:
    """Make one row for each action of ``POST path``, which is named by a key of the body."""
    return [Operation(f'{name}.{key}', 'POST', path, handler, action=key) for key in keys]


@dataclass
class _Node:
    """One segment of paths: the segments after it, and the rows whose path ends with it."""

    static: dict[str, _Node] = field(default_factory=dict)
    variable: _Node | None = None
    methods: dict[str, dict[str | None, Operation]] = field(default_factory=dict)


class OperationTable:
    """The rows as a tree, so that matching takes one dictionary look-up for each segment of the path."""

    def __init__(self, operations: Iterable[Operation], fixed_wins: bool = False) -> None:
        """
        :param fixed_wins: whether a row without variables hides rows with variables that match the same path: if
            ``/pods/usage`` has only GET, ``PUT /pods/usage`` is not ``PUT /pods/{id}``
        """
        self._root = _Node()
        self._fixed_wins = fixed_wins
        self._operations = tuple(operations)
        names: set[str] = set()
        for operation in self._operations:
            if operation.name in names:
                raise ValueError(f'two operations are named {operation.name}')
            names.add(operation.name)
            self._add(operation)

    def __iter__(self) -> Iterator[Operation]:
        return iter(self._operations)

    def __len__(self) -> int:
        return len(self._operations)

    def _add(self, operation: Operation) -> None:
        node = self._root
        for segment in _split(operation.path):
            if segment.startswith('{'):
                node.variable = node.variable or _Node()
                node = node.variable
            else:
                node = node.static.setdefault(segment, _Node())
        row = node.methods.setdefault(operation.method, {})
        if operation.action in row:
            raise ValueError(f'{operation.name} clashes with {row[operation.action].name}')
        row[operation.action] = operation

    def match(self, method: str, path: str, action_of: Callable[[], str | None]) -> tuple[Operation, dict[str, str]]:
        """Find the row for a request.

        :param action_of: returns the action key of the body; called only if rows are distinguished by it
        :returns: the row and the ids in the path, in order
        :raises RouteNotFound: no row has this method and path
        """
        values: list[str] = []
        row = self._find(self._root, _split(path), 0, method, values)
        if row is None:
            raise exception.RouteNotFound()
        operation = row.get(None)
        if len(row) > 1 or operation is None:
            operation = row.get(action_of(), operation)
            if operation is None:
                raise exception.RouteNotFound()
        return operation, dict(zip(_names(operation.path), values, strict=True))

    def methods_at(self, path: str) -> list[str]:
        """Return the methods of all rows for a path; empty if there is no such row."""
        methods = {operation.method for operation in self._operations}
        segments = _split(path)
        return sorted(method for method in methods if self._find(self._root, segments, 0, method, []) is not None)

    def _find(
        self, node: _Node, segments: list[str], at: int, method: str, values: list[str]
    ) -> dict[str | None, Operation] | None:
        """Find the rows of a path depth-first, fixed segments before variable ones, until one has the method."""
        if at == len(segments):
            return node.methods.get(method)
        fixed = node.static.get(segments[at])
        if fixed is not None:
            found = self._find(fixed, segments, at + 1, method, values)
            if found is not None or (self._fixed_wins and at + 1 == len(segments) and fixed.methods):
                return found
        if node.variable is None or not segments[at]:
            return None
        values.append(segments[at])
        found = self._find(node.variable, segments, at + 1, method, values)
        if found is None:
            values.pop()
        return found


def _split(path: str) -> list[str]:
    """Split a path that starts with a slash; a trailing slash gives an empty last segment."""
    return path.split('/')[1:]


_NAMES: dict[str, tuple[str, ...]] = {}


def _names(path: str) -> tuple[str, ...]:
    names = _NAMES.get(path)
    if names is None:
        names = tuple(segment[1:-1] for segment in _split(path) if segment.startswith('{'))
        _NAMES[path] = names
    return names
