# SPDX-License-Identifier: Apache-2.0
"""The quota and the capacity that a create requests.

Subclasses of ``Create`` read them from the body with the functions here. Flavors and volume types are replicated, so
they come from the database. One that was created in a pod before the pod was registered may be missing there, and is
read from the pods.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

from trio2o import exception
from trio2o.gateway.read_object import read_object
from trio2o.pods import type_zones
from trio2o.pods.endpoints import COMPUTE, VOLUME
from trio2o.pods.registry import PodView
from trio2o.quota.amounts import Amounts, volume_type_of, with_volume_type
from trio2o.quota.usage import Flavor, VolumeType
from trio2o.resources import folded_name
from trio2o.web import pod_failures
from trio2o.web.call import Call
from trio2o.web.numbers import parse_number


@dataclass(frozen=True)
class Requested:
    """The quota and the capacity that a create requests. An invalid body may lack some; a pod then refuses it.

    :ivar quota: amounts by quota resource, for one of the resources that the request creates
    :ivar resources: amounts by resource class (``VCPU``, ``gigabytes``), for all that the request creates
    :ivar extra_specs: of the flavor or the volume type, by name with its scope
    :ivar zones: zones that the new volumes can be in, by their types; empty: any
    :ivar count: how many resources the request creates
    :ivar min_count: how many of them are enough
    """

    quota: Mapping[str, int] = field(default_factory=dict)
    resources: Mapping[str, int] = field(default_factory=dict)
    extra_specs: Mapping[str, str] = field(default_factory=dict)
    zones: frozenset[str] = frozenset()
    count: int = 1
    min_count: int = 1


#: The volume type that every pod has: that of volumes whose body names none, unless the project has a default type.
DEFAULT_TYPE_NAME = '__DEFAULT__'


def flavor(call: Call, reference: Any, pods: Iterable[PodView] | None = None) -> Flavor | None:
    """Return the flavor that a body refers to by its id or URL; None if no flavor can have that id.

    :param pods: to read it from if it is not recorded; None: any
    :raises NotFound: pods that answer do not have it
    :raises ServiceUnavailable: no pod answers, so what a server of this flavor uses is unknown
    """
    flavor_id = flavor_id_of(reference)
    if flavor_id is None or not _is_readable(flavor_id):
        return None
    found = _recorded_flavor(call, flavor_id)
    if found is not None:
        return found
    shown = read_object(call, COMPUTE, f'/flavors/{quote(flavor_id, safe="")}', 'flavor', pods) or {}
    if folded_name(str(shown.get('id'))) == folded_name(flavor_id):
        found = _recorded_flavor(call, str(shown['id']))  # by the id in the case that it has
    try:
        return found or Flavor.from_json(shown)
    except (LookupError, TypeError, ValueError):
        raise pod_failures.unreadable(f'Flavor {flavor_id}') from None


def _recorded_flavor(call: Call, flavor_id: str) -> Flavor | None:
    found = call.runtime.registry.wanted('flavor', flavor_id)
    return None if found is None else Flavor.from_json(found)


def flavor_id_of(reference: Any) -> str | None:
    """Return the id in a body's reference to a flavor, as ``nova.api.openstack.common.get_id_from_href`` reads it.

    Nova ignores the query and the fragment of a URL, also after an id that is no URL: ``id?`` is ``id``.

    :returns: None if Nova refuses the reference
    """
    if not isinstance(reference, str | int | float):
        return None
    try:
        return urlsplit(str(reference)).path.split('/')[-1]
    except ValueError:
        return None


def volume_type(call: Call, reference: Any) -> VolumeType | None:
    """Return the volume type that a body names; None if there is none."""
    if not isinstance(reference, str) or not _is_readable(reference):
        return None
    found = _recorded_type(call, reference)
    if found is not None or call.lookups.misses_left <= 0:
        return found
    try:
        shown = read_object(call, VOLUME, f'/types/{quote(reference, safe="")}', 'volume_type')
    except exception.NotFound:
        return None
    if shown is None or not isinstance(shown.get('name'), str):
        return None
    return VolumeType(shown['name'], shown.get('extra_specs') or {})


def _recorded_type(call: Call, name: str) -> VolumeType | None:
    """Return a replicated volume type by its id or its name.

    Without one of exactly this name, it is the one that a pod may take the name for. A pod that does not refuses it.
    """
    found = call.runtime.registry.wanted('volume_type', name, by_name=True)
    return None if found is None else VolumeType(found['name'], found.get('extra_specs') or {})


def zones_of_types(call: Call, found: Iterable[VolumeType | None]) -> frozenset[str]:
    """Return the zones that volumes of all these types can be in; empty: any.

    Names that are no zones for tenants do not count: an operator may have bound a type in a pod itself.

    :raises BadRequest: the types have no zone in common
    """
    known = frozenset(call.runtime.registry.snapshot().zones)
    bound = [type_zones.zones_in(each.extra_specs.get(type_zones.KEY, '')) for each in found if each is not None]
    by_type = [zones for zones in (known.intersection(names) for names in bound) if zones]
    if not by_type:
        return frozenset()
    common = frozenset.intersection(*by_type)
    if not common:
        raise exception.BadRequest('The volume types are bound to different availability zones.')
    return common


def _is_readable(text: str) -> bool:
    """Return whether a text can be a name or an id, so that it can be looked up."""
    return text.isprintable() and 0 < len(text) <= _MAX_LENGTH


_MAX_LENGTH = 512
#: More than any pod accepts, and far less than the counters hold.
_MAX_NUMBER = 0x7FFFFFFF


def default_type(call: Call) -> VolumeType | None:
    """Return the type that a new volume of the project gets if its body names none."""
    own = call.runtime.registry.wanted('default_type', call.context.project_id or '')
    return volume_type(call, own['volume_type'] if own else DEFAULT_TYPE_NAME)


def snapshot_amounts(volume: Amounts) -> dict[str, int]:
    """Return the quota that a snapshot of a volume uses. It has the size and the type of the volume.

    :param volume: the quota that the volume uses
    """
    return with_volume_type({'snapshots': 1, 'gigabytes': volume.get('gigabytes', 0)}, volume_type_of(volume))


def whole_number(value: Any, default: int = 0) -> int:
    """Return a whole number in a body, which may be text; the default for anything else and for negative numbers.

    Pods read text with ``int``, whatever its length, so zeros at its start do not count, and digits may be those of
    any script. To JSON Schema, ``3.0`` is a whole number too.

    :returns: ``_MAX_NUMBER`` for all that is greater
    """
    if isinstance(value, bool):
        return default
    if isinstance(value, str):
        value = _number_in(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return min(value, _MAX_NUMBER) if isinstance(value, int) and value >= 0 else default


def _number_in(text: str) -> int | None:
    """Return the whole number that ``int`` reads in a text of any length; None if it is no number."""
    number = parse_number(text.strip(), clamp=_MAX_NUMBER)
    if number is not None:
        return number
    try:
        return int(text)
    except ValueError:
        return None
