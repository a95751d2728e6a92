# SPDX-License-Identifier: Apache-2.0
"""The request that pods are chosen for."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

#: Prefix of extra specs of flavors and volume types that a pod's tag must match.
SPEC_PREFIX = 'trio2o:'


@dataclass(frozen=True)
class PodRequest:
    """Requirements of a new resource for its pod.

    :ivar service: ``compute`` or ``volume``
    :ivar zone: availability zone; '' for any
    :ivar zones: availability zones for a request without ``zone``; empty: any
    :ivar resource_type: for messages: ``server``, ``volume``
    :ivar tried: ids of pods that have failed this request already
    :ivar bound: ids of the pods the project is bound to, bindings by hand first, then oldest first; set by
        the scheduler
    :ivar only: pod ids of exclusive bindings of the project, by zone and group; set by the scheduler
    :ivar resources: amounts that the whole request needs: ``VCPU``, ``MEMORY_MB``, ``DISK_GB`` for compute,
        ``gigabytes`` for volume; an unknown amount is left out and counts as 0
    :ivar count: number of resources the request creates; ``resources`` is the sum over them
    :ivar extra_specs: extra specs of the flavor or the volume type, by full name
    :ivar unusable: pod id -> reason, for pods where a replicated object that the request names is in conflict or was
        refused
    """

    service: str
    project_id: str
    zone: str = ''
    tried: frozenset[str] = field(default_factory=frozenset)
    bound: tuple[str, ...] = ()
    only: Mapping[tuple[str, str], frozenset[str]] = field(default_factory=dict)
    resources: Mapping[str, int] = field(default_factory=dict)
    count: int = 1
    extra_specs: Mapping[str, str] = field(default_factory=dict)
    unusable: Mapping[str, str] = field(default_factory=dict)
    resource_type: str = ''
    zones: frozenset[str] = frozenset()

    def with_count(self, count: int) -> PodRequest:
        """Return the same request for another number of resources."""
        resources = {name: amount // self.count * count for name, amount in self.resources.items()}
        return replace(self, count=count, resources=resources)

    @cached_property
    def wanted(self) -> Mapping[str, int]:
        """The amounts of ``resources`` that are not 0."""
        return {name: amount for name, amount in self.resources.items() if amount > 0}

    @cached_property
    def amounts_key(self) -> Hashable:
        """What of the request decides whether it fits into a pod."""
        return self.count, *sorted(self.resources.items())

    @cached_property
    def bound_weights(self) -> Mapping[str, float]:
        """The weight of each of the pods of ``bound``, from their number down to 1."""
        return {pod_id: float(len(self.bound) - at) for at, pod_id in reversed(list(enumerate(self.bound)))}

    @cached_property
    def affinity(self) -> Mapping[str, str]:
        """Keys and values that the pod's tag must have."""
        return {
            name.removeprefix(SPEC_PREFIX): value
            for name, value in self.extra_specs.items()
            if name.startswith(SPEC_PREFIX)
        }
