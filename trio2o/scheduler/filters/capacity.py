# SPDX-License-Identifier: Apache-2.0
"""Filter by free capacity."""

from collections.abc import Sequence

from trio2o.pods.registry import PodView
from trio2o.scheduler.base import BaseFilter
from trio2o.scheduler.spec import PodRequest


class CapacityFilter(BaseFilter):
    """Passes pods with enough capacity beside their headroom, and pods whose capacity is not known."""

    def passes(self, pod: PodView, request: PodRequest) -> bool:
        return not self.why(pod, request)

    def passing(self, pods: Sequence[PodView], request: PodRequest) -> list[PodView]:
        oldest = self.room.oldest()
        return [pod for pod in pods if not self.room.shortage(pod, request, oldest)]

    def why(self, pod: PodView, request: PodRequest) -> str:
        return self.room.shortage(pod, request, self.room.oldest())
