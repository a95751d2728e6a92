# SPDX-License-Identifier: Apache-2.0
"""Make, find and delete what a move needs, each with a row that is written before the request is sent.

A worker may die at any point: before the request, before its answer, after its answer. The row says which of these may
have happened, and the pod is asked before the request is sent again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from trio2o import exception
from trio2o.db import moves as db_moves
from trio2o.db.database import utcnow
from trio2o.db.records import GONE, ITEM_PLANNED, MADE, SENT, MoveItem
from trio2o.pods.podapi import PodRefused

if TYPE_CHECKING:
    from trio2o.runtime import Runtime

#: Name in metadata by which what a move has made is found.
MARKER = 'trio2o:move'


class Wait(Exception):
    """The step has begun something that takes time: look again later. The text says what it waits for."""


class Lost(Exception):
    """A pod has given up what the step has begun, and nothing is left of it: it is begun again."""


class Unfit(Exception):
    """The step cannot go on without an operator. The text is for the operator."""


#: Sends the request that makes an item and returns the id that the pod gave it.
Create = Callable[[], str]
#: Returns the id of an item in its pod, which its marker shows; None if the pod has none.
Find = Callable[[], str | None]


#: Returns an item as its pod shows it; None if the pod says that it does not exist.
Show = Callable[[str], Mapping[str, Any] | None]
#: Asks a pod to delete an item.
Delete = Callable[[str], Any]


def is_being_deleted(item: Mapping[str, Any]) -> bool:
    """Return whether a pod is deleting an item, so that another request is not needed."""
    return str(item.get('status')).lower() == 'deleting' or item.get('OS-EXT-STS:task_state') == 'deleting'


class Ledger:
    """The ledger of one move, in memory and in the database."""

    def __init__(self, runtime: Runtime, move_id: str) -> None:
        self._runtime = runtime
        self._db = runtime.db
        self._move_id = move_id
        self.items: dict[str, MoveItem] = {item.key: item for item in db_moves.items(runtime.db, move_id)}

    def marker(self, key: str) -> str:
        """Return the value of ``MARKER`` of an item."""
        return self.items[key].marker

    def id(self, key: str) -> str:
        """Return the id of an item in its pod; '' if it does not exist."""
        item = self.items.get(key)
        return item.bottom_id if item is not None and item.state == MADE else ''

    def make(self, key: str, create: Create, find: Find) -> str:
        """Make an item, unless an earlier run has made it.

        :returns: its id in its pod
        :raises Wait: the outcome of a request is not known yet
        :raises PodError: the pod did not answer; the next run finds out what it did
        :raises PodRefused: the pod refused
        """
        item = self.items[key]
        if item.state == MADE:
            return item.bottom_id
        if item.state == SENT:
            found = find()
            if found is not None:
                self.items[key] = db_moves.made(self._db, item.id, found)
                return found
            if not self._is_settled(item):
                raise Wait(f'the outcome of the request for {key}')
        sent = db_moves.sending(self._db, item)
        if sent is None:
            raise Wait(f'another worker, which makes {key}')
        self.items[key] = sent
        try:
            made = create()
        except (PodRefused, exception.PodNotReached):
            # The pod says that it made nothing, or was not reached.
            self.items[key] = db_moves.set_item(self._db, item.id, state=ITEM_PLANNED, sent_at=None)
            raise
        self.items[key] = db_moves.made(self._db, item.id, made)
        return made

    def place(self, key: str, host: str | None, node: str | None) -> None:
        """Record the host and the hypervisor of a server."""
        item = self.items[key]
        if (item.host, item.node) != (host, node):
            self.items[key] = db_moves.set_item(self._db, item.id, host=host, node=node)

    def _is_settled(self, item: MoveItem) -> bool:
        """Whether a request without an answer can no longer be carried out."""
        conf = self._runtime.conf
        seconds = timedelta(seconds=conf.pods.read_timeout + conf.moves.settle_seconds)
        return item.sent_at is None or utcnow() > item.sent_at + seconds

    def find_lost(self, key: str, find: Find) -> str:
        """Find out what became of a request without an answer, before the item is deleted.

        :returns: its id in its pod; '' if it does not exist
        :raises Wait: it may still be made
        """
        item = self.items.get(key)
        if item is None or item.state in (ITEM_PLANNED, GONE):
            return ''
        if item.state == MADE:
            return item.bottom_id
        found = find()
        if found is None:
            if not self._is_settled(item):
                raise Wait(f'the outcome of the request for {key}')
            self.items[key] = db_moves.set_item(self._db, item.id, state=GONE)
            return ''
        self.items[key] = db_moves.made(self._db, item.id, found)
        return found

    def delete(self, key: str, show: Show, delete: Delete, find: Find | None = None) -> None:
        """Delete an item and wait until it is gone.

        :param find: finds it by its marker; None: it cannot be lost
        :raises Wait: it is not gone yet
        :raises PodError: the pod did not answer
        :raises PodRefused: the pod refused to delete it
        """
        bottom_id = self.find_lost(key, find) if find is not None else self.id(key)
        if not bottom_id:
            return
        shown = show(bottom_id)
        if shown is not None and not is_being_deleted(shown):
            try:
                delete(bottom_id)
            except PodRefused as error:
                if error.status != 404:
                    raise
            shown = show(bottom_id)
        if shown is not None:
            raise Wait(f'the deletion of {key}')
        self.gone(key)

    def gone(self, key: str) -> None:
        """Record that an item was deleted."""
        self.items[key] = db_moves.gone(self._db, self.items[key].id)

    def is_gone(self, key: str) -> bool:
        """Whether an item does not exist: it was deleted, or never made."""
        item = self.items.get(key)
        return item is None or item.state in (GONE, ITEM_PLANNED)


def marked(marker: str, items: Iterable[Mapping[str, Any]]) -> str | None:
    """Return the id of the item whose metadata have a marker; None if there is none."""
    for item in items:
        if (item.get('metadata') or {}).get(MARKER) == marker:
            return str(item['id'])
    return None
