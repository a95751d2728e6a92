# SPDX-License-Identifier: Apache-2.0
"""What all steps of a move share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trio2o.db import moves as db_moves
from trio2o.db.records import Move
from trio2o.moves.ledger import Ledger, Wait
from trio2o.moves.sites import Site, site_of

if TYPE_CHECKING:
    from trio2o.runtime import Runtime


@dataclass
class Work:
    """One run of the engine for one move."""

    runtime: Runtime
    move: Move
    ledger: Ledger
    source: Site
    target: Site

    @property
    def plan(self) -> dict[str, Any]:
        plan: dict[str, Any] = self.move.plan
        return plan

    @property
    def facts(self) -> dict[str, Any]:
        """What the steps found out. Use ``note`` to change it."""
        facts: dict[str, Any] = self.move.facts
        return facts

    def note(self, **facts: Any) -> None:
        """Store facts for later steps and runs.

        :raises Wait: the move was cancelled, or another worker goes on with it, so that nothing is stored
        """
        changed = {**self.facts, **facts}
        if changed != self.facts:
            move = db_moves.update(self.runtime.db, self.move.id, during=self.move, facts=changed)
            if move is None:
                raise Wait('the move, which is at another step now')
            self.move = move

    @property
    def servers(self) -> list[str]:
        """Ids of the servers of the move, which tenants know."""
        return [server['id'] for server in self.plan['servers']]

    def source_server(self, server_id: str) -> str:
        """Return the id that a server has in the source."""
        return self.ledger.items[f'source/server/{server_id}'].bottom_id

    def target_server(self, server_id: str) -> str:
        """Return the id that a server has in the target; '' if it is not known."""
        return self.ledger.id(f'target/server/{server_id}')

    def disks_of(self, server_id: str) -> list[str]:
        """Return the ids of the volumes of a server, which tenants know."""
        return [
            disk['id']
            for disk in self.plan['volumes']
            if any(attachment['server_id'] == server_id for attachment in disk['attachments'])
        ]


def work_on(runtime: Runtime, move: Move) -> Work:
    """Return what the steps of a move need. :raises: what ``site_of`` does"""
    sites = (site_of(runtime, pod_id, move.project_id) for pod_id in (move.source_pod_id, move.target_pod_id))
    return Work(runtime, move, Ledger(runtime, move.id), *sites)


class Step:
    """A step of a move. Both functions may be called again after they have done a part or all of their work.

    :ivar name: unique in a plan
    :ivar state: state of the move after the step; None: it stays the same
    :ivar bytes: bytes that the step copies
    :ivar waits_for_people: whether it may wait for any time
    """

    state: str | None = None
    bytes = 0
    waits_for_people = False

    def __init__(self, name: str) -> None:
        self.name = name

    def run(self, work: Work) -> None:
        """Carry the step out.

        :raises Wait: a pod is still doing it
        :raises Lost: a pod has given it up
        :raises Unfit: it cannot be carried out
        :raises PodError: a pod did not answer
        :raises PodRefused: a pod refused
        """

    def undo(self, work: Work) -> None:
        """Undo what the step did, whether it was carried out, in part or not at all. It raises what ``run`` does."""
