# SPDX-License-Identifier: Apache-2.0
"""What volumes and what is made of them take: of the quota, and of the pod that they go to."""

from __future__ import annotations

from typing import Any

from trio2o.db import replicas
from trio2o.gateway.needs import Needs, volume_type, whole
from trio2o.gateway.recorded import VolumeType
from trio2o.gateway.replicate import DEFAULT_TYPE
from trio2o.web.call import Call

#: What Cinder gives to volumes for which nobody named a type, unless the project has another.
DEFAULT = '__DEFAULT__'


def of_volume(call: Call, document: Any) -> Needs:
    volume = document['volume']
    size = whole(volume.get('size'))
    found = volume_type(call, volume.get('volume_type')) or default_type(call)
    return Needs(
        quota=amounts(size, found.name if found is not None else None),
        resources={'gigabytes': size},
        extra_specs=found.extra_specs if found is not None else {},
    )


def amounts(size: int, type_name: str | None) -> dict[str, int]:
    """What one volume takes of the quota."""
    taken = {'volumes': 1, 'gigabytes': size}
    if type_name:
        taken |= {f'volumes_{type_name}': 1, f'gigabytes_{type_name}': size}
    return taken


def default_type(call: Call) -> VolumeType | None:
    """The type of a volume of this project for which none was named."""
    own = replicas.find_wanted(call.runtime.db, DEFAULT_TYPE, call.context.project_id or '')
    return volume_type(call, own['volume_type'] if own else DEFAULT)
