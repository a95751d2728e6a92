# SPDX-License-Identifier: Apache-2.0
"""The scheduler's decision for one request with its reasons, for the log and the Admin API."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from trio2o.db.records import Binding
from trio2o.pods.registry import PodView
from trio2o.scheduler.spec import PodRequest

T = TypeVar('T')

#: Number of pods that a log line names; the Admin API names all.
FEW = 10


@dataclass(frozen=True)
class Dropped:
    """A pod that a filter did not pass."""

    pod: PodView
    filter: str
    why: str


class Weighed(NamedTuple):
    """A pod that passed all filters, with its weights.

    :ivar names: names of the weighers
    :ivar given: weight of each, multiplied
    :ivar weight: their sum
    """

    pod: PodView
    names: Sequence[str]
    given: Sequence[float]
    weight: float

    @property
    def weights(self) -> Mapping[str, float]:
        """Weight by weigher, multiplied."""
        return dict(zip(self.names, self.given, strict=True))


@dataclass(frozen=True)
class Decision:
    """Pods for a request.

    :ivar request: completed with the bindings of its project
    :ivar weighed: pods that passed all filters, best first
    :ivar dropped: the other pods; without ``of_all``, only those of the requested zone
    :ivar bindings: those of the project when the pods were chosen
    """

    request: PodRequest
    weighed: tuple[Weighed, ...]
    dropped: tuple[Dropped, ...]
    bindings: tuple[Binding, ...] = ()

    @property
    def pods(self) -> list[PodView]:
        return [each.pod for each in self.weighed]

    def dropped_by(self, name: str) -> bool:
        return any(each.filter == name for each in self.dropped)

    def __str__(self) -> str:
        """One line: ``state dropped Pod3 (draining); Pod1 1001 (binding 1000, creation_time 1), Pod2 0 (...)``."""
        parts = []
        for name in dict.fromkeys(each.filter for each in self.dropped):
            pods = [each for each in self.dropped if each.filter == name]
            parts.append(f'{name} dropped {_few(pods, lambda each: _named(each.pod.name, each.why))}')
        given = _few(self.weighed, lambda each: _named(f'{each.pod.name} {each.weight:.6g}', _listed(each.weights)))
        return '; '.join([*parts, given or 'no pod passed'])


def _few(items: Sequence[T], text: Callable[[T], str]) -> str:
    """Join the texts of the first items and the number of the others."""
    texts = [text(item) for item in items[:FEW]]
    if len(items) > FEW:
        texts.append(f'and {len(items) - FEW} more')
    return ', '.join(texts)


def _named(name: str, more: str) -> str:
    return f'{name} ({more})' if more else name


def _listed(weights: Mapping[str, float]) -> str:
    return ', '.join(f'{name} {weight:.6g}' for name, weight in weights.items())
