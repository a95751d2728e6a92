# SPDX-License-Identifier: Apache-2.0
"""Filter by exclusive bindings of the project."""

from collections.abc import Sequence

from trio2o.pods.registry import PodView
from trio2o.scheduler.base import BaseFilter
from trio2o.scheduler.spec import PodRequest


class ExclusiveBindingFilter(BaseFilter):
    """Passes only the bound pods of a zone and group in which the project has an exclusive binding."""

    def passes(self, pod: PodView, request: PodRequest) -> bool:
        only = request.only.get((pod.zone, pod.group))
        return only is None or pod.id in only

    def passing(self, pods: Sequence[PodView], request: PodRequest) -> list[PodView]:
        return super().passing(pods, request) if request.only else list(pods)
