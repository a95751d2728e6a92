# SPDX-License-Identifier: Apache-2.0
"""Base classes of filters and weighers, also for plug-ins of other packages.

One object of each class serves all requests concurrently, so it must not keep state of a request.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence

from oslo_config import cfg

from trio2o.pods.breakers import Breakers
from trio2o.pods.registry import PodView, Snapshot
from trio2o.scheduler.capacity import Room
from trio2o.scheduler.spec import PodRequest


class BaseFilter(abc.ABC):
    """Decides whether a pod may be chosen."""

    def __init__(self, conf: cfg.ConfigOpts, breakers: Breakers, room: Room) -> None:
        self.conf = conf
        self.breakers = breakers
        self.room = room

    def candidates(self, snapshot: Snapshot, request: PodRequest) -> Sequence[PodView] | None:
        """Return pods from an index of the snapshot, among which are all that pass, in its order; None: all pods.

        So the choice of a pod does not take longer with more pods that cannot be chosen.
        """
        return None

    @abc.abstractmethod
    def passes(self, pod: PodView, request: PodRequest) -> bool:
        """Whether the pod may be chosen for the request."""

    def passing(self, pods: Sequence[PodView], request: PodRequest) -> list[PodView]:
        """Return the pods that pass.

        Filters override this method that compare pods with one another, or see sooner that all pods pass.
        """
        return [pod for pod in pods if self.passes(pod, request)]

    def why(self, pod: PodView, request: PodRequest) -> str:
        """Return the reason why the pod did not pass, for operators; '' if the name of the filter is enough."""
        return ''


class BaseWeigher(abc.ABC):
    """Rates pods in any unit; the scheduler scales the weights to 0..1 over the pods that passed the filters."""

    #: Used unless ``[scheduler] weight_multipliers`` names the weigher.
    default_multiplier = 1.0
    #: Whether the weight depends on how full the pod is, so that rebalancing a zone uses the weigher.
    weighs_usage = False

    def __init__(self, conf: cfg.ConfigOpts, room: Room) -> None:
        self.conf = conf
        self.room = room

    @abc.abstractmethod
    def weigh(self, pod: PodView, request: PodRequest) -> float:
        """Return the weight of a pod: higher is better. Infinity is a little more than the highest finite weight."""
