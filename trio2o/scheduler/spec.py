# SPDX-License-Identifier: Apache-2.0
"""What is wanted of a pod."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

#: Extra specs of flavors and volume types that say which pods will do are named so.
SPEC_PREFIX = 'trio2o:'


@dataclass(frozen=True)
class PodRequest:
    """A new resource looking for a pod.

    :ivar service: the API that will be asked: ``compute`` or ``volume``
    :ivar zone: '' for any
    :ivar resource_type: what it is, for messages: ``server``, ``volume``
    :ivar tried: ids of pods that have failed this request already
    :ivar bound: ids of the pods the project is bound to now, oldest binding first (those made by hand before);
        the scheduler fills it
    :ivar only: where the project is bound exclusively, by zone and group the ids of those pods; the scheduler fills it
    :ivar resources: what the whole request takes: ``VCPU``, ``MEMORY_MB``, ``DISK_GB`` of compute, ``gigabytes`` of
        volume; what is not named is not known and counts as nothing
    :ivar count: how many alike the request makes; ``resources`` is for all of them
    :ivar extra_specs: of the flavor or the volume type, by their whole names
    :ivar unusable: ids of pods that something the request names is in conflict in, or was refused by, and why
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

    def with_count(self, count: int) -> PodRequest:
        """Return the same request for another number of resources."""
        resources = {name: amount // self.count * count for name, amount in self.resources.items()}
        return replace(self, count=count, resources=resources)

    @property
    def affinity(self) -> dict[str, str]:
        """What the pod's tag must say, by key."""
        return {
            name.removeprefix(SPEC_PREFIX): value
            for name, value in self.extra_specs.items()
            if name.startswith(SPEC_PREFIX)
        }
