# SPDX-License-Identifier: Apache-2.0
"""The quota and the capacity that a create of servers requests, also for volumes that Nova creates for the servers."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator
from typing import Any

from trio2o import exception
from trio2o.gateway.claiming import amounts_of
from trio2o.gateway.requested import (
    Requested,
    default_type,
    flavor,
    flavor_id_of,
    volume_type,
    whole_number,
    zones_of_types,
)
from trio2o.quota.amounts import volume_type_of, with_volume_type
from trio2o.quota.usage import Flavor
from trio2o.resources import SNAPSHOT, Item
from trio2o.web import json_body
from trio2o.web.call import Call

#: Sources of a block device for which Nova creates a volume.
_VOLUME_SOURCES = ('image', 'blank', 'snapshot')


def requested_servers(call: Call, server: Item) -> Requested:
    """Return what the servers of a create request, with the volumes that Nova creates for them.

    :raises BadRequest: the reference to the flavor is no URL and no id, or there is no such flavor
    :raises ServiceUnavailable: no pod shows the flavor now
    """
    reference = server.get('flavorRef')
    if isinstance(reference, str) and flavor_id_of(reference) is None:
        # Nova answers 500 to it, which would be an unknown outcome.
        raise exception.BadRequest(f'Flavor {reference[:64]} could not be found.')
    try:
        found = flavor(call, reference)
    except exception.NotFound:
        # Only some pods were asked. One that has it all the same would create servers that no quota was claimed for.
        raise exception.BadRequest(f'Flavor {flavor_id_of(reference)} could not be found.') from None
    if found is None:
        return Requested()
    min_count, max_count = counts(server)
    once = Counter(flavor_amounts(found))
    type_named = functools.cache(lambda name: volume_type(call, name) or default_type(call))
    types = []
    for size, type_name in _new_volumes(call, server):
        named = type_named(type_name if isinstance(type_name, str) else None)
        types.append(named)
        once.update(with_volume_type({'volumes': 1, 'gigabytes': size}, named.name if named is not None else None))
    return Requested(
        quota=once,
        resources=found.placement_resources(max_count, has_root_disk=not _boots_from_volume(server)),
        extra_specs=found.extra_specs,
        zones=zones_of_types(call, types),
        count=max_count,
        min_count=min_count,
    )


def counts(server: Item) -> tuple[int, int]:
    """Return the least and the highest number of servers that a create requests."""
    min_count = whole_number(server.get('min_count'), 1) or 1
    max_count = whole_number(server.get('max_count'), min_count) or min_count
    return min(min_count, max_count), max_count


def flavor_amounts(found: Flavor) -> dict[str, int]:
    """Return the quota that one server of a flavor uses."""
    return {'instances': 1, 'cores': found.vcpus, 'ram': found.ram}


def block_devices(server: Item, key: str = 'block_device_mapping_v2') -> list[Item]:
    """Return the block devices under a key of a create, without those that are no JSON objects."""
    return json_body.objects_at(server, key)


def _new_volumes(call: Call, server: Item) -> Iterator[tuple[int, Any]]:
    """Yield size and type of each volume that Nova creates for one server."""
    for mapping in _all_devices(call, server):
        source = mapping.get('source_type')
        if source is None:  # of the first version of block device mappings
            if mapping.get('snapshot_id') and not mapping.get('volume_id'):
                yield _new_volume(call, mapping, mapping['snapshot_id'])
        elif mapping.get('destination_type') == 'volume' and source in _VOLUME_SOURCES:
            of_snapshot = (mapping.get('uuid') or mapping.get('snapshot_id')) if source == 'snapshot' else None
            yield _new_volume(call, mapping, of_snapshot)


def _all_devices(call: Call, server: Item) -> list[Item]:
    """Return the block devices of a server: those in the body, and those of its image that they do not replace.

    As in ``nova.compute.api``, a device replaces that of the image with its name, and an image with a root device
    replaces the device in the body that names the image.
    """
    devices, legacy = block_devices(server), block_devices(server, 'block_device_mapping')
    roots = [mapping for mapping in devices if _is_root(mapping) and mapping.get('source_type') == 'image']
    of_image = call.runtime.images.read(
        call, server.get('imageRef') or next((each.get('uuid') for each in roots), None)
    )
    if any(_is_root(mapping) for mapping in of_image.devices):
        devices = [mapping for mapping in devices if mapping not in roots]
    names = [name for mapping in (*devices, *legacy) if (name := mapping.get('device_name'))]
    return [*devices, *legacy, *(each for each in of_image.devices if each.get('device_name') not in names)]


def _is_root(mapping: Item) -> bool:
    return whole_number(mapping.get('boot_index'), 1) == 0


def _new_volume(call: Call, mapping: Item, snapshot_id: Any) -> tuple[int, Any]:
    """Return size and type of the volume for a block device: those that it names, or else those of its source."""
    size, type_name = whole_number(mapping.get('volume_size')), mapping.get('volume_type')
    if mapping.get('source_type') == 'image':
        return size, type_name or call.runtime.images.read(call, mapping.get('uuid')).volume_type
    source = {} if snapshot_id is None or (size and type_name) else amounts_of(call, SNAPSHOT, snapshot_id)
    return size or source.get('gigabytes', 0), type_name or volume_type_of(source)


def _boots_from_volume(server: Item) -> bool:
    """Return whether the first disk is a volume, so that the flavor's root disk is not used."""
    if block_devices(server, 'block_device_mapping') and not server.get('imageRef'):
        return True
    return any(
        _is_root(mapping) and 'volume' in (mapping.get('destination_type'), mapping.get('source_type'))
        for mapping in block_devices(server)
    )
