# SPDX-License-Identifier: Apache-2.0
"""Nova's cold migration to a host in another pod, which is a move; and its confirmation and reversion.

An administrator names the host with its pod: ``Pod2@cmp1``. After the switch the server is in ``VERIFY_RESIZE``, as
after a migration within a pod.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from trio2o import exception
from trio2o.db import moves as db_moves
from trio2o.db.database import Database
from trio2o.db.jobs import JobRow
from trio2o.db.records import Job, Move
from trio2o.gateway.admin.ids import split_name
from trio2o.moves import planner
from trio2o.moves.checks import BLOCKER
from trio2o.moves.planner import Wanted
from trio2o.nova_apigw.servers.forward import ForwardServer, ForwardToHost
from trio2o.pods.registry import PodView
from trio2o.resources import SERVER, normalized_id
from trio2o.web import json_body
from trio2o.web.call import Answer, Call


@dataclass(frozen=True)
class MigrateServer(ForwardToHost):
    """Migrate a server within its pod, or begin its move to a host in another one."""

    host_path: tuple[str, ...] = ('migrate', 'host')

    def _forward(self, call: Call) -> Answer:
        target = self._other_pod(call)
        return super()._forward(call) if target is None else self._move(call, *target)

    def _other_pod(self, call: Call) -> tuple[PodView, str] | None:
        """Return the pod of the host in the body and the host's name in it, if the server is in another pod."""
        name = json_body.at(call.json, *self.host_path)
        if not isinstance(name, str) or not call.context.may_see_all:
            return None
        pod, host = split_name(call, name)
        if pod is None:
            return None
        route = call.runtime.locator.find(call, SERVER, call.id)
        return None if route.pod.id == pod.id else (pod, host)

    def _move(self, call: Call, pod: PodView, host: str) -> Answer:
        """:raises BadRequest: the plan of the move has blockers; Conflict: the server is being moved already"""
        wanted = Wanted(SERVER.type, normalized_id(call.id), pod.id, host=host)
        plan = planner.make_plan(call.runtime, wanted)
        if plan.is_blocked:
            texts = ' '.join(finding.text for finding in plan.findings if finding.level == BLOCKER)
            raise exception.BadRequest(f'Instance {call.id} cannot be migrated to pod {pod.name}: {texts}')
        planner.submit(call.runtime, plan, call.context.user_id or '')
        call.runtime.registry.refresh()
        return Answer(202, [*call.version_headers])


@dataclass(frozen=True)
class EndMigration(ForwardServer):
    """Confirm or revert a migration, of the pod or to another pod.

    :ivar verb: what becomes of a move
    :ivar status: of the answer
    """

    verb: Callable[[Database, str, JobRow], Move | None] = db_moves.confirm
    status: int = 204

    def _forward(self, call: Call) -> Answer:
        runtime = call.runtime
        move_id = runtime.registry.snapshot().moving.switched.get(normalized_id(call.id))
        move = db_moves.get(runtime.db, move_id) if move_id is not None and call.context.may_see_all else None
        if move is None or not move.plan.get('host'):
            return super()._forward(call)
        runtime.locator.find(call, SERVER, call.id)
        job = planner.job_of(runtime, move)
        try:
            self.verb(runtime.db, move.id, job)
        except db_moves.Refused as error:
            raise exception.Conflict(str(error)) from error
        runtime.jobs.notify(Job(**job))
        return Answer(self.status, [*call.version_headers])
