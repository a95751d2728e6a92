# SPDX-License-Identifier: Apache-2.0
"""Requests about resources that move to another pod, and the fields of those that have moved."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from trio2o import exception, job_types
from trio2o.db import moves as db_moves
from trio2o.db.errors import NOT_RECORDED
from trio2o.db.records import Job, Move
from trio2o.pods import port_bindings
from trio2o.pods.podapi import PodRefused
from trio2o.pods.registry import Moving, PodView, Snapshot
from trio2o.pods.shared_api import NETWORK, shared_api
from trio2o.resources import Item, Resource
from trio2o.web import json_body
from trio2o.web.call import Answer, Call, dump_json
from trio2o.web.slices import whole

LOG = logging.getLogger(__name__)

#: Actions that delete the resource.
_DELETE_ACTIONS = frozenset({'forceDelete', 'os-force_delete'})
_READS = frozenset({'GET', 'HEAD'})


def _check_not_reverting(call: Call, resource: Resource, top_id: str) -> None:
    """Refuse to delete a resource in the target of a move that goes back: the one in the source would stay.

    :raises Conflict: its move is being reverted
    """
    move_id = call.runtime.registry.snapshot().moving.switched.get(top_id)
    move = db_moves.get(call.runtime.db, move_id) if move_id is not None else None
    if move is not None and move.is_active and not move.is_forward:
        raise _conflict(resource, top_id, move.id)


def _conflict(resource: Resource, top_id: str, move_id: str) -> exception.Conflict:
    return exception.Conflict(
        f'{resource.title} {top_id} is being moved to another place (move {move_id}). Try again when the move has '
        'ended.'
    )


def check_not_moving(call: Call, resource: Resource, top_id: str) -> None:
    """Refuse to use or to change a resource that moves.

    :raises Conflict: it moves
    """
    move_id = call.runtime.registry.snapshot().moving.locked.get(top_id)
    if move_id is not None:
        raise _conflict(resource, top_id, move_id)


def check_may_write(call: Call, resource: Resource, top_id: str, is_read: bool, is_about_itself: bool) -> bool:
    """Refuse a write to a resource that moves. A delete cancels the move, and goes on.

    :param is_read: whether the call only reads, whatever its method
    :param is_about_itself: whether the path ends with the id of the resource
    :returns: whether the resource may be in another pod than this process knew. The pods have been read again since
    :raises Conflict: it moves
    """
    if is_read or call.method in _READS:
        return False
    runtime = call.runtime
    move_id = runtime.registry.snapshot().moving.locked.get(top_id)
    if move_id is None:
        if is_delete(call, is_about_itself):
            _check_not_reverting(call, resource, top_id)
        return False
    if not is_delete(call, is_about_itself):
        check_not_moving(call, resource, top_id)
    move = db_moves.get(runtime.db, move_id)
    if move is not None and move.resource_type != resource.type:
        # A volume of a server that moves.
        check_not_moving(call, resource, top_id)
    if move is not None and _cancel(call, move):
        _give_ports_back(call, move, top_id)
        return False
    # This process may not know yet that the move has switched: then the delete has to reach the target.
    runtime.registry.refresh()
    return True


def _cancel(call: Call, move: Move) -> bool:
    """Cancel the move of a resource that is to be deleted. :returns: False if it has switched, or is being undone"""
    runtime = call.runtime
    job = runtime.jobs.row(job_types.RUN_MOVE, move.id, {'move_id': move.id, 'pod_id': move.source_pod_id})
    try:
        db_moves.cancel(runtime.db, move.id, job)
    except db_moves.Refused as error:
        LOG.info('Move %s of a %s that is deleted is not cancelled: %s', move.id, move.resource_type, error)
        return False
    runtime.jobs.notify(Job(**job))
    return True


def _give_ports_back(call: Call, move: Move, top_id: str) -> None:
    """Let Nova of the source find the ports of a server that it deletes, which the move has taken from it.

    A failure is only logged: then the ports stay, and belong to no server.
    """
    bindings, runtime = move.facts.get('ports'), call.runtime
    pod = runtime.registry.snapshot().by_id.get(move.source_pod_id)
    neutron = shared_api(runtime.identity, runtime.pod_endpoints, pod.name, NETWORK) if pod and bindings else None
    if neutron is None or bindings is None:
        return
    servers = [item for item in db_moves.items(runtime.db, move.id) if item.top_id == top_id]
    before = {item.bottom_id for item in servers if item.is_source}
    copies = {item.bottom_id for item in servers if not item.is_source}
    own = {port_id: binding for port_id, binding in bindings.items() if binding.get('device_id') in before}
    try:
        port_bindings.give_back(neutron, own, {'', None, *copies})
    except (PodRefused, exception.PodError, exception.ServiceUnavailable) as error:
        LOG.warning('Move %s: the ports of a server that is deleted are not given back: %s', move.id, error)


def is_delete(call: Call, is_about_itself: bool) -> bool:
    """Whether a call deletes the resource in its path."""
    return (call.method == 'DELETE' and is_about_itself) or call.operation.action in _DELETE_ACTIONS


def deleted(call: Call, resource: Resource, top_id: str) -> bool:
    """Record that the owner has deleted a resource whose move could still be reverted.

    A failure is only logged: then an operator decides what becomes of the resource in the source.

    :returns: whether the resource is still in the source: this process did not know yet that the move has gone back.
        The pods have been read again since
    """
    runtime = call.runtime
    move_id = runtime.registry.snapshot().moving.switched.get(top_id)
    if move_id is None:
        return False
    try:
        is_in_source = db_moves.deleted_by_owner(runtime.db, move_id, resource.type, top_id)
    except NOT_RECORDED:
        LOG.exception('Failed to record that %s %s of move %s is deleted', resource.type, top_id, move_id)
        return False
    if is_in_source:
        runtime.registry.refresh()
        runtime.locator.forget(resource.type, top_id)
    return is_in_source


def without_hidden(call: Call, resource: Resource, pod: PodView, items: list[Item]) -> list[Item]:
    """Leave the copies that moves make or leave out of a pod's list, which has the ids that tenants see."""
    moved, moving = call.snapshot.moved, call.snapshot.moving
    if moved:
        # A pod may still show resources that were moved to another pod.
        items = [item for item in items if moved.get(str(item.get('id')), pod.id) == pod.id]
    if moving.hidden or moving.unmade:
        items = [item for item in items if not _is_hidden(call, resource, pod, moving, item)]
    now = call.runtime.registry.snapshot()
    if now is not call.snapshot:
        items = [item for item in items if not _is_newer_copy(call, resource, pod, now, item)]
    return items


def _is_newer_copy(call: Call, resource: Resource, pod: PodView, now: Snapshot, item: Item) -> bool:
    """Return whether a move has made an item since the call began.

    What a move takes from a pod is left in the list: as the call sees the pods, it is there.
    """
    ids = [str(item.get(name)) for name in ('id', resource.part_of) if name]
    if any(now.ids_up.get(each, each) != each for each in ids):
        # Its move has switched, too, and the item shows the id in the pod.
        return True
    if any(each in now.moving.switched for each in ids):
        return False
    return bool(now.moving.hidden or now.moving.unmade) and _is_hidden(call, resource, pod, now.moving, item)


def visible_ids(call: Call, resource: Resource, pod: PodView, ids: Iterable[str]) -> list[str]:
    """Leave the copies that moves make or leave out of ids that a pod lists, which are those that tenants know."""
    items = without_hidden(call, resource, pod, [{'id': each} for each in ids])
    found = [str(item['id']) for item in items]
    if not call.snapshot.moving.makes(pod.id, resource.type):
        return found
    # The id of a copy may not be known yet.
    return [each for each in found if call.runtime.locator.look_up(resource.type, each) is not None]


def _is_hidden(call: Call, resource: Resource, pod: PodView, moving: Moving, item: Item) -> bool:
    if moving.has_hidden(pod.id, resource, item):
        return True
    locator, item_id = call.runtime.locator, str(item.get('id'))
    if not moving.makes(pod.id, resource.type) or locator.remembers(resource.type, item_id):
        return False
    is_like_it = moving.hides(pod.id, resource, whole(item) or item)
    return is_like_it and locator.look_up(resource.type, item_id) is None


def with_shown(call: Call, resource: Resource, top_id: str, answer: Answer) -> Answer:
    """Return the answer about a resource with the fields that tenants see in place of those of its pod."""
    fields = call.runtime.registry.snapshot().shown.get(top_id)
    if not fields or not answer.is_ok:
        return answer
    document = answer.json
    item = json_body.object_at(document, resource.member)
    if item is None or item.get('id') != top_id:
        return answer
    document[resource.member] = _overridden(item, fields)
    return Answer(answer.status, answer.headers, dump_json(document))


def items_with_shown(call: Call, items: list[Item]) -> list[Item]:
    """Return the items of a list with the fields that tenants see in place of those of their pods."""
    shown = call.snapshot.shown
    if not shown:
        return items
    return [_item_shown(item, shown) for item in items]


def _item_shown(item: Item, shown: Mapping[str, Mapping[str, Any]]) -> Item:
    fields = shown.get(str(item.get('id')))
    complete = whole(item) if fields else None
    return item if fields is None or complete is None else _overridden(complete, fields)


def _overridden(item: Mapping[str, Any], fields: Mapping[str, Any]) -> Item:
    """Return an item with other values of the fields that have not changed since the move."""
    found = dict(item)
    for name, (below, above) in fields.items():
        if name == 'image' and isinstance(found.get(name), dict) and found[name].get('id') == below:
            # The id is in the links, too.
            found[name] = _renamed(found[name], below, above)
        elif name in found and found[name] == below:
            found[name] = above
    return found


def _renamed(value: Any, old: str, new: str) -> Any:
    if isinstance(value, str):
        return value.replace(old, new)
    if isinstance(value, list):
        return [_renamed(each, old, new) for each in value]
    if isinstance(value, dict):
        return {name: _renamed(each, old, new) for name, each in value.items()}
    return value
