# SPDX-License-Identifier: Apache-2.0
"""The steps before anything is copied: wait until all processes know of the move, and stop the server."""

from __future__ import annotations

from datetime import timedelta

from trio2o.db import routings
from trio2o.db.database import utcnow
from trio2o.db.records import FROZEN, REVERTED, MoveItem
from trio2o.moves import building, copying
from trio2o.moves.ledger import Unfit, Wait
from trio2o.moves.source import find_volume, has_snapshots, show_server
from trio2o.moves.step import Step, Work
from trio2o.resources import SERVER, Item


class Lock(Step):
    """Wait until every process knows that nobody may change the resources, then see that they are as planned."""

    def run(self, work: Work) -> None:
        known_at = work.move.created_at + timedelta(seconds=seconds_until_known(work))
        if utcnow() < known_at:
            raise Wait('all services to learn of the move')
        for item in work.ledger.items.values():
            if item.active_key is None:
                continue
            routing = routings.get(work.runtime.db, item.resource_type, item.top_id)
            if routing is None or (routing.pod_id, routing.bottom_id) != (item.pod_id, item.bottom_id):
                raise Unfit(f'{item.resource_type.capitalize()} {item.top_id} is no longer where it was.')
        check_volumes(work)

    def undo(self, work: Work) -> None:
        """Delete what its owner has deleted in the target while the move went back."""
        for item in deleted_meanwhile(work):
            delete_in_source(work, item)


def deleted_meanwhile(work: Work) -> list[MoveItem]:
    """Return the resources in the source that their owner has deleted in the target while the move went back."""
    items = work.ledger.items.values()
    return [item for item in items if item.is_source and REVERTED in item.delete_on.split(',')]


def delete_in_source(work: Work, item: MoveItem) -> None:
    """Delete a resource in the source, and end its routing. :raises Wait: it is not gone yet"""
    if item.resource_type == SERVER.type:
        building.delete_server_of(work, work.source, item.key)
    else:
        copying.delete_volume(work, work.source, item.key)
    routings.mark_deleted(work.runtime.db, item.resource_type, item.top_id, item.pod_id, item.bottom_id)
    work.runtime.locator.forget(item.resource_type, item.top_id)


class Stop(Step):
    """Stop a server, so that its disks do not change while they are copied."""

    state = FROZEN

    def __init__(self, server_id: str) -> None:
        super().__init__(f'stop server {server_id}')
        self.server_id = server_id

    def run(self, work: Work) -> None:
        server, power = _server(work, self.server_id), f'power/{self.server_id}'
        if power not in work.facts:
            if server['status'] not in ('ACTIVE', 'SHUTOFF'):
                raise Unfit(f'The server is {server["status"]} now.')
            # Recorded before the server is stopped, so that a cancelled move starts it again.
            work.note(**{power: server['status']})
        if server['status'] == 'SHUTOFF':
            return
        if server['status'] != 'ACTIVE':
            raise Unfit(f'The server is {server["status"]} now.')
        if not server.get('OS-EXT-STS:task_state'):
            work.source.compute.send('POST', f'/servers/{server["id"]}/action', '2.1', {'os-stop': None})
        raise Wait('the server to stop')

    def undo(self, work: Work) -> None:
        if work.facts.get(f'power/{self.server_id}') != 'ACTIVE':
            return
        if any(item.top_id == self.server_id for item in deleted_meanwhile(work)):
            return
        server = show_server(work.source, work.source_server(self.server_id))
        if server is None or (server['status'] == 'ACTIVE' and not server.get('OS-EXT-STS:task_state')):
            # One that is being stopped is ACTIVE, too.
            return
        if server['status'] == 'ERROR':
            raise Unfit('The server in the source is in ERROR.')
        if server['status'] == 'SHUTOFF' and not server.get('OS-EXT-STS:task_state'):
            work.source.compute.send('POST', f'/servers/{server["id"]}/action', '2.1', {'os-start': None})
        raise Wait('the server to start')


class Unchanged(Step):
    """See that nobody started a server in the source or attached a volume, which would make the copies old."""

    def run(self, work: Work) -> None:
        check_unchanged(work)


def check_unchanged(work: Work) -> None:
    """See that the disks in the source are as they were copied. :raises Unfit: something has changed"""
    check_volumes(work)
    for server_id in work.servers:
        server = _server(work, server_id)
        if server['status'] != 'SHUTOFF':
            raise Unfit(
                f'Server {server_id} in the source is {server["status"]}: somebody started it. Cancel the move.'
            )


def check_volumes(work: Work) -> None:
    """See that the volumes are attached to what they were attached to when the move was planned, and no others are.

    Requests that passed a gateway just before it knew of the move, and those to the pod itself, may have changed that.

    :raises Unfit: something has changed
    """
    planned = set()
    for disk in work.plan['volumes']:
        bottom_id = work.ledger.items[f'source/volume/{disk["id"]}'].bottom_id
        planned.add(bottom_id)
        volume = find_volume(work.source, bottom_id)
        if volume is None:
            raise Unfit(f'Volume {disk["id"]} does not exist any more.')
        servers = sorted(str(attachment.get('server_id')) for attachment in volume.get('attachments') or ())
        if servers != sorted(work.source_server(each['server_id']) for each in disk['attachments']):
            raise Unfit(f'Volume {disk["id"]} was attached or detached since the move was planned. Cancel the move.')
        if has_snapshots(work.source, bottom_id):
            raise Unfit(f'Volume {disk["id"]} has snapshots, made since the move was planned. Cancel the move.')
    for server_id in work.servers:
        attached = _server(work, server_id).get('os-extended-volumes:volumes_attached') or ()
        more = {volume['id'] for volume in attached} - planned
        if more:
            raise Unfit(
                f'Volumes were attached since the move was planned: {", ".join(sorted(more))}. Cancel the move.'
            )


def _server(work: Work, server_id: str) -> Item:
    server = show_server(work.source, work.source_server(server_id))
    if server is None:
        raise Unfit(f'Server {server_id} does not exist in the source any more.')
    return server


def seconds_until_known(work: Work) -> float:
    """Return how long other processes may still use what they knew before a change."""
    return float(2 * work.runtime.conf.pods.refresh_seconds + 1)
