# SPDX-License-Identifier: Apache-2.0
"""Weigher that prefers bound pods, so that servers and volumes of a project are in the same pod."""

from trio2o.pods.registry import PodView
from trio2o.scheduler.base import BaseWeigher
from trio2o.scheduler.spec import PodRequest


class BindingWeigher(BaseWeigher):
    """Weighs bound pods above all others, the oldest binding most."""

    default_multiplier = 1000.0

    def weigh(self, pod: PodView, request: PodRequest) -> float:
        return request.bound_weights.get(pod.id, 0.0)
