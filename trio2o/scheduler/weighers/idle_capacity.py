# SPDX-License-Identifier: Apache-2.0
"""Weigher that prefers pods with the most free capacity."""

import math

from trio2o.pods.registry import PodView
from trio2o.scheduler.base import BaseWeigher
from trio2o.scheduler.capacity import kept
from trio2o.scheduler.spec import PodRequest


class IdleCapacityWeigher(BaseWeigher):
    """Weighs a pod by the number of requests like this one that its room is enough for.

    A request without known amounts counts as one unit of each resource. An unknown capacity is infinite.
    """

    weighs_usage = True

    def weigh(self, pod: PodView, request: PodRequest) -> float:
        amounts = self.room.amounts(pod, request)
        if amounts is None:
            return math.inf
        headroom = self.room.headroom(pod.record)
        wanted = {name: value for name, value in request.resources.items() if value > 0} or dict.fromkeys(amounts, 1)
        fits = math.inf
        for name, want in wanted.items():
            amount = amounts.get(name)
            if amount is not None and amount.free is not None:
                left = amount.free - kept(amount, headroom.get(name, (0.0, False)))
                fits = min(fits, math.floor(max(0.0, left) / want))
        return fits
