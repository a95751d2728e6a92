# SPDX-License-Identifier: Apache-2.0
"""Filter that passes every pod."""

from trio2o.pods.registry import PodView
from trio2o.scheduler.base import BaseFilter
from trio2o.scheduler.spec import PodRequest


class AllPodsFilter(BaseFilter):
    """Passes every pod."""

    def passes(self, pod: PodView, request: PodRequest) -> bool:
        return True
