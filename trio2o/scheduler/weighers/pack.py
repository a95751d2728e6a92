# SPDX-License-Identifier: Apache-2.0
"""Pods of which the most is used first."""

from trio2o.pods.registry import PodView
from trio2o.scheduler.spec import PodRequest
from trio2o.scheduler.weighers.spread import SpreadWeigher


class PackWeigher(SpreadWeigher):
    """The contrary of ``spread``: fills a pod up before the next one is begun."""

    def weigh(self, pod: PodView, request: PodRequest) -> float:
        return -super().weigh(pod, request)
