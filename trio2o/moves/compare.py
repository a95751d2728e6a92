# SPDX-License-Identifier: Apache-2.0
"""Compare what the pods show of the resources in the source and in the target, before a switch and for tenants."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from trio2o.db import moved_resources
from trio2o.db.database import utcnow
from trio2o.db.records import BUILT
from trio2o.moves import placement, ports
from trio2o.moves.freeze import seconds_until_known
from trio2o.moves.ledger import Unfit, Wait, is_being_deleted
from trio2o.moves.source import HOSTNAME_VERSION, find_volume, own_metadata, show_server
from trio2o.moves.step import Step, Work
from trio2o.resources import Item

#: Fields of ``show`` that may differ after a move.
EXCUSED = frozenset(
    {
        'id',
        'links',
        'updated',
        'updated_at',
        'hostId',
        'status',
        'progress',
        'OS-EXT-AZ:availability_zone',
        'OS-EXT-SRV-ATTR:host',
        'OS-EXT-SRV-ATTR:hypervisor_hostname',
        'OS-EXT-SRV-ATTR:instance_name',
        'OS-EXT-SRV-ATTR:reservation_id',
        'OS-EXT-STS:task_state',
        'OS-EXT-STS:vm_state',
        'OS-EXT-STS:power_state',
        'os-extended-volumes:volumes_attached',
        'pinned_availability_zone',
        'host_status',
        'os-vol-host-attr:host',
        'os-vol-mig-status-attr:migstat',
        'os-vol-mig-status-attr:name_id',
        'availability_zone',
        'attachments',
        'service_uuid',
        'cluster_name',
        'volume_type_id',
        'snapshot_id',
        'source_volid',
        'provider_id',
        'replication_status',
        'shared_targets',
    }
)
#: Fields whose former value tenants go on seeing.
KEPT = ('created', 'created_at', 'user_id', 'key_name', 'image', 'OS-SRV-USG:launched_at')


class Compare(Step):
    """Compare what the pods show of the resources in the source and in the target."""

    state = BUILT

    def run(self, work: Work) -> None:
        of_servers = [text for server_id in work.servers for text in self._of_server(work, server_id)]
        work.note(differences=[*of_servers, *self._of_volumes(work)])
        if work.facts['differences']:
            raise Unfit(f'The target differs from the source: {"; ".join(work.facts["differences"])}.')

    def undo(self, work: Work) -> None:
        """Wait until every process uses the source, so that none sends a request to what is deleted in the target."""
        if work.facts.get('shown_before') is None:
            return
        for item in work.ledger.items.values():
            if item.active_key is None:
                continue
            moved_at = moved_resources.moved_at(work.runtime.db, item.resource_type, item.top_id)
            if moved_at is not None and utcnow() < moved_at + timedelta(seconds=seconds_until_known(work)):
                raise Wait('all services to use the source')

    def _of_server(self, work: Work, server_id: str) -> Iterable[str]:
        before = show_server(work.source, work.source_server(server_id))
        after = show_server(work.target, work.target_server(server_id))
        if before is None or after is None:
            raise Unfit(f'Server {server_id} was deleted.')
        if is_being_deleted(before):
            raise Unfit(f'Server {server_id} is being deleted in the source.')
        # The source has no ports any more.
        ports.check_in_target(work, server_id, after)
        excused = {'server_groups', 'scheduler_hints'}
        if ports.networks_of(work, server_id) != 'none':
            excused |= {'addresses', 'security_groups'}
        if not work.target.compute.can(HOSTNAME_VERSION):
            excused.add('OS-EXT-SRV-ATTR:hostname')
        yield from differences(f'server {server_id}', before, after, excused)
        placed = placement.read(work.runtime.db, work.source, work.target, before, work.move.project_id, work.servers)
        yield from placement.differences(work, placed, after)
        wanted = {work.ledger.id(f'target/volume/{disk_id}') for disk_id in work.disks_of(server_id)}
        attached = {str(volume.get('id')) for volume in after.get('os-extended-volumes:volumes_attached') or ()}
        if attached != wanted:
            yield f'server {server_id}: the volumes {sorted(wanted)} should be attached, and {sorted(attached)} are'

    def _of_volumes(self, work: Work) -> Iterable[str]:
        for disk in work.plan['volumes']:
            pair = [
                find_volume(work.source, work.ledger.id(f'source/volume/{disk["id"]}')),
                find_volume(work.target, work.ledger.id(f'target/volume/{disk["id"]}')),
            ]
            if None in pair:
                raise Unfit(f'Volume {disk["id"]} was deleted.')
            before, after = ({**volume, 'metadata': own_metadata(volume)} for volume in pair if volume)
            yield from differences(f'volume {disk["id"]}', before, after, {'migration_status'})


def differences(what: str, before: Item, after: Item, excused: Iterable[str] = ()) -> Iterable[str]:
    """Name the fields that tenants would see changed. A field that only one release of a service shows is none."""
    ignored = EXCUSED.union(excused, KEPT)
    for name in sorted(before.keys() & after.keys() - ignored):
        if _ordered(before[name]) != _ordered(after[name]):
            yield f'{what}: {name} was {before[name]!r} and is {after[name]!r}'


def _ordered(value: Any) -> Any:
    """Return a list in an order of its own: that of tags, for example, means nothing."""
    return sorted(value, key=repr) if isinstance(value, list) else value


def shown(work: Work, resource_type: str, top_id: str, before: Item, after: Item) -> dict[str, Any] | None:
    """Return the fields that tenants go on seeing: name -> [value in the target, value that tenants see]."""
    overlay = moved_resources.shown(work.runtime.db, resource_type, top_id) or {}
    found = {}
    for name in KEPT:
        if name not in before or name not in after:
            continue
        old, new = seen(overlay, name, before[name]), after[name]
        if name == 'image':
            # The links are those of the pod; what tenants see differs in the id.
            old, new = (each.get('id', '') if isinstance(each, dict) else each for each in (old, new))
        if old != new:
            found[name] = [new, old]
    return found or None


def seen(overlay: Mapping[str, Any], name: str, value: Any) -> Any:
    """Return what tenants see of a field, with the overrides of an earlier move."""
    if name not in overlay:
        return value
    below, above = overlay[name]
    if name == 'image' and isinstance(value, dict):
        return {**value, 'id': above} if value.get('id') == below else value
    return above if value == below else value
