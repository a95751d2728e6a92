# SPDX-License-Identifier: Apache-2.0
"""Filter by the state of the breaker."""

from trio2o.pods.registry import PodView
from trio2o.scheduler.base import BaseFilter
from trio2o.scheduler.spec import PodRequest


class BreakerFilter(BaseFilter):
    """Passes pods whose breaker is closed, as this process sees it."""

    def passes(self, pod: PodView, request: PodRequest) -> bool:
        return not self.breakers.is_open((pod.id, request.service))
