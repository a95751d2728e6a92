# SPDX-License-Identifier: Apache-2.0
"""Filter by the state of pods."""

from trio2o.pods.registry import PodView
from trio2o.scheduler.base import BaseFilter
from trio2o.scheduler.spec import PodRequest


class StateFilter(BaseFilter):
    """Passes enabled pods that have an endpoint of the service."""

    def passes(self, pod: PodView, request: PodRequest) -> bool:
        return pod.is_enabled and request.service in pod.endpoints

    def why(self, pod: PodView, request: PodRequest) -> str:
        return f'no {request.service} endpoint' if pod.is_enabled else f'{pod.record.state}'
