# SPDX-License-Identifier: Apache-2.0
"""Filter by earlier attempts of the request."""

from collections.abc import Sequence

from trio2o.pods.registry import PodView
from trio2o.scheduler.base import BaseFilter
from trio2o.scheduler.spec import PodRequest


class RetryFilter(BaseFilter):
    """Passes pods that have not failed this request already."""

    def passes(self, pod: PodView, request: PodRequest) -> bool:
        return pod.id not in request.tried

    def passing(self, pods: Sequence[PodView], request: PodRequest) -> list[PodView]:
        return super().passing(pods, request) if request.tried else list(pods)
