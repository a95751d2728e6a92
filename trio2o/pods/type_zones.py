# SPDX-License-Identifier: Apache-2.0
"""The zones that a volume type is bound to, in the names of tenants and in those of a pod. No I/O here.

The extra spec ``RESKEY:availability_zones`` lists zones, separated by commas. In a pod its value is the list of
tenants and, if the pod's zone is in it, an empty item and the names of that zone in the pod: ``az1,az2,,nova``. Cinder
ignores empty items and zones that it does not have. So it uses ``nova``, and the list of tenants can be read from any
pod.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any

#: The extra spec.
KEY = 'RESKEY:availability_zones'
_EMPTY_ITEM = ',,'


def zones_in(value: str) -> list[str]:
    """Return the zones in a value."""
    return [name.strip() for name in value.split(',') if name.strip()]


def down(value: str, zone: str, pod_zones: Iterable[str]) -> str:
    """Return the value for a pod.

    :param zone: the pod's zone for tenants; ``pod_zones``: its names in the pod
    """
    names = zones_in(value)
    return ','.join(names) + _EMPTY_ITEM + ','.join(pod_zones if zone in names else ())


def up(value: str, zone: str, pod_zone: str) -> str:
    """Return the value for tenants.

    A value without an empty item was set in the pod itself, with the pod's names.

    :param pod_zone: name of the pod's zone in the pod; '': every zone in the pod is the pod's zone
    """
    names, separator, _pod_names = value.partition(_EMPTY_ITEM)
    if separator:
        return names
    known = (zone if pod_zone in ('', name) else name for name in zones_in(value))
    return ','.join(dict.fromkeys(known))


def replaced(document: Any, translate: Callable[[str], str]) -> Any:
    """Return a copy of a JSON document in which each value of the extra spec is translated."""
    document = copy.deepcopy(document)
    parts = [document]
    while parts:
        part = parts.pop()
        if isinstance(part, dict):
            if isinstance(part.get(KEY), str):
                part[KEY] = translate(part[KEY])
            parts += part.values()
        elif isinstance(part, list):
            parts += part
    return document
