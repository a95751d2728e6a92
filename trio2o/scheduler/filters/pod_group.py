# SPDX-License-Identifier: Apache-2.0
"""Filter that leaves one group of pods."""

from collections.abc import Sequence

from trio2o.pods.registry import PodView
from trio2o.scheduler.base import BaseFilter
from trio2o.scheduler.spec import PodRequest


class PodGroupFilter(BaseFilter):
    """Passes the pods of the group whose tag has the fewest keys beside the requested ones.

    Pods with the same tag are a group. Pods tagged ``gpu`` and ``ssd`` match a flavor that requests only ``gpu``, too.
    They are kept for flavors that request both, and are used for others when all pods tagged only ``gpu`` are full.
    Of groups with equally many keys it is the one with a pod the project is bound to, else the one with the pod of the
    lowest number.
    """

    def passes(self, pod: PodView, request: PodRequest) -> bool:
        return True

    def passing(self, pods: Sequence[PodView], request: PodRequest) -> list[PodView]:
        if len({pod.group for pod in pods}) <= 1:
            return list(pods)
        best = min(pods, key=lambda pod: self._rank(pod, request))
        return [pod for pod in pods if pod.group == best.group]

    def why(self, pod: PodView, request: PodRequest) -> str:
        return f'another group than {pod.group or "that of pods without a tag"} matches better'

    def _rank(self, pod: PodView, request: PodRequest) -> tuple[int, int, int]:
        offered = pod.record.resource_affinity_tag or {}
        bound = request.bound.index(pod.id) if pod.id in request.bound else len(request.bound)
        return len(offered), bound, pod.record.number
