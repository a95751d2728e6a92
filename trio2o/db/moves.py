# SPDX-License-Identifier: Apache-2.0
"""Moves of resources between pods, and the ledger of what each move takes and makes.

One job at a time carries out the steps of a move (`xjob/jobs/run_move.py`) and writes its progress here. Requests only
say what an operator wants (`pause`, `resume`, `cancel`, `confirm`, `revert`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy
from oslo_db import exception as db_exc
from sqlalchemy.engine import Connection

from trio2o.db import moved_resources, versions
from trio2o.db.database import Database, retry_on_deadlock, utcnow
from trio2o.db.jobs import JobRow
from trio2o.db.jobs.queue import submit_in
from trio2o.db.query import Columns, changed
from trio2o.db.records import (
    ABANDONED,
    BUILT,
    CANCELLING,
    CONFIRMED,
    CONFIRMING,
    GONE,
    ITEM_PLANNED,
    MADE,
    MOVE_END_STATES,
    MOVING,
    PAUSED,
    REVERTED,
    SENT,
    STUCK,
    SWITCHED,
    WAITING,
    Move,
    MoveGroup,
    MoveGroupMember,
    MoveItem,
)

_MOVES = Columns(Move)
_ITEMS = Columns(MoveItem)
_TABLE, _ITEM_TABLE = _MOVES.table, _ITEMS.table
_M, _I = _TABLE.c, _ITEM_TABLE.c
_MEMBER_TABLE = MoveGroupMember.__table__
_MEMBER = _MEMBER_TABLE.c
_GROUP_TABLE = MoveGroup.__table__
_GROUP = _GROUP_TABLE.c
#: Also of an abandoned move of which something is left.
_IS_OPEN = _M.ended_at.is_(None)
_IS_ACTIVE = sqlalchemy.and_(_IS_OPEN, _M.state != ABANDONED)
#: ``Move.status`` as an expression.
_STATUS = sqlalchemy.case(
    (_M.state.in_(MOVE_END_STATES), _M.state),
    (_M.hold != '', _M.hold),
    (_M.is_forward.is_(False), CANCELLING),
    (sqlalchemy.and_(_M.wish == 'confirm', _M.state == SWITCHED), CONFIRMING),
    else_=_M.state,
)


class AlreadyMoving(Exception):
    """Another move of one of the resources has not ended.

    :ivar move_id: of that move; '' if it has just ended
    """

    def __init__(self, move_id: str) -> None:
        super().__init__(move_id)
        self.move_id = move_id


class NotWaiting(Exception):
    """A member of a group that a move was to begin for does not wait any more."""


class NoRoom(Exception):
    """The limits or the state of a group allow no further move now."""


class _LeadsElsewhere(Exception):
    """A routing leads to none of the pods of a move."""


class Refused(Exception):
    """The state of a move does not allow what is asked for. The text is for operators."""


@dataclass(frozen=True)
class NewItem:
    """An item of a ledger to be; see ``MoveItem``.

    :ivar is_resource: whether tenants must not change it as long as it moves
    """

    key: str
    pod_id: str
    resource_type: str
    name: str
    top_id: str = ''
    bottom_id: str = ''
    delete_on: str = ''
    is_resource: bool = False
    host: str | None = None
    node: str | None = None


@dataclass(frozen=True)
class Start:
    """How a move of a group begins. The limits are those of moves under way; see ``under_way``.

    :ivar members: ids of the members that it moves; members that wait and are volumes of its ledger join
    :ivar parallel: most moves of the group
    :ivar max_per_pod: most moves of groups from or to a pod; ``max_per_project``: of a project
    :ivar seconds: until the next move of the group may begin
    """

    members: Sequence[int]
    parallel: int
    max_per_pod: int
    max_per_project: int
    seconds: float = 0.0


@dataclass(frozen=True)
class Switch:
    """A resource that is in another pod after a switch.

    :ivar source: the pod that it was in, and its id there; ``target``: where it is then
    :ivar created_at: when the target created it
    :ivar shown: the fields that tenants see in place of those of the target
    """

    resource_type: str
    top_id: str
    source: tuple[str, str]
    target: tuple[str, str]
    created_at: datetime | None = None
    shown: Any = None


def active_key(resource_type: str, top_id: str) -> str:
    """Return the unique key of a resource that moves."""
    return f'{resource_type}:{top_id}'


@retry_on_deadlock
def create(db: Database, move: Move, items: Sequence[NewItem], job: JobRow, start: Start | None = None) -> Move:
    """Insert a move, its ledger and the job that carries it out.

    :param start: of a move of a group
    :raises AlreadyMoving: another move of one of the resources has not ended
    :raises NotWaiting: a member does not wait
    :raises NoRoom: the limits or the state of the group allow no further move now
    """
    keys = [active_key(item.resource_type, item.top_id) for item in items if item.is_resource]
    try:
        with db.writer() as connection:
            versions.advance(connection, versions.MOVES)
            if start is not None:
                _take_room(connection, move, start)
            connection.execute(sqlalchemy.insert(_TABLE), {name: getattr(move, name) for name in _MOVES.names})
            if items:
                connection.execute(sqlalchemy.insert(_ITEM_TABLE), [_row(move.id, item) for item in items])
            if start is not None:
                _begin_members(connection, move, items, start.members)
            submit_in(connection, job)
    except db_exc.DBDuplicateEntry as error:
        with db.reader() as connection:
            other = _ITEMS.first(connection, _ITEMS.select.where(_I.active_key.in_(keys)).limit(1))
        raise AlreadyMoving(other.move_id if other is not None else '') from error
    return move


def _take_room(connection: Connection, move: Move, start: Start) -> None:
    """See that a group may begin a move now. ``versions.advance`` lets moves begin one after the other."""
    now = utcnow()
    columns = sqlalchemy.select(_GROUP.ended_at, _GROUP.hold, _GROUP.wish, _GROUP.next_start_at)
    group = connection.execute(columns.where(_GROUP.id == move.group_id).with_for_update()).first()
    if group is None or group.ended_at is not None or group.hold or group.wish:
        raise NoRoom('the group begins no further move')
    if group.next_start_at is not None and now < group.next_start_at:
        raise NoRoom('the rate of the group is reached')
    moves = _under_way(connection)
    if sum(each.group_id == move.group_id for each in moves) >= start.parallel:
        raise NoRoom('the group has enough moves under way')
    if sum(each.project_id == move.project_id for each in moves) >= start.max_per_project:
        raise NoRoom('the project has enough moves under way')
    for pod_id in (move.source_pod_id, move.target_pod_id):
        if sum(pod_id in (each.source_pod_id, each.target_pod_id) for each in moves) >= start.max_per_pod:
            raise NoRoom('a pod has enough moves under way')
    if start.seconds:
        next_start_at = now + timedelta(seconds=start.seconds)
        changed(
            connection,
            sqlalchemy.update(_GROUP_TABLE).where(_GROUP.id == move.group_id).values(next_start_at=next_start_at),
        )


def _begin_members(connection: Connection, move: Move, items: Sequence[NewItem], ids: Sequence[int]) -> None:
    values = {'state': MOVING, 'move_id': move.id, 'reason': None, 'updated_at': utcnow()}
    begin = sqlalchemy.update(_MEMBER_TABLE).where(_MEMBER.state == WAITING)
    of_move = {'name': move.name, 'target_pod_id': move.target_pod_id, 'tries': _MEMBER.tries + 1}
    chosen = begin.where(_MEMBER.id.in_(list(ids))).values(**values, **of_move)
    if changed(connection, chosen) != len(ids):
        raise NotWaiting(move.group_id)
    resources = {(item.resource_type, item.top_id) for item in items if item.is_resource}
    for resource_type, top_id in sorted(resources):
        of_resource = (_MEMBER.resource_type == resource_type, _MEMBER.resource_id == top_id)
        changed(connection, begin.where(_MEMBER.group_id == move.group_id, *of_resource).values(**values))


def _row(move_id: str, item: NewItem) -> dict[str, Any]:
    return {
        'move_id': move_id,
        'key': item.key,
        'active_key': active_key(item.resource_type, item.top_id) if item.is_resource else None,
        'pod_id': item.pod_id,
        'resource_type': item.resource_type,
        'name': item.name,
        'top_id': item.top_id,
        'bottom_id': item.bottom_id,
        'state': MADE if item.bottom_id else ITEM_PLANNED,
        'delete_on': item.delete_on,
        'sent_at': None,
        'created_at': utcnow(),
        'host': item.host,
        'node': item.node,
    }


def get(db: Database, move_id: str) -> Move | None:
    with db.reader() as connection:
        return _MOVES.one(connection, _M.id == move_id)


def list_(
    db: Database,
    *,
    filters: Mapping[str, Any] | None = None,
    limit: int | None = None,
    marker: str | None = None,
    sort: Sequence[tuple[str, str]] = (('created_at', 'desc'),),
    is_active: bool | None = None,
    status: str | None = None,
    pod_id: str | None = None,
) -> list[Move]:
    """Return a page of moves; see ``Columns.page``.

    :param is_active: only moves that have not ended; False: only those that have
    :param status: only moves with this ``Move.status``
    :param pod_id: only moves from or to this pod
    :raises ValueError: there is no such column, or no move has the marker as its id
    """
    criteria: list[Any] = []
    if is_active is not None:
        criteria.append(_IS_ACTIVE if is_active else sqlalchemy.not_(_IS_ACTIVE))
    if status is not None:
        criteria.append(_STATUS == status)
    if pod_id is not None:
        criteria.append(_is_of(pod_id))
    with db.reader() as connection:
        return _MOVES.page(connection, filters=filters, limit=limit, marker=marker, sort=sort, criteria=criteria)


def items(db: Database, move_id: str) -> list[MoveItem]:
    """Return the ledger of a move, in the order in which it was planned."""
    with db.reader() as connection:
        return _ITEMS.all(connection, _ITEMS.select.where(_I.move_id == move_id).order_by(_I.id))


class OpenMove(NamedTuple):
    """What each process keeps in memory of a move that has not ended, or of which something is left: not its plan and
    its facts, which are long.
    """

    id: str
    project_id: str
    source_pod_id: str
    state: str
    is_forward: bool
    hold: str

    @property
    def is_switched(self) -> bool:
        return self.state == SWITCHED

    @property
    def is_abandoned(self) -> bool:
        return self.state == ABANDONED


def list_open(db: Database) -> list[tuple[OpenMove, list[MoveItem]]]:
    """Return all moves that have not ended, or of which something is left, with their ledgers."""
    columns = sqlalchemy.select(_M.id, _M.project_id, _M.source_pod_id, _M.state, _M.is_forward, _M.hold)
    with db.reader() as connection:
        moves = [OpenMove(*row) for row in connection.execute(columns.where(_IS_OPEN))]
        if not moves:
            return []
        joined = _ITEMS.select.join(_TABLE, _M.id == _I.move_id).where(_IS_OPEN).order_by(_I.id)
        found: dict[str, list[MoveItem]] = {}
        for item in _ITEMS.all(connection, joined):
            found.setdefault(item.move_id, []).append(item)
    return [(move, found.get(move.id, [])) for move in moves]


def actions_before(db: Database, server_id: str) -> list[tuple[str, Any]]:
    """Return the actions of a server from before its moves, each with the pod in which it was, the newest first."""
    is_switched = sqlalchemy.or_(
        _M.state.in_((SWITCHED, CONFIRMED)), sqlalchemy.and_(_M.state == ABANDONED, _M.is_forward)
    )
    is_of_server = sqlalchemy.and_(_I.resource_type == 'server', _I.top_id == server_id)
    ids = sqlalchemy.select(_I.move_id).where(is_of_server).distinct()
    statement = _MOVES.select.where(_M.id.in_(ids), is_switched)
    with db.reader() as connection:
        moves = _MOVES.all(connection, statement.order_by(_M.created_at.desc()))
    return [
        (move.source_pod_id, action)
        for move in moves
        for action in (move.facts.get('actions') or {}).get(server_id) or ()
    ]


class UnderWay(NamedTuple):
    """A move that pods work for."""

    source_pod_id: str
    target_pod_id: str
    project_id: str
    group_id: str | None


def under_way(db: Database) -> list[UnderWay]:
    """Return the moves that pods work for: that have not switched, and wait for no operator.

    A move of a group that is stuck before its switch waits for no operator, as the group undoes it.
    """
    with db.reader() as connection:
        return _under_way(connection)


def _under_way(connection: Connection) -> list[UnderWay]:
    columns = sqlalchemy.select(_M.source_pod_id, _M.target_pod_id, _M.project_id, _M.group_id)
    will_be_undone = sqlalchemy.and_(_M.group_id.is_not(None), _M.hold == STUCK, _M.is_forward)
    works = sqlalchemy.or_(_M.hold == '', will_be_undone)
    return [UnderWay(*row) for row in connection.execute(columns.where(_IS_ACTIVE, _M.state != SWITCHED, works))]


def plans_to(db: Database, pod_id: str) -> list[Any]:
    """Return the plans of the moves to a pod that have not switched and go forward."""
    columns = sqlalchemy.select(_M.plan).where(_M.target_pod_id == pod_id, _IS_ACTIVE, _M.is_forward)
    with db.reader() as connection:
        return [plan for (plan,) in connection.execute(columns.where(_M.state.not_in((BUILT, SWITCHED))))]


def is_pod_in_use(db: Database, pod_id: str) -> bool:
    """Whether a move from or to a pod has not ended."""
    statement = sqlalchemy.select(_M.id).where(_IS_ACTIVE, _is_of(pod_id))
    with db.reader() as connection:
        return connection.execute(statement.limit(1)).first() is not None


def count_left_in(db: Database, pod_id: str) -> int:
    """Count what abandoned moves have left in a pod."""
    return sum(
        item.pod_id == pod_id for move, items in list_open(db) if move.is_abandoned for item in left(move, items)
    )


def left(move: Move | OpenMove, items: Iterable[MoveItem]) -> list[MoveItem]:
    """Return what an abandoned move has left in the pods: what it would have deleted at its end, and has not."""
    end = CONFIRMED if move.is_forward else REVERTED
    return [item for item in items if end in item.delete_on.split(',') and item.state in (SENT, MADE)]


def _is_of(pod_id: str) -> sqlalchemy.ColumnElement[bool]:
    return sqlalchemy.or_(_M.source_pod_id == pod_id, _M.target_pod_id == pod_id)


def count_active_by_status(db: Database) -> dict[str, int]:
    """Count the moves that have not ended. A status that no move has is left out."""
    status = _STATUS.label('status')
    counted = sqlalchemy.select(status, sqlalchemy.func.count()).where(_IS_ACTIVE).group_by(status)
    with db.reader() as connection:
        return {name: count for name, count in connection.execute(counted)}


# -- what the job writes --


@retry_on_deadlock
def update(db: Database, move_id: str, *, during: Move | None = None, **values: Any) -> Move | None:
    """Write columns of an open move. A count of steps or bytes that is smaller than before is not written.

    :param during: the move as it was read; nothing is written if it is at another step or has another direction now:
        it was cancelled, or another worker goes on with it
    :returns: the move; None if nothing was written, as it has ended or is not as ``during`` says
    """
    with db.writer() as connection:
        if values.keys() & {'state', 'hold'}:
            versions.advance(connection, versions.MOVES)
        known = _locked(connection, move_id) if during is not None else None
        if known is not None and during is not None and not is_same_step(known, during):
            return None
        return _update(connection, move_id, values)


def is_same_step(one: Move, other: Move) -> bool:
    """Whether a move is at the same step, in the same direction, as it was at another time."""
    return (one.step, one.is_forward) == (other.step, other.is_forward)


def _update(connection: Connection, move_id: str, values: Mapping[str, Any]) -> Move | None:
    known = _locked(connection, move_id)
    if known is None or known.ended_at is not None:
        return None
    grown = {
        name: max(value, getattr(known, name)) if name in ('steps_done', 'bytes_done') else value
        for name, value in values.items()
    }
    changed(connection, sqlalchemy.update(_TABLE).where(_M.id == move_id).values(**grown, updated_at=utcnow()))
    return _MOVES.one(connection, _M.id == move_id)


def _locked(connection: Connection, move_id: str) -> Move | None:
    return _MOVES.first(connection, _MOVES.select.where(_M.id == move_id).with_for_update())


@retry_on_deadlock
def set_item(db: Database, item_id: int, **values: Any) -> MoveItem:
    """Write columns of an item. Every process learns it with its next snapshot of the pods."""
    with db.writer() as connection:
        versions.advance(connection, versions.MOVES)
        changed(connection, sqlalchemy.update(_ITEM_TABLE).where(_I.id == item_id).values(**values))
        found = _ITEMS.one(connection, _I.id == item_id)
        assert found is not None
        return found


@retry_on_deadlock
def sending(db: Database, item: MoveItem) -> MoveItem | None:
    """Record that the request that makes an item is being sent.

    :param item: as it was read
    :returns: the item; None if somebody else, such as a worker that lost its lease, has changed it since, or if the
        move has ended
    """
    same = _I.sent_at.is_(None) if item.sent_at is None else _I.sent_at == item.sent_at
    with db.writer() as connection:
        versions.advance(connection, versions.MOVES)
        move = _locked(connection, item.move_id)
        if move is None or not move.is_active:
            return None
        statement = sqlalchemy.update(_ITEM_TABLE).where(_I.id == item.id, _I.state == item.state, same)
        if not changed(connection, statement.values(state=SENT, sent_at=utcnow())):
            return None
        return _ITEMS.one(connection, _I.id == item.id)


def made(db: Database, item_id: int, bottom_id: str) -> MoveItem:
    """Record the id of an item that was made."""
    return set_item(db, item_id, state=MADE, bottom_id=bottom_id)


def gone(db: Database, item_id: int) -> MoveItem:
    """Record that an item does not exist any more."""
    return set_item(db, item_id, state=GONE)


@retry_on_deadlock
def deleted_by_owner(db: Database, move_id: str, resource_type: str, top_id: str) -> bool:
    """Record that the owner of a resource has deleted it in the target of a switched move.

    If nothing else is left of what the move is about, it is confirmed: there is nothing to go back to. If the move
    goes back, what is in the source is deleted, too, when it ends.

    :returns: whether the move has gone back and ended, so that the resource is still in the source
    """
    with db.writer() as connection:
        versions.advance(connection, versions.MOVES)
        known = _locked(connection, move_id)
        if known is None:
            return False
        if not known.is_active:
            return not known.is_switched
        those = (_I.move_id == move_id, _I.resource_type == resource_type, _I.top_id == top_id)
        is_source = _I.active_key.is_not(None)
        both = f'{CONFIRMED},{REVERTED}'
        if not known.is_forward:
            changed(connection, sqlalchemy.update(_ITEM_TABLE).where(*those, is_source).values(delete_on=both))
        elif known.state == SWITCHED:
            changed(connection, sqlalchemy.update(_ITEM_TABLE).where(*those, ~is_source).values(state=GONE))
            if resource_type == known.resource_type:
                changed(connection, sqlalchemy.update(_ITEM_TABLE).where(*those, is_source).values(delete_on=both))
                if not _has_left(connection, move_id, resource_type):
                    _update(connection, move_id, {'wish': 'confirm', 'hold': ''})
        return False


def _has_left(connection: Connection, move_id: str, resource_type: str) -> bool:
    """Whether the target still has something that tenants know, of one type."""
    in_target = (_I.move_id == move_id, _I.resource_type == resource_type, _I.active_key.is_(None), _I.top_id != '')
    statement = sqlalchemy.select(_I.id).where(*in_target, _I.state != GONE)
    return connection.execute(statement.limit(1)).first() is not None


@retry_on_deadlock
def switch(db: Database, move_id: str, switches: Sequence[Switch], is_back: bool = False) -> Move | None:
    """Let the ids of resources lead to another pod and set the state of the move, in one transaction.

    :param is_back: whether the resources go back to the source
    :returns: the move; None, with nothing changed, if it has ended, its direction has changed meanwhile, or a routing
        leads elsewhere
    """
    try:
        with db.writer() as connection:
            versions.advance(connection, versions.MOVED)
            versions.advance(connection, versions.MOVES)
            known = _locked(connection, move_id)
            if known is None or not known.is_active or known.is_forward == is_back:
                return None
            for each in sorted(switches, key=lambda each: (each.resource_type, each.top_id)):
                _switch_one(connection, each)
            values: dict[str, Any] = {'state': BUILT if is_back else SWITCHED}
            if not is_back:
                values['confirm_at'] = utcnow() + timedelta(seconds=known.confirm_seconds)
            return _update(connection, move_id, values)
    except _LeadsElsewhere:
        return None


def _switch_one(connection: Connection, each: Switch) -> None:
    is_moved = moved_resources.move_in(
        connection,
        each.resource_type,
        each.top_id,
        each.source,
        each.target,
        created_at=each.created_at,
        shown=each.shown,
    )
    if not is_moved:
        raise _LeadsElsewhere(each.top_id)


@retry_on_deadlock
def begin_confirming(db: Database, move_id: str) -> Move | None:
    """Record that a switched move will be confirmed, after which it cannot be reverted.

    :returns: the move; None if it is not switched, or is being reverted
    """
    with db.writer() as connection:
        known = _locked(connection, move_id)
        if known is None or known.state != SWITCHED or not known.is_forward:
            return None
        return _update(connection, move_id, {'wish': 'confirm'})


@retry_on_deadlock
def end(db: Database, move_id: str, state: str, error: str | None = None) -> Move | None:
    """End a move: its resources may move again. :returns: the move; None if it has ended already"""
    now = utcnow()
    with db.writer() as connection:
        versions.advance(connection, versions.MOVES)
        known = _locked(connection, move_id)
        if known is None or not known.is_active:
            return None
        if _update(connection, move_id, {'state': state, 'step': None, 'hold': '', 'error': error}) is None:
            return None
        changed(connection, sqlalchemy.update(_ITEM_TABLE).where(_I.move_id == move_id).values(active_key=None))
        changed(connection, sqlalchemy.update(_TABLE).where(_M.id == move_id).values(ended_at=now))
        return _MOVES.one(connection, _M.id == move_id)


@retry_on_deadlock
def swept(db: Database, move_id: str) -> Move | None:
    """Record that nothing is left of an abandoned move."""
    with db.writer() as connection:
        versions.advance(connection, versions.MOVES)
        return _update(connection, move_id, {'ended_at': utcnow(), 'error': None})


@retry_on_deadlock
def abandon(
    db: Database, move_id: str, job: JobRow | None = None, *, back: Callable[[Move], Sequence[Switch]] | None = None
) -> Move | None:
    """End a move at once, whatever its pods do. Nothing is asked of them: a job sweeps what is left in them.

    :param back: returns the resources of a switched move, whose ids then lead to the source again; None: the ids lead
        where they lead now
    :returns: the move; None if it does not exist
    :raises Refused: it has ended; or the ids cannot lead to the source
    """
    try:
        with db.writer() as connection:
            if back is not None:
                versions.advance(connection, versions.MOVED)
            versions.advance(connection, versions.MOVES)
            known = _locked(connection, move_id)
            if known is None:
                return None
            reason = _refusal(known, 'abandon')
            if back is not None and known.is_active:
                reason = reason or _not_back(known)
            if reason:
                raise Refused(f'Move {move_id} cannot be abandoned: {reason}.')
            for each in sorted(back(known) if back is not None else (), key=lambda each: each.top_id):
                _switch_one(connection, each)
            is_switched = known.is_switched and back is None
            facts = {name: value for name, value in known.facts.items() if name != 'waits_since'}
            if not is_switched:
                # They are those of the source, where it is again.
                facts.pop('actions', None)
            changed(connection, sqlalchemy.update(_ITEM_TABLE).where(_I.move_id == move_id).values(active_key=None))
            if job is not None:
                submit_in(connection, job)
            values = {'state': ABANDONED, 'is_forward': is_switched, 'step': None, 'hold': '', 'facts': facts}
            return _update(connection, move_id, values)
    except _LeadsElsewhere as error:
        raise Refused(f'Move {move_id} cannot be abandoned: {error} is no longer where it was.') from error


def _not_back(move: Move) -> str:
    """Return why the ids of a move cannot lead to the source again; '' if they can."""
    if not move.is_switched:
        return 'its ids lead to the source'
    return 'the deletion of the source has begun' if move.facts.get('is_deleting') else ''


def pod_is_back(connection: Connection, pod_name: str, pod_id: str) -> None:
    """Let what abandoned moves have left in a pod be found in it, as it is registered again under another id.

    Tenants would see it twice else.
    """
    moves = _MOVES.all(connection, _MOVES.select.where(_IS_OPEN, _M.state == ABANDONED))
    for move in moves:
        for side in ('source', 'target'):
            old_id = getattr(move, f'{side}_pod_id')
            if move.plan[f'{side}_pod'] == pod_name and old_id != pod_id:
                versions.advance(connection, versions.MOVES)
                _update(connection, move.id, {f'{side}_pod_id': pod_id})
                those = (_I.move_id == move.id, _I.pod_id == old_id)
                changed(connection, sqlalchemy.update(_ITEM_TABLE).where(*those).values(pod_id=pod_id))


# -- what operators want --
#
# Each submits the job that goes on with the move in the same transaction: a move that is paused or stuck has none.


def pause(db: Database, move_id: str, job: JobRow | None = None) -> Move | None:
    """Begin no further step of a move. :raises Refused: it has ended or is held already"""
    return _want(db, move_id, 'pause', {'hold': PAUSED}, job)


def resume(db: Database, move_id: str, job: JobRow | None = None) -> Move | None:
    """Go on with a move that is paused or stuck. :raises Refused: it is neither"""
    return _want(db, move_id, 'resume', {'hold': '', 'error': None}, job)


def cancel(db: Database, move_id: str, job: JobRow | None = None) -> Move | None:
    """Undo the steps of a move. :raises Refused: it has ended, or its resources have switched: see ``revert``"""
    return _want(db, move_id, 'cancel', {'is_forward': False, 'hold': '', 'error': None}, job)


def confirm(db: Database, move_id: str, job: JobRow | None = None, *, is_forced: bool = False) -> Move | None:
    """Delete what a switched move left in the source.

    :param is_forced: also what the target has lost
    :raises Refused: it has not switched, or is being reverted
    """

    def values(move: Move) -> dict[str, Any]:
        forced = {'facts': {**move.facts, 'is_forced': True}} if is_forced else {}
        return {'is_forward': True, 'wish': 'confirm', 'hold': '', 'error': None, **forced}

    return _want(db, move_id, 'confirm', values, job)


def revert(db: Database, move_id: str, job: JobRow | None = None) -> Move | None:
    """Let a switched move go back to the source. :raises Refused: it has not switched, or is confirmed"""
    return _want(db, move_id, 'revert', {'is_forward': False, 'wish': '', 'hold': '', 'error': None}, job)


def sweep(db: Database, move_id: str, job: JobRow | None = None) -> Move | None:
    """Look at once for what is left of an abandoned move. :raises Refused: nothing is"""
    return _want(db, move_id, 'sweep', {'error': None}, job)


@retry_on_deadlock
def _want(
    db: Database,
    move_id: str,
    verb: str,
    values: Mapping[str, Any] | Callable[[Move], Mapping[str, Any]],
    job: JobRow | None,
) -> Move | None:
    """:returns: the move; None if it does not exist"""
    with db.writer() as connection:
        versions.advance(connection, versions.MOVES)
        known = _locked(connection, move_id)
        if known is None:
            return None
        reason = _refusal(known, verb)
        if reason:
            verbs = ', '.join(allowed_verbs(known))
            text = f'Move {move_id} cannot be {_PARTICIPLES[verb]}: {reason}.'
            raise Refused(f'{text} Allowed now: {verbs}.' if verbs else text)
        if job is not None:
            submit_in(connection, job)
        return _update(connection, move_id, values(known) if callable(values) else values)


def allowed_verbs(move: Move, *, is_admin: bool = False) -> list[str]:
    """Return what may be wanted of a move in its state.

    :param is_admin: also what only administrators may want
    """
    return [verb for verb in _PARTICIPLES if (is_admin or verb not in ADMIN_VERBS) and not _refusal(move, verb)]


_PARTICIPLES = {
    'pause': 'paused',
    'resume': 'resumed',
    'cancel': 'cancelled',
    'confirm': 'confirmed',
    'revert': 'reverted',
    'abandon': 'abandoned',
    'sweep': 'swept',
}
#: Those that projects are never allowed.
ADMIN_VERBS = ('abandon', 'sweep')


def _refusal(move: Move, verb: str) -> str:
    """Return why a move in its state cannot do what an operator wants; '' if it can."""
    if verb == 'sweep':
        return '' if move.state == ABANDONED and move.ended_at is None else 'nothing is left of it'
    if not move.is_active:
        return f'it has ended ({move.state})'
    if verb == 'abandon':
        return ''
    if verb == 'pause':
        return f'it is already {move.hold}' if move.hold else ''
    if verb == 'resume':
        return '' if move.hold else 'it is neither paused nor stuck'
    if verb == 'cancel':
        return 'it has switched; revert it' if move.is_switched else _undone(move)
    if not move.is_switched:
        return 'it has not switched' if move.is_forward else 'it is being undone'
    if verb == 'confirm' and move.hold == STUCK:
        # Nothing of a revert that is stuck before it has switched back has been done yet.
        return ''
    if verb == 'revert' and move.wish == 'confirm' and (move.hold != STUCK or move.facts.get('is_deleting')):
        return 'it is being confirmed'
    return _undone(move)


def _undone(move: Move) -> str:
    # A move that is stuck while it is undone goes on with ``resume``.
    return '' if move.is_forward else 'it is being undone'


def stuck(db: Database, move: Move, error: str) -> Move | None:
    """Record that a move cannot go on until an operator resumes or cancels it. See ``update`` for ``during``."""
    return update(db, move.id, during=move, hold=STUCK, error=error)


@retry_on_deadlock
def purge(db: Database, before: datetime, limit: int = 1000) -> int:
    """Delete moves that ended before a time, with their ledgers. :returns: number of moves"""
    with db.writer() as connection:
        statement = sqlalchemy.select(_M.id).where(_M.ended_at < before).limit(limit)
        ids = [row.id for row in connection.execute(statement)]
        if ids:
            changed(connection, sqlalchemy.delete(_ITEM_TABLE).where(_I.move_id.in_(ids)))
            changed(connection, sqlalchemy.delete(_TABLE).where(_M.id.in_(ids)))
        return len(ids)
