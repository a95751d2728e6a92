# SPDX-License-Identifier: Apache-2.0
"""What a filter and a weigher are. Plug-ins of operators derive from these.

One object of each serves all requests at once, so they keep nothing of a request.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence

from oslo_config import cfg

from trio2o.pods.health import Breakers
from trio2o.pods.registry import PodView
from trio2o.scheduler.capacity import Room
from trio2o.scheduler.spec import PodRequest


class BaseFilter(abc.ABC):
    """Says whether a pod may be chosen at all."""

    def __init__(self, conf: cfg.ConfigOpts, breakers: Breakers, room: Room) -> None:
        self.conf = conf
        self.breakers = breakers
        self.room = room

    @abc.abstractmethod
    def passes(self, pod: PodView, request: PodRequest) -> bool:
        """Whether the pod is left in."""

    def passing(self, pods: Sequence[PodView], request: PodRequest) -> list[PodView]:
        """The pods that are left in, for filters that compare pods with one another."""
        return [pod for pod in pods if self.passes(pod, request)]

    def why(self, pod: PodView, request: PodRequest) -> str:
        """For operators: why the pod is not left in. '' if the filter's name says it."""
        return ''


class BaseWeigher(abc.ABC):
    """Says how good a pod is, in units of its own; the manager scales them to 0..1 over the pods at hand."""

    #: Used unless ``[scheduler] weight_multipliers`` names the weigher.
    default_multiplier = 1.0

    def __init__(self, conf: cfg.ConfigOpts, room: Room) -> None:
        self.conf = conf
        self.room = room

    @abc.abstractmethod
    def weigh(self, pod: PodView, request: PodRequest) -> float:
        """More is better. Infinite is as good as the best of the others, and a little better."""
