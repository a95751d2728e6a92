# SPDX-License-Identifier: Apache-2.0
"""Filter by availability zone."""

from collections.abc import Sequence

from trio2o.pods.registry import PodView, Snapshot
from trio2o.scheduler.base import BaseFilter
from trio2o.scheduler.spec import PodRequest


class AvailabilityZoneFilter(BaseFilter):
    """Passes pods of the requested zone. If none is requested: pods of the zones of the volume types, or all pods."""

    def candidates(self, snapshot: Snapshot, request: PodRequest) -> Sequence[PodView] | None:
        return snapshot.by_zone.get(request.zone, ()) if request.zone else None

    def passing(self, pods: Sequence[PodView], request: PodRequest) -> list[PodView]:
        if request.zone:
            return [pod for pod in pods if pod.record.az_name == request.zone]
        return super().passing(pods, request)

    def passes(self, pod: PodView, request: PodRequest) -> bool:
        if request.zone:
            return pod.zone == request.zone
        return not request.zones or pod.zone in request.zones
