# SPDX-License-Identifier: Apache-2.0
"""Filter by the state of replicated objects that the request names."""

from collections.abc import Sequence

from trio2o.pods.registry import PodView
from trio2o.scheduler.base import BaseFilter
from trio2o.scheduler.spec import PodRequest


class ReplicasFilter(BaseFilter):
    """Passes pods where the flavor, key pair or volume type is in sync or will be in time."""

    def passes(self, pod: PodView, request: PodRequest) -> bool:
        return pod.id not in request.unusable

    def passing(self, pods: Sequence[PodView], request: PodRequest) -> list[PodView]:
        return super().passing(pods, request) if request.unusable else list(pods)

    def why(self, pod: PodView, request: PodRequest) -> str:
        return request.unusable[pod.id]
