# SPDX-License-Identifier: Apache-2.0
"""Carry out a move group: begin its moves, follow them, and react to failures and to what operators want."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from trio2o import exception
from trio2o.db import move_groups, routings
from trio2o.db import moves as db_moves
from trio2o.db.database import Database, utcnow
from trio2o.db.jobs import JobRow
from trio2o.db.move_groups import Census, Followed, FollowedMove, NewMember
from trio2o.db.records import (
    ABANDONED,
    APPLICATION,
    CONFIRMING,
    DRAIN,
    FAILED,
    GONE,
    MEMBER_ACTIVE_STATES,
    MOVED,
    MOVING,
    PAUSED,
    REBALANCE,
    REFUSED,
    STUCK,
    SWITCHED,
    UNDOING,
    UNDONE,
    WAITING,
    Job,
    Move,
    MoveGroup,
    MoveGroupMember,
)
from trio2o.moves import planner
from trio2o.moves.checks import BLOCKER
from trio2o.moves.groups import selection
from trio2o.moves.groups.options import CONTINUE, REVERT, Options, seconds_until_open
from trio2o.moves.groups.parts import plan_part
from trio2o.moves.planner import Plan
from trio2o.moves.source import NoSuchResource
from trio2o.resources import SERVER

if TYPE_CHECKING:
    from trio2o.runtime import Runtime

LOG = logging.getLogger(__name__)

#: Seconds after which a member is tried again whose pods could not be asked.
_ASK_AGAIN = timedelta(seconds=60)
#: Seconds between two looks at a group that only waits for people or for a time of day.
_IDLE_SECONDS = 30.0
#: Members that are looked at in one run, as those of a project or pod that has enough moves are passed over.
_LOOK_AHEAD = 200
#: Moves that a reason names.
_FEW = 5
#: Members that are added in one transaction.
_PAGE = 500

#: A pod could not be asked, which says nothing about the resource.
CANNOT_ASK = (exception.ServiceUnavailable, exception.PodError)

Verb = Callable[[Database, str, JobRow], Move | None]


class Conductor:
    """Carries out one group."""

    def __init__(self, runtime: Runtime, group_id: str, check: Callable[[], None] = lambda: None) -> None:
        """:param check: called between moves; raises an exception if the run must end"""
        self._runtime = runtime
        self._db = runtime.db
        self._group_id = group_id
        self._check = check

    def advance(self) -> float | None:
        """Do what can be done now.

        :returns: seconds until the next run; None if the group has ended
        """
        group = move_groups.get(self._db, self._group_id)
        if group is None or not group.is_active:
            return None
        options = Options.from_json(group.options)
        followed = self._follow(group)
        census = move_groups.census(self._db, group.id)
        if group.wish:
            self._undo(group, followed, census)
            self._say_stuck(group, followed)
        elif not group.hold:
            group = self._react(group, options, census) or group
        if not group.wish and not group.hold:
            if self._find_more(group, options, census):
                census = move_groups.census(self._db, group.id)
            self._begin(group, options, census, followed)
        self._confirm(group, options, census)
        counts = move_groups.settle(self._db, group.id)
        if counts is None:
            LOG.info('Move group %s has ended', group.id)
            return None
        return self._pause(group, counts)

    def _pause(self, group: MoveGroup, counts: Mapping[str, int]) -> float:
        poll = float(self._runtime.conf.moves.poll_seconds)
        if counts[MOVING] or counts[UNDOING] or counts[CONFIRMING] or (counts[WAITING] and not group.hold):
            return poll
        return min(poll * 6, _IDLE_SECONDS)

    # -- moves under way --

    def _follow(self, group: MoveGroup) -> list[Followed]:
        """Write what has become of the moves, and cancel those that are stuck before their switch.

        :returns: the moves that are under way as before, with their members
        """
        found = []
        for member, move in move_groups.followed(self._db, group.id):
            self._check()
            if not move.is_active:
                self._ended(group, member, move)
            elif move.hold == STUCK and move.is_forward and not move.is_switched:
                # Nobody may be there to look at it, and the server is stopped meanwhile.
                LOG.warning('Move %s of a group is stuck and is undone: %s', move.id, move.error)
                self._set(member, state=UNDOING, reason=move.error)
                self._steer(move, db_moves.cancel)
            else:
                found.append(Followed(self._follow_active(member, move), move))
        return found

    def _follow_active(self, member: MoveGroupMember, move: FollowedMove) -> MoveGroupMember:
        if move.hold == STUCK:
            state = SWITCHED if member.state == CONFIRMING else member.state
            return self._set(member, state=state, reason=f'Move {move.id} is stuck: {move.error}')
        if move.status == CONFIRMING:
            return self._set(member, state=CONFIRMING, reason=None)
        if member.state == MOVING and move.is_switched:
            return self._set(member, state=SWITCHED, reason=None)
        if member.state == MOVING and not move.is_forward:
            return self._set(member, state=UNDOING)
        return member

    def _ended(self, group: MoveGroup, member: MoveGroupMember, move: FollowedMove) -> None:
        if move.is_switched:
            gone = not self._exists(member)
            self._set(member, state=GONE if gone else MOVED, reason=None)
        elif not self._exists(member):
            self._set(member, state=GONE, reason='It was deleted while it was being moved.')
        elif move.state == ABANDONED:
            self._set(member, state=FAILED, reason='The move was abandoned.')
        elif member.state == UNDOING and member.reason is not None:
            is_last = member.tries >= self._tries(group) or bool(group.wish)
            if is_last:
                self._set(member, state=FAILED)
            else:
                # Another pod may take it.
                target = member.target_pod_id if group.kind == REBALANCE else None
                not_before = utcnow() + self._retry_after()
                self._set(member, state=WAITING, not_before=not_before, target_pod_id=target)
        else:
            self._set(member, state=UNDONE, reason='The move was cancelled or reverted.')

    def _exists(self, member: MoveGroupMember) -> bool:
        routing = routings.get(self._db, member.resource_type, member.resource_id)
        return routing is not None and routing.is_live

    def _tries(self, group: MoveGroup) -> int:
        return 1 if group.kind == APPLICATION else int(self._runtime.conf.moves.group_tries)

    def _retry_after(self) -> timedelta:
        return timedelta(seconds=12 * self._runtime.conf.moves.poll_seconds)

    # -- what operators want, and failures --

    def _react(self, group: MoveGroup, options: Options, census: Census) -> MoveGroup | None:
        """Pause or revert a group in which too much has failed. :returns: the group, if it was changed"""
        counts = census.counts
        failures = counts[FAILED] + (counts[REFUSED] if group.kind == APPLICATION else 0)
        most = options.max_failures if options.on_failure == CONTINUE else 0
        if failures <= most:
            return None
        if options.on_failure == REVERT:
            reason = 'A move has failed, so all are reverted.'
            LOG.warning('Move group %s: %s', group.id, reason)
            return move_groups.update(self._db, group.id, wish='revert', reason=reason)
        reason = f'{failures} {"member has" if failures == 1 else "members have"} failed; at most {most} may.'
        LOG.warning('Move group %s is paused: %s', group.id, reason)
        return move_groups.update(self._db, group.id, hold=PAUSED, reason=reason)

    def _undo(self, group: MoveGroup, followed: Sequence[Followed], census: Census) -> None:
        """Begin nothing more, cancel what has not switched and, if that is wanted, revert what has."""
        if census.counts[WAITING]:
            move_groups.set_waiting(self._db, group.id, state=UNDONE, reason='It was not begun.')
        for member, move in followed:
            self._check()
            if not move.is_forward:
                continue
            if not move.is_switched:
                self._steer(move, db_moves.cancel)
            elif group.wish == 'revert':
                self._steer(move, db_moves.revert)
                self._set(member, state=UNDOING)

    def _confirm(self, group: MoveGroup, options: Options, census: Census) -> None:
        """Confirm the moves that have switched, when an operator wants it, and those of an application in time."""
        if group.wish == 'revert':
            return
        now, at, counts = utcnow(), group.confirm_at, census.counts
        if at is not None and at <= now:
            # Read once more: some have switched while others began.
            for member, move in move_groups.followed(self._db, group.id):
                if move.is_active and move.is_switched and move.is_forward and move.wish != 'confirm':
                    self._steer(move, db_moves.confirm)
                    self._set(member, state=CONFIRMING)
            move_groups.update(self._db, group.id, confirm_at=None)
            return
        is_done = not any(counts[state] for state in (WAITING, MOVING, UNDOING)) and counts[SWITCHED]
        if group.kind == APPLICATION and at is None and is_done and not group.hold:
            confirm_at = now + timedelta(seconds=options.confirm_seconds)
            move_groups.update(self._db, group.id, confirm_at=confirm_at)

    def _steer(self, move: FollowedMove, verb: Verb) -> None:
        job = planner.job_of(self._runtime, move)
        try:
            verb(self._db, move.id, job)
        except db_moves.Refused as error:
            LOG.info('Move %s of a group: %s', move.id, error)
            return
        self._runtime.jobs.notify(Job(**job))

    # -- beginning moves --

    def _find_more(self, group: MoveGroup, options: Options, census: Census) -> bool:
        """Add what is in a pod that is drained: at first all of it, and what has appeared when all that has ended.

        Servers come first. Their volumes, which follow, move with them; the others are moved by themselves.

        :returns: whether there are new members
        """
        if group.kind != DRAIN or group.source_pod_id is None or census.wave is not None:
            return False
        first = position = move_groups.last_position(self._db, group.id) + 1
        for kind in selection.DRAINED:
            while True:
                self._check()
                found = move_groups.others_of(self._db, group.id, group.source_pod_id, kind, _PAGE)
                members = [
                    NewMember(at, at, options.wave_of(at), kind, routing.top_id, routing.project_id)
                    for at, routing in enumerate(found, position)
                ]
                if not members or not move_groups.add_members(self._db, group.id, members):
                    break
                position += len(members)
        return position > first

    def _begin(self, group: MoveGroup, options: Options, census: Census, followed: Sequence[Followed]) -> None:
        now = utcnow()
        if census.wave is None:
            return
        closed = seconds_until_open(options.window, now)
        if closed:
            self._say(group, f'No move begins outside of {options.window} (UTC).')
            return
        limits = _Limits(self._runtime, group.id, options)
        begun: set[int] = set()
        next_start_at = group.next_start_at
        is_full = limits.room <= 0 or not census.counts[WAITING]
        members = move_groups.waiting(self._db, group.id, census.wave, now, _LOOK_AHEAD) if not is_full else ()
        for member in members:
            self._check()
            if limits.room <= 0 or (next_start_at is not None and utcnow() < next_start_at):
                break
            if member.part in begun or not limits.allow(group.source_pod_id, member.project_id):
                continue
            begun.add(member.part)
            try:
                plan = self._begin_one(group, options, member, limits)
            except db_moves.NoRoom as error:
                # Another group has taken the room since this run began, or an operator has paused this one.
                LOG.info('Move group %s: %s', group.id, error)
                break
            if plan is not None and options.bytes_per_second:
                next_start_at = utcnow() + timedelta(seconds=plan.bytes / options.bytes_per_second)
        if begun:
            group = move_groups.get(self._db, group.id) or group
            census = move_groups.census(self._db, group.id)
        is_busy = limits.room < options.parallel
        self._say(group, None if is_busy else self._waits_for(group, census, followed))

    def _is_unwanted(self) -> bool:
        """Whether an operator has paused or ended the group meanwhile."""
        group = move_groups.get(self._db, self._group_id)
        return group is None or not group.is_active or bool(group.wish or group.hold)

    def _begin_one(self, group: MoveGroup, options: Options, member: MoveGroupMember, limits: _Limits) -> Plan | None:
        """Plan and begin the move of a member, or say why not. :returns: the plan of the move; None if none began"""
        members = [each for each in move_groups.part(self._db, group.id, member.part) if each.state == WAITING]
        if not members:
            # It has begun with another one since the members were read.
            return None
        ids = [each.id for each in members]
        if self._has_left(group, members) or self._is_moving(members):
            return None
        try:
            plan, found = plan_part(self._runtime, group, members, lambda id_: self._waiting_server(group, id_))
            if len(found) > len(members):
                ids = [each.id for each in found]
                move_groups.set_members(self._db, ids, during=WAITING, part=member.part, wave=member.wave)
            if plan.is_blocked:
                self._refuse(ids, blockers(plan))
                return None
            if not limits.allow(plan.target_pod.id, plan.project_id):
                return None
            planner.submit(self._runtime, plan, group.user_id, limits.start(ids, plan))
            limits.add(plan)
        except CANNOT_ASK as error:
            move_groups.set_members(self._db, ids, during=WAITING, reason=str(error), not_before=utcnow() + _ASK_AGAIN)
            return None
        except NoSuchResource as error:
            gone = [each.id for each in members if each.resource_id == error.resource_id]
            if gone:
                move_groups.set_members(self._db, gone, during=WAITING, state=GONE, reason='It was deleted.')
            else:
                self._refuse(ids, str(error))
            return None
        except planner.AttachedTo as error:
            self._attached(group, member, error)
            return None
        except planner.AlreadyThere as error:
            move_groups.set_members(self._db, ids, during=WAITING, state=MOVED, reason=str(error))
            return None
        except planner.AlreadyMoving as error:
            self._put_off(ids, str(error))
            return None
        except exception.Trio2oException as error:
            self._refuse(ids, str(error))
            return None
        except db_moves.NotWaiting:
            return None
        return plan

    def _has_left(self, group: MoveGroup, members: Sequence[MoveGroupMember]) -> bool:
        """Note which members another move has taken from a pod that is drained. :returns: whether there are any"""
        if group.kind != DRAIN:
            return False
        found = [(each, routings.get(self._db, each.resource_type, each.resource_id)) for each in members]
        left = [
            each.id
            for each, routing in found
            if routing is not None and routing.is_live and routing.pod_id != group.source_pod_id
        ]
        if left:
            reason = 'Another move has taken it from the pod.'
            move_groups.set_members(self._db, left, during=WAITING, state=MOVED, reason=reason)
        return bool(left)

    def _is_moving(self, members: Sequence[MoveGroupMember]) -> bool:
        """Let members wait that another move takes. :returns: whether there are any"""
        moving = self._runtime.registry.snapshot().moving
        moves = {**moving.locked, **moving.switched}
        found = sorted({moves[each.resource_id] for each in members if each.resource_id in moves})
        if found:
            self._put_off([each.id for each in members], f'It waits for the end of move {", ".join(found)}.')
        return bool(found)

    def _put_off(self, ids: Sequence[int], reason: str) -> None:
        not_before = utcnow() + self._retry_after()
        move_groups.set_members(self._db, ids, during=WAITING, reason=reason, not_before=not_before)

    def _waiting_server(self, group: MoveGroup, server_id: str) -> MoveGroupMember | None:
        found = move_groups.member_of(self._db, group.id, SERVER.type, server_id)
        return found if found is not None and found.state == WAITING else None

    def _attached(self, group: MoveGroup, member: MoveGroupMember, error: planner.AttachedTo) -> None:
        """Let a volume wait for its server, if that is a member that can still be moved."""
        server = move_groups.member_of(self._db, group.id, SERVER.type, error.server_id)
        if server is None or server.state not in (WAITING, *MEMBER_ACTIVE_STATES):
            self._refuse([member.id], str(error))
            return
        not_before = utcnow() + self._retry_after()
        move_groups.set_members(
            self._db, [member.id], during=WAITING, wave=max(member.wave, server.wave), not_before=not_before
        )

    def _refuse(self, ids: Sequence[int], reason: str) -> None:
        move_groups.set_members(self._db, ids, during=WAITING, state=REFUSED, reason=reason)

    def _waits_for(self, group: MoveGroup, census: Census, followed: Sequence[Followed]) -> str | None:
        """Return what a group waits for that has no move under way, for operators."""
        stuck = self._stuck(followed)
        if stuck:
            return stuck
        counts, wave = census.counts, census.wave
        if counts[UNDOING]:
            return 'Moves that failed are being undone.'
        if counts[CONFIRMING]:
            return 'The moves that have switched are being confirmed.'
        if counts[SWITCHED] and counts[WAITING] and wave is not None:
            return f'The moves of wave {wave + 1} wait for their confirmation. Then the next wave begins.'
        if counts[SWITCHED]:
            return 'The moves wait for their confirmation.'
        if group.next_start_at is not None and utcnow() < group.next_start_at:
            return f'The next move begins at {group.next_start_at.isoformat(timespec="seconds")} (bytes_per_second).'
        return 'Members could not be planned and are tried again soon.' if counts[WAITING] else None

    def _stuck(self, followed: Sequence[Followed]) -> str:
        """Say which moves only an operator can let go on; '' if there is none."""
        found = sorted({move.id for _member, move in followed if move.hold})
        return f'Moves are paused or stuck: {", ".join(found[:_FEW])}. Their members say why.' if found else ''

    def _say_stuck(self, group: MoveGroup, followed: Sequence[Followed]) -> None:
        stuck = self._stuck(followed)
        is_busy = any(not move.is_switched and not move.hold for _member, move in followed)
        if stuck and not is_busy and group.reason != stuck:
            move_groups.update(self._db, group.id, reason=stuck)

    def _say(self, group: MoveGroup, reason: str | None) -> None:
        if group.reason != reason and not self._is_unwanted():
            move_groups.update(self._db, group.id, reason=reason)

    def _set(self, member: MoveGroupMember, **values: Any) -> MoveGroupMember:
        """Write columns of a member that are other ones than before. :returns: the member with them"""
        if any(getattr(member, name) != value for name, value in values.items()):
            move_groups.set_members(self._db, [member.id], during=member.state, **values)
        return replace(member, **values)


class _Limits:
    """Limits of a group, and of all groups together: moves under way from or to a pod, and of a project.

    They tell which members need no plan yet. ``db.moves.create`` enforces them.
    """

    def __init__(self, runtime: Runtime, group_id: str, options: Options) -> None:
        conf = runtime.conf.moves
        self._options = options
        self._most_of_pod, self._most_of_project = conf.max_per_pod, conf.max_per_project
        self._pods: Counter[str] = Counter()
        self._projects: Counter[str] = Counter()
        #: Moves that may still begin.
        self.room = options.parallel
        for move in db_moves.under_way(runtime.db):
            self._count(move.source_pod_id, move.target_pod_id, move.project_id)
            self.room -= move.group_id == group_id

    def _count(self, source: str, target: str, project_id: str) -> None:
        self._pods.update((source, target))
        self._projects[project_id] += 1

    def add(self, plan: Plan) -> None:
        self._count(plan.source_pod.id, plan.target_pod.id, plan.project_id)
        self.room -= 1

    def start(self, ids: Sequence[int], plan: Plan) -> db_moves.Start:
        rate = self._options.bytes_per_second
        seconds = plan.bytes / rate if rate else 0.0
        return db_moves.Start(ids, self._options.parallel, self._most_of_pod, self._most_of_project, seconds)

    def allow(self, pod_id: str | None, project_id: str) -> bool:
        return self._projects[project_id] < self._most_of_project and (
            pod_id is None or self._pods[pod_id] < self._most_of_pod
        )


def blockers(plan: Plan) -> str:
    """Return why a plan cannot be carried out."""
    texts = [
        f'{finding.text}{f" ({finding.resource})" if finding.resource else ""}'
        for finding in plan.findings
        if finding.level == BLOCKER
    ]
    return ' '.join(texts)
