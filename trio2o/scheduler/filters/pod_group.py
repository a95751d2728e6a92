# SPDX-License-Identifier: Apache-2.0
"""One group of pods for one request."""

from collections.abc import Sequence

from trio2o.pods.registry import PodView
from trio2o.scheduler.base import BaseFilter
from trio2o.scheduler.spec import PodRequest


class PodGroupFilter(BaseFilter):
    """Passes the group of pods that offers least beyond what is asked for.

    Pods with the same tag are a group. Pods for ``gpu`` and ``ssd`` have what a flavor asks that wants ``gpu`` alone,
    too; they are for those that want both, and get the others when the pods for ``gpu`` alone are full. Of groups
    that offer equally much it is the one that has a pod the project is bound to, or else the earliest pod.
    """

    def passes(self, pod: PodView, request: PodRequest) -> bool:
        return True

    def passing(self, pods: Sequence[PodView], request: PodRequest) -> list[PodView]:
        best = min(pods, key=lambda pod: self._rank(pod, request), default=None)
        return [pod for pod in pods if best is not None and pod.group == best.group]

    def why(self, pod: PodView, request: PodRequest) -> str:
        return f'another group than {pod.group or "that of pods without a tag"} is nearer'

    def _rank(self, pod: PodView, request: PodRequest) -> tuple[int, int, int]:
        offered = pod.record.resource_affinity_tag or {}
        bound = request.bound.index(pod.id) if pod.id in request.bound else len(request.bound)
        return len(offered), bound, pod.record.number
