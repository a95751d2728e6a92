# SPDX-License-Identifier: Apache-2.0
"""No pod where what the request names means something else, or is refused."""

from trio2o.pods.registry import PodView
from trio2o.scheduler.base import BaseFilter
from trio2o.scheduler.spec import PodRequest


class ReplicasFilter(BaseFilter):
    """Passes pods that have the flavor, key pair or volume type as everybody has it, or will get it in time."""

    def passes(self, pod: PodView, request: PodRequest) -> bool:
        return pod.id not in request.unusable

    def why(self, pod: PodView, request: PodRequest) -> str:
        return request.unusable[pod.id]
