# SPDX-License-Identifier: Apache-2.0
"""Sweep what an abandoned move has left in the pods, as far as they answer now.

The move has ended: nothing is locked, and its resources may be used, moved again or deleted. So a sweep looks before
it deletes: each resource of the move has to be where its routing leads, or its owner has deleted it. If it is missing
there, or its pod does not answer, what is left may be the only copy, and is kept.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from trio2o import exception
from trio2o.db import moves as db_moves
from trio2o.db import routings
from trio2o.db.records import MADE, Move, MoveItem
from trio2o.moves import building, copying, ending, freeze, ports, steps
from trio2o.moves.ledger import MARKER, Ledger, Unfit, Wait
from trio2o.moves.sites import AbsentSite, Site, site_of
from trio2o.moves.step import Work
from trio2o.pods.podapi import PodRefused
from trio2o.routing.inventory import match_routings

if TYPE_CHECKING:
    from trio2o.runtime import Runtime

LOG = logging.getLogger(__name__)

#: Why something is left after a sweep.
_FAILURES = (Wait, Unfit, PodRefused, exception.PodError, exception.ServiceUnavailable, exception.NotFound)
#: What a document of a pod that lacks something, or has another form, leads to.
_ODD = (LookupError, TypeError, ValueError, AttributeError)
#: What uses something else is deleted before it.
_ORDER = ('server', 'keypair', 'image', 'volume', 'snapshot')


def sweep(runtime: Runtime, move: Move) -> float | None:
    """Delete what is left of an abandoned move, and bring a server in the source back to work.

    :returns: seconds until the next look; None if nothing is left, or the pods cannot do more now
    """
    work = Work(
        runtime,
        move,
        Ledger(runtime, move.id),
        _site(runtime, move, move.source_pod_id),
        _site(runtime, move, move.target_pod_id),
    )
    reasons: dict[str, str] = {}
    is_waiting = _restore(work, reasons)
    missing = _missing(work)
    unreachable: dict[str, str] = {}
    for item in _in_order(work):
        if item.pod_id in unreachable:
            reasons[item.key] = unreachable[item.pod_id]
            continue
        try:
            _sweep_item(work, item, missing)
        except exception.PodError as error:
            # A pod that hangs would take as long for each item.
            reasons[item.key] = unreachable[item.pod_id] = str(error)
        except _FAILURES as error:
            reasons[item.key] = f'waits for {error}' if isinstance(error, Wait) else str(error)
            is_waiting = is_waiting or isinstance(error, Wait)
        except _ODD as error:
            LOG.exception('Move %s: %s is left', move.id, item.key)
            reasons[item.key] = f'a pod answered what no service answers: {error!r}'
    is_restored = work.facts.get('is_restored') or move.is_forward
    if is_restored and not db_moves.left(move, work.ledger.items.values()):
        LOG.info('Nothing is left of move %s', move.id)
        db_moves.swept(runtime.db, move.id)
        return None
    work.note(left=reasons)
    return max(1.0, 6.0 * runtime.conf.moves.poll_seconds) if is_waiting else None


def _site(runtime: Runtime, move: Move, pod_id: str) -> Site:
    try:
        return site_of(runtime, pod_id, move.project_id)
    except exception.ServiceUnavailable as error:
        return AbsentSite(error)


def _restore(work: Work, reasons: dict[str, str]) -> bool:
    """Give the server in the source its ports and its power state back, once. :returns: whether it has to wait"""
    if work.move.is_forward or work.facts.get('is_restored'):
        return False
    for step in reversed(steps.of_plan(work.plan)):
        if not isinstance(step, (ports.TakePorts, freeze.Stop)):
            continue
        try:
            step.undo(work)
        except _FAILURES as error:
            reasons[step.name] = f'waits for {error}' if isinstance(error, Wait) else str(error)
            # It is not started without its ports.
            return isinstance(error, Wait)
    work.note(is_restored=True)
    return False


def _missing(work: Work) -> str:
    """Return why what is left may be the only copy of a resource; '' if it is not."""
    runtime, move = work.runtime, work.move
    for item in ending.resources(work):
        kind = f'{item.resource_type.capitalize()} {item.top_id}'
        routing = routings.get(runtime.db, item.resource_type, item.top_id)
        if routing is None:
            return f'{kind} has no routing: what is left may be its only copy'
        if not routing.is_live:
            continue
        site = _site(runtime, move, routing.pod_id)
        try:
            is_there = ending.show_in(site, item.resource_type, routing.bottom_id) is not None
        except _FAILURES as error:
            return f'it is not known whether {kind} is where its routing leads: {error}'
        if not is_there:
            return f'{kind} is missing where its routing leads: what is left may be its only copy'
    return ''


def _in_order(work: Work) -> list[MoveItem]:
    """Return what is left, in the order in which it can be deleted."""
    items = db_moves.left(work.move, work.ledger.items.values())
    # Volumes that only the move needs, as their snapshots cannot be deleted before them; others after the snapshots.
    return sorted(items, key=lambda item: (bool(item.top_id) and item.resource_type == 'volume', _rank(item)))


def _rank(item: MoveItem) -> int:
    return _ORDER.index(item.resource_type)


def _sweep_item(work: Work, item: MoveItem, missing: str) -> None:
    """Delete something that is left.

    :param missing: why it may be the only copy of a resource
    :raises Unfit: it is kept
    """
    db = work.runtime.db
    is_deleted_meanwhile = not work.move.is_forward and item in freeze.deleted_meanwhile(work)
    if item.top_id and item.state == MADE and not is_deleted_meanwhile:
        routing = match_routings(db, item.resource_type, item.pod_id, [item.bottom_id]).get(item.bottom_id)
        if routing is not None and (routing.pod_id, routing.bottom_id) == (item.pod_id, item.bottom_id):
            if routing.is_live:
                LOG.warning('Move %s: a routing leads to %s, which is kept', work.move.id, item.key)
                work.ledger.items[item.key] = db_moves.set_item(db, item.id, delete_on='')
                return
    site = work.source if item.pod_id == work.move.source_pod_id else work.target
    if missing:
        if item.top_id and item.state == MADE:
            if ending.show_in(site, item.resource_type, item.bottom_id) is None:
                work.ledger.gone(item.key)
                return
        raise Unfit(missing)
    if is_deleted_meanwhile:
        freeze.delete_in_source(work, item)
        return
    _DELETIONS[item.resource_type](work, site, item.key)


def _delete_server(work: Work, site: Site, key: str) -> None:
    building.delete_server_of(work, site, key)


def _delete_volume(work: Work, site: Site, key: str) -> None:
    # What the move makes for tenants is in a list of their project.
    listing = site.tenant_volume if work.ledger.items[key].top_id else None
    copying.delete_volume(work, site, key, listing)


def _delete_image(work: Work, site: Site, key: str) -> None:
    # The pods share Glance.
    copying.delete_image(work, key, work.target if isinstance(site, AbsentSite) else site)


_DELETIONS: dict[str, Callable[[Work, Site, str], None]] = {
    'server': _delete_server,
    'keypair': lambda work, _site, key: building.delete_key_pair(work, key),
    'image': _delete_image,
    'volume': _delete_volume,
    'snapshot': lambda work, _site, key: copying.delete_snapshot(work, key),
}


def described(move: Move, items: list[MoveItem]) -> list[dict[str, Any]]:
    """Return what an abandoned move has left, for operators: type, pod, id, and what to do with it."""
    names = {move.source_pod_id: move.plan['source_pod'], move.target_pod_id: move.plan['target_pod']}
    reasons = move.facts.get('left') or {}
    found = []
    for item in db_moves.left(move, items):
        if item.state == MADE:
            todo = 'It is deleted when the pods answer. If its pod is lost for good, nothing has to be done.'
        else:
            mark = f'{MARKER}={item.marker}'
            todo = f'Nobody knows whether it was made. It is looked for by its mark, {mark}, when its pod answers.'
        found.append(
            {
                'key': item.key,
                'resource_type': item.resource_type,
                'pod_id': item.pod_id,
                'pod': names.get(item.pod_id, item.pod_id),
                'resource_id': item.bottom_id,
                'reason': reasons.get(item.key, ''),
                'todo': todo,
            }
        )
    return found
