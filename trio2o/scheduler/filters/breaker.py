# SPDX-License-Identifier: Apache-2.0
"""Filter by the state of the breaker."""

from collections.abc import Sequence

from trio2o.pods.registry import PodView
from trio2o.scheduler.base import BaseFilter
from trio2o.scheduler.spec import PodRequest


class BreakerFilter(BaseFilter):
    """Passes pods whose breaker is closed, as this process sees it."""

    def passing(self, pods: Sequence[PodView], request: PodRequest) -> list[PodView]:
        refused = self.breakers.open_pods(request.service)
        return [pod for pod in pods if pod.id not in refused] if refused else list(pods)

    def passes(self, pod: PodView, request: PodRequest) -> bool:
        return not self.breakers.is_open((pod.id, request.service))
