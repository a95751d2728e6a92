# SPDX-License-Identifier: Apache-2.0
"""Weigher that prefers older pods, so that pods fill up one after another."""

from trio2o.pods.registry import PodView
from trio2o.scheduler.base import BaseWeigher
from trio2o.scheduler.spec import PodRequest


class CreationTimeWeigher(BaseWeigher):
    """Weighs a pod by how early it was registered; of two at the same time the lower number is earlier."""

    def weigh(self, pod: PodView, request: PodRequest) -> float:
        return -pod.registered_at
