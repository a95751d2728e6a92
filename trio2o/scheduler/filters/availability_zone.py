# SPDX-License-Identifier: Apache-2.0
"""Filter by availability zone."""

from trio2o.pods.registry import PodView
from trio2o.scheduler.base import BaseFilter
from trio2o.scheduler.spec import PodRequest


class AvailabilityZoneFilter(BaseFilter):
    """Passes pods of the requested zone; all pods if no zone is requested."""

    def passes(self, pod: PodView, request: PodRequest) -> bool:
        return not request.zone or pod.zone == request.zone
