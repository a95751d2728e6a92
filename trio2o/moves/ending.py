# SPDX-License-Identifier: Apache-2.0
"""The last steps: the switch, the time in which a move can be reverted, and the deletion of what is left."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from trio2o.db import moved_resources, routings
from trio2o.db import moves as db_moves
from trio2o.db.database import Database, utcnow
from trio2o.db.records import GONE, MoveItem
from trio2o.moves import copying, ports
from trio2o.moves.building import check_keeps_volumes, delete_key_pair, delete_server
from trio2o.moves.compare import shown
from trio2o.moves.freeze import check_unchanged, seconds_until_known
from trio2o.moves.ledger import Unfit, Wait
from trio2o.moves.sites import Site
from trio2o.moves.source import find_volume, show_server, snapshots_of
from trio2o.moves.step import Step, Work
from trio2o.resources import SERVER, VOLUME, Item
from trio2o.web import json_body

LOG = logging.getLogger(__name__)

_RESOURCES = {'server': SERVER, 'volume': VOLUME}
#: Actions of a server that are kept. Each has its events.
_MOST_ACTIONS = 200


class Switch(Step):
    """Let the ids that tenants know lead to the target, in one transaction."""

    def __init__(self) -> None:
        super().__init__('switch')

    def run(self, work: Work) -> None:
        if work.move.is_switched:
            return
        # The server in the target took a while to boot.
        check_unchanged(work)
        db = work.runtime.db
        pairs = [(item, work.ledger.items[_in_target(item)]) for item in resources(work)]
        before = {item.key: moved_resources.shown(db, item.resource_type, item.top_id) for item, _ in pairs}
        actions = {server_id: _actions(work, server_id) for server_id in work.servers}
        work.note(shown_before=before, actions=actions)
        switches = []
        for item, target in pairs:
            old, new = _show(work.source, item), _show(work.target, target)
            if old is None or new is None:
                raise Unfit(f'{item.resource_type.capitalize()} {item.top_id} was deleted.')
            created_at = _RESOURCES[item.resource_type].created_at(new)
            fields = shown(work, item.resource_type, item.top_id, old, new)
            if work.plan.get('host') and item.resource_type == SERVER.type:
                fields = {**(fields or {}), **_as_after_migration(new)}
            switches.append(_switch(item, target, created_at, fields))
        move = db_moves.switch(db, work.move.id, switches)
        if move is None:
            current = db_moves.get(db, work.move.id)
            if current is not None and not current.is_forward:
                raise Wait('the move, which was cancelled')
            raise Unfit('A resource of the move is no longer where it was.')
        work.move = move
        _forget(work)

    def undo(self, work: Work) -> None:
        if not work.move.is_switched:
            return
        check_revertible(work)
        db = work.runtime.db
        switches = switches_back(db, work.ledger.items.values(), work.facts)
        move = db_moves.switch(db, work.move.id, switches, is_back=True)
        if move is None:
            raise Unfit('A resource of the move is no longer where it was.')
        work.move = move
        _forget(work)


def check_revertible(work: Work) -> None:
    """See that nothing of what owners did since the switch stops a revert half-way. Nothing is changed yet.

    :raises Unfit: something does
    """
    # Also one that its owner has deleted, whose volumes Nova has not detached yet.
    own = [work.ledger.items[f'target/server/{server_id}'].bottom_id for server_id in work.servers]
    for disk in work.plan['volumes']:
        volume_id = work.ledger.id(f'target/volume/{disk["id"]}')
        volume = find_volume(work.target, volume_id) if volume_id else None
        if volume is None:
            continue
        for attachment in volume.get('attachments') or ():
            if attachment.get('server_id') not in own:
                server_id = attachment.get('server_id')
                raise Unfit(
                    f'Volume {disk["id"]} is attached to server {server_id} now: detach it, and revert or resume; '
                    'or confirm the move.'
                )
        snapshots = snapshots_of(work.target, volume_id)
        if snapshots:
            raise Unfit(
                f'Volume {disk["id"]} has snapshots that were made since the switch: {", ".join(snapshots)}. A revert '
                'would need their deletion: delete them, and revert or resume; or confirm the move.'
            )
    check_keeps_volumes(work)
    ports.check_not_given_away(work)


def switches_back(db: Database, items: Iterable[MoveItem], facts: Mapping[str, Any]) -> list[db_moves.Switch]:
    """Return the resources of a switched move, as they go back to the source."""
    by_key = {item.key: item for item in items}
    before = facts.get('shown_before') or {}
    found = []
    for item in by_key.values():
        routing = routings.get(db, item.resource_type, item.top_id) if item.is_source else None
        # One that was deleted in the target has no live routing. The next comparison with the source records it.
        if routing is not None and routing.is_live:
            found.append(_switch(by_key[_in_target(item)], item, None, before.get(item.key)))
    return found


def _in_target(item: MoveItem) -> str:
    """Return the key of what takes the place of a resource."""
    return item.key.replace('source/', 'target/', 1)


#: What Nova shows of a server whose migration is neither confirmed nor reverted.
_UNCONFIRMED = {'status': 'VERIFY_RESIZE', 'OS-EXT-STS:vm_state': 'resized'}


def _as_after_migration(server: Item) -> dict[str, Any]:
    return {name: [server[name], value] for name, value in _UNCONFIRMED.items() if name in server}


def resources(work: Work) -> list[MoveItem]:
    """Return the resources of a move, as they are in the source."""
    return [item for item in work.ledger.items.values() if item.is_source]


def show_in(site: Site, resource_type: str, bottom_id: str) -> Item | None:
    """Return a server or volume as a pod shows it; None if the pod says that it does not exist."""
    return (show_server if resource_type == 'server' else find_volume)(site, bottom_id)


def _show(site: Site, item: MoveItem) -> Item | None:
    return show_in(site, item.resource_type, item.bottom_id)


def _switch(old: MoveItem, new: MoveItem, created_at: datetime | None, fields: Any) -> db_moves.Switch:
    return db_moves.Switch(
        old.resource_type,
        old.top_id,
        (old.pod_id, old.bottom_id),
        (new.pod_id, new.bottom_id),
        created_at=created_at,
        shown=fields,
    )


def _forget(work: Work) -> None:
    """Drop what this process knows of the routings."""
    work.runtime.registry.refresh()
    for item in resources(work):
        work.runtime.locator.forget(item.resource_type, item.top_id)


def _actions(work: Work, server_id: str) -> list[Any]:
    """Return the actions of a server in the source, the newest first, with their events."""
    api, path = work.source.compute, f'/servers/{work.source_server(server_id)}/os-instance-actions'
    listed = json_body.objects_at(api.get_list(path, '2.62'), 'instanceActions')[:_MOST_ACTIONS]
    found = []
    for action in listed:
        shown_action = json_body.at(api.find(f'{path}/{action["request_id"]}', '2.84'), 'instanceAction')
        found.append({**action, **(shown_action or {}), 'instance_uuid': server_id})
    return found


class Window(Step):
    """Wait until the move is confirmed, by an operator or by itself."""

    waits_for_people = True

    def __init__(self) -> None:
        super().__init__('wait for confirmation')

    def run(self, work: Work) -> None:
        move, db = work.move, work.runtime.db
        if move.wish != 'confirm':
            if not self._is_over(work):
                raise Wait('confirmation')
            confirmed = db_moves.begin_confirming(db, move.id)
            if confirmed is None:
                raise Wait('the move, which is being reverted')
            work.move = confirmed
        self._end_migration(work)

    def _end_migration(self, work: Work) -> None:
        """Let tenants see the status of the pod again."""
        if work.plan.get('host'):
            db, server_id = work.runtime.db, work.move.resource_id
            fields = moved_resources.shown(db, SERVER.type, server_id) or {}
            kept = {name: value for name, value in fields.items() if name not in _UNCONFIRMED}
            moved_resources.set_shown(db, SERVER.type, server_id, kept or None)

    def _is_over(self, work: Work) -> bool:
        if not work.plan['confirms_itself']:
            return False
        return work.move.confirm_at is None or utcnow() >= work.move.confirm_at


class DeleteSource(Step):
    """Delete the resources in the source, once every process uses those in the target."""

    def __init__(self) -> None:
        super().__init__('delete source')

    def run(self, work: Work) -> None:
        self._check_target(work)
        for item in resources(work):
            self._check_authority(work, item)
        # From here on there may be nothing to go back to.
        work.note(is_deleting=True)
        ledger = work.ledger
        for server_id in work.servers:
            ports.forget(work, work.source, work.source_server(server_id))
            ledger.delete(
                f'source/server/{server_id}',
                lambda bottom_id: show_server(work.source, bottom_id),
                lambda bottom_id: delete_server(work.source.compute, bottom_id),
            )
        for disk in work.plan['volumes']:
            copying.delete_volume(work, work.source, f'source/volume/{disk["id"]}')

    def _check_target(self, work: Work) -> None:
        """See that the target has the resources, unless an administrator gives up what it has lost."""
        missing = [
            f'{item.resource_type} {item.top_id}'
            for item in resources(work)
            if not self._is_there_or_deleted(work, item)
        ]
        if not missing:
            return
        if work.facts.get('is_forced'):
            LOG.warning('Move %s: given up by an administrator: %s', work.move.id, ', '.join(missing))
            work.note(lost=missing)
            return
        raise Unfit(
            f'The target has lost, though their owner has not deleted them: {", ".join(missing)}. Those in the source '
            'are kept: revert the move, or bring them back and resume the move, or give them up with a forced '
            'confirmation.'
        )

    def _check_authority(self, work: Work, item: MoveItem) -> None:
        """See that no routing leads to what is deleted."""
        routing = routings.get(work.runtime.db, item.resource_type, item.top_id)
        if routing is not None and (routing.pod_id, routing.bottom_id) == (item.pod_id, item.bottom_id):
            raise Unfit(f'The routing of {item.resource_type} {item.top_id} leads to the source.')
        switched_at = moved_resources.moved_at(work.runtime.db, item.resource_type, item.top_id)
        if switched_at is not None and utcnow() < switched_at + timedelta(seconds=seconds_until_known(work)):
            raise Wait('all services to use the target')

    def _is_there_or_deleted(self, work: Work, item: MoveItem) -> bool:
        """Whether the target has a resource, or its owner has deleted it."""
        items = work.ledger.items
        target = items[_in_target(item)]
        if GONE in (item.state, target.state) or _show(work.target, target) is not None:
            return True
        # Nova deletes it with the server.
        return any(
            attachment['delete_on_termination'] and items[f'target/server/{attachment["server_id"]}'].state == GONE
            for disk in work.plan['volumes']
            if disk['id'] == item.top_id
            for attachment in disk['attachments']
        )


class DeleteRest(Step):
    """Delete what only the move needed."""

    def __init__(self) -> None:
        super().__init__('delete what is not used any more')

    def run(self, work: Work) -> None:
        for key, item in work.ledger.items.items():
            if 'confirmed' not in item.delete_on or item.active_key is not None:
                continue
            if item.resource_type == 'image':
                copying.delete_image(work, key)
            elif item.resource_type == 'volume':
                copying.delete_volume(work, work.source, key)
            elif item.resource_type == 'snapshot':
                copying.delete_snapshot(work, key)
            elif item.resource_type == 'keypair':
                delete_key_pair(work, key)
        for server_id in work.servers:
            bottom_id = work.target_server(server_id)
            server = show_server(work.target, bottom_id) if bottom_id else None
            if server is not None:
                ports.check_after_deletion(work, server_id, server)
