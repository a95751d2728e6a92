# SPDX-License-Identifier: Apache-2.0
"""The availability zones of the cloud, which are those of its pods."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from trio2o.pods.registry import PodView
from trio2o.web.call import Answer, Call


@dataclass(frozen=True)
class ListZones:
    """List the zones without a call to a pod. A zone is available while one of its pods is enabled and answers.

    :ivar render: (name, whether it is available) -> the entry as the service writes it
    """

    render: Callable[[str, bool], dict[str, Any]]

    def __call__(self, call: Call) -> Answer:
        zones = [self.render(name, is_available) for name, is_available in zones_of(call)]
        return Answer.of({'availabilityZoneInfo': zones}, headers=call.version_headers)


def zones_of(call: Call) -> list[tuple[str, bool]]:
    """Return every zone, sorted by name, with whether something can be created there now."""
    service = call.service.service_type
    breakers = call.runtime.client.breakers

    def is_available(pod: PodView) -> bool:
        return pod.is_enabled and not breakers.is_open((pod.id, service))

    pods = [pod for pod in call.runtime.registry.snapshot().pods if service in pod.endpoints]
    return [
        (name, any(is_available(pod) for pod in pods if pod.zone == name)) for name in sorted({p.zone for p in pods})
    ]
