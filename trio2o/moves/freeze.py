# SPDX-License-Identifier: Apache-2.0
"""The steps before anything is copied: wait until all processes know of the move, and stop the server."""

from __future__ import annotations

from datetime import timedelta

from trio2o.db import routings
from trio2o.db.database import utcnow
from trio2o.db.records import FROZEN
from trio2o.moves.ledger import Unfit, Wait
from trio2o.moves.source import find_volume, show_server
from trio2o.moves.step import Step, Work
from trio2o.resources import Item


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
            self._check(work, item.resource_type, item.bottom_id, item.top_id)

    def _check(self, work: Work, resource_type: str, bottom_id: str, top_id: str) -> None:
        find = show_server if resource_type == 'server' else find_volume
        if find(work.source, bottom_id) is None:
            raise Unfit(f'{resource_type.capitalize()} {top_id} does not exist any more.')


class Stop(Step):
    """Stop the server, so that its disks do not change while they are copied."""

    state = FROZEN

    def run(self, work: Work) -> None:
        server = _server(work)
        if 'power' not in work.facts:
            if server['status'] not in ('ACTIVE', 'SHUTOFF'):
                raise Unfit(f'The server is {server["status"]} now.')
            # Recorded before the server is stopped, so that a cancelled move starts it again.
            work.note(power=server['status'])
        if server['status'] == 'SHUTOFF':
            return
        if server['status'] != 'ACTIVE':
            raise Unfit(f'The server is {server["status"]} now.')
        if not server.get('OS-EXT-STS:task_state'):
            work.source.compute.send('POST', f'/servers/{server["id"]}/action', '2.1', {'os-stop': None})
        raise Wait('the server to stop')

    def undo(self, work: Work) -> None:
        if work.facts.get('power') != 'ACTIVE':
            return
        server = show_server(work.source, work.source_server)
        if server is None or server['status'] == 'ACTIVE':
            return
        if server['status'] == 'ERROR':
            raise Unfit('The server in the source is in ERROR.')
        if server['status'] == 'SHUTOFF' and not server.get('OS-EXT-STS:task_state'):
            work.source.compute.send('POST', f'/servers/{server["id"]}/action', '2.1', {'os-start': None})
        raise Wait('the server to start')


class Unchanged(Step):
    """See that nobody started the server in the source, which would make the copies old."""

    def run(self, work: Work) -> None:
        server = _server(work)
        if server['status'] != 'SHUTOFF':
            raise Unfit(f'The server in the source is {server["status"]}: somebody started it. Cancel the move.')


def _server(work: Work) -> Item:
    server = show_server(work.source, work.source_server)
    if server is None:
        raise Unfit('The server does not exist in the source any more.')
    return server


def seconds_until_known(work: Work) -> float:
    """Return how long other processes may still use what they knew before a change."""
    return float(2 * work.runtime.conf.pods.refresh_seconds + 1)
