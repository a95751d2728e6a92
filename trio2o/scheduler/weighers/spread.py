# SPDX-License-Identifier: Apache-2.0
"""Weigher that prefers pods with the least used capacity."""

from trio2o.pods.registry import PodView
from trio2o.scheduler.base import BaseWeigher
from trio2o.scheduler.spec import PodRequest


class SpreadWeigher(BaseWeigher):
    """Weighs a pod by the free share of its scarcest resource.

    A pod whose capacity is not known counts as unused.
    """

    weighs_usage = True

    def weigh(self, pod: PodView, request: PodRequest) -> float:
        amounts = self.room.amounts(pod, request) or {}
        names = [name for name, value in request.resources.items() if value > 0] or list(amounts)
        shares = [1.0]
        for name in names:
            amount = amounts.get(name)
            if amount is not None and amount.free is not None and amount.capacity is not None:
                shares.append(max(0.0, amount.free) / amount.capacity if amount.capacity > 0 else 0.0)
        return min(shares)
