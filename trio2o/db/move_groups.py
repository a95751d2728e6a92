# SPDX-License-Identifier: Apache-2.0
"""Groups of moves, and their members.

One job at a time carries out a group (`xjob/jobs/run_move_group.py`). Requests only say what an operator wants
(`pause`, `resume`, `cancel`, `confirm`, `revert`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy
from oslo_db import exception as db_exc
from sqlalchemy.engine import Connection

from trio2o.db.database import Database, retry_on_deadlock, utcnow
from trio2o.db.jobs import JobRow
from trio2o.db.jobs.queue import submit_in
from trio2o.db.moves import Refused
from trio2o.db.query import Columns, changed, insert_or_ignore
from trio2o.db.records import (
    CANCELLED,
    COMPLETED,
    FAILED,
    LIVE_STATES,
    MEMBER_ACTIVE_STATES,
    MEMBER_STATES,
    MOVE_END_STATES,
    MOVING,
    PAUSED,
    REFUSED,
    REVERTED,
    SWITCHED,
    UNDOING,
    WAITING,
    Move,
    MoveGroup,
    MoveGroupMember,
    MoveStatus,
    Routing,
)

_GROUPS = Columns(MoveGroup)
_MEMBERS = Columns(MoveGroupMember)
_TABLE, _MEMBER_TABLE = _GROUPS.table, _MEMBERS.table
_G, _M = _TABLE.c, _MEMBER_TABLE.c
_MOVE = Move.__table__.c
_IS_ACTIVE = _G.ended_at.is_(None)
#: States of members that have not ended.
_OPEN_STATES = (WAITING, *MEMBER_ACTIVE_STATES)
#: ``MoveGroup.status`` as an expression.
_STATUS = sqlalchemy.case(
    (_G.ended_at.is_not(None), _G.state),
    (_G.wish == 'cancel', 'cancelling'),
    (_G.wish == 'revert', 'reverting'),
    (_G.hold != '', _G.hold),
    else_=_G.state,
)


class AlreadyDraining(Exception):
    """A drain of the pod has not ended.

    :ivar group_id: of that drain; '' if it has just ended
    """

    def __init__(self, group_id: str) -> None:
        super().__init__(group_id)
        self.group_id = group_id


@dataclass(frozen=True)
class NewMember:
    """A member to be; see ``MoveGroupMember``."""

    position: int
    part: int
    wave: int
    resource_type: str
    resource_id: str
    project_id: str
    name: str = ''
    target_pod_id: str | None = None


@dataclass(frozen=True, slots=True)
class FollowedMove(MoveStatus):
    """What a group has to know of a move: not its plan and its facts, which are long."""

    id: str
    source_pod_id: str
    state: str
    is_forward: bool
    hold: str
    wish: str
    error: str | None


class Followed(NamedTuple):
    """A member whose move has not ended as far as the group knows, and the move."""

    member: MoveGroupMember
    move: FollowedMove


class Census(NamedTuple):
    """Where the members of a group are.

    :ivar counts: state -> number of members, with 0 for states that no member has
    :ivar wave: the first wave that has not ended; None if all have
    """

    counts: dict[str, int]
    wave: int | None


@retry_on_deadlock
def create(db: Database, group: MoveGroup, members: Sequence[NewMember], job: JobRow) -> MoveGroup:
    """Insert a group, its members and the job that carries it out.

    :raises AlreadyDraining: another group with its ``active_key`` has not ended
    """
    try:
        with db.writer() as connection:
            connection.execute(sqlalchemy.insert(_TABLE), {name: getattr(group, name) for name in _GROUPS.names})
            _add(connection, group.id, members)
            submit_in(connection, job)
    except db_exc.DBDuplicateEntry as error:
        with db.reader() as connection:
            other = _GROUPS.one(connection, _G.active_key == group.active_key)
        raise AlreadyDraining(other.id if other is not None else '') from error
    return group


@retry_on_deadlock
def add_members(db: Database, group_id: str, members: Sequence[NewMember]) -> int:
    """Add members, unless they are members already. :returns: number of those added"""
    with db.writer() as connection:
        return _add(connection, group_id, members)


def _add(connection: Connection, group_id: str, members: Sequence[NewMember]) -> int:
    now = utcnow()
    rows = [
        {
            'group_id': group_id,
            'position': member.position,
            'part': member.part,
            'wave': member.wave,
            'resource_type': member.resource_type,
            'resource_id': member.resource_id,
            'project_id': member.project_id,
            'name': member.name[:255],
            'target_pod_id': member.target_pod_id,
            'state': WAITING,
            'tries': 0,
            'not_before': None,
            'reason': None,
            'move_id': None,
            'updated_at': now,
        }
        for member in members
    ]
    return insert_or_ignore(connection, _MEMBER_TABLE, rows)


def get(db: Database, group_id: str) -> MoveGroup | None:
    with db.reader() as connection:
        return _GROUPS.one(connection, _G.id == group_id)


def list_(
    db: Database,
    *,
    filters: Mapping[str, Any] | None = None,
    limit: int | None = None,
    marker: str | None = None,
    sort: Sequence[tuple[str, str]] = (('created_at', 'desc'),),
    is_active: bool | None = None,
    status: str | None = None,
) -> list[MoveGroup]:
    """Return a page of groups; see ``Columns.page``.

    :param is_active: only groups that have not ended; False: only those that have
    :param status: only groups with this ``MoveGroup.status``
    :raises ValueError: there is no such column, or no group has the marker as its id
    """
    criteria: list[Any] = []
    if is_active is not None:
        criteria.append(_IS_ACTIVE if is_active else _G.ended_at.is_not(None))
    if status is not None:
        criteria.append(_STATUS == status)
    with db.reader() as connection:
        return _GROUPS.page(connection, filters=filters, limit=limit, marker=marker, sort=sort, criteria=criteria)


def running(db: Database) -> list[str]:
    """Return the ids of the groups that have not ended and are not paused, for which a job has to exist."""
    with db.reader() as connection:
        return list(connection.execute(sqlalchemy.select(_G.id).where(_IS_ACTIVE)).scalars())


def members(
    db: Database,
    group_id: str,
    *,
    filters: Mapping[str, Any] | None = None,
    limit: int | None = None,
    marker: int | None = None,
    sort: Sequence[tuple[str, str]] = (('position', 'asc'),),
) -> list[MoveGroupMember]:
    """Return a page of members; see ``Columns.page``. :raises ValueError: no member has the marker as its id"""
    with db.reader() as connection:
        return _MEMBERS.page(
            connection, filters={**(filters or {}), 'group_id': group_id}, limit=limit, marker=marker, sort=sort
        )


def counts(db: Database, group_ids: Collection[str]) -> dict[str, dict[str, int]]:
    """Count members: group id -> state -> number, with 0 for states that no member has."""
    with db.reader() as connection:
        return _counts(connection, group_ids)


def _counts(connection: Connection, group_ids: Collection[str]) -> dict[str, dict[str, int]]:
    found = {group_id: dict.fromkeys(MEMBER_STATES, 0) for group_id in group_ids}
    counted = (
        sqlalchemy.select(_M.group_id, _M.state, sqlalchemy.func.count())
        .where(_M.group_id.in_(list(group_ids)))
        .group_by(_M.group_id, _M.state)
    )
    for group_id, state, number in connection.execute(counted) if found else ():
        found[group_id][state] = number
    return found


def others_of(db: Database, group_id: str, pod_id: str, resource_type: str, limit: int) -> list[Routing]:
    """Return live resources of a type in a pod that are no members of a group, the oldest first."""
    routing = Routing.__table__.c
    is_member = sqlalchemy.exists().where(
        _M.group_id == group_id, _M.resource_type == routing.resource_type, _M.resource_id == routing.top_id
    )
    statement = (
        Columns(Routing)
        .select.where(routing.pod_id == pod_id, routing.resource_type == resource_type)
        .where(routing.state.in_(LIVE_STATES), ~is_member)
        .order_by(routing.created_at, routing.id)
        .limit(limit)
    )
    with db.reader() as connection:
        return Columns(Routing).all(connection, statement)


# -- what the job reads and writes --


def followed(db: Database, group_id: str) -> list[Followed]:
    """Return the members whose moves have not ended as far as the group knows, with these moves."""
    of_move = [_MOVE[field.name] for field in fields(FollowedMove)]
    statement = (
        sqlalchemy.select(*_MEMBER_TABLE.c, *of_move)
        .join(Move.__table__, _MOVE.id == _M.move_id)
        .where(_M.group_id == group_id, _M.state.in_(MEMBER_ACTIVE_STATES))
        .order_by(_M.position)
    )
    size = len(_MEMBERS.names)
    with db.reader() as connection:
        rows = [tuple(row) for row in connection.execute(statement)]
    return [Followed(MoveGroupMember(*row[:size]), FollowedMove(*row[size:])) for row in rows]


def census(db: Database, group_id: str) -> Census:
    """Count the members of a group."""
    counted = (
        sqlalchemy.select(_M.wave, _M.state, sqlalchemy.func.count())
        .where(_M.group_id == group_id)
        .group_by(_M.wave, _M.state)
    )
    found, waves = dict.fromkeys(MEMBER_STATES, 0), []
    with db.reader() as connection:
        for wave, state, number in connection.execute(counted):
            found[state] += number
            if state in _OPEN_STATES:
                waves.append(wave)
    return Census(found, min(waves, default=None))


def waiting(db: Database, group_id: str, wave: int, now: datetime, limit: int) -> list[MoveGroupMember]:
    """Return members of a wave that may begin, in their order."""
    is_due = sqlalchemy.or_(_M.not_before.is_(None), _M.not_before <= now)
    statement = _MEMBERS.select.where(_M.group_id == group_id, _M.state == WAITING, _M.wave == wave, is_due)
    with db.reader() as connection:
        return _MEMBERS.all(connection, statement.order_by(_M.tries, _M.position).limit(limit))


def part(db: Database, group_id: str, number: int) -> list[MoveGroupMember]:
    """Return the members that are moved by one move."""
    statement = _MEMBERS.select.where(_M.group_id == group_id, _M.part == number).order_by(_M.position)
    with db.reader() as connection:
        return _MEMBERS.all(connection, statement)


def member_of(db: Database, group_id: str, resource_type: str, resource_id: str) -> MoveGroupMember | None:
    """Return the member that is a resource; None if it is none."""
    with db.reader() as connection:
        return _MEMBERS.one(
            connection, _M.group_id == group_id, _M.resource_type == resource_type, _M.resource_id == resource_id
        )


def last_position(db: Database, group_id: str) -> int:
    """Return the position of the last member; -1 if there is none."""
    with db.reader() as connection:
        last = sqlalchemy.select(sqlalchemy.func.max(_M.position)).where(_M.group_id == group_id)
        found = connection.execute(last).scalar()
        return -1 if found is None else int(found)


@retry_on_deadlock
def set_members(db: Database, ids: Collection[int], *, during: str | None = None, **values: Any) -> int:
    """Write columns of members. :param during: only of those in this state. :returns: number of members"""
    criteria = [_M.id.in_(list(ids))] + ([_M.state == during] if during is not None else [])
    with db.writer() as connection:
        statement = sqlalchemy.update(_MEMBER_TABLE).where(*criteria)
        return changed(connection, statement.values(**values, updated_at=utcnow()))


@retry_on_deadlock
def set_waiting(db: Database, group_id: str, **values: Any) -> int:
    """Write columns of all members that wait. :returns: their number"""
    with db.writer() as connection:
        statement = sqlalchemy.update(_MEMBER_TABLE).where(_M.group_id == group_id, _M.state == WAITING)
        return changed(connection, statement.values(**values, updated_at=utcnow()))


@retry_on_deadlock
def update(db: Database, group_id: str, **values: Any) -> MoveGroup | None:
    """Write columns of a group that has not ended. :returns: the group; None if it has ended"""
    with db.writer() as connection:
        known = _locked(connection, group_id)
        if known is None or not known.is_active:
            return None
        return _update(connection, group_id, values)


@retry_on_deadlock
def settle(db: Database, group_id: str) -> dict[str, int] | None:
    """Write how far a group is, and end it if all its members have ended and it is not paused.

    :returns: state -> number of members; None if the group has ended
    """
    with db.writer() as connection:
        known = _locked(connection, group_id)
        if known is None or not known.is_active:
            return None
        counts = _counts(connection, [group_id])[group_id]
        values = _progress(connection, known, counts)
        if not known.hold and not any(counts[state] for state in _OPEN_STATES):
            state = {'cancel': CANCELLED, 'revert': REVERTED}.get(known.wish, COMPLETED)
            # Why it was cancelled or reverted remains of interest.
            reason = known.reason if known.wish else None
            ended = {'state': state, 'percent': 100, 'reason': reason, 'active_key': None, 'ended_at': utcnow()}
            _update(connection, group_id, {**values, **ended})
            return None
        if any(getattr(known, name) != value for name, value in values.items()):
            _update(connection, group_id, values)
        return counts


def _progress(connection: Connection, group: MoveGroup, counts: Mapping[str, int]) -> dict[str, int]:
    """Return the percentage of members that have reached the target or an end, and the bytes of the moves."""
    columns: list[Any] = [_MOVE.bytes_done, _MOVE.bytes_total, _MOVE.steps_done, _MOVE.steps_total, _MOVE.state]
    of_moves = (
        sqlalchemy.select(*columns, sqlalchemy.func.count().label('members'))
        .join(_MEMBER_TABLE, _MOVE.id == _M.move_id)
        .where(_M.group_id == group.id)
        .group_by(_MOVE.id, *columns)
        .subquery()
        .c
    )
    by_bytes = of_moves.bytes_total > 0
    done = sqlalchemy.case((by_bytes, of_moves.bytes_done), else_=of_moves.steps_done)
    total = sqlalchemy.case((by_bytes, of_moves.bytes_total), else_=of_moves.steps_total)
    # The members of the other moves are counted as a whole.
    ended = (SWITCHED, *MOVE_END_STATES)
    is_under_way = sqlalchemy.and_(of_moves.state.not_in(ended), total > 0)
    share = sqlalchemy.case((is_under_way, of_moves.members * 1.0 * done / total), else_=0.0)
    add = sqlalchemy.func.sum
    sums = sqlalchemy.select(add(of_moves.bytes_done), add(of_moves.bytes_total), add(share))
    bytes_done, bytes_total, reached = connection.execute(sums).one()
    whole = sum(counts[state] for state in MEMBER_STATES if state not in (WAITING, MOVING, UNDOING))
    percent = min(99, int(100 * (float(reached or 0) + whole) / max(sum(counts.values()), 1)))
    return {
        'percent': max(percent, group.percent),
        'bytes_done': int(bytes_done or 0),
        'bytes_total': int(bytes_total or 0),
    }


def _update(connection: Connection, group_id: str, values: Mapping[str, Any]) -> MoveGroup | None:
    changed(connection, sqlalchemy.update(_TABLE).where(_G.id == group_id).values(**values, updated_at=utcnow()))
    return _GROUPS.one(connection, _G.id == group_id)


def _locked(connection: Connection, group_id: str) -> MoveGroup | None:
    return _GROUPS.first(connection, _GROUPS.select.where(_G.id == group_id).with_for_update())


# -- what operators want --

_PARTICIPLES = {
    'pause': 'paused',
    'resume': 'resumed',
    'cancel': 'cancelled',
    'confirm': 'confirmed',
    'revert': 'reverted',
}


def pause(db: Database, group_id: str, job: JobRow | None = None) -> MoveGroup | None:
    """Begin no further move; those under way go on. :raises Refused: it is paused, or has ended"""
    return _want(db, group_id, 'pause', {'hold': PAUSED, 'reason': 'An operator has paused it.'}, job)


@retry_on_deadlock
def resume(db: Database, group_id: str, job: JobRow | None = None) -> MoveGroup | None:
    """Go on, and try once more what failed or was refused, or is being undone. :raises Refused: it is not paused"""
    with db.writer() as connection:
        known = _locked(connection, group_id)
        if known is not None and not _refusal(known, 'resume'):
            of_group = sqlalchemy.update(_MEMBER_TABLE).where(
                _M.group_id == group_id, sqlalchemy.literal(known.wish) == ''
            )
            values = {'state': WAITING, 'tries': 0, 'not_before': None, 'reason': None, 'updated_at': utcnow()}
            changed(connection, of_group.where(_M.state.in_((FAILED, REFUSED))).values(**values))
            # Those whose moves are still being undone would fail next, though nobody has tried them since.
            changed(connection, of_group.where(_M.state == UNDOING).values(tries=0))
        return _want_in(connection, known, 'resume', {'hold': '', 'reason': None, 'percent': 0}, job)


def cancel(db: Database, group_id: str, job: JobRow | None = None) -> MoveGroup | None:
    """Begin no further move, and cancel those that have not switched. :raises Refused: it has ended, or is undone"""
    return _want(db, group_id, 'cancel', {'wish': 'cancel', 'hold': '', 'reason': None}, job)


def revert(db: Database, group_id: str, job: JobRow | None = None) -> MoveGroup | None:
    """Cancel all moves, and revert those that have switched. :raises Refused: it has ended, or is being reverted"""
    return _want(db, group_id, 'revert', {'wish': 'revert', 'hold': '', 'reason': None}, job)


def confirm(db: Database, group_id: str, job: JobRow | None = None) -> MoveGroup | None:
    """Confirm the moves that have switched. :raises Refused: it has ended, or is being reverted"""
    return _want(db, group_id, 'confirm', {'confirm_at': utcnow()}, job)


@retry_on_deadlock
def _want(db: Database, group_id: str, verb: str, values: Mapping[str, Any], job: JobRow | None) -> MoveGroup | None:
    with db.writer() as connection:
        return _want_in(connection, _locked(connection, group_id), verb, values, job)


def _want_in(
    connection: Connection, known: MoveGroup | None, verb: str, values: Mapping[str, Any], job: JobRow | None
) -> MoveGroup | None:
    """:returns: the group; None if it does not exist"""
    if known is None:
        return None
    reason = _refusal(known, verb)
    if reason:
        verbs = ', '.join(allowed_verbs(known))
        text = f'Move group {known.id} cannot be {_PARTICIPLES[verb]}: {reason}.'
        raise Refused(f'{text} Allowed now: {verbs}.' if verbs else text)
    if job is not None:
        submit_in(connection, job)
    return _update(connection, known.id, values)


def allowed_verbs(group: MoveGroup) -> list[str]:
    """Return what an operator may want of a group in its state."""
    return [verb for verb in _PARTICIPLES if not _refusal(group, verb)]


def _refusal(group: MoveGroup, verb: str) -> str:
    """Return why a group in its state cannot do what an operator wants; '' if it can."""
    if not group.is_active:
        return f'it has ended ({group.state})'
    if verb == 'pause':
        return 'it is paused already' if group.hold else _undone(group)
    if verb == 'resume':
        return '' if group.hold else 'it is not paused'
    if verb in ('revert', 'confirm'):
        return 'it is being reverted' if group.wish == 'revert' else ''
    return _undone(group)


def _undone(group: MoveGroup) -> str:
    return f'it is {group.status}' if group.wish in ('cancel', 'revert') else ''


@retry_on_deadlock
def purge(db: Database, before: datetime, limit: int = 100) -> int:
    """Delete groups that ended before a time, with their members. :returns: number of groups"""
    with db.writer() as connection:
        ended = sqlalchemy.select(_G.id).where(_G.ended_at < before).limit(limit)
        ids = [row.id for row in connection.execute(ended)]
        if ids:
            changed(connection, sqlalchemy.delete(_MEMBER_TABLE).where(_M.group_id.in_(ids)))
            changed(connection, sqlalchemy.delete(_TABLE).where(_G.id.in_(ids)))
        return len(ids)


def count_active_by_status(db: Database) -> dict[str, int]:
    """Count the groups that have not ended. A status that no group has is left out."""
    status = _STATUS.label('status')
    counted = sqlalchemy.select(status, sqlalchemy.func.count()).where(_IS_ACTIVE).group_by(status)
    with db.reader() as connection:
        return {name: count for name, count in connection.execute(counted)}
