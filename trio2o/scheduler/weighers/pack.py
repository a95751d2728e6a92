# SPDX-License-Identifier: Apache-2.0
"""Weigher that prefers pods with the most used capacity."""

from trio2o.pods.registry import PodView
from trio2o.scheduler.spec import PodRequest
from trio2o.scheduler.weighers.spread import SpreadWeigher


class PackWeigher(SpreadWeigher):
    """The opposite of ``spread``: fills a pod before it uses the next one."""

    def weigh(self, pod: PodView, request: PodRequest) -> float:
        return -super().weigh(pod, request)
