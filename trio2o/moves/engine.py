# SPDX-License-Identifier: Apache-2.0
"""Carry out the steps of a move, forward or back, as far as they go now."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from trio2o import exception
from trio2o.db import moves as db_moves
from trio2o.db.database import utcnow
from trio2o.db.records import ABANDONED, CONFIRMED, REVERTED, Move
from trio2o.moves import steps
from trio2o.moves.ledger import Lost, Unfit, Wait
from trio2o.moves.sites import InMaintenance
from trio2o.moves.step import Step, Work, work_on
from trio2o.moves.sweeping import sweep
from trio2o.pods.podapi import PodRefused

if TYPE_CHECKING:
    from trio2o.runtime import Runtime

LOG = logging.getLogger(__name__)

#: Refusals that may pass: another operation is under way, or there are too many requests.
_TRANSIENT = (409, 413, 429)
#: Seconds between two looks at a move that waits for an operator.
_WINDOW_SECONDS = 30.0


class Engine:
    """Runs one move."""

    def __init__(self, runtime: Runtime, move_id: str, check: Callable[[], None] = lambda: None) -> None:
        """:param check: called between steps; raises an exception if the run must end"""
        self._runtime = runtime
        self._move_id = move_id
        self._check = check

    def advance(self) -> float | None:
        """Carry out steps until one has to wait.

        :returns: seconds until the next run; None if the move has ended, or an operator has to do something
        """
        while True:
            self._check()
            move = db_moves.get(self._runtime.db, self._move_id)
            if move is not None and move.state == ABANDONED and move.ended_at is None:
                return sweep(self._runtime, move)
            if move is None or not move.is_active or move.hold:
                return None
            pause = self._carry_out_one(move)
            if pause is not None:
                return pause

    def _carry_out_one(self, move: Move) -> float | None:
        """Carry out one step, or undo one. :returns: seconds to wait; None if the next one can begin"""
        table = steps.of_plan(move.plan)
        names = [step.name for step in table]
        at = names.index(move.step) if move.step in names else 0
        step = table[at]
        try:
            work = work_on(self._runtime, move)
            if move.is_forward:
                step.run(work)
                self._done(work, table, at)
            else:
                step.undo(work)
                self._undone(work, table, at)
        except Wait as wait:
            return self._wait(move, step, str(wait))
        except Lost as error:
            return self._failed(move, step, str(error))
        except Unfit as error:
            self._hold(move, step, str(error))
        except PodRefused as error:
            if error.status not in _TRANSIENT:
                self._hold(move, step, str(error))
            else:
                return self._failed(move, step, str(error))
        except InMaintenance as error:
            # An operator has planned it, so it is no failure.
            return self._wait(move, step, str(error))
        except (exception.PodError, exception.ServiceUnavailable) as error:
            return self._failed(move, step, str(error))
        except exception.NotFound as error:
            self._hold(move, step, str(error))
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            # A document of a pod that lacks something, or has another form.
            LOG.exception('Move %s: %s failed', move.id, step.name)
            return self._failed(move, step, f'a pod answered what no service answers: {error!r}')
        return None

    def _done(self, work: Work, table: list[Step], at: int) -> None:
        move, step = work.move, table[at]
        LOG.info('Move %s: %s is done', move.id, step.name)
        if at + 1 == len(table):
            db_moves.end(self._runtime.db, move.id, CONFIRMED)
            return
        values = {'step': table[at + 1].name, 'steps_done': at + 1, 'error': None, 'facts': _without_failures(work)}
        if step.state is not None:
            values['state'] = step.state
        if step.bytes:
            values['bytes_done'] = sum(each.bytes for each in table[: at + 1])
        db_moves.update(self._runtime.db, move.id, during=move, **values)

    def _undone(self, work: Work, table: list[Step], at: int) -> None:
        move = work.move
        LOG.info('Move %s: %s is undone', move.id, table[at].name)
        if at == 0:
            db_moves.end(self._runtime.db, move.id, REVERTED)
            return
        done = move.steps_done + 1
        values = {'step': table[at - 1].name, 'steps_done': done, 'steps_total': done + at, 'error': None}
        db_moves.update(self._runtime.db, move.id, during=move, facts=_without_failures(work), **values)

    def _wait(self, move: Move, step: Step, what: str) -> float:
        """Note since when a step waits. One that waits for too long is stuck, but for one that waits for people."""
        options = self._runtime.conf.moves
        if step.waits_for_people:
            return min(_WINDOW_SECONDS, max(options.poll_seconds, 0.0) * 6)
        current = db_moves.get(self._runtime.db, move.id)
        facts = dict(current.facts) if current is not None else {}
        now, key = utcnow(), f'{step.name} {move.is_forward}'
        since = facts.get('waits_since')
        if since is None or since[0] != key:
            db_moves.update(
                self._runtime.db, move.id, during=move, facts={**facts, 'waits_since': [key, now.timestamp()]}
            )
        elif now.timestamp() - since[1] > options.step_timeout:
            self._hold(move, step, f'it waits for {what} for more than {options.step_timeout:.0f} seconds')
        return float(options.poll_seconds)

    def _failed(self, move: Move, step: Step, error: str) -> float | None:
        """Count a failure that may pass. :returns: seconds until the next try; None if there were too many"""
        current = db_moves.get(self._runtime.db, move.id)
        if current is None:
            return None
        failures = int(current.facts.get('failures', 0)) + 1
        if failures > self._runtime.conf.moves.attempts:
            self._hold(move, step, error)
            return None
        LOG.warning('Move %s: %s failed and will be tried again: %s', move.id, step.name, error)
        facts = {**current.facts, 'failures': failures}
        db_moves.update(self._runtime.db, move.id, during=move, error=f'{step.name}: {error}', facts=facts)
        return float(self._runtime.conf.moves.poll_seconds * min(2**failures, 60))

    def _hold(self, move: Move, step: Step, error: str) -> None:
        LOG.error('Move %s is stuck: %s: %s', move.id, step.name, error)
        current = db_moves.get(self._runtime.db, move.id)
        if current is not None:
            facts = {name: value for name, value in current.facts.items() if name not in ('failures', 'waits_since')}
            db_moves.update(self._runtime.db, move.id, during=move, facts=facts)
        db_moves.stuck(self._runtime.db, move, f'{step.name}: {error}')


def _without_failures(work: Work) -> dict[str, object]:
    return {name: value for name, value in work.facts.items() if name not in ('failures', 'waits_since')}
