# SPDX-License-Identifier: Apache-2.0
"""Filter by free capacity."""

from trio2o.pods.registry import PodView
from trio2o.scheduler.base import BaseFilter
from trio2o.scheduler.capacity import shortage
from trio2o.scheduler.spec import PodRequest


class CapacityFilter(BaseFilter):
    """Passes pods with enough capacity beside their headroom, and pods whose capacity is not known."""

    def passes(self, pod: PodView, request: PodRequest) -> bool:
        return not self.why(pod, request)

    def why(self, pod: PodView, request: PodRequest) -> str:
        amounts = self.room.amounts(pod, request)
        return '' if amounts is None else shortage(amounts, self.room.headroom(pod.record), request)
