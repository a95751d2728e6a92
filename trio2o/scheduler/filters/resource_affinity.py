# SPDX-License-Identifier: Apache-2.0
"""Filter by the resource affinity tag of pods."""

from trio2o.pods.registry import PodView
from trio2o.scheduler.base import BaseFilter
from trio2o.scheduler.spec import SPEC_PREFIX, PodRequest


class ResourceAffinityFilter(BaseFilter):
    """Passes pods whose tag has all extra specs ``trio2o:<key>``; without such extra specs, pods without a tag."""

    def passes(self, pod: PodView, request: PodRequest) -> bool:
        tag = pod.record.resource_affinity_tag or {}
        wanted = request.affinity
        if not wanted:
            return not tag
        return all(tag.get(key) == value for key, value in wanted.items())

    def why(self, pod: PodView, request: PodRequest) -> str:
        tag = pod.record.resource_affinity_tag or {}
        missing = [f'{SPEC_PREFIX}{key}={value}' for key, value in request.affinity.items() if tag.get(key) != value]
        return f'lacks {", ".join(sorted(missing))}' if missing else f'is for {pod.group}'
