# SPDX-License-Identifier: Apache-2.0
"""What a new resource takes: of the tenant's quota, and of whichever pod it goes to.

The services read it out of a request's body; flavors and volume types are those that are wanted everywhere, as
the database has them. What is not recorded there, as what a pod has had since before it came here, a pod tells.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from trio2o.db import replicas
from trio2o.gateway.read_object import read_object
from trio2o.pods.endpoints import COMPUTE, VOLUME
from trio2o.quota.recorded import Flavor, VolumeType, recorded_flavor, recorded_type
from trio2o.web.call import Call
from trio2o.web.numbers import parse_number


@dataclass(frozen=True)
class Needs:
    """:ivar quota: amounts by quota resource, for one of what the request makes
    :ivar resources: amounts that the scheduler reckons with, for all that the request makes
    :ivar extra_specs: of the flavor or the volume type, by their whole names
    :ivar count: how many alike the request makes
    :ivar least: how many of them will do
    """

    quota: Mapping[str, int] = field(default_factory=dict)
    resources: Mapping[str, int] = field(default_factory=dict)
    extra_specs: Mapping[str, str] = field(default_factory=dict)
    count: int = 1
    least: int = 1


#: (call, document) -> what it needs. What cannot be read out of a body that a pod is going to refuse is nothing.
ReadNeeds = Callable[[Call, Any], Needs]

NOTHING = Needs()

#: What volumes are of for which nobody named a type, unless the project has another.
_DEFAULT = '__DEFAULT__'


def flavor(call: Call, reference: Any) -> Flavor | None:
    """The flavor that a body refers to by its id or URL; None if there is none."""
    if not isinstance(reference, str | int) or not _is_readable(str(reference)):
        return None
    flavor_id = str(reference).rsplit('/', 1)[-1]
    found = recorded_flavor(call.runtime.db, flavor_id)
    if found is not None:
        return found
    shown = read_object(call, COMPUTE, f'/flavors/{quote(flavor_id, safe="")}', 'flavor')
    try:
        return None if shown is None else Flavor.of({**shown, 'ephemeral': shown.get('OS-FLV-EXT-DATA:ephemeral')})
    except (LookupError, TypeError, ValueError):
        return None


def volume_type(call: Call, reference: Any) -> VolumeType | None:
    """The volume type that a body names; None if there is none."""
    if not isinstance(reference, str) or not _is_readable(reference):
        return None
    found = recorded_type(call.runtime.db, reference)
    if found is not None:
        return found
    shown = read_object(call, VOLUME, f'/types/{quote(reference, safe="")}', 'volume_type')
    if shown is None or not isinstance(shown.get('name'), str):
        return None
    return VolumeType(shown['name'], shown.get('extra_specs') or {})


def _is_readable(text: str) -> bool:
    """Whether it can be a name or an id, and be looked up at all."""
    return text.isprintable() and 0 < len(text) <= _LONGEST


_LONGEST = 512
#: More than any pod takes, and far less than counters hold.
_MOST = 0x7FFFFFFF
_MOST_DIGITS = 29


def default_type(call: Call) -> VolumeType | None:
    """The type of a volume of this project for which none was named."""
    own = replicas.find_wanted(call.runtime.db, 'default_type', call.context.project_id or '')
    return volume_type(call, own['volume_type'] if own else _DEFAULT)


def whole(value: Any, default: int = 0) -> int:
    """A number out of a body, which may be text; what is none, or less than none, is the default."""
    if isinstance(value, bool):
        return default
    if isinstance(value, str):
        value = parse_number(value.strip(), _MOST_DIGITS)
    return min(value, _MOST) if isinstance(value, int) and value >= 0 else default
