# SPDX-License-Identifier: Apache-2.0
"""Resources in pods that belong to something unfinished: a reschedule or a move.

They have no routing and get none, or tenants would see them as resources of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from trio2o.db.database import Database
from trio2o.pods.registry import Moving
from trio2o.resources import Resource
from trio2o.routing.reschedules import without_new_servers

_AnyItem = TypeVar('_AnyItem', bound=Mapping[str, Any])


def without_unfinished(
    db: Database, moving: Moving, resource: Resource, pod_id: str, items: Iterable[_AnyItem]
) -> list[_AnyItem]:
    """Leave out what a reschedule or a move may have made in a pod, or has left there.

    :param items: resources of the pod that have no routing
    """
    found = [item for item in items if not moving.hides(pod_id, resource, item)]
    return without_new_servers(db, resource, pod_id, found)
