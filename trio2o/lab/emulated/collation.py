# SPDX-License-Identifier: Apache-2.0
"""Look-ups and sorting as in a database on MySQL, which takes ``Foo``, ``foo`` and ``foo `` for the same text."""

from collections.abc import Callable, Hashable
from typing import Any


def _folded(key: Hashable) -> Hashable:
    if isinstance(key, tuple):
        return tuple(map(_folded, key))
    return key.rstrip(' ').casefold() if isinstance(key, str) else key


def is_same(one: Hashable, other: Hashable, ignores_case: bool) -> bool:
    """Return whether a service takes two texts for the same."""
    return _folded(one) == _folded(other) if ignores_case else one == other


class CaseInsensitiveDict(dict):
    """A collection whose keys are texts, or tuples of texts, and keep the case in which they were first written."""

    def _known(self, key: Hashable) -> Hashable:
        wanted = _folded(key)
        return next((known for known in self if _folded(known) == wanted), key)

    def __contains__(self, key: Any) -> bool:
        return super().__contains__(self._known(key))

    def __getitem__(self, key: Any) -> Any:
        return super().__getitem__(self._known(key))

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(self._known(key), value)

    def __delitem__(self, key: Any) -> None:
        super().__delitem__(self._known(key))

    def get(self, key: Any, default: Any = None) -> Any:
        return super().get(self._known(key), default)

    def update(self, *others: Any, **given: Any) -> None:
        for key, value in dict(*others, **given).items():
            self[key] = value

    def pop(self, key: Any, *default: Any) -> Any:
        return super().pop(self._known(key), *default)


def sorted_by(value_of: Callable[[Any, str], Any], ignores_case: bool) -> Callable[[Any, str], Any]:
    """Return a function that returns the values by which a service sorts."""
    return (lambda record, key: _folded(value_of(record, key))) if ignores_case else value_of


def collection(ignores_case: bool) -> dict[Any, Any]:
    """Return an empty collection of a service's objects."""
    return CaseInsensitiveDict() if ignores_case else {}
