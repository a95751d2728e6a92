# SPDX-License-Identifier: Apache-2.0
"""What servers and server groups take: of the quota, and of the pod that they go to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from trio2o.gateway.claiming import amounts_of
from trio2o.gateway.requested import NOTHING, Needs, default_type, flavor, volume_type, whole
from trio2o.quota.amounts import type_in, typed
from trio2o.quota.recorded import Flavor
from trio2o.resources import VOLUME
from trio2o.web.call import Call

_MADE_FROM = ('image', 'blank', 'snapshot')


def of_server(call: Call, document: Any) -> Needs:
    """What a create of servers needs, with the volumes that are made for them."""
    server = document['server']
    found = flavor(call, server.get('flavorRef'))
    if found is None:
        return NOTHING
    least, most = counts(server)
    once = Counter({'instances': 1, 'cores': found.vcpus, 'ram': found.ram})
    for size, type_name in new_volumes(server):
        named = volume_type(call, type_name) or default_type(call)
        once.update(typed({'volumes': 1, 'gigabytes': size}, named.name if named is not None else None))
    disk = found.disk if boots_from_volume(server) else found.root + found.disk
    taken = {'VCPU': found.vcpus, 'MEMORY_MB': found.ram, 'DISK_GB': disk}
    return Needs(
        quota=once,
        resources={name: amount * most for name, amount in taken.items()},
        extra_specs=found.extra_specs,
        count=most,
        least=least,
    )


def of_server_group(call: Call, document: Any) -> Needs:
    return Needs(quota={'server_groups': 1})


def of_proxied_volume(call: Call, document: Any) -> Needs:
    """A volume, as compute made them up to 2.35."""
    volume = document['volume']
    found = volume_type(call, volume.get('volume_type')) or default_type(call)
    amounts = {'volumes': 1, 'gigabytes': whole(volume.get('size'))}
    return Needs(quota=typed(amounts, found.name if found is not None else None))


def of_proxied_snapshot(call: Call, document: Any) -> Needs:
    volume = amounts_of(call, VOLUME, document['snapshot'].get('volume_id'))
    return Needs(quota=typed({'snapshots': 1, 'gigabytes': volume.get('gigabytes', 0)}, type_in(volume)))


def counts(server: dict[str, Any]) -> tuple[int, int]:
    """How many servers there have to be at least, and may be at most."""
    least = whole(server.get('min_count'), 1) or 1
    most = whole(server.get('max_count'), least) or least
    return min(least, most), most


def amounts(found: Flavor) -> dict[str, int]:
    """What one server of a flavor takes of the quota."""
    return {'instances': 1, 'cores': found.vcpus, 'ram': found.ram}


def new_volumes(server: dict[str, Any]) -> Iterator[tuple[int, Any]]:
    """Size and type of each volume that is made for one server; 0 where only what it is made from tells."""
    for mapping in objects(server.get('block_device_mapping_v2')):
        if mapping.get('destination_type') == 'volume' and mapping.get('source_type') in _MADE_FROM:
            yield whole(mapping.get('volume_size')), mapping.get('volume_type')
    for mapping in objects(server.get('block_device_mapping')):
        if mapping.get('snapshot_id') and not mapping.get('volume_id'):
            yield whole(mapping.get('volume_size')), None


def boots_from_volume(server: dict[str, Any]) -> bool:
    """Whether the first disk is a volume, and nothing of the flavor's root disk is used."""
    if objects(server.get('block_device_mapping')) and not server.get('imageRef'):
        return True
    return any(
        whole(mapping.get('boot_index'), 1) == 0
        and 'volume' in (mapping.get('destination_type'), mapping.get('source_type'))
        for mapping in objects(server.get('block_device_mapping_v2'))
    )


def objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def fewer(document: Any, count: int) -> Any:
    """The body of a create for at most so many servers."""
    server = {**document['server'], 'max_count': count}
    return {**document, 'server': server}
