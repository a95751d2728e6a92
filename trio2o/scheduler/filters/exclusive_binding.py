# SPDX-License-Identifier: Apache-2.0
"""No other pods than those a project is bound to exclusively."""

from trio2o.pods.registry import PodView
from trio2o.scheduler.base import BaseFilter
from trio2o.scheduler.spec import PodRequest


class ExclusiveBindingFilter(BaseFilter):
    """Passes, of a zone and group in which an operator bound the project exclusively, those pods alone."""

    def passes(self, pod: PodView, request: PodRequest) -> bool:
        only = request.only.get((pod.zone, pod.group))
        return only is None or pod.id in only
