# SPDX-License-Identifier: Apache-2.0
"""What a move requests of the capacity of its target, and whether the target has it.

A reading of a pod's capacity does not contain what moves under way have not built. What they request is added to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from trio2o.moves.source import Disk, Source
from trio2o.pods.registry import PodView
from trio2o.pods.usage import BACKEND_SPEC
from trio2o.quota.usage import Flavor
from trio2o.resources import SERVER, VOLUME
from trio2o.scheduler.capacity import Room
from trio2o.scheduler.spec import PodRequest

#: ``{'service': 'volume', 'backend': 'lvm', 'count': 2, 'resources': {'gigabytes': 20}}``
Requested: TypeAlias = Mapping[str, Any]


def of_server(source: Source) -> list[Requested]:
    """Return what a server requests; nothing if its flavor was deleted."""
    if source.server is None or not source.flavor:
        return []
    flavor = Flavor.from_json(source.flavor)
    resources = flavor.placement_resources(has_root_disk=source.has_local_root)
    return [{'service': SERVER.service, 'backend': '', 'count': 1, 'resources': resources}]


def of_volumes(disks: Iterable[Disk], backends: Mapping[str, str]) -> list[Requested]:
    """Return what volumes request, by backend.

    :param backends: name of a volume type -> the backend that its extra specs name
    """
    sizes: dict[str, list[int]] = {}
    for disk in disks:
        sizes.setdefault(backends.get(str(disk.volume.get('volume_type')), ''), []).append(int(disk.volume['size']))
    return [
        {'service': VOLUME.service, 'backend': backend, 'count': len(each), 'resources': {'gigabytes': sum(each)}}
        for backend, each in sorted(sizes.items())
    ]


def shortage(room: Room, pod: PodView, requested: Iterable[Requested], others: Sequence[Requested]) -> str:
    """Describe the first resource that a pod has not enough of; '' if it has, or if its capacity is not known.

    :param others: what other moves to the pod request and have not built
    """
    oldest = room.oldest()
    for one in requested:
        same = [other for other in others if other['service'] == one['service']]
        if one['backend']:
            same = [other for other in same if other['backend'] in ('', one['backend'])]
        for those in ([one], [one, *same]):
            found = room.shortage(pod, _request(one, those), oldest)
            if found:
                return found if those == [one] else f'{found}; {len(same)} other moves to the pod request a part of it'
    return ''


def _request(one: Requested, those: Sequence[Requested]) -> PodRequest:
    resources: dict[str, int] = {}
    for each in those:
        for name, amount in each['resources'].items():
            resources[name] = resources.get(name, 0) + amount
    return PodRequest(
        service=one['service'],
        project_id='',
        resources=resources,
        count=sum(each['count'] for each in those),
        extra_specs={BACKEND_SPEC: one['backend']} if one['backend'] else {},
    )
