# SPDX-License-Identifier: Apache-2.0
"""Only pods of the zone asked for."""

from trio2o.pods.registry import PodView
from trio2o.scheduler.base import BaseFilter
from trio2o.scheduler.spec import PodRequest


class AvailabilityZoneFilter(BaseFilter):
    """Passes pods of the zone; all of them if none was asked for."""

    def passes(self, pod: PodView, request: PodRequest) -> bool:
        return not request.zone or pod.zone == request.zone
